//! What a deletion does to the rows that refer to what goes: `onDelete`.
//!
//! One statement finds everything that goes with the roots (`gone`, by following the references that cascade) and
//! changes it. Rows that are written meanwhile are found by the guard, a statement of its own with a younger snapshot:
//! by then everything that has gone is locked, so that nobody can begin to refer to it.

mod back;
mod purge;

pub use back::Need;

use model::{Field, ModelName, ModuleModel, OnDelete, TenantId};

use super::{
    super::{
        binds::{Binds, TENANT},
        quote, table,
        update::versions_bind,
    },
    Deletion, Referrer,
};
use crate::Statement;

/// A row that may not have gone with the root.
const LIVE: &str = "c.deleted_at is null";
/// A row that went with the same root.
const MARKED: &str = "c.delete_id = g.d";

/// The models that a deletion can reach from one of them, and the fields by which it does.
#[derive(Debug, Clone)]
pub struct Cascade<'a> {
    /// The first is the root's.
    models: Vec<&'a ModuleModel>,
    edges: Vec<Edge<'a>>,
}

#[derive(Debug, Clone)]
struct Edge<'a> {
    /// Which of the models is referred to.
    parent: usize,
    child: &'a ModelName,
    field: &'a Field,
    on_delete: OnDelete,
    /// Whether a deleted row of the parent stays in its table.
    keeps: bool,
}

impl<'a> Edge<'a> {
    /// The column of `c`, which goes by the name of the child's table.
    fn column(&self) -> String {
        quote(&self.field.column())
    }

    /// `c` refers to `g`, which is a row of the parent.
    fn joined(&self) -> String {
        format!(
            "g.m = {} and c.{TENANT} and c.{} = g.id",
            self.parent,
            self.column()
        )
    }

    /// Which rows keep their parent from going: what goes from its table would leave a deleted row's reference dangling.
    fn counted(&self) -> &'static str {
        if self.keeps { LIVE } else { "true" }
    }

    /// Whether a row that counts refers to something that goes.
    fn refers(&self, condition: &str, and: &str) -> String {
        format!(
            "exists (select from gone g join {} c on {} and {condition}{and})",
            table(self.child),
            self.joined()
        )
    }

    fn referrer(&self) -> Referrer<'a> {
        Referrer {
            model: self.child,
            field: self.field,
            counts_deleted: !self.keeps && self.on_delete == OnDelete::Restrict,
        }
    }
}

impl<'a> Cascade<'a> {
    /// Follows the references that lead to `root`; `referrers` tells those that lead to a model.
    pub fn of<Referrers>(
        root: &'a ModuleModel,
        referrers: impl Fn(&'a ModelName) -> Referrers,
    ) -> Self
    where
        Referrers: Iterator<Item = (&'a ModuleModel, &'a Field)>,
    {
        let (mut models, mut edges, mut parent) = (vec![root], Vec::new(), 0);
        while let Some(model) = models.get(parent).copied() {
            for (child, field) in referrers(model.name()) {
                let on_delete = field
                    .references
                    .as_ref()
                    .map_or_else(OnDelete::default, |r| r.on_delete);
                if on_delete == OnDelete::Cascade
                    && !models.iter().any(|m| m.name() == child.name())
                {
                    models.push(child);
                }
                edges.push(Edge {
                    parent,
                    child: child.name(),
                    field,
                    on_delete,
                    keeps: model.soft_delete(),
                });
            }
            parent += 1;
        }
        Self { models, edges }
    }

    /// Whether a deletion changes any other row.
    pub fn acts(&self) -> bool {
        self.edges.iter().any(|e| e.on_delete != OnDelete::Restrict)
    }

    /// Whether rows go with others.
    pub fn takes_along(&self) -> bool {
        self.cascading().next().is_some()
    }

    /// The fields through which a live row keeps another from going, in the order in which [`Self::blocked`] answers.
    pub fn blockers(&self) -> Vec<Referrer<'a>> {
        self.of_kind(OnDelete::Restrict)
            .map(Edge::referrer)
            .collect()
    }

