//! What a file would change, and where databases differ.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use crds::ModuleModel;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::Value;

use crate::{
    cluster::{Cluster, said},
    plan,
    table::table,
};

/// What a file would change in the spec that the API server holds, defaults and rules included.
pub async fn diff(cluster: &Cluster, file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let object: Value = serde_yaml_ng::from_str(&text)
        .with_context(|| format!("{} holds not one resource", file.display()))?;
    if object["kind"] != "ModuleModel" {
        bail!("{} holds no ModuleModel", file.display());
    }
    let name = object["metadata"]["name"]
        .as_str()
        .ok_or_else(|| anyhow!("metadata.name is missing"))?;
    let namespace = object["metadata"]["namespace"].as_str();
    let api = Api::<ModuleModel>::namespaced(
        cluster.client.clone(),
        namespace.unwrap_or(&cluster.namespace),
    );
    let before = api.get_opt(name).await.map_err(said)?;
    // As kubectl apply --server-side would, and kept by nobody.
    let params = PatchParams {
        dry_run: true,
        force: true,
        ..PatchParams::apply("kubectl")
    };
    let after = api
        .patch(name, &params, &Patch::Apply(&object))
        .await
        .map_err(said)?;
    let spec = |model: &ModuleModel| serde_json::to_value(&model.spec);
    let before = before.as_ref().map(spec).transpose()?;
    let mut lines = Vec::new();
    compare("spec", before.as_ref(), Some(&spec(&after)?), &mut lines);
    if lines.is_empty() {
        return Ok(format!("modulemodel/{name}: nothing would change\n"));
    }
    Ok(format!("modulemodel/{name}:\n{}\n", lines.join("\n")))
}

/// What the databases do not hold yet of a model, and what they hold besides.
pub async fn left(cluster: &Cluster, name: &str) -> Result<String> {
    let model = cluster.model(name).await?;
    let mut text = plan::of(cluster, &model).await?.unwrap_or_default();
    let drifted = differences(&model);
    if !drifted.is_empty() {
        text.push_str(&table(&["NAMESPACE", "NAME", "DRIFT", "WHAT"], &drifted));
    }
    if text.is_empty() {
        return Ok(format!("modulemodel/{name}: {}\n", plan::nothing(&model)));
    }
    Ok(text)
}

/// The paths that differ, with both values. Members of lists are told by their name, where they have one.
fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<String>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                compare(&format!("{path}.{key}"), a.get(key), b.get(key), lines);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if named(a) && named(b) => {
            let find =
                |list: &[Value], name: &Value| list.iter().find(|m| m["name"] == *name).cloned();
            let mut names: Vec<_> = a.iter().map(|m| &m["name"]).collect();
            names.extend(
                b.iter()
                    .map(|m| &m["name"])
                    .filter(|n| find(a, n).is_none()),
            );
            for name in names {
                let path = format!("{path}[{}]", name.as_str().unwrap_or_default());
                compare(&path, find(a, name).as_ref(), find(b, name).as_ref(), lines);
            }
            let order = |list: &[Value]| list.iter().map(|m| m["name"].clone()).collect::<Vec<_>>();
            if order(a).len() == order(b).len() && order(a) != order(b) && lines.is_empty() {
                lines.push(format!("~ {path}: another order"));
            }
        }
        (Some(a), Some(b)) => lines.push(format!("~ {path}: {a} → {b}")),
        (None, Some(b)) => lines.push(format!("+ {path}: {b}")),
        (Some(a), None) => lines.push(format!("- {path}: {a}")),
        (None, None) => {}
    }
}

fn named(list: &[Value]) -> bool {
    list.iter().all(|member| member["name"].is_string())
}

/// Where databases differ from what was applied.
pub async fn drift(cluster: &Cluster, name: Option<&str>, all: bool) -> Result<String> {
    let models = match (name, all) {
        (Some(name), _) => vec![cluster.model(name).await?],
        (None, true) => {
            let api = Api::<ModuleModel>::all(cluster.client.clone());
            api.list(&ListParams::default()).await.map_err(said)?.items
        }
        (None, false) => {
            let list = cluster.models().list(&ListParams::default()).await;
            list.map_err(said)?.items
        }
    };
    let rows: Vec<_> = models.iter().flat_map(differences).collect();
    if rows.is_empty() {
        return Ok(format!("{} ModuleModels, no drift\n", models.len()));
    }
    Ok(table(&["NAMESPACE", "NAME", "DRIFT", "WHAT"], &rows))
}

fn differences(model: &ModuleModel) -> Vec<Vec<String>> {
    let Some(status) = &model.status else {
        return Vec::new();
    };
    let row = |kind: &str, what: &str| {
        let namespace = model.namespace().unwrap_or_default();
        vec![
            namespace,
            model.name_any(),
            kind.to_owned(),
            what.to_owned(),
        ]
    };
    let mut rows = Vec::new();
    if let Some(drift) = &status.drift {
        let kinds = [
            ("extra", &drift.extra),
            ("missing", &drift.missing),
            ("modified", &drift.modified),
        ];
        for (kind, names) in kinds {
            rows.extend(names.iter().map(|name| row(kind, name)));
        }
    }
    // What has no list of names, and checks that failed, are told by the condition alone.
    let condition = status.conditions.iter().find(|c| c.type_ == "Drifted");
    if let Some(condition) = condition.filter(|c| rows.is_empty() && c.status != "False") {
        rows.push(row(&condition.reason, &condition.message));
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(before: Value, after: Value) -> Vec<String> {
        let mut lines = Vec::new();
        compare("spec", Some(&before), Some(&after), &mut lines);
        lines
    }

    #[test]
    fn differences_are_told_by_path_and_name() {
        let before = json!({"a": 1, "fields": [{"name": "x", "type": "text"}, {"name": "y", "type": "text"}], "tags": ["a"]});
        let after = json!({"b": 2, "fields": [{"name": "y", "type": "int64"}, {"name": "z", "type": "text"}], "tags": ["b"]});
        assert_eq!(
            lines(before, after),
            [
                "- spec.a: 1",
                "+ spec.b: 2",
                "- spec.fields[x]: {\"name\":\"x\",\"type\":\"text\"}",
                "~ spec.fields[y].type: \"text\" → \"int64\"",
                "+ spec.fields[z]: {\"name\":\"z\",\"type\":\"text\"}",
                "~ spec.tags: [\"a\"] → [\"b\"]",
            ]
        );
    }

    #[test]
    fn the_same_is_no_difference_and_another_order_is_told() {
        let list = json!({"fields": [{"name": "x"}, {"name": "y"}]});
        assert!(lines(list.clone(), list.clone()).is_empty());
        let turned = json!({"fields": [{"name": "y"}, {"name": "x"}]});
        assert_eq!(lines(list, turned), ["~ spec.fields: another order"]);
    }
}
