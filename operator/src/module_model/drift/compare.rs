//! Differences, and what may be put back. Pure.

use model::ModelName;
use sql::postgres::ddl;

use super::observe::Objects;

/// Objects that differ, by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// There, and not applied.
    pub extra: Vec<String>,
    /// Applied, and gone.
    pub missing: Vec<String>,
    /// Applied, and something else now.
    pub modified: Vec<String>,
}

/// Compares definitions.
pub fn compare(applied: &Objects, found: &Objects) -> Difference {
    let missing = applied.keys().filter(|object| !found.contains_key(*object));
    let extra = found.keys().filter(|object| !applied.contains_key(*object));
    let modified = applied.iter().filter(|(object, definition)| {
        found.get(*object).is_some_and(|found| found != *definition)
    });
    Difference {
        extra: extra.cloned().collect(),
        missing: missing.cloned().collect(),
        modified: modified.map(|(object, _)| object.clone()).collect(),
    }
}

/// Statements that put back what was applied, each with its object: defaults, constraints and indexes. Nothing extra is
/// dropped, and nothing that would read or rewrite rows beyond a check of them.
pub fn repairs(
    name: &ModelName,
    applied: &Objects,
    difference: &Difference,
) -> Vec<(String, String)> {
    let gone = difference.missing.iter().map(|object| (object, false));
    let changed = difference.modified.iter().map(|object| (object, true));
    let mut statements = Vec::new();
    for (object, is_there) in gone.chain(changed) {
        let (Some((kind, what)), Some(definition)) = (object.split_once(' '), applied.get(object))
        else {
            continue;
        };
        let restored = match kind {
            "default" => vec![ddl::restore_default(name, what, definition)],
            "constraint" => ddl::restore_constraint(name, what, definition, is_there),
            "index" => ddl::restore_index(name, what, definition, is_there),
            _ => Vec::new(),
        };
        let each = restored.into_iter().map(|s| (object.clone(), s));
        statements.extend(each);
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_is_put_back_and_nothing_else_is_touched() {
        let objects = |pairs: &[(&str, &str)]| -> Objects {
            let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
            pairs.iter().map(own).collect()
        };
        let applied = objects(&[
            ("column title", "text"),
            ("constraint deals__c", "CHECK (true)"),
            ("default amount", "0"),
            (
                "index deals__by",
                "CREATE INDEX deals__by ON crm.deals USING btree (tenant_id)",
            ),
        ]);
        let found = objects(&[
            ("column extra", "text"),
            ("column title", "text not null"),
            ("constraint deals__c", "CHECK (false)"),
            ("default amount", "1"),
            ("trigger t", "…"),
        ]);
        let difference = compare(&applied, &found);
        assert_eq!(difference.extra, ["column extra", "trigger t"]);
        assert_eq!(difference.missing, ["index deals__by"]);
        assert_eq!(
            difference.modified,
            ["column title", "constraint deals__c", "default amount"]
        );
        let name = ModelName {
            module: "crm".parse().unwrap(),
            model: "deals".parse().unwrap(),
        };
        let statements: Vec<_> = repairs(&name, &applied, &difference)
            .into_iter()
            .map(|(_, statement)| statement)
            .collect();
        assert_eq!(
            statements,
            [
                "CREATE INDEX deals__by ON crm.deals USING btree (tenant_id)",
                "alter table \"crm\".\"deals\" drop constraint if exists \"deals__c\"",
                "alter table \"crm\".\"deals\" add constraint \"deals__c\" CHECK (true)",
                "alter table \"crm\".\"deals\" alter column \"amount\" set default 0",
            ]
        );
    }
}
