//! A scripted API server: answers what a test says, takes every other write, and remembers what was asked.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::{Client, client::Body, runtime::reflector};
use operator::{
    Config,
    backoff::Backoff,
    config::CLASS_LABEL,
    context::Context,
    gate::gated,
    lease::Leadership,
    metrics::{Metrics, Objects},
    planes::Planes,
    waiting::Waiting,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub body: Value,
}

/// What is answered: none takes a write as the API server would, and knows no object.
type Answer = dyn Fn(&Asked) -> Option<(u16, Value)> + Send + Sync;

/// The server, and an operator's context in front of it.
pub struct Script {
    pub context: Arc<Context>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    /// Serves by `answer`, to an operator that works as `leadership` says. No DataPlane is there.
    pub fn new(
        leadership: Leadership,
        answer: impl Fn(&Asked) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let leadership = Arc::new(leadership);
        let (models, tenants, data_planes) = (listed(), listed(), listed());
        let objects = Objects {
            models: models.clone(),
            tenants: tenants.clone(),
            data_planes: data_planes.clone(),
        };
        let metrics = Arc::new(Metrics::new(Arc::clone(&leadership), objects));
        let server = server(Arc::clone(&asked), Arc::new(answer));
        let client = gated(server, Arc::clone(&leadership), Arc::clone(&metrics));
        let (planes, _) = Planes::new();
        let waiting = Waiting::new(planes.wake_models());
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_planes: Vec::new(),
            selector: format!("!{CLASS_LABEL}"),
            events_topic: "events".into(),
            namespaces: Vec::new(),
            lease: None,
            watch_interval: std::time::Duration::from_secs(5),
            drift_interval: std::time::Duration::from_secs(300),
            log: String::new(),
        };
        let context = Context {
            client,
            config,
            planes,
            backoff: Backoff::default(),
            metrics,
            models,
            tenants,
            data_planes,
            waiting,
            http: reqwest::Client::new(),
            leadership,
            superseded: CancellationToken::new(),
        };
        Self {
            context: Arc::new(context),
            asked,
        }
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A store whose watch has listed everything, which was nothing.
fn listed<K>() -> reflector::Store<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&kube::runtime::watcher::Event::Init);
    writer.apply_watcher_event(&kube::runtime::watcher::Event::InitDone);
    // The writer may go: a store keeps what it has.
    store
}

fn server(asked: Arc<Mutex<Vec<Asked>>>, answer: Arc<Answer>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect_bytes().await?;
            let now = Asked {
                method: head.method,
                path: head.uri.path().to_owned(),
                body: serde_json::from_slice(&bytes).unwrap_or_default(),
            };
            let (code, body) = answer(&now).unwrap_or_else(|| taken(&now));
            asked.lock().unwrap().push(now);
            let response = Response::builder()
                .status(code)
                .header("content-type", "application/json");
            Ok::<_, tower::BoxError>(response.body(Body::from(serde_json::to_vec(&body)?))?)
        }
    });
    Client::new(service, "default")
}

/// What an API server answers a write that it takes, and a look at what is not there.
fn taken(asked: &Asked) -> (u16, Value) {
    if asked.method == Method::GET {
        return failure(404, "NotFound");
    }
    let mut body = asked.body.clone();
    // A merge patch does not say whose kind it is.
    for (key, value) in [
        ("apiVersion", "data.septemcore.com/v1alpha1"),
        ("kind", "ModuleModel"),
    ] {
        if body[key].is_null() {
            body[key] = json!(value);
        }
    }
    if body["metadata"]["name"].is_null() {
        body["metadata"]["name"] = json!("x");
    }
    if body["spec"].is_null() && asked.path.contains("modulemodels") {
        body["spec"] = json!({"module": "crm", "model": "deals", "fields": []});
    }
    (200, body)
}

/// A refusal as the API server words it.
pub fn failure(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": reason, "reason": reason, "code": code});
    (code, status)
}
