//! What the proxy says of itself, held against what it does: schemathesis asks everything that the OpenAPI document
//! describes, well and badly, and holds each answer against it.
//!
//! Whether it would notice is asked too: of a document that lies in a status, a header and a body.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::{
    Api, Scene,
    scene::{Tenant, Turn},
};
use serde_json::{Map, Value, json};
use tokio::process::Command;

/// Longest that the run may take on a machine that has other things to do; alone it is a quarter of that.
const RUN_MAX: Duration = Duration::from_secs(240);
/// Requests that are made up for each operation, beside those that are worked out of its schema. They are the same ones
/// each time.
const EXAMPLES: &str = "8";
/// Records of each model that reads and changes find, and that deletions find.
const RECORDS: usize = 4;

fn every_type() -> Value {
    json!({"fields": [
        {"name": "a_bool", "type": "bool", "default": "true"},
        {"name": "a_int32", "type": "int32", "required": true},
        {"name": "a_int64", "type": "int64"},
        {"name": "a_float64", "type": "float64"},
        {"name": "a_decimal", "type": "decimal", "precision": 12, "scale": 2},
        {"name": "a_text", "type": "text", "maxLength": 200},
        {"name": "a_uuid", "type": "uuid"},
        {"name": "a_date", "type": "date"},
        {"name": "a_timestamp", "type": "timestamp"},
        {"name": "a_time", "type": "time"},
        {"name": "a_json", "type": "json"},
        {"name": "a_bytes", "type": "bytes"},
        {"name": "a_enum", "type": "enum", "values": ["x", "y"]},
        {"name": "a_inet", "type": "inet"},
        {"name": "texts", "type": "array", "items": "text"},
        {"name": "a_vector", "type": "vector", "dimension": 3},
    ]})
}

/// Ids by the verb of an operation and the model: some that are read and changed, others that are deleted and restored.
async fn records(scene: &Scene, api: &Api) -> Result<Value> {
    let (mut kept, mut lost) = (Map::new(), Map::new());
    let mut thing = String::new();
    for model in ["things", "parts"] {
        let mut ids = Vec::new();
        for i in 0..2 * RECORDS {
            let record = match model {
                "things" => {
                    json!({"a_int32": i, "a_int64": 1i64 << 60, "a_decimal": "1.10", "a_json": {"a": [i]}})
                }
                _ => json!({"name": format!("part {i}"), "thing_id": thing}),
            };
            ids.push(
                api.post(&scene.path(model), &record)
                    .await?
                    .expect(201)?
                    .id()?,
            );
        }
        thing = ids[0].to_string();
        let key = format!("{}.{model}", scene.module);
        lost.insert(key.clone(), json!(ids.split_off(RECORDS)));
        kept.insert(key, json!(ids));
    }
    Ok(json!({
        "get": kept, "update": kept, "delete": lost, "restore": lost,
        "names": {"module": scene.module, "model": "things"},
    }))
}

/// What is left out: cases worked out of schemas that are those of another operation once more (of a second model, of a
/// filter, of an operation's data), two thirds of all; and the `Allow` of a path that is also that of a key.
fn configuration(scene: &Scene) -> String {
    let module = &scene.module;
    format!(
        r#"
        [[operations]]
        include-operation-id = [
            "{module}.things.update", "{module}.things.update-many", "{module}.things.delete-many",
            "{module}.things.restore", "{module}.things.get", "{module}.things.list", "{module}.batch",
        ]
        phases.coverage.enabled = false

        [[operations]]
        include-operation-id = "cache.invalidate"
        checks.allow_header_conformance.enabled = false
        "#
    )
}

/// What schemathesis found, and whether that was nothing.
struct Found {
    nothing: bool,
    said: String,
}

