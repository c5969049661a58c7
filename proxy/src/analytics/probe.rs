//! The self-test: both fences are shown to stand before a tenant's question is answered.

use std::{sync::Arc, time::Duration};

use clickhouse::error::Error as ClientError;
use model::{Catalog, ModelName, TenantId};
use sql::clickhouse::{DATABASE, quote_text, table, tenant_role};
use uuid::Uuid;

use super::{
    error::{Error, is_fence_fault},
    store::Store,
};

/// The oldest server with the fixes that the row policies rely on (DESIGN 2).
pub const VERSION_FLOOR: (u32, u32, u32) = (26, 7, 6);
/// Tables and tenants that one run looks at: each pair is three short queries.
const TABLES_MAX: usize = 8;
const TENANTS_MAX: usize = 4;
/// Longest wait for one answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// ACCESS_DENIED, READONLY: how a server refuses what a user may not do.
const REFUSED: [u32; 2] = [497, 164];
const UNKNOWN_TABLE: u32 = 60;

/// What the self-test found last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelfTest {
    /// It has not come to an end yet, for instance because ClickHouse is away or the operator has not made the user.
    Pending,
    /// Every fence stands.
    Passed,
    /// A fence is open, or the server is too old: analytics is not served.
    Failed(Arc<str>),
}

/// Why a run did not pass.
pub(super) enum Fault {
    /// What is wrong, for the log and the admin port; never served to clients.
    Open(String),
    /// No answer, or one that proves nothing.
    Unproven(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Unproven(error)
    }
}

/// Runs every check once.
pub(super) async fn run(store: &Store, catalog: &Catalog, allow_old: bool) -> Result<(), Fault> {
    let probe = Probe { store };
    probe.version(allow_old).await?;
    let unknown = format!("t_{}", Uuid::new_v4());
    match probe.ask("SELECT 1", Some(&unknown)).await {
        Err(Error::Exception { code, .. }) if is_fence_fault(code) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => {
            return Err(Fault::Open(
                "a role that does not exist was accepted".into(),
            ));
        }
    }
    let tables: Vec<_> = catalog
        .all_captured()
        .map(|m| m.name())
        .take(TABLES_MAX)
        .collect();
    let tenants: Vec<_> = catalog.tenants().map(|t| t.id).take(TENANTS_MAX).collect();
    let mut roles = vec![None];
    for tenant in &tenants {
        // A tenant that the operator is just making has no role yet; it cannot be answered, and needs no proof.
        if probe
            .ask("SELECT 1", Some(&tenant_role(tenant)))
            .await
            .is_ok()
        {
            roles.push(Some(*tenant));
        }
    }
    for role in roles.iter().take(2) {
        probe.nothing_but_reading(role.as_ref()).await?;
    }
    for name in tables {
        let table = table(name, catalog.generation);
        probe
            .refused_or_unknown(&format!("SELECT count() FROM {table}"), None)
            .await?;
        for role in roles.iter().flatten() {
            probe.one_tenant_only(name, &table, role).await?;
        }
    }
    Ok(())
}

struct Probe<'a> {
    store: &'a Store,
}

impl Probe<'_> {
    async fn ask(&self, text: &str, role: Option<&str>) -> Result<String, Error> {
        let query = self.store.client().query_raw(text).with_roles(role);
        let answer = async { query.fetch_bytes("TabSeparated")?.collect().await };
        match tokio::time::timeout(ANSWER_TIME_MAX, answer).await {
            Ok(Ok(bytes)) => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::Unreachable(ClientError::TimedOut)),
        }
    }

    async fn version(&self, allow_old: bool) -> Result<(), Fault> {
        let version = self.ask("SELECT version()", None).await?;
        match parse_version(&version) {
            Some(parsed) if parsed >= VERSION_FLOOR || allow_old => Ok(()),
            _ => {
                let (major, minor, patch) = VERSION_FLOOR;
                let shown: String = version.chars().take(32).collect();
                Err(Fault::Open(format!(
                    "ClickHouse is {shown}, and {major}.{minor}.{patch} is needed"
                )))
            }
        }
    }

    /// No writing, nothing of the server's own tables, no table functions: these would pass by the row policies.
    async fn nothing_but_reading(&self, role: Option<&TenantId>) -> Result<(), Fault> {
        let role = role.map(tenant_role);
        let made = format!(
            "{}.`septem_self_test_{}`",
            quote_text(DATABASE),
            Uuid::new_v4().simple()
        );
        let create = format!("CREATE TABLE {made} (x UInt8) ENGINE = Memory");
        let refused = self.refused_or_unknown(&create, role.as_deref()).await;
        if refused.is_err() {
            // Should it be there now, it must not stay; should it not, this fails, which is no news.
            let _ = self
                .ask(&format!("DROP TABLE IF EXISTS {made}"), role.as_deref())
                .await;
        }
        refused?;
        let statements = [
            "SELECT count() FROM system.users".to_owned(),
            "SELECT count() FROM system.row_policies".to_owned(),
            "SELECT count() FROM system.processes".to_owned(),
            "SELECT count() FROM system.query_log".to_owned(),
            format!("SELECT count() FROM merge('{DATABASE}', '.*')"),
            "SELECT count() FROM file('septem_self_test', LineAsString)".to_owned(),
            "SELECT count() FROM url('http://127.0.0.1:1/', LineAsString)".to_owned(),
        ];
        for statement in statements {
            self.refused_or_unknown(&statement, role.as_deref()).await?;
        }
        Ok(())
    }

    /// A table that is not there is refused to everybody.
    async fn refused_or_unknown(&self, text: &str, role: Option<&str>) -> Result<(), Fault> {
        match self.ask(text, role).await {
            Err(Error::Exception { code, .. })
                if REFUSED.contains(&code) || code == UNKNOWN_TABLE =>
            {
                Ok(())
            }
            Err(error @ Error::Exception { .. }) => {
                Err(Fault::Open(format!("{text} was not refused: {error}")))
            }
            Err(error) => Err(error.into()),
            Ok(_) => Err(Fault::Open(format!("{text} was not refused"))),
        }
    }

    /// Without the predicate that the compiler writes, the role shows its tenant's rows and no others.
    async fn one_tenant_only(
        &self,
        name: &ModelName,
        table: &str,
        tenant: &TenantId,
    ) -> Result<(), Fault> {
        let role = tenant_role(tenant);
        for (last, scope) in [("", "any version"), (" FINAL", "the newest version")] {
            let text = format!(
                "SELECT count() FROM (SELECT 1 FROM {table}{last} WHERE tenant_id != toUUID('{tenant}') LIMIT 1)"
            );
            match self.ask(&text, Some(&role)).await {
                Ok(count) if count == "0" => {}
                Ok(_) => {
                    let (module, model) = (name.module.as_str(), name.model.as_str());
                    let what = format!(
                        "the role of tenant {tenant} sees others' rows of {module}.{model} ({scope})"
                    );
                    return Err(Fault::Open(what));
                }
                Err(Error::Exception {
                    code: UNKNOWN_TABLE,
                    ..
                }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// `26.7.2.1` as its first three numbers.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(|p| p.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        assert_eq!(parse_version("26.7.2.1"), Some((26, 7, 2)));
        assert_eq!(parse_version("26.10.1.12-lts"), Some((26, 10, 1)));
        assert_eq!(parse_version("what"), None);
        assert!(parse_version("26.10.1.1").unwrap() > VERSION_FLOOR);
        assert!(parse_version("26.7.2.1").unwrap() < VERSION_FLOOR);
    }
}
