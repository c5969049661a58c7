//! From what people wrote to a checked model, or to a sentence that says what to change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crds::{
    ModuleModel, ModuleModelSpec, Reason,
    field::{FieldSpec, FieldTypeName, ItemTypeName, OnDelete},
    module_model::{self, Approval, DriftPolicy, HookSpec},
};
use kube::ResourceExt as _;
use model::{
    Check, Draft, FailurePolicy, Field, FieldType, Hook, HookEvent, Ident, Index, ModelName,
    Reference, ScalarType, hook::HOOK_TIMEOUT_MS_DEFAULT, module_model::PAGE_SIZE_MAX_DEFAULT,
};

use crate::{postgres::Timeouts, report::Refusal};

/// A look for drift asks both databases about everything that a model has.
const DRIFT_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// A resource whose spec is valid and supported.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// What it describes.
    pub model: model::ModuleModel,
    /// The namespace that claims the module.
    pub namespace: String,
    /// `namespace/name` of the resource.
    pub resource: String,
    /// Its uid: an object of the same name made later is another one.
    pub uid: String,
    /// How long statements may take.
    pub timeouts: Timeouts,
    /// ConfigMaps of its namespace that hold SQL files.
    pub file_maps: Vec<String>,
    /// What a change may do.
    pub policy: Policy,
    /// The name that a field had before, by its name now.
    pub renamed: BTreeMap<Ident, Ident>,
    /// Between two looks for drift; as configured when none.
    pub drift_interval: Option<Duration>,
    /// What is done about drift.
    pub drift_policy: DriftPolicy,
    /// Whether a plan waits to be approved.
    pub approval: Approval,
    /// The hash of the plan that may run.
    pub approved_plan: Option<String>,
}

/// What a change may do to data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether values may be refused or lost that are allowed now.
    pub allow_destructive: bool,
    /// Fields that may be dropped with their values.
    pub allow_drop: BTreeSet<String>,
}

impl Desired {
    /// The same without what some fields refer to, for as long as that is not there.
    pub fn without_references(&self, fields: &BTreeSet<Ident>) -> Result<Self, Refusal> {
        let mut draft = Draft::from(self.model.clone());
        for field in draft.fields.iter_mut().filter(|f| fields.contains(&f.name)) {
            field.references = None;
        }
        let model = model::ModuleModel::try_from(draft)
            .map_err(|invalid| Refusal::of_spec(Reason::InvalidModel, invalid.to_string()))?;
        Ok(Self {
            model,
            ..self.clone()
        })
    }
}

/// Checks everything that the resource alone can tell.
pub fn validate(resource: &ModuleModel) -> Result<Desired, Refusal> {
    let spec = &resource.spec;
    let unsupported = unsupported(spec);
    if !unsupported.is_empty() {
        let message = format!("not yet supported: {}", unsupported.join(", "));
        return Err(Refusal::of_spec(Reason::NotYetSupported, message));
    }
    let draft = draft_of(spec)?;
    for (i, unique) in draft.unique.iter().enumerate() {
        // Both become indexes, and those of a schema share their names.
        if draft.indexes.iter().any(|index| index.name == unique.name) {
            return Err(invalid(
                &format!("spec.unique[{i}].name"),
                "is the name of an index too",
            ));
        }
    }
    let model = model::ModuleModel::try_from(draft)
        .map_err(|invalid| Refusal::of_spec(Reason::InvalidModel, invalid.to_string()))?;
    let namespace = resource.namespace().unwrap_or_default();
    let migrations = spec.migrations.as_ref();
    Ok(Desired {
        model,
        resource: format!("{namespace}/{}", resource.name_any()),
        namespace,
        uid: resource.uid().unwrap_or_default(),
        timeouts: timeouts_of(spec)?,
        file_maps: file_maps_of(spec)?,
        policy: policy_of(spec),
        renamed: renamed_of(spec)?,
        drift_interval: drift_interval_of(spec)?,
        drift_policy: spec
            .drift
            .as_ref()
            .map_or_else(DriftPolicy::default, |d| d.policy),
        approval: migrations.map(|m| m.approval).unwrap_or_default(),
        approved_plan: migrations
            .and_then(|m| m.approved_plan.clone())
            .filter(|hash| !hash.is_empty()),
    })
}