/// Runs schemathesis with the token of a tenant's admin.
async fn schemathesis(
    scene: &Scene,
    tenant: &Tenant,
    records: &Value,
    what: &[&str],
) -> Result<Found> {
    let home = std::env::var("SEPTEM_SCHEMATHESIS").context("SEPTEM_SCHEMATHESIS is not set")?;
    ensure!(
        Path::new(&home).is_dir(),
        "{home} is not there; run `make up`"
    );
    let folder = tempfile::tempdir()?;
    std::fs::write(
        folder.path().join("schemathesis.toml"),
        configuration(scene),
    )?;
    let run = Command::new("python3")
        .args([
            "-c",
            "from schemathesis.cli import schemathesis; schemathesis()",
            "run",
        ])
        .args(what)
        .args([
            "--header",
            &format!("Authorization: {}", tenant.api.authorization()),
        ])
        .args(["--max-examples", EXAMPLES, "--generation-deterministic"])
        // Whether what is described is also accepted depends on rows; whether what is not described is refused
        // is held against the parser itself, type by type, in the proxy's own tests.
        .args([
            "--exclude-checks",
            "positive_data_acceptance,negative_data_rejection",
        ])
        .args(["--continue-on-failure", "--no-shrink", "--no-color"])
        // More of them share one interpreter, whose parser of its own code is not safe among threads.
        .args(["--warnings", "off", "--workers", "1"])
        .env("PYTHONPATH", &home)
        .env("PYTHONHASHSEED", "0")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(
            "SCHEMATHESIS_HOOKS",
            scene.stack.root.join("e2e/tests/openapi/checks.py"),
        )
        .env("SEPTEM_RECORDS", records.to_string())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(RUN_MAX, run)
        .await
        .context("schemathesis took too long")??;
    let said = String::from_utf8_lossy(&done.stdout);
    let complained = String::from_utf8_lossy(&done.stderr);
    Ok(Found {
        nothing: done.status.success(),
        said: format!("{said}\n{complained}"),
    })
}

#[tokio::test]
async fn the_proxy_does_what_its_document_says() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("things", every_type()).await?;
        let reference = json!({"name": "thing_id", "type": "uuid", "references": {"module": scene.module, "model": "things"}});
        let name = json!({"name": "name", "type": "text", "required": true});
        let parts = json!({"fields": [name, reference], "unique": [{"name": "one_name", "fields": ["name"]}]});
        scene.apply_model("parts", parts).await?;
        let found_there = records(scene, &tenant.api).await?;
        // Before any history is there analytics answers 409, which is described, but says little.
        tenant.api.synced(&scene.module, "parts", Duration::from_secs(60)).await?;

        let document = scene.stack.proxy.join("/v1/openapi.json")?;
        let whole = [document.as_str(), "--phases", "examples,coverage,fuzzing"];
        let found = schemathesis(scene, &tenant, &found_there, &whole).await?;
        println!("{}", found.said);
        ensure!(found.nothing, "schemathesis found something:\n{}", found.said);

        let folder = tempfile::tempdir()?;
        let path = folder.path().join("openapi.json");
        let document: Value = serde_json::from_slice(&tenant.api.get("/v1/openapi.json").await?.expect(200)?.body)?;
        std::fs::write(&path, lie(document)?.to_string())?;
        let path = path.to_string_lossy();
        let lies = [
            &*path, "--url", scene.stack.proxy.as_str().trim_end_matches('/'), "--phases", "examples",
            "--include-operation-id", "cache.delete", "--include-operation-id", "schema.module",
            "--include-operation-id", "schema.list",
        ];
        let found = schemathesis(scene, &tenant, &found_there, &lies).await?;
        for what in ["Undocumented status code", "Response violates schema", "Missing required response headers"] {
            ensure!(found.said.contains(what), "{what} was not found:\n{}", found.said);
        }
        Ok(())
    })
    .await
}

/// The document with a status less, a body of another type, and a header that is not there.
fn lie(mut document: Value) -> Result<Value> {
    let gone = &mut document["paths"]["/v1/cache/{key}"]["delete"]["responses"];
    gone.as_object_mut().context("no answers")?.remove("204");
    document["components"]["schemas"]["ModelSummary"]["properties"]["analytics"] =
        json!({"type": "string"});
    document["paths"]["/v1/schema"]["get"]["responses"]["200"]["headers"] =
        json!({"X-Not-There": {"required": true, "schema": {"type": "string"}}});
    Ok(document)
}
