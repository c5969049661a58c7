//! The checked description of one model of one module.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    Action, Check, ColumnName, Field, FieldType, Hook, HookEvent, Ident,
    field::VECTOR_DIMENSION_MAX,
    hook,
    value::{ValueUse, parse_value},
};

/// Modules that would collide with a schema, a path or a database of ours.
pub const RESERVED_MODULES: [&str; 8] = [
    "platform",
    "public",
    "information_schema",
    "iam",
    "cache",
    "schema",
    "auth",
    "realtime",
];
/// Models that would collide with a path under `/v1/data/{module}`.
pub const RESERVED_MODELS: [&str; 3] = ["batch", "analytics", "restore"];
/// Fields that would collide with a system column or a query parameter.
pub const RESERVED_FIELDS: [&str; 24] = [
    "id",
    "tenant_id",
    "created_at",
    "updated_at",
    "created_by",
    "updated_by",
    "version",
    "deleted_at",
    "delete_id",
    "record_id",
    "select",
    "order",
    "limit",
    "offset",
    "cursor",
    "include",
    "count",
    "deleted",
    "distinct",
    "columns",
    "on_conflict",
    "and",
    "or",
    "not",
];
/// Most fields of a model (DESIGN 4: keeps the API server's estimate of the CEL rules inside its budget).
pub const FIELDS_MAX: usize = 128;
/// Default and ceiling of rows in one page.
pub const PAGE_SIZE_MAX_DEFAULT: u32 = 1_000;

/// `{module}.{model}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelName {
    /// The module, which is also the schema in PostgreSQL.
    pub module: Ident,
    /// The model, which is also the table.
    pub model: Ident,
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module.as_str(), self.model.as_str())
    }
}

/// An index or a unique key over fields; `tenant_id` always leads it in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its name within the model.
    pub name: Ident,
    /// Fields or system columns, 1 to 8, in order.
    pub fields: Vec<Ident>,
}

/// A model as written down, not yet checked. Also its form in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// Module and model.
    #[serde(flatten)]
    pub name: ModelName,
    /// The author's fields, in order; system columns are not among them.
    pub fields: Vec<Field>,
    /// Fields whose columns are being filled before they are served from them: captured like the others, so that
    /// ClickHouse has every value by then, and shown to nobody. A name may be that of a field that is served meanwhile
    /// from another column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filling: Vec<Field>,
    /// Indexes besides those of keys and references.
    #[serde(default)]
    pub indexes: Vec<Index>,
    /// Unique keys among live rows of a tenant.
    #[serde(default)]
    pub unique: Vec<Index>,
    /// Conditions on a record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Whether `/v1/data/{module}/{model}` is served.
    pub auto_api: bool,
    /// Whether deleted rows stay, hidden, and can be restored.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub soft_delete: bool,
    /// Whether a write may name the version that it is for.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub optimistic_locking: bool,
    /// Whether changes are captured into ClickHouse.
    pub analytics: bool,
    /// Most rows in one page, 1 to [`PAGE_SIZE_MAX_DEFAULT`].
    pub max_page_size: u32,
    /// Calls to the module, in the order in which they are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

impl Draft {
    /// Whether changes go to the event topic: for analytics, or for hooks that are told after a write.
    pub fn streamed(&self) -> bool {
        self.analytics || self.hooks.iter().any(|hook| hook.event.is_after())
    }
}

/// One thing that is wrong with a [`Draft`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path below the resource, such as `spec.fields[2].default`.
    pub path: String,
    /// A sentence that says what is wrong.
    pub message: String,
}

/// A column that a client can name: a field or a system column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, as clients know it.
    pub name: Ident,
    /// Its name in the databases.
    pub column: ColumnName,
    /// Its type.
    pub field_type: FieldType,
    /// Whether it never holds null.
    pub required: bool,
    /// Whether we keep it, so that a client cannot write it.
    pub system: bool,
}

impl Column {
    /// The column of a field.
    pub fn of(field: &Field) -> Self {
        Self {
            name: field.name.clone(),
            column: field.column(),
            field_type: field.field_type.clone(),
            required: field.required,
            system: false,
        }
    }
}

/// A model that passed every check; the only way in is `TryFrom<Draft>`, which serde takes as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft", into = "Draft")]
pub struct ModuleModel {
    draft: Draft,
    columns: Vec<Column>,
}

