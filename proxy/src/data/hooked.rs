//! Asks a model's before-hooks about a write, between parse and plan.
//!
//! A record is `{"id": …, "values": {…}}` to a hook: the id where it is known, and the fields that the client set, in the
//! spelling of the API. What a hook answers goes through the same parser as a client's body.

use model::{Field, FieldType, HookEvent, ModuleModel};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Call, Failure,
    body::{Format, Input, Purpose, Reading},
    pg_array,
    prefer::Preferences,
};
use crate::hooks::{Occasion, Records, Unusable};

/// Whether what is asked about is going to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// It is.
    Real,
    /// `Prefer: tx=rollback`: it is not.
    Dry,
}

/// As the client prefers.
pub(super) fn run(preferences: &Preferences) -> Run {
    match preferences.is_dry_run() {
        true => Run::Dry,
        false => Run::Real,
    }
}

/// Which records a change or a deletion is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    /// Those of these ids, in the order of what changes.
    Ids(&'a [String]),
    /// Those that this filter finds, as a query string.
    Filter(&'a str),
}

impl Call<'_> {
    /// Asks about new records, each with its id where it has one already.
    pub(super) async fn before_create(
        &self,
        inputs: &mut [Input],
        run: Run,
    ) -> Result<(), Failure> {
        let event = HookEvent::BeforeCreate;
        self.before(event, Which::Ids(&[]), inputs, Format::Json, run)
            .await
    }

    /// Asks about changes: of each id its own, or of one for all that a filter finds. `format` is the client's, and says
    /// how the values of JSON fields are meant, those of the answer too.
    pub(super) async fn before_update(
        &self,
        which: Which<'_>,
        inputs: &mut [Input],
        format: Format,
        run: Run,
    ) -> Result<(), Failure> {
        let event = HookEvent::BeforeUpdate;
        self.before(event, which, inputs, format, run).await
    }

    /// Asks about deletions.
    pub(super) async fn before_delete(&self, which: Which<'_>, run: Run) -> Result<(), Failure> {
        let event = HookEvent::BeforeDelete;
        self.before(event, which, &mut [], Format::Json, run).await
    }

    async fn before(
        &self,
        event: HookEvent,
        which: Which<'_>,
        inputs: &mut [Input],
        format: Format,
        run: Run,
    ) -> Result<(), Failure> {
        if self.model.hooks(event).next().is_none() {
            return Ok(());
        }
        // What was asked and written before is neither asked nor written again.
        let replayed = self.session.replay().await;
        replayed.map_err(|stopped| self.failure(stopped))?;
        let (ids, filter) = match which {
            Which::Ids(ids) => (ids, None),
            Which::Filter(filter) => (&[][..], Some(filter)),
        };
        let occasion = Occasion {
            event,
            model: self.model,
            caller: self.caller,
            dry_run: run == Run::Dry,
            filter,
            merge_patch: format == Format::MergePatch,
        };
        let mut written = Written {
            model: self.model,
            ids,
            inputs,
            format: match format {
                Format::MergePatch => Format::MergePatch,
                Format::Json | Format::Csv | Format::Ndjson => Format::Json,
            },
        };
        Ok(self.data.hooks.before(&occasion, &mut written).await?)
    }
}

/// What is written: ids, inputs, or both side by side.
struct Written<'a> {
    model: &'a ModuleModel,
    ids: &'a [String],
    inputs: &'a mut [Input],
    /// What values are read as: JSON in either meaning, since what else a client sends has no JSON to be merged.
    format: Format,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow)]
    values: Option<&'a RawValue>,
}

