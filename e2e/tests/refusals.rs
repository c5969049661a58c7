//! What is refused, where and with which words: by the API server where it can tell, else by a condition.

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, kubectl, scene::Turn, truth};
use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

/// A spec of one text field with those members changed or added.
fn spec(more: Value) -> Value {
    let mut spec = json!({"fields": [{"name": "title", "type": "text"}]});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    spec
}

/// The same with a second field.
fn with_field(field: Value) -> Value {
    spec(json!({"fields": [{"name": "title", "type": "text"}, field]}))
}

#[tokio::test]
async fn the_api_server_refuses_what_its_schema_can_tell() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let model = |more: Value| scene.model("things", spec(more));
        let field = |field: Value| scene.model("things", with_field(field));
        let named = |module: &str, name: &str| {
            let mut resource = scene.model("things", spec(json!({})));
            resource["spec"]["module"] = json!(module);
            resource["spec"]["model"] = json!(name);
            resource
        };
        // What is applied, and a text of the refusal that names the place.
        let cases = [
            (named("platform", "things"), "spec.module"),
            (named("pg_things", "things"), "spec.module"),
            (named("septemx", "things"), "spec.module"),
            (named("Crm", "things"), "spec.module"),
            (named("a__b", "things"), "spec.module"),
            (named("crm", "analytics"), "spec.model"),
            (named("crm", "x; drop table y"), "spec.model"),
            (model(json!({"fields": []})), "spec.fields"),
            (model(json!({"fields": [{"name": "a", "type": "text"}, {"name": "a", "type": "text"}]})), "spec.fields[1]"),
            (model(json!({"indexes": [{"name": "i", "fields": ["nope"]}]})), "spec.indexes"),
            (model(json!({"unique": [{"name": "u", "fields": ["nope"]}]})), "spec.unique"),
            (model(json!({"deletionPolicy": "Delete"})), "spec.deletionPolicy"),
            (model(json!({"deletionPolicy": "Perhaps"})), "spec.deletionPolicy"),
            (model(json!({"limits": {"maxPageSize": 0}})), "spec.limits.maxPageSize"),
            (field(json!({"name": "version", "type": "int32"})), "spec.fields[1].name"),
            (field(json!({"name": "tenant_id", "type": "uuid"})), "spec.fields[1].name"),
            (field(json!({"name": "_x", "type": "text"})), "spec.fields[1].name"),
            (field(json!({"name": "x", "type": "money"})), "spec.fields[1].type"),
            (field(json!({"name": "x", "type": "decimal"})), "spec.fields[1]"),
            (field(json!({"name": "x", "type": "decimal", "precision": 4, "scale": 5})), "spec.fields[1]"),
            (field(json!({"name": "x", "type": "decimal", "precision": 39})), "spec.fields[1].precision"),
            (field(json!({"name": "x", "type": "enum"})), "spec.fields[1]"),
            (field(json!({"name": "x", "type": "enum", "values": ["a"], "default": "b"})), "spec.fields[1].default"),
            (field(json!({"name": "x", "type": "array"})), "spec.fields[1]"),
            (field(json!({"name": "x", "type": "int32", "maxLength": 5})), "spec.fields[1]"),
            (
                field(json!({"name": "x", "type": "text", "references": {"module": "crm", "model": "deals"}})),
                "spec.fields[1]",
            ),
        ];
        for (resource, place) in &cases {
            let said = kubectl::apply_refused(resource).await?;
            ensure!(said.contains(place), "{resource}: the refusal does not name {place}: {said}");
        }

        scene.apply_model("things", spec(json!({}))).await?;
        let mut moved = scene.model("things", spec(json!({})));
        for (member, place) in [("module", "spec.module"), ("model", "spec.model")] {
            moved["spec"][member] = json!("elsewhere");
            let said = kubectl::apply_refused(&moved).await?;
            ensure!(said.contains(place) && said.contains("immutable"), "{place}: {said}");
        }
        Ok(())
    })
    .await
}

