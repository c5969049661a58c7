//! The three controllers: what is watched, what triggers a reconcile, how many run at once.

use std::{convert::Infallible, future::Future, hash::Hash, sync::Arc, time::Duration};

use crds::{DataPlane, ModuleModel, Tenant};
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Resource, ResourceExt as _,
    runtime::{
        Controller, PredicateConfig, WatchStreamExt as _,
        controller::{self, Action},
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::{
    context::{Context, Guarded},
    data_plane,
    error::Error,
    metrics::Kind,
    module_model,
    planes::Woken,
    postgres::LOOKS_MAX,
    telemetry::spans,
    tenant,
    watched::{everywhere, watched},
};

/// Several changes of one object within this become one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// ModuleModels and Tenants that are reconciled at once. Most of them wait for an answer that others have, too: what they
/// ask of the databases is asked together.
const MODELS_MAX: u16 = 64;
const TENANTS_MAX: u16 = 128;

/// How long running reconciles may take to finish: a statement (60 s unless configured) and a call of ClickHouse.
const DRAIN_MAX: Duration = Duration::from_secs(90);

/// The writing ends of the stores in [`Context`].
pub struct Writers {
    /// ModuleModels.
    pub models: Writer<Guarded<ModuleModel>>,
    /// Tenants.
    pub tenants: Writer<Guarded<Tenant>>,
    /// DataPlanes.
    pub data_planes: Writer<Guarded<DataPlane>>,
}

/// Runs until `stopping`, then finishes the reconciles that run.
pub async fn run(
    context: Arc<Context>,
    writers: Writers,
    woken: Woken,
    stopping: CancellationToken,
) {
    let config = |concurrency| {
        controller::Config::default()
            .debounce(DEBOUNCE)
            .concurrency(concurrency)
    };
    let watch = watcher::Config::default().labels(&context.config.selector);
    let stop = || stopping.clone().cancelled_owned();

    let events = watched(&context.client, &context.config.namespaces, &watch);
    let models = controller(events, writers.models, context.models.clone(), |_| {})
        .with_config(config(MODELS_MAX))
        .reconcile_all_on(changes(context.leadership.begun()))
        .reconcile_on(received(woken.models))
        .graceful_shutdown_on(stop())
        .run(
            |object, context| {
                let (reconcile, on_error) = (module_model::reconcile, module_model::on_error);
                watched_over(Kind::ModuleModel, object, context, reconcile, on_error)
            },
            nothing_left,
            Arc::clone(&context),
        )
        .for_each(log_watch);
    let events = everywhere(&context.client, &watch);
    let tenants = controller(events, writers.tenants, context.tenants.clone(), |_| {})
        .with_config(config(TENANTS_MAX))
        .reconcile_all_on(changes(context.leadership.begun()))
        .reconcile_on(received(woken.tenants))
        .graceful_shutdown_on(stop())
        .run(
            |object, context| {
                let (reconcile, on_error) = (tenant::reconcile, tenant::on_error);
                watched_over(Kind::Tenant, object, context, reconcile, on_error)
            },
            nothing_left,
            Arc::clone(&context),
        )
        .for_each(log_watch);
    let gone = {
        let context = Arc::clone(&context);
        move |event: &watcher::Event<Guarded<DataPlane>>| {
            if let watcher::Event::Delete(object) = event {
                let name = object.name_any();
                context.planes.forget(&name);
                context.metrics.forget(&name);
                context.wake_models_of(&name);
                context.wake_tenants_of(&name);
            }
        }
    };
    let (events, planes) = (
        everywhere(&context.client, &watch),
        context.data_planes.clone(),
    );
    let data_planes = controller(events, writers.data_planes, planes, gone)
        .with_config(config(concurrency()))
        .reconcile_all_on(changes(context.leadership.begun()))
        .graceful_shutdown_on(stop())
        .run(
            |object, context| {
                let (reconcile, on_error) = (data_plane::reconcile, data_plane::on_error);
                watched_over(Kind::DataPlane, object, context, reconcile, on_error)
            },
            nothing_left,
            Arc::clone(&context),
        )
        .for_each(log_watch);
    futures::join!(
        drained(models, &context.models, &stopping),
        drained(tenants, &context.tenants, &stopping),
        drained(data_planes, &context.data_planes, &stopping),
    );
}

/// Reconciles, counted among those under way and traced. A failure is dealt with here, so that its line in the log names
/// its trace.
async fn watched_over<K, Reconciling>(
    kind: Kind,
    object: Arc<Guarded<K>>,
    context: Arc<Context>,
    reconcile: impl FnOnce(Arc<Guarded<K>>, Arc<Context>) -> Reconciling,
    on_error: impl FnOnce(Arc<Guarded<K>>, &Error, Arc<Context>) -> Action,
) -> Result<Action, Infallible>
where
    K: Resource<DynamicType = ()>,
    Reconciling: Future<Output = Result<Action, Error>>,
{
    let _running = context.metrics.begun(kind);
    // One that stands by does nothing that could be told.
    let span = match context.leadership.holds() {
        true => spans::reconcile(kind, object.meta()),
        false => Span::none(),
    };
    let work = async {
        let ended = reconcile(Arc::clone(&object), Arc::clone(&context)).await;
        ended.unwrap_or_else(|error| {
            spans::failed(&Span::current(), error.reason());
            on_error(object, &error, context)
        })
    };
    Ok(work.instrument(span).await)
}

/// What is left of errors when they have been dealt with.
fn nothing_left<K>(_: Arc<K>, error: &Infallible, _: Arc<Context>) -> Action {
    match *error {}
}

/// Runs a controller to its end, at most [`DRAIN_MAX`] after `stopping`. One whose watch has not listed anything yet
/// has nothing to finish, and would wait for that list for ever.
async fn drained<K>(
    controller: impl Future<Output = ()>,
    store: &Store<Guarded<K>>,
    stopping: &CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let cut = async {
        stopping.cancelled().await;
        if store.wait_until_ready().now_or_never().is_some() {
            tokio::time::sleep(DRAIN_MAX).await;
            tracing::warn!("reconciles were still running and are cut off");
        }
    };
    tokio::select! { () = controller => {}, () = cut => {} }
}

/// Every running reconcile may hold one looking connection.
fn concurrency() -> u16 {
    u16::try_from(LOOKS_MAX).unwrap_or(1)
}

fn controller<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<Guarded<K>>>> + Send + 'static,
    writer: Writer<Guarded<K>>,
    store: Store<Guarded<K>>,
    told: impl FnMut(&watcher::Event<Guarded<K>>) + Send + 'static,
) -> Controller<Guarded<K>>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let stream = events
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .inspect_ok(told)
        .applied_objects()
        .predicate_filter(intent::<K>, PredicateConfig::default());
    Controller::for_stream(stream, store)
}