impl Records for Written<'_> {
    fn to_json(&self) -> Vec<u8> {
        let mut out = vec![b'['];
        for i in 0..self.ids.len().max(self.inputs.len()) {
            out.extend_from_slice(if i == 0 { b"{" } else { b",{" });
            let input = self.inputs.get(i);
            let id = self.ids.get(i).or(input.and_then(|i| i.id.as_ref()));
            if let Some(id) = id {
                write_text(b"\"id\":", id, &mut out);
            }
            if let Some(input) = input {
                let comma = if id.is_some() { "," } else { "" };
                out.extend_from_slice(comma.as_bytes());
                out.extend_from_slice(b"\"values\":");
                write_values(self.model, input, &mut out);
            }
            out.push(b'}');
        }
        out.push(b']');
        out
    }

    fn amend(&mut self, answer: &[&RawValue]) -> Result<(), Unusable> {
        let expected = self.ids.len().max(self.inputs.len());
        if answer.len() != expected {
            return Err(Unusable::Count(answer.len(), expected));
        }
        let mut amended = self.inputs.to_vec();
        let reading = Reading {
            model: self.model,
            purpose: Purpose::PatchByFilter,
            columns: None,
            format: self.format,
        };
        for (i, raw) in answer.iter().enumerate() {
            let Answered { values } =
                serde_json::from_str(raw.get()).map_err(|_| Unusable::Form)?;
            let Some(values) = values else { continue };
            let wrong = Unusable::Value(i);
            let input = amended.get_mut(i).ok_or(wrong)?;
            let answered = reading.one(values.get().as_bytes()).map_err(|_| wrong)?;
            for (value, set) in input.values.iter_mut().zip(answered.values) {
                if set.is_some() {
                    *value = set;
                }
            }
        }
        self.inputs.clone_from_slice(&amended);
        Ok(())
    }
}

/// The fields that are set.
fn write_values(model: &ModuleModel, input: &Input, out: &mut Vec<u8>) {
    out.push(b'{');
    let set = model.fields().iter().zip(&input.values);
    let set = set.filter_map(|(field, value)| Some((field, value.as_ref()?)));
    for (i, (field, value)) in set.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        // Names are identifiers: nothing in them is to be escaped.
        out.extend_from_slice(format!("\"{}\":", field.name.as_str()).as_bytes());
        write_value(field, value.as_deref(), out);
    }
    out.push(b'}');
}

/// A canonical value as the API spells it.
fn write_value(field: &Field, value: Option<&str>, out: &mut Vec<u8>) {
    match (&field.field_type, value) {
        (_, None) => out.extend_from_slice(b"null"),
        (FieldType::Array { items }, Some(literal)) => {
            write_list(&items.as_field_type(), literal, out);
        }
        // Its elements are numbers.
        (FieldType::Vector { .. }, Some(literal)) => {
            write_list(&FieldType::Float64, literal, out);
        }
        (field_type, Some(text)) => write_scalar(field_type, text, out),
    }
}

fn write_list(items: &FieldType, literal: &str, out: &mut Vec<u8>) {
    let elements = pg_array::parse(literal).unwrap_or_default();
    out.push(b'[');
    for (i, element) in elements.iter().flatten().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_scalar(items, element, out);
    }
    out.push(b']');
}

fn write_scalar(field_type: &FieldType, text: &str, out: &mut Vec<u8>) {
    let is_plain =
        field_type.is_numeric() || matches!(field_type, FieldType::Bool | FieldType::Json);
    if is_plain {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_text(b"", text, out);
    }
}

