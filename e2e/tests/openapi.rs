//! What the proxy says of itself, held against what it does: schemathesis asks everything that the OpenAPI document
//! describes, well and badly, and holds each answer against it.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, scene::Turn};
use serde_json::{Value, json};
use tokio::process::Command;

/// Longest that the run may take; usually it is half of that.
const RUN_MAX: Duration = Duration::from_secs(90);
/// Requests that are made up for each operation. With a fixed seed they are the same ones each time.
const EXAMPLES: &str = "12";

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
    ]})
}

#[tokio::test]
async fn the_proxy_does_what_its_document_says() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let tenant = scene.tenant("a").await?;
        scene.apply_model("things", every_type()).await?;
        let reference = json!({"name": "thing_id", "type": "uuid", "references": {"module": scene.module, "model": "things"}});
        let parts = json!({"fields": [{"name": "name", "type": "text", "required": true}, reference]});
        scene.apply_model("parts", parts).await?;
        let api = &tenant.api;
        let thing = api.post(&scene.path("things"), &json!({"a_int32": 1})).await?.expect(201)?.id()?;
        api.post(&scene.path("parts"), &json!({"name": "x", "thing_id": thing})).await?.expect(201)?;
        // Before any history is there analytics answers 409, which is described, but says little.
        api.synced(&scene.module, "parts", Duration::from_secs(60)).await?;

        let home = std::env::var("SEPTEM_SCHEMATHESIS").context("SEPTEM_SCHEMATHESIS is not set")?;
        ensure!(Path::new(&home).is_dir(), "{home} is not there; run `make up`");
        let folder = tempfile::tempdir()?;
        let document = scene.stack.proxy.join("/v1/openapi.json")?;
        let run = Command::new("python3")
            .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"])
            .arg(document.as_str())
            .args(["--header", &format!("Authorization: {}", api.authorization())])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
            .args(["--seed", "1", "--generation-deterministic", "--generation-database", "none"])
            // Whether what is described is also accepted depends on rows; whether what is not described is refused
            // is held against the parser itself, type by type, in the proxy's own tests.
            .args(["--exclude-checks", "positive_data_acceptance,negative_data_rejection"])
            .args(["--continue-on-failure", "--no-color", "--warnings", "off", "--workers", "2"])
            .env("PYTHONPATH", &home)
            .env("PYTHONHASHSEED", "0")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let done = tokio::time::timeout(RUN_MAX, run).await.context("schemathesis took too long")??;
        let said = String::from_utf8_lossy(&done.stdout);
        let complained = String::from_utf8_lossy(&done.stderr);
        println!("{said}");
        ensure!(done.status.success(), "schemathesis found something:\n{said}\n{complained}");
        Ok(())
    })
    .await
}
