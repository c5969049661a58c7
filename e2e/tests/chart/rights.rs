//! What the operator's account may do, asked of the API server with the account's own token.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{Scene, command, scene::Turn};

use super::{account, installed};

/// In which namespace.
#[derive(Debug, Clone, Copy)]
enum Where {
    /// The release's, which is listed in `rbac.namespaces` too.
    Ours,
    /// Where Events of cluster-scoped resources go.
    Default,
    /// Another.
    Theirs,
    /// All, or none for what is cluster-scoped.
    All,
}
use Where::{All, Default, Ours, Theirs};

const ALLOWED: &[(&str, &str, Where)] = &[
    ("list", "modulemodels.data.septemcore.com", Ours),
    ("watch", "modulemodels.data.septemcore.com", Ours),
    ("create", "leases.coordination.k8s.io", Ours),
    ("get", "leases/t-septem-data-operator", Ours),
    ("update", "leases/t-septem-data-operator", Ours),
    ("list", "tenants.data.septemcore.com", All),
    ("watch", "tenants.data.septemcore.com", All),
    ("list", "dataplanes.data.septemcore.com", All),
    ("watch", "dataplanes.data.septemcore.com", All),
    ("patch", "tenants.data.septemcore.com", All),
    (
        "patch",
        "tenants.data.septemcore.com --subresource=status",
        All,
    ),
    (
        "patch",
        "dataplanes.data.septemcore.com --subresource=status",
        All,
    ),
    ("patch", "modulemodels.data.septemcore.com", Ours),
    (
        "patch",
        "modulemodels.data.septemcore.com --subresource=status",
        Ours,
    ),
    ("create", "events.events.k8s.io", Ours),
    ("patch", "events.events.k8s.io", Ours),
    ("create", "events.events.k8s.io", Default),
    ("get", "secrets/postgres-owner", Ours),
    ("get", "secrets/valkey", Ours),
    ("get", "configmaps", Ours),
    ("create", "configmaps", Ours),
    ("patch", "configmaps", Ours),
    (
        "get",
        "customresourcedefinitions/tenants.data.septemcore.com",
        All,
    ),
    (
        "get",
        "customresourcedefinitions/modulemodels.data.septemcore.com",
        All,
    ),
];

const FORBIDDEN: &[(&str, &str, Where)] = &[
    ("*", "*", All),
    ("*", "*", Ours),
    ("get", "secrets/postgres-owner", Theirs),
    ("get", "secrets/postgres-owner", Default),
    ("get", "secrets", Ours),
    ("get", "secrets/somebody-elses", Ours),
    ("list", "secrets", Ours),
    ("watch", "secrets", Ours),
    ("list", "secrets", All),
    ("create", "secrets", Ours),
    ("patch", "secrets/postgres-owner", Ours),
    ("list", "modulemodels.data.septemcore.com", All),
    ("watch", "modulemodels.data.septemcore.com", Theirs),
    ("update", "leases/another", Ours),
    ("delete", "leases/t-septem-data-operator", Ours),
    ("create", "leases.coordination.k8s.io", Theirs),
    ("get", "configmaps", Theirs),
    ("create", "configmaps", Theirs),
    ("patch", "configmaps", Theirs),
    ("list", "configmaps", Ours),
    ("watch", "configmaps", Ours),
    ("update", "configmaps", Ours),
    ("delete", "configmaps", Ours),
    ("patch", "modulemodels.data.septemcore.com", Theirs),
    (
        "patch",
        "modulemodels.data.septemcore.com --subresource=status",
        Theirs,
    ),
    ("create", "modulemodels.data.septemcore.com", Ours),
    ("update", "modulemodels.data.septemcore.com", Ours),
    ("delete", "modulemodels.data.septemcore.com", Ours),
    ("create", "tenants.data.septemcore.com", All),
    ("delete", "tenants.data.septemcore.com", All),
    ("patch", "dataplanes.data.septemcore.com", All),
    ("delete", "dataplanes.data.septemcore.com", All),
    ("create", "events.events.k8s.io", Theirs),
    ("delete", "events.events.k8s.io", Ours),
    ("create", "pods", Ours),
    ("create", "pods --subresource=exec", Ours),
    ("create", "deployments.apps", Ours),
    ("create", "serviceaccounts --subresource=token", Ours),
    ("list", "namespaces", All),
    ("list", "nodes", All),
    ("get", "customresourcedefinitions.apiextensions.k8s.io", All),
    (
        "get",
        "customresourcedefinitions/dataplanes.data.septemcore.com",
        All,
    ),
    (
        "patch",
        "customresourcedefinitions/tenants.data.septemcore.com",
        All,
    ),
    (
        "patch",
        "customresourcedefinitions.apiextensions.k8s.io",
        All,
    ),
    ("bind", "clusterroles.rbac.authorization.k8s.io", All),
    ("escalate", "clusterroles.rbac.authorization.k8s.io", All),
    ("create", "rolebindings.rbac.authorization.k8s.io", Ours),
    ("impersonate", "users", All),
];

#[tokio::test]
async fn the_account_may_do_what_the_operator_does_and_no_more() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let roles = format!("rbac.namespaces={{{}}}", scene.module);
        installed(scene, &["--set", &roles], async || {
            let account = account(scene).await?;
            let path = account.path().to_string_lossy();
            for (cases, expected) in [(ALLOWED, "yes"), (FORBIDDEN, "no")] {
                for (verb, resource, place) in cases {
                    let mut args = vec!["--kubeconfig", &*path, "auth", "can-i", *verb];
                    args.extend(resource.split(' '));
                    match place {
                        Ours => args.extend(["-n", &*scene.module]),
                        Default => args.extend(["-n", "default"]),
                        Theirs => args.extend(["-n", "septem-system"]),
                        All => args.push("--all-namespaces"),
                    }
                    let output = command::run("kubectl", &args, None).await?;
                    let said = String::from_utf8_lossy(&output.stdout);
                    ensure!(
                        said.trim() == expected,
                        "{verb} {resource} {place:?}: {said}"
                    );
                }
            }
            // Not only asked: tried, on a Secret that is there.
            let get = [
                "--kubeconfig",
                &*path,
                "get",
                "secret",
                "postgres-owner",
                "-n",
                "septem-system",
            ];
            let said = command::fail("kubectl", &get, None).await?;
            ensure!(said.contains("Forbidden"), "{said}");
            only_plans(&scene.module, &path).await
        })
        .await
    })
    .await
}

/// Of ConfigMaps the account writes those that hold plans.
async fn only_plans(namespace: &str, kubeconfig: &str) -> Result<()> {
    let create = async |name: &str| {
        let account = ["--kubeconfig", kubeconfig, "-n", namespace];
        let create = ["create", "configmap", name, "--dry-run=server"];
        let output = command::run("kubectl", &[account, create].concat(), None).await?;
        anyhow::Ok(match output.status.success() {
            true => None,
            false => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        })
    };
    // A new policy takes a moment to be enforced.
    let started = Instant::now();
    let said = loop {
        match create("somebody-elses").await? {
            Some(said) => break said,
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
        ensure!(
            started.elapsed() < Duration::from_secs(60),
            "the policy is not enforced"
        );
    };
    ensure!(said.contains("the operator writes plans"), "{said}");
    let said = create("septem-plan-deals").await?;
    ensure!(said.is_none(), "{said:?}");
    Ok(())
}
