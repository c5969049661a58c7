//! What the chart renders, for each way to use it, and what it refuses to render.

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, command, helm, kubectl, scene::Turn};
use serde_json::{Value, json};

/// Values, and how many objects of some kinds they make.
type Case = (&'static [&'static str], &'static [(&'static str, usize)]);

const CASES: [Case; 7] = [
    (
        &[],
        &[
            ("Deployment", 3),
            ("Service", 4),
            ("CustomResourceDefinition", 3),
            ("ClusterRole", 1),
            ("Role", 2),
            ("NetworkPolicy", 3),
            ("PodDisruptionBudget", 3),
            ("HorizontalPodAutoscaler", 0),
            ("ServiceMonitor", 0),
            ("PrometheusRule", 0),
            ("ConfigMap", 0),
            ("Secret", 0),
        ],
    ),
    (
        &["-f", helm::EVERYTHING],
        &[
            ("Deployment", 4),
            ("Service", 5),
            ("NetworkPolicy", 4),
            ("PodDisruptionBudget", 4),
            ("HorizontalPodAutoscaler", 1),
            ("ServiceMonitor", 1),
            ("PrometheusRule", 1),
            ("ConfigMap", 1),
            ("Secret", 0),
        ],
    ),
    (
        &["--set", "rbac.namespaces={default,kube-public}"],
        &[("ClusterRole", 1), ("Role", 4), ("RoleBinding", 4)],
    ),
    (
        &["--set", "rbac.namespaces={kube-public}"],
        &[("ClusterRole", 1), ("Role", 4), ("RoleBinding", 4)],
    ),
    (
        &[
            "--set",
            "rbac.create=false,operator.serviceAccount.create=false,operator.serviceAccount.name=default",
        ],
        &[
            ("ServiceAccount", 0),
            ("ClusterRole", 0),
            ("Role", 0),
            ("Deployment", 3),
        ],
    ),
    (
        &[
            "--set",
            "operator.enabled=false,proxy.enabled=false,sink.enabled=false,crds.install=false",
        ],
        &[
            ("Deployment", 0),
            ("Service", 0),
            ("ServiceAccount", 0),
            ("ClusterRole", 0),
            ("NetworkPolicy", 0),
            ("CustomResourceDefinition", 0),
        ],
    ),
    // As long as names get: nothing of them may be cut differently in two places.
    (
        &[
            "--set",
            "fullnameOverride=a23456789-123456789-123456789-123456789,hooks.enabled=true",
            "--set",
            "hooks.keySecret.name=septem-keys",
        ],
        &[("Deployment", 4)],
    ),
];

#[tokio::test]
async fn every_set_of_values_is_taken_by_the_api_server_without_a_warning() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        // A pod template that breaks the rules is a warning; a pod is refused.
        for mode in ["enforce", "warn"] {
            let label = format!("pod-security.kubernetes.io/{mode}=restricted");
            kubectl::succeed(&["label", "namespace", &scene.module, &label], None).await?;
        }
        for (values, counts) in CASES {
            check(scene, values, counts)
                .await
                .with_context(|| values.join(" "))?;
        }
        Ok(())
    })
    .await
}

async fn check(scene: &Scene, values: &[&str], counts: &[(&str, usize)]) -> Result<()> {
    let lint = ["lint", "--strict", helm::CHART, "-f", helm::LEAST];
    helm::succeed(&[&lint[..], values].concat()).await?;
    let documents = helm::template(&scene.module, values).await?;
    for (kind, count) in counts {
        let found = documents.iter().filter(|d| helm::kind(d) == Some(kind));
        let found = found.count();
        ensure!(found == *count, "{found} of {kind}, not {count}");
    }
    // What the Prometheus operator would define is unknown here.
    let known = documents
        .iter()
        .filter(|d| !d.contains("apiVersion: monitoring.coreos.com/"));
    let known: Vec<&str> = known.map(String::as_str).collect();
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--warnings-as-errors",
        "-f",
        "-",
    ];
    kubectl::succeed(&apply, Some(&known.join("\n---\n"))).await?;
    for deployment in documents
        .iter()
        .filter(|d| helm::kind(d) == Some("Deployment"))
    {
        check_pod(deployment).await?;
    }
    Ok(())
}

