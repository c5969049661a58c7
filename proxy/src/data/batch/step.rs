//! One operation as the single write that it is.

use model::ModelName;
use sql::{Statement, postgres::update::JsonChange};

use super::operation::Kind;
use crate::{
    data::{
        Call,
        body::{self, Purpose},
        create::{Creation, Upsertion},
        delete::Removal,
        parse,
        patch::{Alteration, Expected},
        prefer::Missing,
        record::Shape,
        restore::Revival,
    },
    postgres::Row,
    problem::{FieldCode, Problem},
    query::refuse,
};

/// What runs, and what the answers mean.
pub(super) enum Step<'a> {
    Create(Creation<'a>),
    Update(Alteration<'a>),
    Upsert(Box<Upsertion<'a>>),
    Delete(Removal<'a>),
    Restore(Revival<'a>),
}

/// A row that a step locks.
pub(in crate::data) struct Locked<'b> {
    pub call: &'b Call<'b>,
    pub target: ModelName,
    pub id: String,
    /// Whether it is the row that is written, rather than one that it refers to.
    pub own: bool,
}

impl<'a> Step<'a> {
    /// Reads the values, as the body of a single write would be read.
    pub fn plan(
        call: &'a Call<'a>,
        kind: Kind,
        id: Option<String>,
        mut members: Vec<(&str, String)>,
    ) -> Result<Self, Problem> {
        if kind == Kind::Create {
            members.extend(id.map(|id| ("id", id)));
            let input = body::parse_body(call.model, &object(&members), Purpose::Create)?;
            return Ok(Self::Create(Creation::plan(call, input, Missing::Default)));
        }
        let id = id
            .and_then(|json| serde_json::from_str::<String>(&json).ok())
            .ok_or_else(|| {
                let error = refuse("id", FieldCode::InvalidValue, "is not a UUID");
                Problem::invalid(vec![error])
            })?;
        let id = parse::parse_id(&id)?;
        let input = body::parse_body(call.model, &object(&members), Purpose::Patch)?;
        let expected = Expected {
            if_match: None,
            version: input.version,
        };
        Ok(match kind {
            Kind::Delete => Self::Delete(Removal::plan(call, id, expected)),
            Kind::Restore => Self::Restore(Revival::plan(call, id, expected)?),
            Kind::Create | Kind::Upsert | Kind::Update => Self::Update(Alteration::plan(
                call,
                id,
                input,
                expected,
                JsonChange::Replace,
            )),
        })
    }

    /// The same of a record that may be there already.
    pub fn upsert(
        call: &'a Call<'a>,
        id: Option<String>,
        mut members: Vec<(&str, String)>,
        on_conflict: &[String],
    ) -> Result<Self, Problem> {
        members.extend(id.map(|id| ("id", id)));
        let input = body::parse_body(call.model, &object(&members), Purpose::Create)?;
        let upsertion = Upsertion::plan(call, input, on_conflict)?;
        Ok(Self::Upsert(Box::new(upsertion)))
    }

    /// How many statements follow the one that writes the record.
    pub fn afterwards(&self) -> usize {
        match self {
            Self::Delete(removal) => removal.afterwards(),
            Self::Create(_) | Self::Update(_) | Self::Upsert(_) | Self::Restore(_) => 0,
        }
    }

    /// The statements; the last one but [`Self::afterwards`] writes.
    pub fn statements(&self, shape: &Shape) -> Vec<Statement> {
        match self {
            Self::Create(creation) => creation.statements(shape),
            Self::Update(alteration) => alteration.statements(shape),
            Self::Upsert(upsertion) => upsertion.statements(shape),
            Self::Delete(removal) => removal.statements(shape),
            Self::Restore(revival) => revival.statements(shape),
        }
    }

    /// The row that was written, or why it was not.
    pub fn read<'r>(&self, answer: &'r [Vec<Row>]) -> Result<&'r Row, Problem> {
        match self {
            Self::Create(creation) => creation.read(answer),
            Self::Update(alteration) => alteration.read(answer),
            Self::Upsert(upsertion) => upsertion.read(answer),
            Self::Delete(removal) => removal.read(answer),
            Self::Restore(revival) => revival.read(answer),
        }
    }

    /// Whether that statement answers a row exactly when the step has succeeded.
    pub fn tells_by_its_row(&self) -> bool {
        !matches!(self, Self::Update(alteration) if alteration.is_empty())
    }

    /// The rows that it locks.
    pub fn locked(&self) -> Vec<Locked<'_>> {
        match self {
            Self::Create(creation) => creation.locks().targets(creation.call),
            Self::Update(alteration) => alteration.locks().targets(alteration.call),
            Self::Upsert(upsertion) => touched(upsertion),
            Self::Delete(removal) => vec![own(removal.call, &removal.id)],
            // What it refers to is in the row.
            Self::Restore(revival) => vec![own(revival.call, &revival.id)],
        }
    }

    /// The row that it makes.
    pub fn created(&self) -> Option<(ModelName, String)> {
        match self {
            Self::Create(creation) => {
                Some((creation.call.model.name().clone(), creation.id.clone()))
            }
            Self::Update(_) | Self::Upsert(_) | Self::Delete(_) | Self::Restore(_) => None,
        }
    }
}

/// The row that is written.
fn own<'b>(call: &'b Call<'b>, id: &str) -> Locked<'b> {
    Locked {
        call,
        target: call.model.name().clone(),
        id: id.to_owned(),
        own: true,
    }
}

/// What an upsert refers to, and the record itself where it is known by its id.
fn touched<'b>(upsertion: &'b Upsertion<'_>) -> Vec<Locked<'b>> {
    let locked = |target: &ModelName, id: &str, own| Locked {
        call: upsertion.call,
        target: target.clone(),
        id: id.to_owned(),
        own,
    };
    let own = upsertion.own();
    let own = own.map(|id| locked(upsertion.call.model.name(), id, true));
    let parents = upsertion.parents();
    let parents = parents.iter().flat_map(|(target, ids)| {
        let locked = |id: &String| locked(target, id, false);
        ids.iter().map(locked).collect::<Vec<_>>()
    });
    parents.chain(own).collect()
}

/// The text of an object of these members, as they were sent, repeated names included.
fn object(members: &[(&str, String)]) -> Vec<u8> {
    let mut text = String::from("{");
    for (i, (name, value)) in members.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(*name).to_string());
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text.into_bytes()
}