fn policy_of(spec: &ModuleModelSpec) -> Policy {
    let policy = spec.migrations.as_ref().and_then(|m| m.policy.as_ref());
    Policy {
        allow_destructive: policy.is_some_and(|p| p.allow_destructive),
        allow_drop: policy.map_or_else(BTreeSet::new, |p| p.allow_drop.iter().cloned().collect()),
    }
}

fn renamed_of(spec: &ModuleModelSpec) -> Result<BTreeMap<Ident, Ident>, Refusal> {
    let mut renamed: BTreeMap<Ident, Ident> = BTreeMap::new();
    for (i, field) in spec.fields.iter().enumerate() {
        let Some(from) = &field.renamed_from else {
            continue;
        };
        let path = format!("spec.fields[{i}].renamedFrom");
        let (name, from) = (ident(&field.name, &path)?, ident(from, &path)?);
        if spec.fields.iter().any(|f| f.name == from.as_str()) {
            return Err(invalid(&path, "names a field that is still there"));
        }
        if renamed.values().any(|other| *other == from) {
            return Err(invalid(&path, "is claimed by two fields"));
        }
        renamed.insert(name, from);
    }
    Ok(renamed)
}

/// Between two looks for drift; as configured when none. The API server checks the bound as well.
pub fn drift_interval_of(spec: &ModuleModelSpec) -> Result<Option<Duration>, Refusal> {
    let path = "spec.drift.interval";
    let text = spec.drift.as_ref().and_then(|d| d.interval.as_deref());
    let read =
        |text| parse_duration(text).ok_or_else(|| invalid(path, "is not a duration such as 5m"));
    let interval = text.map(read).transpose()?;
    match interval {
        Some(interval) if interval < DRIFT_INTERVAL_MIN => {
            Err(invalid(path, "must be at least 1m"))
        }
        interval => Ok(interval),
    }
}

/// Paths of what is in the schema and has no behaviour yet: refused by name, never silently ignored.
fn unsupported(spec: &ModuleModelSpec) -> Vec<String> {
    let mut paths = Vec::new();
    let mut refuse = |when: bool, path: &str| {
        if when {
            paths.push(path.to_owned());
        }
    };
    if let Some(analytics) = &spec.analytics {
        refuse(analytics.ttl.is_some(), "spec.analytics.ttl");
        refuse(!analytics.order_by.is_empty(), "spec.analytics.orderBy");
    }
    refuse(
        spec.cache.as_ref().is_some_and(|c| c.ttl.is_some()),
        "spec.cache.ttl",
    );
    refuse(spec.realtime, "spec.realtime");
    refuse(
        spec.limits.as_ref().is_some_and(|l| l.max_depth.is_some()),
        "spec.limits.maxDepth",
    );
    paths
}

/// The API server checks the same bounds by the CRD's schema; a CRD of another version might not.
fn draft_of(spec: &ModuleModelSpec) -> Result<Draft, Refusal> {
    let mut fields = Vec::with_capacity(spec.fields.len());
    for (i, field) in spec.fields.iter().enumerate() {
        fields.push(field_of(field, &format!("spec.fields[{i}]"))?);
    }
    let page = spec.limits.as_ref().and_then(|l| l.max_page_size);
    let page = page.map_or(Ok(PAGE_SIZE_MAX_DEFAULT), |n| {
        number(n, "spec.limits.maxPageSize")
    })?;
    Ok(Draft {
        name: ModelName {
            module: ident(&spec.module, "spec.module")?,
            model: ident(&spec.model, "spec.model")?,
        },
        fields,
        filling: Vec::new(),
        indexes: indexes_of(&spec.indexes, "spec.indexes")?,
        unique: indexes_of(&spec.unique, "spec.unique")?,
        checks: checks_of(&spec.checks)?,
        auto_api: spec.auto_api,
        soft_delete: spec.soft_delete,
        optimistic_locking: spec.optimistic_locking,
        analytics: spec.analytics.as_ref().is_some_and(|a| a.enabled),
        max_page_size: page,
        hooks: hooks_of(&spec.hooks)?,
    })
}

