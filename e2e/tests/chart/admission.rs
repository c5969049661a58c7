//! Who may let data be lost: two accounts with the same rights but for the verb `approve`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, command, kubectl, scene::Turn};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{installed, kubeconfig_of};

const GROUP: &str = "data.septemcore.com";

#[tokio::test]
async fn only_who_may_approve_allows_data_to_be_lost() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let told = installed(scene, &[], async || story(scene).await).await;
        // Cluster-wide, so nobody removes them with the namespace.
        let name = format!("{}-approve-test", scene.module);
        for kind in ["clusterrolebinding", "clusterrole"] {
            for user in ["editor", "approver"] {
                let name = format!("{name}-{user}");
                kubectl::succeed(&["delete", kind, &name, "--ignore-not-found"], None).await?;
            }
        }
        told
    })
    .await
}

async fn story(scene: &Scene) -> Result<()> {
    let edit = json!([
        {"apiGroups": [GROUP], "resources": ["modulemodels", "tenants"], "verbs": ["get", "create", "patch", "delete"]},
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["get", "delete"]},
    ]);
    let mut approve = edit.clone();
    if let Some(rules) = approve.as_array_mut() {
        rules.push(json!({"apiGroups": [GROUP], "resources": ["modulemodels", "tenants"], "verbs": ["approve"]}));
    }
    let editor = user(scene, "editor", &edit).await?;
    let approver = user(scene, "approver", &approve).await?;
    let namespace = &scene.module;
    // Nobody serves the class.
    let model = |migrations: Value| {
        json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ModuleModel",
            "metadata": {"name": "guarded", "namespace": namespace, "labels": {"data.septemcore.com/operator": namespace}},
            "spec": {"module": "guarded", "model": "deals", "fields": [{"name": "title", "type": "text"}], "migrations": migrations},
        })
    };
    let create = |who| {
        let text = model(json!({"approval": "Manual"})).to_string();
        async move { run(who, &["create", "-f", "-"], Some(&text)).await }
    };
    // A new policy takes a moment to be enforced.
    let started = Instant::now();
    while create(&editor).await?.is_ok() {
        ensure!(
            started.elapsed() < Duration::from_secs(60),
            "the policy is not enforced"
        );
        run(
            &approver,
            &["delete", "mm", "guarded", "-n", namespace],
            None,
        )
        .await?
        .ok();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let refused = create(&editor).await?.err().context("it is refused")?;
    ensure!(
        refused.contains("needs the verb approve on modulemodels.data.septemcore.com"),
        "{refused}"
    );

    let text = model(json!({})).to_string();
    allowed(&editor, &["create", "-f", "-"], Some(&text)).await?;
    let patch = |spec: Value| json!({"spec": spec}).to_string();
    for spec in [
        json!({"migrations": {"approval": "Manual"}}),
        json!({"migrations": {"approval": "Manual", "approvedPlan": "abc"}}),
        json!({"migrations": {"policy": {"allowDestructive": true}}}),
        json!({"migrations": {"policy": {"allowDrop": ["title"]}}}),
        json!({"deletionPolicy": "Delete", "migrations": {"policy": {"allowDestructive": true}}}),
    ] {
        let patch = patch(spec);
        let args = [
            "patch",
            "mm",
            "guarded",
            "-n",
            namespace,
            "--type=merge",
            "-p",
            &patch,
        ];
        let said = run(&editor, &args, None).await?.err();
        let said = said.with_context(|| format!("{patch} is refused"))?;
        ensure!(said.contains("needs the verb approve"), "{patch}: {said}");
        allowed(&approver, &args, None).await?;
        // What has been approved hinders no other change, and is not taken back either.
        let other = json!({"spec": {"migrations": {"policy": {"lockTimeout": format!("{}s", patch.len())}}}}).to_string();
        allowed(
            &editor,
            &[
                "patch",
                "mm",
                "guarded",
                "-n",
                namespace,
                "--type=merge",
                "-p",
                &other,
            ],
            None,
        )
        .await?;
        let back = json!({"spec": {"migrations": null, "deletionPolicy": "Retain"}}).to_string();
        let back = [
            "patch",
            "mm",
            "guarded",
            "-n",
            namespace,
            "--type=merge",
            "-p",
            &back,
        ];
        ensure!(
            run(&editor, &back, None).await?.is_err(),
            "{patch} is taken back"
        );
        allowed(&approver, &back, None).await?;
    }

    let tenant = |policy: &str| {
        json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Tenant",
            "metadata": {"name": namespace, "labels": {"data.septemcore.com/operator": namespace}},
            "spec": {"tenantId": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "slug": namespace, "deletionPolicy": policy},
        })
        .to_string()
    };
    let dry = ["create", "--dry-run=server", "-f", "-"];
    allowed(&editor, &dry, Some(&tenant("Retain"))).await?;
    let said = run(&editor, &dry, Some(&tenant("Delete"))).await?.err();
    ensure!(
        said.is_some_and(|s| s.contains("needs the verb approve on tenants")),
        "a tenant's data"
    );
    allowed(&approver, &dry, Some(&tenant("Delete"))).await?;

    let crd = [
        "delete",
        "crd",
        "tenants.data.septemcore.com",
        "--dry-run=server",
    ];
    let said = run(&editor, &crd, None).await?.err();
    ensure!(
        said.is_some_and(|s| s.contains("with the CRD goes every resource")),
        "the CRD"
    );
    allowed(&approver, &crd, None).await
}

/// An account with these rights in every namespace: its kubeconfig.
async fn user(scene: &Scene, name: &str, rules: &Value) -> Result<NamedTempFile> {
    let role = format!("{}-approve-test-{name}", scene.module);
    let subject = json!([{"kind": "ServiceAccount", "name": name, "namespace": scene.module}]);
    let reference =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": scene.module}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": role}, "roleRef": reference, "subjects": subject}),
    ] {
        kubectl::apply(&object).await?;
    }
    kubeconfig_of(scene, name).await
}

async fn allowed(who: &NamedTempFile, args: &[&str], input: Option<&str>) -> Result<()> {
    match run(who, args, input).await? {
        Ok(()) => Ok(()),
        Err(said) => anyhow::bail!("{}: {said}", args.join(" ")),
    }
}

/// kubectl as that account: what it said when it was refused.
async fn run(
    who: &NamedTempFile,
    args: &[&str],
    input: Option<&str>,
) -> Result<Result<(), String>> {
    let path = who.path().to_string_lossy();
    let all = [&["--kubeconfig", &*path], args].concat();
    let output = command::run("kubectl", &all, input).await?;
    Ok(match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}