impl ModuleModel {
    /// Module and model.
    pub fn name(&self) -> &ModelName {
        &self.draft.name
    }

    /// The author's fields, in order.
    pub fn fields(&self) -> &[Field] {
        &self.draft.fields
    }

    /// Fields whose columns are being filled: captured, and shown to nobody.
    pub fn filling(&self) -> &[Field] {
        &self.draft.filling
    }

    /// The author's field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.draft.fields.iter().find(|f| f.name.as_str() == name)
    }

    /// Indexes besides those of keys and references.
    pub fn indexes(&self) -> &[Index] {
        &self.draft.indexes
    }

    /// Unique keys among live rows of a tenant.
    pub fn unique(&self) -> &[Index] {
        &self.draft.unique
    }

    /// Conditions on a record.
    pub fn checks(&self) -> &[Check] {
        &self.draft.checks
    }

    /// Whether `/v1/data/{module}/{model}` is served.
    pub fn auto_api(&self) -> bool {
        self.draft.auto_api
    }

    /// Whether changes are captured into ClickHouse.
    pub fn analytics(&self) -> bool {
        self.draft.analytics
    }

    /// The model as those see it who may not see its sensitive fields; none where it has no such field.
    ///
    /// Its tables are the same: [`Self::fields`] has all of them. But [`Self::columns`] and all that is found by it has
    /// only those that may be named, so that the others are as if they were not there.
    pub fn without_sensitive(&self) -> Option<Self> {
        let hidden = |name: &Ident| {
            let mut fields = self.draft.fields.iter();
            fields.any(|f| f.sensitive && f.name == *name)
        };
        let is_shown = |c: &&Column| c.system || !hidden(&c.name);
        let columns: Vec<_> = self.columns.iter().filter(is_shown).cloned().collect();
        (columns.len() < self.columns.len()).then(|| Self {
            draft: self.draft.clone(),
            columns,
        })
    }

    /// Whether a client can name all of these, as this model is seen.
    pub fn shows<'n>(&self, names: impl IntoIterator<Item = &'n Ident>) -> bool {
        let mut names = names.into_iter();
        names.all(|name| self.column(name.as_str()).is_some())
    }

    /// The unique keys that a client may look for records by, as this model is seen.
    pub fn shown_unique(&self) -> impl Iterator<Item = &Index> {
        let all = self.unique().iter();
        all.filter(|unique| self.shows(&unique.fields))
    }

    /// What there is to be allowed.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        let has_sensitive = self.draft.fields.iter().any(|f| f.sensitive);
        let applies = move |action: &Action| has_sensitive || *action != Action::Sensitive;
        Action::ALL.into_iter().filter(applies)
    }

    /// Calls to the module for that event, in order.
    pub fn hooks(&self, event: HookEvent) -> impl Iterator<Item = &Hook> {
        self.draft.hooks.iter().filter(move |h| h.event == event)
    }

    /// Whether hooks are told of changes after they were committed.
    pub fn has_after_hooks(&self) -> bool {
        self.draft.hooks.iter().any(|hook| hook.event.is_after())
    }

    /// Whether changes go to the event topic: for analytics, or for hooks that are told after a write.
    pub fn streamed(&self) -> bool {
        self.draft.streamed()
    }

    /// Whether deleted rows stay, hidden, and can be restored. Without it they leave their table.
    pub fn soft_delete(&self) -> bool {
        self.draft.soft_delete
    }

    /// Whether a write may name the version that it is for, and a record has an `ETag`.
    pub fn optimistic_locking(&self) -> bool {
        self.draft.optimistic_locking
    }

    /// Most rows in one page.
    pub fn max_page_size(&self) -> u32 {
        self.draft.max_page_size
    }

    /// Every column that a client can name, in the order of a record: `id`, the fields, `created_at`,
    /// `updated_at`, `created_by`, `updated_by`, `version`, and last `deleted_at`, which a record shows only
    /// when asked. `tenant_id` and `delete_id` are not among them.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of that name, if a client can name it.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.as_str() == name)
    }

    /// The columns whose changes are captured: those that a client can name but for `id`, then those that are being
    /// filled.
    pub fn captured_columns(&self) -> impl Iterator<Item = Column> {
        let named = self.columns.iter().filter(|c| c.name.as_str() != "id");
        named.cloned().chain(self.filling().iter().map(Column::of))
    }

    /// The columns that a record shows unless `select` says otherwise: all but `deleted_at`.
    pub fn record_columns(&self) -> &[Column] {
        &self.columns[..self.columns.len() - 1]
    }
}