/// What of an object asks for a reconcile: a new spec, a deletion, somebody's hand on the finalizers. A status that
/// we wrote ourselves does not.
fn intent<K: Resource>(object: &Guarded<K>) -> Option<u64> {
    use std::hash::{DefaultHasher, Hasher as _};
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    (
        &meta.uid,
        meta.generation,
        &meta.finalizers,
        meta.deletion_timestamp.is_some(),
    )
        .hash(&mut hasher);
    Some(hasher.finish())
}

/// What comes out of a channel.
fn received<T: Send + 'static>(
    receiver: mpsc::UnboundedReceiver<T>,
) -> impl Stream<Item = T> + Send {
    stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

/// Reconciles log their own errors; what is left is the watch's.
async fn log_watch<K: Resource<DynamicType = ()>>(
    result: Result<(ObjectRef<K>, Action), controller::Error<Infallible, watcher::Error>>,
) {
    match result {
        Ok(_)
        | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
        Err(error) => tracing::warn!(error = crate::telemetry::chain(&error), "watch interrupted"),
    }
}

/// One item for each change of a watch channel; the value at the start counts as seen.
fn changes<T: Send + Sync + 'static>(
    receiver: watch::Receiver<T>,
) -> impl Stream<Item = ()> + Send {
    stream::unfold(receiver, |mut receiver| async {
        receiver.changed().await.ok()?;
        Some(((), receiver))
    })
}