/// Expressions are read with the model.
fn checks_of(list: &[crds::module_model::CheckSpec]) -> Result<Vec<Check>, Refusal> {
    let check = |(i, spec): (usize, &crds::module_model::CheckSpec)| {
        Ok(Check {
            name: ident(&spec.name, &format!("spec.checks[{i}].name"))?,
            expression: spec.expression.clone(),
        })
    };
    list.iter().enumerate().map(check).collect()
}

/// URLs and the bounds of timeouts are checked with the model.
fn hooks_of(list: &[HookSpec]) -> Result<Vec<Hook>, Refusal> {
    let hook = |(i, spec): (usize, &HookSpec)| {
        let HookSpec {
            event,
            url,
            timeout,
            failure_policy,
        } = spec;
        let timeout_ms = match timeout {
            None => HOOK_TIMEOUT_MS_DEFAULT,
            Some(text) => {
                let millis = parse_duration(text).map(|d| d.as_millis());
                millis.and_then(|n| n.try_into().ok()).ok_or_else(|| {
                    invalid(
                        &format!("spec.hooks[{i}].timeout"),
                        "is not a duration such as 2s",
                    )
                })?
            }
        };
        Ok(Hook {
            event: match event {
                module_model::HookEvent::BeforeCreate => HookEvent::BeforeCreate,
                module_model::HookEvent::BeforeUpdate => HookEvent::BeforeUpdate,
                module_model::HookEvent::BeforeDelete => HookEvent::BeforeDelete,
                module_model::HookEvent::AfterCreate => HookEvent::AfterCreate,
                module_model::HookEvent::AfterUpdate => HookEvent::AfterUpdate,
                module_model::HookEvent::AfterDelete => HookEvent::AfterDelete,
            },
            url: url.clone(),
            timeout_ms,
            failure_policy: match failure_policy {
                module_model::FailurePolicy::Fail => FailurePolicy::Fail,
                module_model::FailurePolicy::Ignore => FailurePolicy::Ignore,
            },
        })
    };
    list.iter().enumerate().map(hook).collect()
}

fn indexes_of(list: &[crds::module_model::IndexSpec], path: &str) -> Result<Vec<Index>, Refusal> {
    let index = |(i, spec): (usize, &crds::module_model::IndexSpec)| {
        let path = format!("{path}[{i}]");
        let fields = spec
            .fields
            .iter()
            .enumerate()
            .map(|(j, f)| ident(f, &format!("{path}.fields[{j}]")));
        Ok(Index {
            name: ident(&spec.name, &format!("{path}.name"))?,
            fields: fields.collect::<Result<_, _>>()?,
        })
    };
    list.iter().enumerate().map(index).collect()
}

fn field_of(field: &FieldSpec, path: &str) -> Result<Field, Refusal> {
    let needs = |what: &str| invalid(&format!("{path}.{what}"), "is missing");
    let field_type = match field.type_ {
        FieldTypeName::Bool => FieldType::Bool,
        FieldTypeName::Int16 => FieldType::Int16,
        FieldTypeName::Int32 => FieldType::Int32,
        FieldTypeName::Int64 => FieldType::Int64,
        FieldTypeName::Float64 => FieldType::Float64,
        FieldTypeName::Decimal => FieldType::Decimal {
            precision: number(
                field.precision.ok_or_else(|| needs("precision"))?,
                &format!("{path}.precision"),
            )?,
            scale: number(field.scale.unwrap_or(0), &format!("{path}.scale"))?,
        },
        FieldTypeName::Text => {
            let max = field
                .max_length
                .map(|n| number(n, &format!("{path}.maxLength")));
            FieldType::Text {
                max_length: max.transpose()?,
            }
        }
        FieldTypeName::Uuid => FieldType::Uuid,
        FieldTypeName::Date => FieldType::Date,
        FieldTypeName::Timestamp => FieldType::Timestamp,
        FieldTypeName::Time => FieldType::Time,
        FieldTypeName::Json => FieldType::Json,
        FieldTypeName::Bytes => FieldType::Bytes,
        FieldTypeName::Enum => FieldType::Enum {
            values: field.values.clone().ok_or_else(|| needs("values"))?,
        },
        FieldTypeName::Inet => FieldType::Inet,
        FieldTypeName::Array => FieldType::Array {
            items: scalar_of(field.items.ok_or_else(|| needs("items"))?),
        },
        FieldTypeName::Vector => FieldType::Vector {
            dimension: number(
                field.dimension.ok_or_else(|| needs("dimension"))?,
                &format!("{path}.dimension"),
            )?,
        },
    };
    let references = match &field.references {
        Some(reference) => Some(Reference {
            module: ident(&reference.module, &format!("{path}.references.module"))?,
            model: ident(&reference.model, &format!("{path}.references.model"))?,
            on_delete: match reference.on_delete {
                OnDelete::Restrict => model::OnDelete::Restrict,
                OnDelete::Cascade => model::OnDelete::Cascade,
                OnDelete::SetNull => model::OnDelete::SetNull,
            },
        }),
        None => None,
    };
    Ok(Field {
        name: ident(&field.name, &format!("{path}.name"))?,
        column: None,
        field_type,
        required: field.required,
        default: field.default.clone(),
        references,
        sensitive: field.sensitive,
        description: field.description.clone(),
    })
}

