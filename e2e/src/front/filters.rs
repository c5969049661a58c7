//! Row policies as the engine's `additional_table_filters`.

use super::rights::{Rights, Rows};

/// A database and a table.
pub type TableName = (String, String);

/// The value of `additional_table_filters` for these tables: what policies leave of those that the user may read,
/// nothing of all others. A table without a policy that may be read has no entry.
pub fn table_filters(rights: &Rights<'_>, tables: &[TableName]) -> String {
    let entries = tables.iter().filter_map(|(database, table)| {
        let filter = if rights.may("SELECT", database, table) {
            match rights.rows(database, table) {
                Rows::All => return None,
                Rows::Unmatched => "0".to_owned(),
                Rows::Where(filter) => filter,
            }
        } else {
            "0".to_owned()
        };
        Some(format!(
            "{}:{}",
            literal(&format!("{database}.{table}")),
            literal(&filter)
        ))
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// A text in single quotes.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
