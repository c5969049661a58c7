//! ClickHouse's access rules that no single tenant owns, compared with what they must be. All of it is fence.

use serde::Deserialize;
use sql::clickhouse::{DATABASE, ddl, literal};

use crate::{clickhouse::ClickHouse, error::Error};

/// A privilege.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GrantRow {
    /// The user or role.
    pub holder: String,
    /// Such as `SELECT`.
    pub access: String,
    /// Of which database; none for all.
    pub database: Option<String>,
    /// Of which table; none for all.
    pub table: Option<String>,
    /// Of which column; none for all.
    pub column: Option<String>,
}

/// A role that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RoleRow {
    /// The user or role.
    pub holder: String,
    /// What it holds.
    pub role: String,
}

/// A row policy on our database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PolicyRow {
    /// Its short name.
    pub name: String,
    /// On which table; empty for all.
    pub table: String,
    /// Its condition.
    pub filter: Option<String>,
    /// Whether it binds everybody.
    pub everybody: u8,
    /// Whom it binds.
    pub roles: Vec<String>,
}

/// A setting of the proxy's profile, or of its user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SettingRow {
    /// The profile, or nothing.
    pub profile: String,
    /// The setting, or nothing where a profile is inherited.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
    /// Its lowest value.
    pub min: Option<String>,
    /// Its highest value.
    pub max: Option<String>,
    /// `CONST` or `CHANGEABLE_IN_READONLY`.
    pub writability: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedAccess {
    /// Users of ours that open something by themselves, or are missing their default.
    pub gateway_opens: bool,
    /// Users of ours that exist.
    pub users: Vec<String>,
    /// Privileges of our users and roles.
    pub grants: Vec<GrantRow>,
    /// Roles that our users and roles hold.
    pub roles: Vec<RoleRow>,
    /// Row policies on our database.
    pub policies: Vec<PolicyRow>,
    /// Settings of the proxy.
    pub settings: Vec<SettingRow>,
}

/// What differs, for people, and what puts it right. What is missing altogether is made by the statements that make it
/// the first time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AccessPlan {
    /// For people.
    pub differences: Vec<String>,
    /// For the administrator.
    pub statements: Vec<String>,
}