impl From<ModuleModel> for Draft {
    fn from(model: ModuleModel) -> Self {
        model.draft
    }
}

/// All that is wrong with a [`Draft`], never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|v| format!("{}: {}", v.path, v.message)).collect::<Vec<_>>().join("; "))]
pub struct InvalidModel(pub Vec<Violation>);

impl TryFrom<Draft> for ModuleModel {
    type Error = InvalidModel;

    fn try_from(draft: Draft) -> Result<Self, InvalidModel> {
        let violations = violations_of(&draft);
        if !violations.is_empty() {
            return Err(InvalidModel(violations));
        }
        let columns = columns_of(&draft);
        Ok(Self { draft, columns })
    }
}

fn ident(name: &str) -> Ident {
    name.parse()
        .expect("names of system columns are identifiers")
}

fn columns_of(draft: &Draft) -> Vec<Column> {
    let system = |name: &str, field_type: FieldType, required: bool| Column {
        name: ident(name),
        column: ColumnName::of(&ident(name)),
        field_type,
        required,
        system: true,
    };
    let text = FieldType::Text { max_length: None };
    let mut columns = vec![system("id", FieldType::Uuid, true)];
    columns.extend(draft.fields.iter().map(Column::of));
    columns.extend([
        system("created_at", FieldType::Timestamp, true),
        system("updated_at", FieldType::Timestamp, true),
        system("created_by", text.clone(), true),
        system("updated_by", text, true),
        system("version", FieldType::Int64, true),
        system("deleted_at", FieldType::Timestamp, false),
    ]);
    columns
}

fn violations_of(draft: &Draft) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |path: String, message: &str| {
        found.push(Violation {
            path,
            message: message.to_owned(),
        })
    };

    let module = draft.name.module.as_str();
    if RESERVED_MODULES.contains(&module)
        || module.starts_with("pg_")
        || module.starts_with("septem")
    {
        report("spec.module".into(), "is reserved");
    }
    if RESERVED_MODELS.contains(&draft.name.model.as_str()) {
        report("spec.model".into(), "is reserved");
    }
    if draft.fields.is_empty() || draft.fields.len() > FIELDS_MAX {
        report("spec.fields".into(), "must have 1 to 128 entries");
    }
    if !(1..=PAGE_SIZE_MAX_DEFAULT).contains(&draft.max_page_size) {
        report("spec.limits.maxPageSize".into(), "must be 1 to 1000");
    }

    for (path, message) in hook::violations(&draft.hooks) {
        report(path, message);
    }

    let mut names = BTreeSet::new();
    for (i, field) in draft.fields.iter().enumerate() {
        let path = format!("spec.fields[{i}]");
        if !names.insert(field.name.as_str()) {
            report(format!("{path}.name"), "is used twice");
        }
        if RESERVED_FIELDS.contains(&field.name.as_str()) {
            report(
                format!("{path}.name"),
                "is reserved for a system column or a query parameter",
            );
        }
        check_field(field, &path, &mut report);
        check_column(field, &path, &mut report);
    }
    let mut columns: BTreeSet<_> = draft.fields.iter().map(Field::column).collect();
    for (i, field) in draft.filling.iter().enumerate() {
        let path = format!("filling[{i}]");
        check_field(field, &path, &mut report);
        check_column(field, &path, &mut report);
        if !columns.insert(field.column()) {
            report(format!("{path}.column"), "is used twice");
        }
    }
    // A to-one relation is called as its field less `_id`; a field of that name would hide it.
    for (i, field) in draft.fields.iter().enumerate() {
        let relation = field.name.as_str().strip_suffix("_id");
        if field.references.is_some() && relation.is_some_and(|r| names.contains(r)) {
            report(
                format!("spec.fields[{i}].name"),
                "names a relation that is also a field",
            );
        }
    }

    let mut check_names = BTreeSet::new();
    for (i, check) in draft.checks.iter().enumerate() {
        let path = format!("spec.checks[{i}]");
        if !check_names.insert(check.name.as_str()) {
            report(format!("{path}.name"), "is used twice");
        }
        if let Err(error) = check.condition(&draft.fields) {
            report(format!("{path}.expression"), &error.to_string());
        }
    }

    let system = [
        "id",
        "created_at",
        "updated_at",
        "created_by",
        "updated_by",
        "version",
    ];
    for (kind, list) in [("indexes", &draft.indexes), ("unique", &draft.unique)] {
        let mut index_names = BTreeSet::new();
        for (i, index) in list.iter().enumerate() {
            let path = format!("spec.{kind}[{i}]");
            if !index_names.insert(index.name.as_str()) {
                report(format!("{path}.name"), "is used twice");
            }
            if index.fields.is_empty() || index.fields.len() > 8 {
                report(format!("{path}.fields"), "must have 1 to 8 entries");
            }
            for (j, name) in index.fields.iter().enumerate() {
                let field = draft.fields.iter().find(|f| f.name == *name);
                let known =
                    field.is_some() || (kind == "indexes" && system.contains(&name.as_str()));
                if !known {
                    report(
                        format!("{path}.fields[{j}]"),
                        "names no field of this model",
                    );
                } else if field.is_some_and(|f| !f.field_type.has_order()) {
                    report(
                        format!("{path}.fields[{j}]"),
                        "a json, array or vector field has no order to index",
                    );
                }
            }
        }
    }
    found
}

