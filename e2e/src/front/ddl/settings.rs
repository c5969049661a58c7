//! `SETTINGS name = value MIN 1 MAX 9 CONST, PROFILE 'p', …`.

use super::Reader;
use crate::front::{
    access::{Element, Writability},
    error::Refusal,
};

/// What may follow a list of settings.
const AFTER: [&str; 5] = ["TO", "DEFAULT", "IDENTIFIED", "HOST", "GRANTEES"];

/// Reads the list behind the keyword `SETTINGS`.
pub fn elements(reader: &mut Reader<'_>) -> Result<Vec<Element>, Refusal> {
    if reader.take(&["NONE"]) {
        return Ok(Vec::new());
    }
    let mut elements = vec![element(reader)?];
    while reader.take_symbol(',') {
        elements.push(element(reader)?);
    }
    Ok(elements)
}

fn element(reader: &mut Reader<'_>) -> Result<Element, Refusal> {
    if reader.take(&["PROFILE"]) || reader.take(&["INHERIT"]) {
        return Ok(Element::Inherit(reader.name()?));
    }
    let name = reader.name()?;
    let (mut value, mut min, mut max, mut writability) = (None, None, None, None);
    loop {
        if reader.take_symbol('=') {
            value = Some(reader.value()?);
        } else if reader.take(&["MIN"]) {
            reader.take_symbol('=');
            min = Some(reader.value()?);
        } else if reader.take(&["MAX"]) {
            reader.take_symbol('=');
            max = Some(reader.value()?);
        } else if reader.take(&["CONST"]) || reader.take(&["READONLY"]) {
            writability = Some(Writability::Const);
        } else if reader.take(&["CHANGEABLE_IN_READONLY"]) {
            writability = Some(Writability::ChangeableInReadonly);
        } else if reader.take(&["WRITABLE"]) {
            writability = Some(Writability::Writable);
        } else if reader.at_end()
            || reader
                .word_at(0)
                .is_some_and(|w| AFTER.contains(&w.as_str()))
            || reader.peek() == Some(&crate::front::token::Kind::Symbol(','))
        {
            break;
        } else {
            value = Some(reader.value()?);
        }
    }
    Ok(Element::Setting {
        name,
        value,
        min,
        max,
        writability,
    })
}
