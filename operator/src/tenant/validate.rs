//! From what people wrote to a checked tenant, or to a sentence that says what to change.

use std::{collections::BTreeSet, time::Duration};

use crds::{Reason, Tenant, tenant::TenantState};
use kube::ResourceExt as _;
use model::{Ident, TenantId};

use crate::report::Refusal;

/// A resource whose spec is valid and supported.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Its id.
    pub id: TenantId,
    /// A short name for people, unique.
    pub slug: String,
    /// The name as people read it.
    pub display_name: String,
    /// `Active`, `ReadOnly` or `Suspended`.
    pub state: &'static str,
    /// Modules installed for it.
    pub modules: BTreeSet<String>,
    /// Users that hold the role `admin`.
    pub admins: BTreeSet<String>,
    /// The DataPlane that holds it.
    pub data_plane: String,
    /// Name of the resource.
    pub resource: String,
    /// Its uid.
    pub uid: String,
}

/// How long `deletionPolicy: Delete` waits before it erases: not at all unless the spec says so. None when what it says
/// is no duration.
pub fn grace_period(resource: &Tenant) -> Option<Duration> {
    let Some(text) = &resource.spec.grace_period else {
        return Some(Duration::ZERO);
    };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit).map(Duration::from_millis)
}

/// Checks everything that the resource alone can tell.
pub fn validate(resource: &Tenant) -> Result<Desired, Refusal> {
    let spec = &resource.spec;
    let unsupported = [(spec.limits.is_some(), "spec.limits")];
    let paths: Vec<_> = unsupported
        .iter()
        .filter(|(used, _)| *used)
        .map(|(_, path)| *path)
        .collect();
    if !paths.is_empty() {
        return Err(Refusal::of_spec(
            Reason::NotYetSupported,
            format!("not yet supported: {}", paths.join(", ")),
        ));
    }
    let invalid = |path: String, why: String| {
        Refusal::of_spec(Reason::InvalidModel, format!("{path}: {why}"))
    };
    let id = spec
        .tenant_id
        .parse()
        .map_err(|e: model::tenant::TenantIdError| {
            invalid("spec.tenantId".into(), e.to_string())
        })?;
    if grace_period(resource).is_none() {
        let why = "is not a duration such as 24h";
        return Err(invalid("spec.gracePeriod".into(), why.into()));
    }
    let admins = spec.admins.iter().enumerate();
    let admins = admins.map(|(i, admin)| (format!("spec.admins[{i}]"), admin));
    let name = spec.display_name.iter();
    let texts = admins.chain(name.map(|name| ("spec.displayName".to_owned(), name)));
    for (path, text) in texts {
        if text.contains('\0') {
            let why = "contains the character U+0000, which PostgreSQL cannot hold";
            return Err(invalid(path, why.into()));
        }
    }
    let mut modules = BTreeSet::new();
    for (i, module) in spec.modules.iter().enumerate() {
        let ident: Ident = module
            .parse()
            .map_err(|e: model::IdentError| invalid(format!("spec.modules[{i}]"), e.to_string()))?;
        modules.insert(ident.as_str().to_owned());
    }
    Ok(Desired {
        id,
        slug: spec.slug.clone(),
        display_name: spec
            .display_name
            .clone()
            .unwrap_or_else(|| spec.slug.clone()),
        state: match spec.state {
            TenantState::Active => "Active",
            TenantState::ReadOnly => "ReadOnly",
            TenantState::Suspended => "Suspended",
        },
        modules,
        admins: spec.admins.iter().cloned().collect(),
        data_plane: spec.data_plane_ref.clone(),
        resource: resource.name_any(),
        uid: resource.uid().unwrap_or_default(),
    })
}
