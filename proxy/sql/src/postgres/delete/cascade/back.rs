//! The way back: what went along comes back with the root, all of it or nothing.

use model::{Field, ModelName};

use super::{
    super::{
        super::{
            binds::{Binds, TENANT},
            insert::target_of,
            quote, table,
        },
        Restoration,
    },
    Cascade, MARKED, in_version, written_by,
};
use crate::Statement;

/// A reference of a row that comes back with the root: something that it needs may be gone.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// The model of the row.
    pub model: &'a ModelName,
    /// Its field.
    pub field: &'a Field,
}

impl<'a> Cascade<'a> {
    /// What rows need that come back, in the order in which [`Self::unmet`] answers.
    pub fn needs(&self) -> Vec<Need<'a>> {
        let taken = self.taken().flat_map(|(m, model)| {
            let fields = self.models[m].fields().iter();
            let referring = fields.filter(|f| f.references.is_some());
            referring.map(move |field| Need { model, field })
        });
        taken.collect()
    }

    /// The statements that lock what rows need that come back, against its deletion.
    pub fn lock_needs(&self, restoration: &Restoration<'_>) -> Vec<Statement> {
        let lock = |need: Need<'_>| {
            let target = target_of(need.field.references.as_ref()?);
            let mut binds = Binds::new(&restoration.tenant);
            let gone = self.marked(&mut binds, restoration);
            let column = quote(&need.field.column());
            let text = format!(
                "with recursive {gone} select 1 from {} p where p.{TENANT} and p.deleted_at is null and p.id in \
                 (select c.{column} from gone g join {} c on c.{TENANT} and c.id = g.id where g.m = {}) \
                 order by p.id for share of p",
                table(&target),
                table(need.model),
                self.index(need.model)?
            );
            Some(binds.finish(text))
        };
        self.needs().into_iter().filter_map(lock).collect()
    }

    /// The statement that tells, in one row with a column each, which needs are not met: what they name is gone, and
    /// does not come back.
    pub fn unmet(&self, restoration: &Restoration<'_>) -> Statement {
        let mut binds = Binds::new(&restoration.tenant);
        let gone = self.marked(&mut binds, restoration);
        let unmet = self.each_unmet();
        binds.finish(format!("with recursive {gone} select {}", unmet.join(", ")))
    }

    /// The statement that restores what went with the root, unless a need is not met. The root follows.
    pub fn carry_back(&self, restoration: &Restoration<'_>) -> Statement {
        let mut binds = Binds::new(&restoration.tenant);
        let gone = self.marked(&mut binds, restoration);
        // The first bind after the tenant's is the root's id.
        let id = "$2::uuid";
        let user = binds.typed("text", Some(restoration.user.to_owned()));
        let mut parts = vec![gone];
        parts.push(format!(
            "unmet (yes) as (select {})",
            self.each_unmet().join(" or ")
        ));
        for (m, model) in self.taken() {
            let but = match m {
                0 => format!(" and t.id <> {id}"),
                _ => String::new(),
            };
            parts.push(format!(
                "back{m} as (update {} t set {}, deleted_at = null, delete_id = null from gone g \
                 where g.m = {m} and t.{TENANT} and t.id = g.id{but} and not (select yes from unmet))",
                table(model),
                written_by(&user)
            ));
        }
        binds.finish(format!("with recursive {} select 1", parts.join(", ")))
    }

    /// What must not be left of those that went with the root `t` when it comes back.
    pub(in super::super) fn none_left(&self) -> Vec<String> {
        let own = self.cascading().filter(|e| e.parent == 0);
        own.map(|e| {
            format!(
                "not exists (select from {} c where c.{TENANT} and c.{} = t.id and c.delete_id = t.delete_id and c.id <> t.id)",
                table(e.child),
                e.column()
            )
        })
        .collect()
    }

    fn each_unmet(&self) -> Vec<String> {
        let unmet = |need: Need<'_>| {
            let target = target_of(need.field.references.as_ref()?);
            let column = quote(&need.field.column());
            let comes_back = match self.index(&target) {
                Some(m) => format!(
                    " and not exists (select from gone x where x.m = {m} and x.id = c.{column})"
                ),
                None => String::new(),
            };
            Some(format!(
                "exists (select from gone g join {} c on g.m = {} and c.{TENANT} and c.id = g.id \
                 where c.{column} is not null and not exists (select from {} p where p.{TENANT} and p.id = c.{column} \
                 and p.deleted_at is null){comes_back})",
                table(need.model),
                self.index(need.model)?,
                table(&target)
            ))
        };
        self.needs().into_iter().filter_map(unmet).collect()
    }

    /// The deleted root in a version that it may have, and everything that went with it.
    fn marked(&self, binds: &mut Binds, restoration: &Restoration<'_>) -> String {
        let id = binds.typed("uuid", Some(restoration.id.to_owned()));
        let versions = in_version(binds, restoration.versions);
        let root = format!(
            "select 0, id, delete_id from {} where {TENANT} and id = {id} and deleted_at is not null{}",
            table(self.models[0].name()),
            versions
        );
        self.gone(&root, MARKED)
    }
}
