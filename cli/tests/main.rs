//! `kubectl septem` against a real API server. Statuses are written by the test; no operator serves its label.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::{io::Write as _, process::Command};

use crds::{ModuleModel, Tenant};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// stdout, stderr and whether it succeeded.
fn septem(args: &[&str]) -> (String, String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-septem"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.success(),
    )
}

fn model(namespace: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "data.septemcore.com/v1alpha1", "kind": "ModuleModel",
        "metadata": {"name": "deals", "namespace": namespace, "labels": {"data.septemcore.com/operator": namespace}},
        "spec": {"module": "crm", "model": "deals", "fields": [{"name": "title", "type": "text"}]},
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

#[tokio::test]
async fn it_tells_what_waits_and_what_would_help() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await.unwrap();
    let namespace = format!(
        "septem-cli-{}",
        &uuid::Uuid::new_v4().simple().to_string()[..8]
    );
    let namespaces = Api::<Namespace>::all(client.clone());
    let object: Namespace =
        serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
    namespaces
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let told = tokio::spawn(told(client.clone(), namespace.clone())).await;
    let tenants = Api::<Tenant>::all(client.clone());
    let _ = tenants.delete(&namespace, &DeleteParams::default()).await;
    let models = Api::<ModuleModel>::namespaced(client, &namespace);
    let _ = models.delete("deals", &DeleteParams::default()).await;
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();
    told.unwrap();
}

async fn told(client: Client, namespace: String) {
    let models = Api::<ModuleModel>::namespaced(client.clone(), &namespace);
    let apply = PatchParams::apply("cli-tests").force();
    models
        .patch("deals", &apply, &Patch::Apply(model(&namespace, json!({}))))
        .await
        .unwrap();
    let ours = ["-n", &*namespace];

    // Nobody has looked; then it waits for a ConfigMap and has drifted.
    let (out, _, ok) = septem(&["why", "mm/deals", ours[0], ours[1]]);
    assert!(
        ok && out.starts_with("modulemodel/deals: no operator has looked at it yet\n"),
        "{out}"
    );
    assert_eq!(
        septem(&["drift", ours[0], ours[1]]).0,
        "1 ModuleModels, no drift\n"
    );
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-21T10:00:00Z", "observedGeneration": 1});
    let missing = "there is no ConfigMap sql in namespace crm";
    let status = json!({"apiVersion": "data.septemcore.com/v1alpha1", "kind": "ModuleModel", "metadata": {"name": "deals"}, "status": {
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "False", "ConfigMapNotFound", missing),
            condition("Reconciling", "True", "ConfigMapNotFound", missing),
            condition("Accepted", "True", "Applied", "valid and supported"),
            condition("SchemaApplied", "False", "ConfigMapNotFound", missing),
            condition("Drifted", "True", "DriftDetected", "extra: column hand"),
        ],
        "migrations": {"lastVersion": "20261121_101500", "pending": 2},
        "drift": {"extra": ["column hand"], "missing": ["index by_stage"]},
    }});
    models
        .patch_status("deals", &apply, &Patch::Apply(status))
        .await
        .unwrap();
    let (out, err, ok) = septem(&["why", "modulemodel/deals", ours[0], ours[1]]);
    assert!(ok, "{err}");
    for line in [
        "modulemodel/deals: Ready=False, ConfigMapNotFound: there is no ConfigMap sql in namespace crm\n",
        "SchemaApplied   False   ConfigMapNotFound   there is no ConfigMap sql",
        "Drifted         True    DriftDetected       extra: column hand\n",
        "files: last 20261121_101500, 2 left\n",
        "drift: missing: index by_stage\n",
        "what would help: create the ConfigMap; it is found within 15 seconds\n",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(!out.contains("Accepted"), "{out}");
    let expected = format!(
        "{:width$}   NAME    DRIFT     WHAT\n{namespace}   deals   extra     column hand\n{namespace}   deals   missing   index by_stage\n",
        "NAMESPACE",
        width = namespace.len()
    );
    assert_eq!(septem(&["drift", "deals", ours[0], ours[1]]).0, expected);
    let everywhere = septem(&["drift", "-A"]).0;
    let ours_too = |line: &str| line.starts_with(&*namespace) && line.ends_with("column hand");
    assert!(everywhere.lines().any(ours_too), "{everywhere}");

    // What a file would change: checked by the API server, and kept by nobody.
    let mut file = std::env::temp_dir();
    file.push(format!("{namespace}.yaml"));
    let path = file.to_str().unwrap();
    let write = |spec: Value| {
        let text = serde_json::to_string(&model(&namespace, spec)).unwrap();
        std::fs::File::create(&file)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    };
    write(json!({}));
    assert_eq!(
        septem(&["diff", "-f", path]).0,
        "modulemodel/deals: nothing would change\n"
    );
    write(
        json!({"autoApi": true, "fields": [{"name": "title", "type": "text"}, {"name": "note", "type": "text"}]}),
    );
    let (out, err, ok) = septem(&["diff", "-f", path]);
    assert!(ok, "{err}");
    assert!(out.contains("~ spec.autoApi: false → true"), "{out}");
    assert!(out.contains("+ spec.fields[note]: "), "{out}");
    write(json!({"module": "platform"}));
    let (_, err, ok) = septem(&["diff", "-f", path]);
    assert!(
        !ok && err.starts_with("error: the API server: ") && err.lines().count() == 1,
        "{err}"
    );
    std::fs::remove_file(path).unwrap();
    let kept = models.get("deals").await.unwrap();
    assert_eq!(
        (kept.metadata.generation, kept.spec.fields.len()),
        (Some(1), 1)
    );

    plans(&models, &namespace).await;

    // Tenants.
    let tenants = Api::<Tenant>::all(client);
    let tenant = json!({
        "apiVersion": "data.septemcore.com/v1alpha1", "kind": "Tenant",
        "metadata": {"name": namespace, "labels": {"data.septemcore.com/operator": namespace}},
        "spec": {"tenantId": uuid::Uuid::now_v7(), "slug": namespace, "modules": ["crm", "hr"], "state": "ReadOnly"},
    });
    tenants
        .patch(&namespace, &apply, &Patch::Apply(tenant))
        .await
        .unwrap();
    let (out, _, ok) = septem(&["tenants"]);
    let line = out
        .lines()
        .find(|l| l.starts_with(&*namespace))
        .unwrap_or_default();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert!(ok);
    assert_eq!(
        cells,
        [
            &*namespace,
            &*namespace,
            "ReadOnly",
            "-",
            "-",
            "crm,hr",
            "-"
        ],
        "{out}"
    );

    // One sentence, and not success.
    for (args, expected) in [
        (&["why", "deals"][..], "an object is kind/name"),
        (
            &["why", "pod/deals"],
            "kind pod is none of mm, tenant, dataplane",
        ),
        (
            &["why", "mm/absent", ours[0], ours[1]],
            "there is no ModuleModel absent in namespace",
        ),
        (
            &["drift", "absent", ours[0], ours[1]],
            "there is no ModuleModel absent",
        ),
        (
            &["approve", "absent", ours[0], ours[1]],
            "there is no ModuleModel absent",
        ),
        (
            &["diff", "-f", "/absent.yaml"],
            "/absent.yaml cannot be read",
        ),
        (
            &["tenants", "--context", "absent"],
            "the kubeconfig cannot be used",
        ),
    ] {
        let (out, err, ok) = septem(args);
        assert!(!ok && out.is_empty(), "{args:?}");
        assert!(
            err.starts_with("error: ") && err.contains(expected) && err.lines().count() == 1,
            "{args:?}: {err}"
        );
    }
}

