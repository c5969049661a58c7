//! How many rows a scope has: exactly, or by what a look at some of them tells.

use super::{Output, Scope};
use crate::{
    Statement,
    postgres::{
        binds::{Binds, TENANT},
        table, unqualified,
    },
};

impl Scope<'_> {
    /// The statement that counts exactly: rows, or combinations of columns.
    pub fn count(&self, distinct: Option<&[Output]>) -> Statement {
        let mut binds = Binds::new(&self.tenant);
        let text = match distinct {
            None => self.select(&mut binds, "count(*) "),
            Some(outputs) => {
                let what = format!("distinct {} ", binds.outputs(outputs));
                let rows = self.select(&mut binds, &what);
                format!("select count(*) from ({rows}) counted")
            }
        };
        binds.finish(text)
    }

    /// The statement that counts exactly as far as `most`, and answers one more than that where there are more.
    pub fn count_up_to(&self, most: u32) -> Statement {
        let mut binds = Binds::new(&self.tenant);
        let rows = self.select(&mut binds, "");
        let text = format!("select count(*) from ({rows} limit {}) counted", most + 1);
        binds.finish(text)
    }

    /// The statement that looks at the tenant's rows with the lowest and with the highest ids, at most `most` of each
    /// (ids grow with time, so these are the oldest and the newest), and answers for both how many of them the scope
    /// has and how many they are.
    pub fn count_sample(&self, most: u32) -> Statement {
        let mut binds = Binds::new(&self.tenant);
        let scope = self.predicate(&mut binds);
        let (table, name) = (table(self.model), unqualified(self.model));
        let look = |direction| {
            format!(
                "select count(*) filter (where {scope}) as found, count(*) as seen from (select * from {table} \
                 where {TENANT} order by id{direction} limit {most}) {name}"
            )
        };
        let text = format!(
            "select o.found, o.seen, n.found, n.seen from ({}) o, ({}) n",
            look(""),
            look(" desc")
        );
        binds.finish(text)
    }

    /// The statement that answers, as JSON, how many rows of the tenant the planner expects, whatever the filter.
    ///
    /// The statistics that the planner knows a filter's share from are those of all tenants: what it expects of a
    /// filter would tell one tenant which values are frequent with the others. Of the tenant alone it tells the
    /// tenant's own share of the table, or for one too small for the statistics the mean of such tenants. `explain`
    /// plans when it runs, with the tenant as a constant, so one text serves every tenant.
    pub fn count_planned(&self) -> Statement {
        let binds = Binds::new(&self.tenant);
        let table = table(self.model);
        binds.finish(format!(
            "explain (format json) select from {table} where {TENANT}"
        ))
    }
}
