//! What may be kept in a field of type json, or compared with one: any JSON without repeated keys, U+0000, lone surrogates, numbers past a
//! double, or more nesting than the limit.

use std::{cell::Cell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::problem::FieldCode;

/// What is wrong, for programs and for people.
pub(crate) type Wrong = (FieldCode, String);

/// Deepest nesting of a body (API.md: JSON depth 32); the object that is the record is one of them.
pub(crate) const DEPTH_MAX: usize = 31;

/// Checks a JSON text.
pub(crate) fn check(raw: &str) -> Result<(), Wrong> {
    let fault = Cell::new(Fault::Malformed);
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let seed = Checked {
        fault: &fault,
        depth_left: DEPTH_MAX,
    };
    match seed
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
    {
        Ok(()) => Ok(()),
        Err(_) => Err(match fault.get() {
            Fault::Malformed => (
                FieldCode::InvalidValue,
                "holds a lone surrogate or a number out of range".into(),
            ),
            Fault::Deep => (
                FieldCode::LimitExceeded,
                "is nested deeper than 32 levels".into(),
            ),
            Fault::Duplicate => (
                FieldCode::Duplicate,
                "holds an object with a repeated key".into(),
            ),
            Fault::Nul => (
                FieldCode::InvalidValue,
                "contains the character U+0000".into(),
            ),
        }),
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Malformed,
    Deep,
    Duplicate,
    Nul,
}

/// Walks a value; the fault is told beside serde's error, which has only text.
#[derive(Clone, Copy)]
struct Checked<'a> {
    fault: &'a Cell<Fault>,
    depth_left: usize,
}

impl Checked<'_> {
    fn fail<E: Error>(self, fault: Fault) -> E {
        self.fault.set(fault);
        E::custom("refused")
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.fail(Fault::Deep)),
        }
    }

    fn text<E: Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            Err(self.fail(Fault::Nul))
        } else {
            Ok(())
        }
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while elements.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            self.text(&name)?;
            if !names.insert(name) {
                return Err(self.fail(Fault::Duplicate));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}