/// Applies a model that must end in `Accepted=False` and `Stalled`, and checks reason and place.
async fn not_accepted(
    scene: &Scene,
    model: &str,
    spec: Value,
    reason: &str,
    place: &str,
) -> Result<()> {
    let case = spec.to_string();
    kubectl::apply(&scene.model(model, spec))
        .await
        .with_context(|| case.clone())?;
    scene
        .wait_model(model, "Accepted=False")
        .await
        .with_context(|| case.clone())?;
    let name = scene.resource_name(model);
    let resource = ["mm", &name, "-n", &scene.module];
    let (_, found, message) = kubectl::condition(&resource, "Accepted").await?;
    ensure!(
        found == reason && message.contains(place),
        "{case}: expected {reason} at {place}, got {found}: {message}"
    );
    for (kind, status) in [("Stalled", "True"), ("Ready", "False")] {
        let (found, ..) = kubectl::condition(&resource, kind).await?;
        ensure!(found == status, "{case}: {kind} is {found}");
    }
    Ok(())
}

#[tokio::test]
async fn what_comes_later_is_refused_by_a_condition_that_names_the_field() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let module = &scene.module;
        scene.apply_model("targets", spec(json!({}))).await?;
        let cases = [
            (
                spec(json!({"analytics": {"enabled": true, "ttl": "24h"}})),
                "spec.analytics.ttl",
            ),
            (
                spec(json!({"analytics": {"enabled": true, "orderBy": ["title"]}})),
                "spec.analytics.orderBy",
            ),
            (spec(json!({"cache": {"ttl": "5s"}})), "spec.cache.ttl"),
            (spec(json!({"realtime": true})), "spec.realtime"),
            (
                spec(json!({"limits": {"maxDepth": 2}})),
                "spec.limits.maxDepth",
            ),
        ];
        for (i, (spec, place)) in cases.into_iter().enumerate() {
            not_accepted(scene, &format!("case{i}"), spec, "NotYetSupported", place).await?;
        }
        let tables = format!("select tablename::text from pg_tables where schemaname = '{module}'");
        let tables = truth::psql(&scene.stack, &tables).await?;
        let names: Vec<String> = tables
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        assert_eq!(
            names,
            ["targets"],
            "a refused model leaves nothing in the database"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_default_that_its_type_cannot_hold_is_named_by_a_condition() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let cases = [
            (json!({"name": "x", "type": "int16", "default": "40000"}), "spec.fields[1].default"),
            (
                json!({"name": "x", "type": "decimal", "precision": 4, "scale": 2, "default": "0.001"}),
                "spec.fields[1].default",
            ),
            (json!({"name": "x", "type": "timestamp", "default": "tomorrow"}), "spec.fields[1].default"),
            (json!({"name": "x", "type": "json", "default": "{"}), "spec.fields[1].default"),
        ];
        for (i, (field, place)) in cases.into_iter().enumerate() {
            not_accepted(scene, &format!("case{i}"), with_field(field), "InvalidModel", place).await?;
        }
        let indexed = spec(json!({
            "fields": [{"name": "title", "type": "text"}, {"name": "doc", "type": "json"}],
            "indexes": [{"name": "i", "fields": ["doc"]}],
        }));
        not_accepted(scene, "indexed", indexed, "InvalidModel", "spec.indexes[0].fields[0]").await?;

        // Corrected, it becomes Ready.
        scene.apply_model("case0", with_field(json!({"name": "x", "type": "int16", "default": "4000"}))).await
    })
    .await
}