fn write_text(name: &[u8], text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    serde_json::to_writer(out, text).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::body;

    fn model() -> ModuleModel {
        serde_json::from_value(serde_json::json!({
            "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
            "fields": [
                {"name": "title", "type": "text", "required": true},
                {"name": "amount", "type": "decimal", "precision": 38, "scale": 2},
                {"name": "big", "type": "int64"},
                {"name": "hot", "type": "bool"},
                {"name": "seen", "type": "timestamp"},
                {"name": "extra", "type": "json"},
                {"name": "tags", "type": "array", "items": "text"},
                {"name": "days", "type": "array", "items": "date"},
                {"name": "blob", "type": "bytes"},
                {"name": "embedding", "type": "vector", "dimension": 2},
            ],
        }))
        .unwrap()
    }

    fn input(body: &str) -> Input {
        body::parse_body(&model(), body.as_bytes(), Purpose::Patch).unwrap()
    }

    #[test]
    fn what_a_hook_sees_is_what_the_client_sent() {
        let sent = r#"{"title":"a\"\\\né","amount":12345678901234567890.12,"big":9223372036854775807,"hot":true,"seen":"2026-01-01T00:00:00.000000Z","extra":{"n":1.10},"tags":["a","b,\"c"],"days":["2026-01-02"],"blob":"AP8Q","embedding":[0.5,-1]}"#;
        let mut inputs = [input(sent), input(r#"{"big": null}"#)];
        let ids = ["one".to_owned(), "two".to_owned()];
        let model = model();
        let written = Written {
            model: &model,
            ids: &ids,
            inputs: &mut inputs,
            format: Format::Json,
        };
        let text = String::from_utf8(written.to_json()).unwrap();
        assert_eq!(
            text,
            format!(r#"[{{"id":"one","values":{sent}}},{{"id":"two","values":{{"big":null}}}}]"#)
        );
        let none = Written {
            model: &model,
            ids: &ids,
            inputs: &mut [],
            format: Format::Json,
        };
        assert_eq!(none.to_json(), br#"[{"id":"one"},{"id":"two"}]"#);
        let mut inputs = [input(r#"{"hot": false}"#)];
        let filtered = Written {
            model: &model,
            ids: &[],
            inputs: &mut inputs,
            format: Format::Json,
        };
        assert_eq!(filtered.to_json(), br#"[{"values":{"hot":false}}]"#);
    }

    #[test]
    fn an_answer_changes_all_records_or_none() {
        let amend = |answer: &[&str]| {
            let model = model();
            let ids = ["one".to_owned(), "two".to_owned()];
            let mut inputs = [
                input(r#"{"title": "a", "big": 1}"#),
                input(r#"{"title": "b"}"#),
            ];
            let raw: Vec<Box<RawValue>> = answer
                .iter()
                .map(|t| serde_json::from_str(t).unwrap())
                .collect();
            let raw: Vec<&RawValue> = raw.iter().map(|r| &**r).collect();
            let mut written = Written {
                model: &model,
                ids: &ids,
                inputs: &mut inputs,
                format: Format::Json,
            };
            let outcome = written.amend(&raw);
            (outcome, String::from_utf8(written.to_json()).unwrap())
        };
        let (outcome, text) = amend(&[r#"{"values": {"big": 2, "hot": true}}"#, "{}"]);
        assert_eq!(outcome, Ok(()));
        assert_eq!(
            text,
            r#"[{"id":"one","values":{"title":"a","big":2,"hot":true}},{"id":"two","values":{"title":"b"}}]"#
        );
        let before =
            r#"[{"id":"one","values":{"title":"a","big":1}},{"id":"two","values":{"title":"b"}}]"#;
        for (second, expected) in [
            (r#"{"values": {"nope": 1}}"#, Unusable::Value(1)),
            (r#"{"values": {"title": null}}"#, Unusable::Value(1)),
            (r#"{"values": {"big": "x"}}"#, Unusable::Value(1)),
            (r#"{"values": {"tenant_id": "x"}}"#, Unusable::Value(1)),
            (
                r#"{"values": {"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01"}}"#,
                Unusable::Value(1),
            ),
            (r#"{"values": {"version": 7}}"#, Unusable::Value(1)),
            (r#"{"values": []}"#, Unusable::Value(1)),
            ("[]", Unusable::Form),
        ] {
            let (outcome, text) = amend(&[r#"{"values": {"big": 2}}"#, second]);
            assert_eq!(outcome, Err(expected), "{second}");
            assert_eq!(text, before, "{second}");
        }
        assert_eq!(amend(&["{}"]).0, Err(Unusable::Count(1, 2)));
    }
}