/// Looks at ClickHouse's access tables.
pub async fn observe_access(admin: &ClickHouse) -> Result<ObservedAccess, Error> {
    #[derive(Deserialize)]
    struct UserRow {
        name: String,
        opens: u8,
    }
    let (gateway, sink, read) = (
        literal(ddl::GATEWAY_USER),
        literal(ddl::SINK_USER),
        literal(ddl::READ_ROLE),
    );
    let doing = "a look at its access rules";
    let users: Vec<UserRow> = admin
        .fetch(&format!(
            "select name, default_roles_all = 1 or length(default_roles_list) > 0 as opens from system.users where name in ({gateway}, {sink})"
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    let ours = format!(
        "user_name in ({gateway}, {sink}) or role_name = {read} or match(ifNull(role_name, ''), '^t_[0-9a-f-]{{36}}$')"
    );
    let grants = admin
        .fetch(&format!(
            "select ifNull(user_name, role_name) as holder, toString(access_type) as access, database, table, column from system.grants where ({ours}) and is_partial_revoke = 0"
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    let roles = admin
        .fetch(&format!(
            "select ifNull(user_name, role_name) as holder, granted_role_name as role from system.role_grants where {ours}"
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    let policies = admin
        .fetch(&format!(
            "select short_name as name, ifNull(table, '') as table, select_filter as filter, apply_to_all as everybody, apply_to_list as roles from system.row_policies where database = {}",
            literal(DATABASE)
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    let settings = admin
        .fetch(&format!(
            "select ifNull(profile_name, '') as profile, ifNull(setting_name, '') as name, value, min, max, toString(writability) as writability from system.settings_profile_elements where profile_name = {} or user_name = {gateway}",
            literal(ddl::GATEWAY_PROFILE)
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    Ok(ObservedAccess {
        gateway_opens: users
            .iter()
            .any(|u| u.name == ddl::GATEWAY_USER && u.opens != 0),
        users: users.into_iter().map(|u| u.name).collect(),
        grants,
        roles,
        policies,
        settings,
    })
}

/// Compares. Before anything was made there is nothing to compare.
pub fn compare_access(observed: &ObservedAccess) -> AccessPlan {
    let mut plan = AccessPlan::default();
    if observed.users.is_empty() && observed.grants.is_empty() {
        return plan;
    }
    users(&mut plan, observed);
    grants(&mut plan, &observed.grants);
    roles(&mut plan, &observed.roles);
    policies(&mut plan, &observed.policies);
    plan
}

impl AccessPlan {
    fn missing(&mut self, what: String) {
        self.differences.push(what);
    }

    fn put_right(&mut self, what: String, statement: String) {
        self.differences.push(what);
        self.statements.push(statement);
    }
}

fn users(plan: &mut AccessPlan, observed: &ObservedAccess) {
    for user in [ddl::GATEWAY_USER, ddl::SINK_USER] {
        if !observed.users.iter().any(|name| name == user) {
            plan.missing(format!("ClickHouse user {user}"));
        }
    }
    let (profile, own): (Vec<_>, Vec<_>) = observed
        .settings
        .iter()
        .partition(|setting| setting.profile == ddl::GATEWAY_PROFILE);
    let own = own.iter().any(|setting| !setting.name.is_empty());
    if observed.gateway_opens || own {
        let what = format!("default roles or settings of {}", ddl::GATEWAY_USER);
        plan.put_right(what, ddl::reset_gateway());
    }
    let wanted = ddl::GATEWAY_SETTINGS.iter().chain([&ddl::GATEWAY_OVERFLOW]);
    let is = |wanted: &ddl::ProfileSetting| {
        let same = |found: &SettingRow| {
            found.value.as_deref() == wanted.value
                && found.min.as_deref() == wanted.bounds.map(|(min, _)| min)
                && found.max.as_deref() == wanted.bounds.map(|(_, max)| max)
                && found.writability.as_deref() == wanted.writability
        };
        profile.iter().any(|f| f.name == wanted.name && same(f))
    };
    let count = ddl::GATEWAY_SETTINGS.len() + 1;
    if profile.len() != count || !wanted.into_iter().all(is) {
        let what = format!("settings profile {}", ddl::GATEWAY_PROFILE);
        plan.put_right(what, ddl::set_gateway_profile());
    }
}

fn grants(plan: &mut AccessPlan, grants: &[GrantRow]) {
    let wanted = [
        (ddl::READ_ROLE, "SELECT"),
        (ddl::SINK_USER, "SELECT"),
        (ddl::SINK_USER, "INSERT"),
        (ddl::SINK_USER, "SHOW COLUMNS"),
    ];
    let is = |grant: &GrantRow, (holder, access): (&str, &str)| {
        grant.holder == holder
            && grant.access == access
            && grant.database.as_deref() == Some(DATABASE)
            && grant.table.is_none()
            && grant.column.is_none()
    };
    for pair in wanted {
        if !grants.iter().any(|grant| is(grant, pair)) {
            plan.missing(format!(
                "missing ClickHouse privilege {} of {}",
                pair.1, pair.0
            ));
        }
    }
    for grant in grants {
        if wanted.iter().any(|pair| is(grant, *pair)) {
            continue;
        }
        let GrantRow {
            holder,
            access,
            database,
            table,
            column,
        } = grant;
        let (database, table) = (database.as_deref(), table.as_deref());
        let what = format!(
            "ClickHouse privilege {access} on {}.{} of {holder}",
            database.unwrap_or("*"),
            table.unwrap_or("*")
        );
        plan.put_right(
            what,
            ddl::revoke_access(access, database, table, column.as_deref(), holder),
        );
    }
}

fn is_tenant(role: &str) -> bool {
    let id = role.strip_prefix("t_");
    id.is_some_and(|id| id.parse::<model::TenantId>().is_ok())
}

fn roles(plan: &mut AccessPlan, roles: &[RoleRow]) {
    for RoleRow { holder, role } in roles {
        let fine = match holder.as_str() {
            ddl::GATEWAY_USER => is_tenant(role),
            holder if is_tenant(holder) => role == ddl::READ_ROLE,
            _ => false,
        };
        if !fine {
            let what = format!("ClickHouse role {role} of {holder}");
            plan.put_right(what, ddl::revoke_role(role, holder));
        }
    }
}

/// A policy that binds only people of somebody else's opens nothing of ours; that of a tenant is looked at with the
/// tenant.
fn policies(plan: &mut AccessPlan, policies: &[PolicyRow]) {
    let sinks = |p: &&PolicyRow| p.name == ddl::SINK_USER && p.table.is_empty();
    let right = |p: &PolicyRow| {
        p.filter.as_deref() == Some("1") && p.everybody == 0 && p.roles == [ddl::SINK_USER]
    };
    if !policies.iter().any(|p| sinks(&p) && right(p)) {
        plan.missing(format!("row policy {}", ddl::SINK_USER));
    }
    for policy in policies {
        let is_sinks = sinks(&policy);
        let bound = |role: &String| {
            role == ddl::GATEWAY_USER
                || role == ddl::READ_ROLE
                || (is_tenant(role) && (*role != policy.name || !policy.table.is_empty()))
        };
        let opens = policy.everybody != 0 || policy.roles.iter().any(bound);
        if (is_sinks && !right(policy)) || (!is_sinks && opens) {
            let PolicyRow { name, table, .. } = policy;
            let table = Some(table.as_str()).filter(|t| !t.is_empty());
            let what = format!("row policy {name} on {}", table.unwrap_or("every table"));
            plan.put_right(what, ddl::drop_policy(name, DATABASE, table));
        }
    }
}

#[cfg(test)]
mod tests;