/// A plan is shown, and approved by the hash that was read.
async fn plans(models: &Api<ModuleModel>, namespace: &str) {
    let ours = ["-n", namespace];
    let septem = |args: &[&str]| septem(&[args, &ours[..]].concat());
    let apply = PatchParams::apply("cli-tests").force();
    let (_, err, ok) = septem(&["approve", "deals"]);
    assert!(!ok && err.contains("asks for no approval"), "{err}");
    let manual = model(namespace, json!({"migrations": {"approval": "Manual"}}));
    models
        .patch("deals", &apply, &Patch::Apply(&manual))
        .await
        .unwrap();
    let (_, err, ok) = septem(&["approve", "deals"]);
    assert!(
        !ok && err.contains("has not looked at this spec yet"),
        "{err}"
    );

    let hash = "0123456789abcdef".repeat(4);
    let status = json!({"apiVersion": "data.septemcore.com/v1alpha1", "kind": "ModuleModel", "metadata": {"name": "deals"}, "status": {
        "observedGeneration": 2,
        "plan": {"hash": hash, "destructive": true, "statements": 2, "sql": "alter table a;\nalter table b",
                 "configMapRef": {"name": "septem-plan-deals"}},
        "drift": {"extra": ["column hand"]},
    }});
    models
        .patch_status("deals", &apply, &Patch::Apply(status))
        .await
        .unwrap();
    // The ConfigMap is not there yet: the status says as much as it has.
    let shown = format!(
        "-- Plan {hash}, of 2 statements and files, data is lost\nalter table a;\nalter table b\n"
    );
    assert_eq!(septem(&["plan", "deals"]).0, shown);
    let maps = Api::<ConfigMap>::namespaced(models.clone().into_client(), namespace);
    let text = format!("-- Plan {hash}\nalter table a;\n");
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "septem-plan-deals"}, "data": {"hash": hash, "plan.sql": text},
    }))
    .unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(septem(&["plan", "deals"]).0, text);
    let (out, ..) = septem(&["diff", "deals"]);
    assert!(
        out.starts_with(&text) && out.ends_with("extra   column hand\n"),
        "{out}"
    );

    for (args, expected) in [
        (&["approve", "deals"][..], "say --allow-data-loss"),
        (&["approve", "deals", "--plan", "0123"], "takes 8 digits"),
        (
            &[
                "approve",
                "deals",
                "--plan",
                "fedcba98",
                "--allow-data-loss",
            ],
            "read it again",
        ),
    ] {
        let (out, err, ok) = septem(args);
        assert!(!ok && out.is_empty() && err.contains(expected), "{err}");
    }
    let (out, err, ok) = septem(&[
        "approve",
        "deals",
        "--plan",
        "01234567",
        "--allow-data-loss",
    ]);
    assert!(ok && out.contains(&hash), "{err}");
    let migrations = models.get("deals").await.unwrap().spec.migrations.unwrap();
    assert_eq!(migrations.approved_plan, Some(hash));
    // As it was before, for the rest.
    models
        .delete("deals", &DeleteParams::default())
        .await
        .unwrap();
}