#[tokio::test]
async fn a_change_that_may_lose_values_is_refused_and_the_old_model_stays_served() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        let original = json!({"fields": [{"name": "title", "type": "text"}, {"name": "amount", "type": "int32"}]});
        scene.apply_model("things", original.clone()).await?;
        let path = scene.path("things");
        let id = tenant.api.post(&path, &json!({"title": "t", "amount": 1})).await?.expect(201)?.id()?;
        // What would lose values, and is not allowed to.
        let changed = [
            (json!({"name": "amount", "type": "int16"}), "spec.fields[1].type"),
            (
                json!({"name": "amount", "type": "int32", "required": true}),
                "spec.fields[1].required",
            ),
        ];
        let name = scene.resource_name("things");
        let resource = ["mm", &name, "-n", &scene.module];
        for (field, place) in changed {
            let asked = json!({"fields": [original["fields"][0], field]});
            kubectl::apply(&scene.model("things", asked)).await?;
            scene.wait_model("things", "Stalled").await?;
            let (_, reason, message) = kubectl::condition(&resource, "SchemaApplied").await?;
            ensure!(
                reason == "DestructiveChange" && message.contains(place),
                "{reason}: {message}"
            );
            tenant.api.get(&format!("{path}/{id}")).await?.expect(200).context("still served")?;
            // Between two refusals it is in order, so that the next one is seen.
            scene.apply_model("things", original.clone()).await?;
        }

        kubectl::apply(&scene.model("things", spec(json!({})))).await?;
        scene.wait_model("things", "Stalled").await?;
        let (_, reason, message) = kubectl::condition(&resource, "Stalled").await?;
        ensure!(reason == "DestructiveChange" && message.contains("amount"), "{reason}: {message}");
        let kept = tenant.api.get(&format!("{path}/{id}")).await?.expect(200)?.json()?;
        assert_eq!(kept["data"]["amount"], 1, "nothing was dropped");

        // Put back, it is Ready again.
        scene.apply_model("things", original).await
    })
    .await
}

#[tokio::test]
async fn a_second_claim_to_a_name_is_refused_and_the_first_is_untouched() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("things", spec(json!({}))).await?;

        let mut second = scene.model("things", with_field(json!({"name": "x", "type": "text"})));
        second["metadata"]["name"] = json!("second");
        kubectl::apply(&second).await?;
        let resource = ["mm", "second", "-n", &scene.module];
        kubectl::wait(&resource, "Accepted=False").await?;
        let (_, reason, message) = kubectl::condition(&resource, "Accepted").await?;
        let first = scene.resource_name("things");
        ensure!(reason == "NameConflict" && message.contains(&first), "{reason}: {message}");
        scene.wait_model("things", "Ready").await?;
        tenant.api.post(&scene.path("things"), &json!({"title": "served"})).await?.expect(201)?;

        let name = format!("{}-second", scene.module);
        let claim = |id: Uuid, more: Value| {
            let mut tenant = json!({
                "apiVersion": "data.septemcore.com/v1alpha1", "kind": "Tenant", "metadata": {"name": name},
                "spec": {"tenantId": id, "slug": name},
            });
            if let (Some(spec), Value::Object(more)) = (tenant["spec"].as_object_mut(), more) {
                spec.extend(more);
            }
            tenant
        };
        let refused = async |resource: Value, reason: &str, place: &str| {
            kubectl::apply(&resource).await?;
            let seen = async {
                kubectl::wait(&["tn", &name], "Accepted=False").await?;
                kubectl::condition(&["tn", &name], "Accepted").await
            };
            let (_, found, message) = seen.await?;
            kubectl::delete(&["tn", &name]).await?;
            ensure!(found == reason && message.contains(place), "{resource}: {found}: {message}");
            anyhow::Ok(())
        };
        refused(claim(tenant.id, json!({})), "NameConflict", &tenant.name).await?;
        let limited = claim(
            Uuid::now_v7(),
            json!({"limits": {"requestsPerSecond": 5}}),
        );
        refused(limited, "NotYetSupported", "spec.limits").await?;
        tenant.api.get(&scene.path("things")).await?.expect(200).context("the first tenant is untouched")?;
        Ok(())
    })
    .await
}