fn scalar_of(items: ItemTypeName) -> ScalarType {
    match items {
        ItemTypeName::Bool => ScalarType::Bool,
        ItemTypeName::Int16 => ScalarType::Int16,
        ItemTypeName::Int32 => ScalarType::Int32,
        ItemTypeName::Int64 => ScalarType::Int64,
        ItemTypeName::Float64 => ScalarType::Float64,
        ItemTypeName::Text => ScalarType::Text,
        ItemTypeName::Uuid => ScalarType::Uuid,
        ItemTypeName::Date => ScalarType::Date,
        ItemTypeName::Timestamp => ScalarType::Timestamp,
    }
}

/// The names become parts of requests' paths: what is no name of an object is refused, whatever the CRD says of it.
fn file_maps_of(spec: &ModuleModelSpec) -> Result<Vec<String>, Refusal> {
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let files = spec.migrations.iter().flat_map(|m| &m.files);
    let name = |(i, file): (usize, &module_model::MigrationFilesSpec)| {
        let name = &file.config_map_ref.name;
        let is_name = name.bytes().all(is_part) && !name.starts_with('.') && !name.is_empty();
        let path = || format!("spec.migrations.files[{i}].configMapRef.name");
        match is_name {
            true => Ok(name.clone()),
            false => Err(invalid(&path(), "is not the name of a ConfigMap")),
        }
    };
    files.enumerate().map(name).collect()
}

fn timeouts_of(spec: &ModuleModelSpec) -> Result<Timeouts, Refusal> {
    let policy = spec.migrations.as_ref().and_then(|m| m.policy.as_ref());
    let read = |text: Option<&String>, path: &str, default: Duration| match text {
        None => Ok(default),
        Some(text) => {
            parse_duration(text).ok_or_else(|| invalid(path, "is not a duration such as 5s"))
        }
    };
    let default = Timeouts::default();
    Ok(Timeouts {
        lock: read(
            policy.and_then(|p| p.lock_timeout.as_ref()),
            "spec.migrations.policy.lockTimeout",
            default.lock,
        )?,
        statement: read(
            policy.and_then(|p| p.statement_timeout.as_ref()),
            "spec.migrations.policy.statementTimeout",
            default.statement,
        )?,
    })
}

/// `500ms`, `5s`, `10m`, `24h`; at least 1 ms, since 0 would mean no limit, and at most a day.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let millis = number.checked_mul(unit)?;
    (1..=86_400_000)
        .contains(&millis)
        .then(|| Duration::from_millis(millis))
}

fn number<N: TryFrom<i32>>(value: i32, path: &str) -> Result<N, Refusal> {
    N::try_from(value).map_err(|_| invalid(path, "is out of range"))
}

fn ident(text: &str, path: &str) -> Result<Ident, Refusal> {
    text.parse()
        .map_err(|error: model::IdentError| invalid(path, &error.to_string()))
}

pub(super) fn invalid(path: &str, message: &str) -> Refusal {
    Refusal::of_spec(Reason::InvalidModel, format!("{path}: {message}"))
}
