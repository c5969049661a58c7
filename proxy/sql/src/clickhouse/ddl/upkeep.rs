//! Access put right again: what the proxy's profile must be, and what is taken away from whom.

use super::access::{GATEWAY_PROFILE, GATEWAY_USER};
use crate::clickhouse::quote_text;

/// One setting of the proxy's profile, as `system.settings_profile_elements` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileSetting {
    /// Its name.
    pub name: &'static str,
    /// Its value; none where only its bounds are set.
    pub value: Option<&'static str>,
    /// Lowest and highest value that a request may choose.
    pub bounds: Option<(&'static str, &'static str)>,
    /// `CONST` or `CHANGEABLE_IN_READONLY`; none where nothing is said.
    pub writability: Option<&'static str>,
}

const CONST: Option<&str> = Some("CONST");
const CHANGEABLE: Option<&str> = Some("CHANGEABLE_IN_READONLY");

const fn setting(
    name: &'static str,
    value: Option<&'static str>,
    bounds: Option<(&'static str, &'static str)>,
    writability: Option<&'static str>,
) -> ProfileSetting {
    ProfileSetting {
        name,
        value,
        bounds,
        writability,
    }
}

/// The settings of the proxy's user. The values are DESIGN 7's ceilings; the query condition cache is off because row
/// policies could poison it (ClickHouse#110302).
pub const GATEWAY_SETTINGS: [ProfileSetting; 10] = [
    setting("readonly", Some("1"), None, None),
    setting("use_query_condition_cache", Some("0"), None, CONST),
    setting(
        "cancel_http_readonly_queries_on_client_close",
        Some("1"),
        None,
        CONST,
    ),
    setting(
        "max_execution_time",
        Some("30"),
        Some(("1", "30")),
        CHANGEABLE,
    ),
    setting("log_comment", None, None, CHANGEABLE),
    setting("max_threads", Some("4"), Some(("1", "16")), CHANGEABLE),
    setting("max_memory_usage", Some("4000000000"), None, CONST),
    setting("max_rows_to_read", Some("2000000000"), None, CONST),
    setting("max_bytes_to_read", Some("200000000000"), None, CONST),
    setting("max_result_rows", Some("50001"), None, CONST),
];
/// The one that is no number.
pub const GATEWAY_OVERFLOW: ProfileSetting =
    setting("result_overflow_mode", Some("throw"), None, CONST);

/// [`GATEWAY_SETTINGS`] and [`GATEWAY_OVERFLOW`] behind the word `settings`.
pub(super) fn gateway_settings() -> String {
    let each = GATEWAY_SETTINGS.iter().chain([&GATEWAY_OVERFLOW]);
    let text = each.map(|setting| {
        let mut text = setting.name.to_owned();
        if let Some(value) = setting.value {
            let number = value.bytes().all(|b| b.is_ascii_digit());
            text.push_str(&match number {
                true => format!(" = {value}"),
                false => format!(" = '{value}'"),
            });
        }
        if let Some((min, max)) = setting.bounds {
            text.push_str(&format!(" min {min} max {max}"));
        }
        if let Some(writability) = setting.writability {
            text.push(' ');
            text.push_str(&writability.to_lowercase());
        }
        text
    });
    text.collect::<Vec<_>>().join(", ")
}

/// Sets the whole profile of the proxy, whatever was in it.
pub fn set_gateway_profile() -> String {
    format!(
        "alter settings profile {GATEWAY_PROFILE} settings {}",
        gateway_settings()
    )
}

/// Takes a privilege from a user or role; none for `database`, `table` and `column` is all of them.
pub fn revoke_access(
    access: &str,
    database: Option<&str>,
    table: Option<&str>,
    column: Option<&str>,
    holder: &str,
) -> String {
    // Words of a closed list, as the server prints them; whatever else came would not be one.
    let access: String = access
        .chars()
        .filter(|c| c.is_ascii_uppercase() || matches!(c, ' ' | '_'))
        .collect();
    let part = |name: Option<&str>| name.map_or_else(|| "*".to_owned(), quote_text);
    let column = column.map_or_else(String::new, |c| format!("({})", quote_text(c)));
    let holder = quote_text(holder);
    format!(
        "revoke {access}{column} on {}.{} from {holder}",
        part(database),
        part(table)
    )
}

/// Takes a role from a user or role.
pub fn revoke_role(role: &str, holder: &str) -> String {
    format!("revoke {} from {}", quote_text(role), quote_text(holder))
}

/// Removes a row policy; none for `table` is one of the whole database.
pub fn drop_policy(name: &str, database: &str, table: Option<&str>) -> String {
    let table = table.map_or_else(|| "*".to_owned(), quote_text);
    format!(
        "drop row policy if exists {} on {}.{table}",
        quote_text(name),
        quote_text(database)
    )
}

/// The proxy's user opens nothing by itself, and has the settings of its profile.
pub fn reset_gateway() -> String {
    format!("alter user {GATEWAY_USER} default role none settings profile '{GATEWAY_PROFILE}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_privileges_are_words() {
        assert_eq!(
            revoke_access("SELECT; x", Some("a`b"), None, Some("c"), "t_1"),
            "revoke SELECT (`c`) on `a\\`b`.* from `t_1`"
        );
        assert_eq!(
            drop_policy("p", "septem_data", Some("crm__deals__g1")),
            "drop row policy if exists `p` on `septem_data`.`crm__deals__g1`"
        );
        assert!(
            gateway_settings().starts_with("readonly = 1, use_query_condition_cache = 0 const")
        );
        assert!(gateway_settings().contains("max_threads = 4 min 1 max 16 changeable_in_readonly"));
        assert!(gateway_settings().ends_with("result_overflow_mode = 'throw' const"));
    }
}
