//! Deleting all rows of a tenant, table by table. Run by the operator as the owner of tables; never by the proxy.
//!
//! Tables and columns are those of `pg_catalog`, not of a model: what a module's own SQL has made goes as well.

use super::quote_text;

/// A table with a column `tenant_id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TenantTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Foreign keys of other tables, and of its own, that refer to it and do not cascade.
    pub referrers: Vec<Referrer>,
}

/// A foreign key that refers to a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Referrer {
    /// Schema of the table that refers.
    pub schema: String,
    /// The table that refers.
    pub table: String,
    /// Pairs of columns: of the table that refers, and of the one that is referred to.
    pub columns: Vec<(String, String)>,
}

impl TenantTable {
    fn quoted(&self) -> String {
        format!("{}.{}", quote_text(&self.schema), quote_text(&self.name))
    }

    /// The statement that deletes at most `rows_max` rows of tenant `$1` that no row refers to. Repeated over all
    /// tables it takes children before parents, whatever the depth; only rows that refer to each other in a circle stay.
    pub fn delete_leaves(&self, rows_max: u32) -> String {
        let free: String = self
            .referrers
            .iter()
            .map(|referrer| {
                let columns: Vec<_> = referrer
                    .columns
                    .iter()
                    .map(|(from, to)| format!("c.{} = t.{}", quote_text(from), quote_text(to)))
                    .collect();
                // A row that refers to nothing but itself holds nobody up.
                let other = if (&referrer.schema, &referrer.table) == (&self.schema, &self.name) {
                    " and c.ctid <> t.ctid"
                } else {
                    ""
                };
                format!(
                    " and not exists (select from {}.{} c where {}{other})",
                    quote_text(&referrer.schema),
                    quote_text(&referrer.table),
                    columns.join(" and ")
                )
            })
            .collect();
        let table = self.quoted();
        format!(
            "delete from {table} where tenant_id = $1 and ctid = any (array(\
             select t.ctid from {table} t where t.tenant_id = $1{free} limit {rows_max}))"
        )
    }

    /// The statement that counts the rows of tenant `$1`.
    pub fn count(&self) -> String {
        format!(
            "select count(*) from {} where tenant_id = $1",
            self.quoted()
        )
    }
}

/// The statement that deletes every row of tenant `$1` from all of these tables at once and answers how many: foreign
/// keys are looked at when it ends, so rows that refer to each other in a circle go together.
pub fn delete_together(tables: &[TenantTable]) -> String {
    let each: Vec<_> = tables
        .iter()
        .enumerate()
        .map(|(i, table)| {
            format!(
                "d{i} as (delete from {} where tenant_id = $1 returning 1)",
                table.quoted()
            )
        })
        .collect();
    let sum: Vec<_> = (0..tables.len())
        .map(|i| format!("(select count(*) from d{i})"))
        .collect();
    format!("with {} select {}", each.join(", "), sum.join(" + "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deals() -> TenantTable {
        let referrer = |schema: &str, table: &str, column: &str| Referrer {
            schema: schema.into(),
            table: table.into(),
            columns: vec![
                ("tenant_id".into(), "tenant_id".into()),
                (column.into(), "id".into()),
            ],
        };
        TenantTable {
            schema: "crm".into(),
            name: "deals".into(),
            referrers: vec![
                referrer("crm", "deals", "parent_id"),
                referrer("crm", "odd\"name", "deal_id__2"),
            ],
        }
    }

    #[test]
    fn leaves_go_first_and_circles_together() {
        assert_eq!(
            deals().delete_leaves(5_000),
            "delete from \"crm\".\"deals\" where tenant_id = $1 and ctid = any (array(\
             select t.ctid from \"crm\".\"deals\" t where t.tenant_id = $1 \
             and not exists (select from \"crm\".\"deals\" c where c.\"tenant_id\" = t.\"tenant_id\" \
             and c.\"parent_id\" = t.\"id\" and c.ctid <> t.ctid) \
             and not exists (select from \"crm\".\"odd\"\"name\" c where c.\"tenant_id\" = t.\"tenant_id\" \
             and c.\"deal_id__2\" = t.\"id\") limit 5000))"
        );
        assert_eq!(
            delete_together(&[deals(), deals()]),
            "with d0 as (delete from \"crm\".\"deals\" where tenant_id = $1 returning 1), \
             d1 as (delete from \"crm\".\"deals\" where tenant_id = $1 returning 1) \
             select (select count(*) from d0) + (select count(*) from d1)"
        );
        assert_eq!(
            deals().count(),
            "select count(*) from \"crm\".\"deals\" where tenant_id = $1"
        );
    }
}