fn check_column(field: &Field, path: &str, report: &mut impl FnMut(String, &str)) {
    let is_ours = |column: &ColumnName| column.is_of(&field.name);
    if !field.column.as_ref().is_none_or(is_ours) {
        report(
            format!("{path}.column"),
            "must be the field's name and a number",
        );
    }
}

fn check_field(field: &Field, path: &str, report: &mut impl FnMut(String, &str)) {
    match &field.field_type {
        FieldType::Decimal { precision, scale } => {
            if !(1..=crate::field::DECIMAL_PRECISION_MAX).contains(precision) {
                report(format!("{path}.precision"), "must be 1 to 38");
            } else if scale > precision {
                report(format!("{path}.scale"), "must not exceed precision");
            }
        }
        FieldType::Text {
            max_length: Some(0),
        } => report(format!("{path}.maxLength"), "must be at least 1"),
        FieldType::Enum { values } => {
            let distinct: BTreeSet<_> = values.iter().collect();
            if values.is_empty() || values.len() > 64 || distinct.len() != values.len() {
                report(format!("{path}.values"), "must be 1 to 64 different texts");
            }
            for (i, value) in values.iter().enumerate() {
                if value.is_empty() || value.len() > 63 || value.contains('\0') {
                    report(
                        format!("{path}.values[{i}]"),
                        "must have 1 to 63 bytes and no U+0000",
                    );
                }
            }
        }
        FieldType::Vector { dimension } if !(1..=VECTOR_DIMENSION_MAX).contains(dimension) => {
            report(format!("{path}.dimension"), "must be 1 to 16000");
        }
        _ => {}
    }
    if field.references.is_some() && field.field_type != FieldType::Uuid {
        report(format!("{path}.references"), "needs type uuid");
    }
    // The document of a model is jsonb, which cannot hold it either.
    let description = field.description.as_deref().unwrap_or_default();
    if description.contains('\0') {
        let nul = crate::value::ValueError::Nul.to_string();
        report(format!("{path}.description"), &nul);
    }
    let Some(default) = &field.default else {
        return;
    };
    if field.references.is_some() {
        report(format!("{path}.default"), "a reference has no default");
    }
    let special = match field.field_type {
        FieldType::Timestamp => default == "now",
        FieldType::Uuid => default == "generate",
        _ => false,
    };
    // Decimal bounds are checked above; without them the parser below has no meaning.
    let decimal_ok = !matches!(field.field_type, FieldType::Decimal { precision, scale } if precision == 0 || precision > 38 || scale > precision);
    if field.field_type.is_list() {
        report(
            format!("{path}.default"),
            "an array or vector has no default",
        );
    } else if !special
        && decimal_ok
        && let Err(error) = parse_value(&field.field_type, default, ValueUse::Store)
    {
        report(format!("{path}.default"), &error.to_string());
    }
}

#[cfg(test)]
mod tests;