/// Admits a pod of the Deployment, and refuses it as soon as it may be root.
async fn check_pod(deployment: &str) -> Result<()> {
    let to_json = ["create", "--dry-run=client", "-o", "json", "-f", "-"];
    let deployment: Value =
        serde_json::from_str(&kubectl::succeed(&to_json, Some(deployment)).await?)?;
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": deployment["spec"]["template"]["spec"],
        "metadata": {"name": "t", "namespace": deployment["metadata"]["namespace"]},
    });
    // The account is part of the chart too, and nothing is installed here.
    pod["spec"]["serviceAccountName"] = json!("default");
    let create = ["create", "--dry-run=server", "-f", "-"];
    kubectl::succeed(&create, Some(&pod.to_string())).await?;
    pod["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
    let said = command::fail("kubectl", &create, Some(&pod.to_string())).await?;
    ensure!(said.contains("violates PodSecurity"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_place() -> Result<()> {
    let cases = [
        (
            "proxy.replica=3",
            "'/proxy': additional properties 'replica'",
        ),
        (
            "proxy.databasePassword=hunter2",
            "'/proxy': additional properties 'databasePassword'",
        ),
        (
            "proxy.databaseSecret.value=hunter2",
            "'/proxy/databaseSecret': additional properties 'value'",
        ),
        (
            "clickhouse.url=http://u:hunter2@clickhouse:8123",
            "'/clickhouse/url'",
        ),
        ("kafka.bootstrap=u:hunter2@kafka:9092", "'/kafka/bootstrap'"),
        ("proxy.env.SOME_PASSWORD=hunter2", "'/proxy/env'"),
        ("proxy.replicas=0", "'/proxy/replicas'"),
        ("sink.bufferMib=31", "'/sink/bufferMib'"),
        ("operator.watchSeconds=301", "'/operator/watchSeconds'"),
        ("proxy.threads=257", "'/proxy/threads'"),
        ("proxy.corsOrigins={*}", "'/proxy/corsOrigins/0'"),
        (
            "rbac.secretNames=null",
            "'/rbac': missing property 'secretNames'",
        ),
        ("listenHost=127.0.0.1", "'/listenHost'"),
        (
            "otel.endpoint=http://u:hunter2@collector:4318",
            "'/otel/endpoint'",
        ),
        ("otel.sampler=often", "'/otel/sampler'"),
        ("otel.samplerArg=1.5", "'/otel/samplerArg'"),
        ("fullnameOverride=a.b", "'/fullnameOverride'"),
        (
            "commonLabels.app\\.kubernetes\\.io/name=x",
            "'/commonLabels'",
        ),
        ("sink=null", "missing property 'sink'"),
        ("proxy.jwt.issuer=", "proxy.jwt.issuer: say"),
        ("proxy.jwt.configMap=", "proxy.jwt.configMap: name"),
        ("clickhouse.url=", "clickhouse.url: say"),
        ("kafka.bootstrap=", "kafka.bootstrap: say"),
        (
            "hooks.enabled=true",
            "hooks.keySecret.name: the dispatcher signs",
        ),
        (
            "hooks.enabled=true,hooks.keySecret.name=k,hooks.group=septem-sink",
            "hooks.group: it must not be",
        ),
        (
            "proxy.autoscaling.enabled=true,proxy.autoscaling.maxReplicas=1",
            "proxy.autoscaling: minReplicas",
        ),
        (
            "operator.serviceAccount.create=false",
            "operator.serviceAccount.name: name",
        ),
    ];
    for (set, place) in cases {
        let said = helm::fail(&[
            "template",
            "t",
            helm::CHART,
            "-f",
            helm::LEAST,
            "--set",
            set,
        ])
        .await?;
        ensure!(said.contains(place), "{set}: {said}");
    }
    Ok(())
}
