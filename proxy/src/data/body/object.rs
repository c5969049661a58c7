//! JSON objects and arrays whose values are not looked into.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{ROWS_MAX, value::Given};

/// The members of an object in order, repeated names included; values are not looked into.
pub(in crate::data) struct Object<'a>(pub Vec<(String, &'a RawValue)>);

impl Object<'_> {
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, Given<'_>)> {
        self.0
            .iter()
            .map(|m| (m.0.as_str(), Given::Json(m.1.get())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

/// The elements of an array, one more than is allowed at most: the rest is passed over.
pub(super) struct Elements<'a>(pub Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut elements: A,
            ) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = elements.next_element()? {
                    if values.len() <= ROWS_MAX {
                        values.push(value);
                    }
                }
                Ok(values)
            }
        }
        deserializer.deserialize_seq(Values).map(Self)
    }
}
