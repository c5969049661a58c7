//! What Debezium writes in place of a large value that an update did not touch.
//!
//! Our tables have `REPLICA IDENTITY FULL` wherever a value can be stored out of line, and then it does not occur.
//! Should it occur all the same, writing it as data would be silent loss: the value is read back from ClickHouse.
//! The text is the connector's `unavailable.value.placeholder`, random for each database (`platform.data_plane`), since
//! a user who knew it could write it and have another version's value shown.

use base64::Engine as _;
use model::{FieldType, ScalarType};

/// The JSON forms of one placeholder text, by type.
#[derive(Debug, Clone)]
pub struct Placeholder {
    text: String,
    base64: String,
    texts: String,
    numbers: String,
}

impl Placeholder {
    /// The forms of the connector's `unavailable.value.placeholder`.
    pub fn new(text: &str) -> Self {
        let json_text = |text: &str| serde_json::Value::from(text).to_string();
        let quoted = json_text(text);
        let numbers: Vec<_> = text.bytes().map(|b| b.to_string()).collect();
        Self {
            base64: json_text(&base64::engine::general_purpose::STANDARD.encode(text)),
            texts: format!("[{quoted}]"),
            numbers: format!("[{}]", numbers.join(",")),
            text: quoted,
        }
    }

    /// Whether this JSON stands for an untouched value of a column of that type.
    ///
    /// An array of UUIDs has a form of its own (one UUID derived from the text), which is not recognised.
    pub fn is(&self, field_type: &FieldType, json: &str) -> bool {
        match field_type {
            FieldType::Text { .. } | FieldType::Json => json == self.text,
            FieldType::Bytes => json == self.base64,
            FieldType::Array {
                items: ScalarType::Text,
            } => json == self.texts,
            FieldType::Array {
                items: ScalarType::Int16 | ScalarType::Int32 | ScalarType::Int64,
            } => json == self.numbers,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_form() {
        let placeholder = Placeholder::new("ab");
        let text = FieldType::Text { max_length: None };
        let array = |items| FieldType::Array { items };
        for (field_type, json) in [
            (text.clone(), "\"ab\""),
            (FieldType::Json, "\"ab\""),
            (FieldType::Bytes, "\"YWI=\""),
            (array(ScalarType::Text), "[\"ab\"]"),
            (array(ScalarType::Int32), "[97,98]"),
        ] {
            assert!(
                placeholder.is(&field_type, json),
                "{} {json}",
                field_type.name()
            );
        }
        assert!(!placeholder.is(&text, "\"abc\""));
        assert!(!placeholder.is(&FieldType::Inet, "\"ab\""));
    }
}