    /// Everything that may refer to the root.
    pub fn referrers(&self) -> Vec<Referrer<'a>> {
        let to_root = self.edges.iter().filter(|e| e.parent == 0);
        to_root.map(Edge::referrer).collect()
    }

    /// The statement that tells, in one row with a column each, which blockers have live rows; none without blockers.
    pub fn blocked(&self, deletion: &Deletion<'_>) -> Option<Statement> {
        let mut binds = Binds::new(&deletion.tenant);
        let root = root_of(deletion, &mut binds);
        self.look(binds, &root, LIVE)
    }

    /// The statement that deletes what goes with the root and clears what refers to it; nothing when it is blocked, or
    /// when the root is not there in that version. The root itself goes afterwards.
    pub fn carry_out(&self, deletion: &Deletion<'_>) -> Statement {
        let mut binds = Binds::new(&deletion.tenant);
        let root = root_of(deletion, &mut binds);
        self.change(binds, deletion.user, &root, Some(deletion.id))
    }

    /// The statement that fails with 2201F (the square root of a negative number) when a row has come to refer to one
    /// that went with the root: the whole is run again. None where nothing can.
    pub fn guard(&self, deletion: &Deletion<'_>) -> Option<Statement> {
        let mut binds = Binds::new(&deletion.tenant);
        let id = binds.typed("uuid", Some(deletion.id.to_owned()));
        let delete_id = binds.typed("uuid", Some(deletion.delete_id.to_owned()));
        // The root is locked and goes last.
        self.leftover(binds, &format!("select 0, {id}, {delete_id}"), Some(&id))
    }

    /// The same for rows that have been deleted in this transaction, each with its `delete_id`. `ids` is PostgreSQL's
    /// text of an array.
    pub fn carry_out_of(&self, tenant: &TenantId, user: &str, ids: &str) -> Vec<Statement> {
        let roots = |binds: &mut Binds| self.deleted(binds, ids);
        let (mut first, mut second) = (Binds::new(tenant), Binds::new(tenant));
        let (begin, again) = (roots(&mut first), roots(&mut second));
        let mut statements = vec![self.change(first, user, &begin, None)];
        statements.extend(self.leftover(second, &again, None));
        statements
    }

    /// What blocks them; none without blockers.
    pub fn blocked_of(&self, tenant: &TenantId, ids: &str) -> Option<Statement> {
        let mut binds = Binds::new(tenant);
        let roots = self.deleted(&mut binds, ids);
        self.look(binds, &roots, MARKED)
    }

    fn deleted(&self, binds: &mut Binds, ids: &str) -> String {
        let ids = binds.typed("uuid[]", Some(ids.to_owned()));
        format!(
            "select 0, id, delete_id from {} where {TENANT} and id = any({ids})",
            table(self.models[0].name())
        )
    }

    fn look(&self, binds: Binds, root: &str, condition: &str) -> Option<Statement> {
        let blocked = self.blocked_by();
        if blocked.is_empty() {
            return None;
        }
        let gone = self.gone(root, condition);
        Some(binds.finish(format!(
            "with recursive {gone} select {}",
            blocked.join(", ")
        )))
    }

    fn change(&self, mut binds: Binds, user: &str, root: &str, but: Option<&str>) -> Statement {
        let user = binds.typed("text", Some(user.to_owned()));
        let blocked = self.blocked_by();
        // Rows that are deleted already are looked at afterwards.
        let asks = but.is_some() && !blocked.is_empty();
        let but = but.filter(|_| self.taken().any(|(m, _)| m == 0));
        let but = but.map(|id| binds.typed("uuid", Some(id.to_owned())));
        let mut parts = vec![self.gone(root, LIVE)];
        let mut unless = String::new();
        if asks {
            parts.push(format!(
                "blocked (yes) as (select {})",
                blocked.join(" or ")
            ));
            unless = " and not (select yes from blocked)".to_owned();
        }
        for (m, model) in self.taken() {
            let but = but.as_ref().filter(|_| m == 0);
            let but = but
                .map(|id| format!(" and t.id <> {id}"))
                .unwrap_or_default();
            parts.push(format!(
                "taken{m} as (update {} t set {}, deleted_at = now(), delete_id = g.d \
                 from (select distinct on (id) id, d from gone where m = {m}) g \
                 where t.{TENANT} and t.id = g.id and t.deleted_at is null{but}{unless})",
                table(model),
                written_by(&user)
            ));
        }
        for (n, (model, edges)) in self.cleared().into_iter().enumerate() {
            let its_own = self.not_gone(model);
            let found: Vec<_> = edges
                .iter()
                .map(|e| {
                    format!(
                        "select c.id from gone g join {} c on {} and {LIVE}{its_own}",
                        table(model),
                        e.joined()
                    )
                })
                .collect();
            let sets: Vec<_> = edges
                .iter()
                .map(|e| {
                    let column = e.column();
                    format!(
                        "{column} = case when t.{column} in (select id from gone where m = {}) then null else t.{column} end",
                        e.parent
                    )
                })
                .collect();
            parts.push(format!(
                "cleared{n} as (update {} t set {}, {} from ({}) g where t.{TENANT} and t.id = g.id \
                 and t.deleted_at is null{unless})",
                table(model),
                written_by(&user),
                sets.join(", "),
                found.join(" union ")
            ));
        }
        binds.finish(format!("with recursive {} select 1", parts.join(", ")))
    }

    /// `but` is the root where it is still live.
    fn leftover(&self, binds: Binds, root: &str, but: Option<&str>) -> Option<Statement> {
        // What refers to the root alone is found when that goes.
        let from_taken = |e: &&Edge<'_>| but.is_none() || self.taken().any(|(m, _)| m == e.parent);
        // A blocker that was there is told by its name.
        let told = |e: &&Edge<'_>| but.is_none() && e.on_delete == OnDelete::Restrict;
        let edges = self.edges.iter().filter(from_taken).filter(|e| !told(e));
        let other = |e: &Edge<'_>| {
            let root = but
                .filter(|_| e.parent == 0)
                .map(|id| format!(" and g.id <> {id}"));
            let own = but.filter(|_| self.index(e.child) == Some(0));
            let own = own.map(|id| format!(" and c.id <> {id}"));
            root.unwrap_or_default() + &own.unwrap_or_default()
        };
        let left: Vec<_> = edges.map(|e| e.refers(LIVE, &other(e))).collect();
        if left.is_empty() {
            return None;
        }
        Some(binds.finish(format!(
            "with recursive {} select sqrt(-({})::int)",
            self.gone(root, MARKED),
            left.join(" or ")
        )))
    }

    /// `gone (m, id, d)`: which model, which row, and the `delete_id` that it has or will have.
    fn gone(&self, root: &str, condition: &str) -> String {
        self.gone_where(root, |_| condition)
    }

    fn gone_where<'c>(&self, root: &str, condition: impl Fn(&Edge<'_>) -> &'c str) -> String {
        let arms: Vec<_> = self
            .cascading()
            .map(|e| {
                format!(
                    "select {} as m, c.id from {} c where {} and {}",
                    self.index(e.child).unwrap_or_default(),
                    table(e.child),
                    e.joined(),
                    condition(e)
                )
            })
            .collect();
        if arms.is_empty() {
            return format!("gone (m, id, d) as ({root})");
        }
        format!(
            "gone (m, id, d) as ({root} union select r.m, r.id, g.d from gone g cross join lateral ({}) r)",
            arms.join(" union all ")
        )
    }

    /// Whether each blocker has a live row that does not go itself.
    fn blocked_by(&self) -> Vec<String> {
        let restricting = self.of_kind(OnDelete::Restrict);
        restricting
            .map(|e| {
                // What goes itself blocks nothing, unless it stays in its table and what it refers to does not.
                let model = self.index(e.child).map(|m| self.models[m]);
                let stays = !e.keeps && model.is_some_and(ModuleModel::soft_delete);
                let but = if stays {
                    String::new()
                } else {
                    self.not_gone(e.child)
                };
                e.refers(e.counted(), &but)
            })
            .collect()
    }

    fn not_gone(&self, model: &ModelName) -> String {
        match self.index(model) {
            Some(m) => {
                format!(" and not exists (select from gone x where x.m = {m} and x.id = c.id)")
            }
            None => String::new(),
        }
    }

    fn index(&self, model: &ModelName) -> Option<usize> {
        self.models.iter().position(|m| m.name() == model)
    }

    fn of_kind(&self, kind: OnDelete) -> impl Iterator<Item = &Edge<'a>> {
        self.edges.iter().filter(move |e| e.on_delete == kind)
    }

    fn cascading(&self) -> impl Iterator<Item = &Edge<'a>> {
        self.of_kind(OnDelete::Cascade)
    }

    /// The models of which rows go with others.
    fn taken(&self) -> impl Iterator<Item = (usize, &'a ModelName)> {
        let models = self.models.iter().map(|m| m.name()).enumerate();
        models.filter(|(_, name)| self.cascading().any(|e| e.child == *name))
    }

    /// The models of which fields are cleared, each once: a statement changes a row only once.
    fn cleared(&self) -> Vec<(&'a ModelName, Vec<&Edge<'a>>)> {
        let mut models: Vec<(&ModelName, Vec<&Edge<'a>>)> = Vec::new();
        for edge in self.of_kind(OnDelete::SetNull) {
            match models.iter_mut().find(|(model, _)| *model == edge.child) {
                Some((_, edges)) => edges.push(edge),
                None => models.push((edge.child, vec![edge])),
            }
        }
        models
    }
}

/// The live root in a version that it may have, as the beginning of `gone`.
fn root_of(deletion: &Deletion<'_>, binds: &mut Binds) -> String {
    let id = binds.typed("uuid", Some(deletion.id.to_owned()));
    let delete_id = binds.typed("uuid", Some(deletion.delete_id.to_owned()));
    let versions = in_version(binds, deletion.versions);
    format!(
        "select 0, id, {delete_id} from {} where {TENANT} and id = {id} and deleted_at is null{}",
        table(deletion.model),
        versions
    )
}

fn in_version(binds: &mut Binds, versions: Option<&[i64]>) -> String {
    let Some(versions) = versions else {
        return String::new();
    };
    format!(" and version = any({})", versions_bind(binds, versions))
}

fn written_by(user: &str) -> String {
    format!(
        "version = version + 1, updated_at = greatest(now(), t.updated_at), updated_by = {user}"
    )
}
