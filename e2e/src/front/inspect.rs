//! What a statement does, read from the engine's own `EXPLAIN AST`, so that no second parser can be fooled.

use super::filters::TableName;

/// Functions of an expression that read from outside of the tables. The engine has them; a user without the grants
/// for sources has not.
const SOURCES: [&str; 2] = ["file", "catboostEvaluate"];

/// What matters of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The kind.
    pub kind: Kind,
    /// The tables it names: the text before and after the dot. A name without a dot has no database.
    pub tables: Vec<(Option<String>, String)>,
    /// The first table function, or function that reads from outside.
    pub function: Option<String>,
    /// The table that is written.
    pub target: Option<(Option<String>, String)>,
}

/// The kinds that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `SELECT` in any form, or `EXPLAIN` of one.
    Select,
    /// `INSERT`.
    Insert,
    /// `DESCRIBE`, `EXISTS TABLE`.
    Describe,
    /// `KILL QUERY`.
    Kill,
    /// Anything else.
    Other,
}

/// Reads the lines of `EXPLAIN AST`.
pub fn inspect(ast: &str) -> Inspection {
    let lines: Vec<&str> = ast.lines().collect();
    let head = lines.first().copied().unwrap_or_default();
    let kind = match head.split(' ').next().unwrap_or_default() {
        "SelectWithUnionQuery" | "SelectIntersectExceptQuery" => Kind::Select,
        "Explain"
            if lines
                .get(1)
                .is_some_and(|l| l.trim_start().starts_with("Select")) =>
        {
            Kind::Select
        }
        "InsertQuery" => Kind::Insert,
        "DescribeQuery" | "ExistsTableQuery" => Kind::Describe,
        "KillQueryQuery" => Kind::Kill,
        _ => Kind::Other,
    };
    let mut found = Inspection {
        kind,
        tables: Vec::new(),
        function: None,
        target: None,
    };
    let mut before = "";
    for line in &lines {
        let node = line.trim_start();
        if let Some(name) = node.strip_prefix("TableIdentifier ") {
            found.tables.push(split(strip(name)));
        }
        if let Some(name) = node.strip_prefix("Function ").map(strip) {
            // A table function is what comes directly below a table expression, or below an INSERT.
            let from = before.starts_with("TableExpression") || before.starts_with("InsertQuery");
            if from
                || SOURCES
                    .iter()
                    .any(|source| source.eq_ignore_ascii_case(name))
            {
                found.function.get_or_insert_with(|| name.to_owned());
            }
        }
        // `x IN db.table` names a table as if it were a column.
        if let Some(name) = node.strip_prefix("Identifier ").map(strip)
            && is_system(name.split('.').next().unwrap_or_default())
        {
            found.tables.push(split(name));
        }
        before = node;
    }
    if matches!(kind, Kind::Insert | Kind::Describe) {
        let names: Vec<&str> = (lines.iter().skip(1))
            .take_while(|l| l.starts_with(' ') && !l.starts_with("  "))
            .map_while(|l| l.trim_start().strip_prefix("Identifier "))
            .collect();
        found.target = match names[..] {
            [table] => Some((None, table.to_owned())),
            [database, table] => Some((Some(database.to_owned()), table.to_owned())),
            _ => found
                .tables
                .first()
                .cloned()
                .filter(|_| kind == Kind::Describe),
        };
    }
    found
}

/// Whether a database belongs to the server itself.
pub fn is_system(database: &str) -> bool {
    database == "system" || database.eq_ignore_ascii_case("information_schema")
}

/// Names with their database, for a request whose current database is `current`.
pub fn resolve((database, table): &(Option<String>, String), current: &str) -> TableName {
    (
        database.clone().unwrap_or_else(|| current.to_owned()),
        table.clone(),
    )
}

/// Without what the dump puts behind a name.
fn strip(name: &str) -> &str {
    let name = name.split(" (children ").next().unwrap_or(name);
    name.split(" (alias ").next().unwrap_or(name)
}

fn split(name: &str) -> (Option<String>, String) {
    match name.split_once('.') {
        Some((database, table)) => (Some(database.to_owned()), table.to_owned()),
        None => (None, name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_table_functions_are_found_wherever_they_are() {
        let found = inspect(
            "SelectWithUnionQuery (children 1)\n ExpressionList (children 1)\n  SelectQuery (children 3)\n   \
             ExpressionList (children 1)\n    Asterisk\n   TablesInSelectQuery (children 1)\n    \
             TablesInSelectQueryElement (children 1)\n     TableExpression (children 1)\n      TableIdentifier d.a \
             (alias x)\n   Function in (children 1)\n    ExpressionList (children 2)\n     Identifier x\n     \
             TableExpression (children 1)\n      Function merge (children 1)\n",
        );
        assert_eq!(found.kind, Kind::Select);
        assert_eq!(found.tables, [(Some("d".into()), "a".into())]);
        assert_eq!(found.function.as_deref(), Some("merge"));
    }

    #[test]
    fn an_inserts_target_is_its_identifiers() {
        let found = inspect(
            "InsertQuery   (children 3)\n Identifier t\n Identifier x\n ExpressionList (children 1)\n",
        );
        assert_eq!(
            (found.kind, found.target),
            (Kind::Insert, Some((Some("t".into()), "x".into())))
        );
        let found = inspect("InsertQuery   (children 2)\n Function url (children 1)\n");
        assert_eq!(
            (found.function.as_deref(), found.target),
            (Some("url"), None)
        );
        assert_eq!(inspect("ExplainX").kind, Kind::Other);
    }
}
