//! One watch of several namespaces. Each is listed and watched by itself, as Roles allow it; whoever reads the stream
//! sees one watch that begins when every namespace has been listed.

use std::collections::{BTreeMap, BTreeSet};

use futures::{Stream, StreamExt as _, stream};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{DeserializeGuard, NamespaceResourceScope, ObjectMeta, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use crate::context::Guarded;

/// Watches a kind everywhere, or in these namespaces only.
pub fn watched<K>(
    client: &Client,
    namespaces: &[String],
    config: &watcher::Config,
) -> stream::BoxStream<'static, watcher::Result<Event<Guarded<K>>>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    if namespaces.is_empty() {
        return everywhere(client, config);
    }
    let each = namespaces.iter().enumerate().map(|(at, namespace)| {
        let api = Api::<Guarded<K>>::namespaced(client.clone(), namespace);
        watcher(api, config.clone())
            .default_backoff()
            .map(move |event| (at, event))
            .boxed()
    });
    merged(stream::select_all(each), namespaces.to_vec()).boxed()
}

/// Watches a kind in every namespace, or a kind without namespaces.
pub fn everywhere<K>(
    client: &Client,
    config: &watcher::Config,
) -> stream::BoxStream<'static, watcher::Result<Event<Guarded<K>>>>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    watcher(Api::<Guarded<K>>::all(client.clone()), config.clone())
        .default_backoff()
        .boxed()
}

fn merged<K>(
    each: impl Stream<Item = (usize, watcher::Result<Event<Guarded<K>>>)> + Send + 'static,
    namespaces: Vec<String>,
) -> impl Stream<Item = watcher::Result<Event<Guarded<K>>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let mut merge = Merge::<K>::new(namespaces);
    each.flat_map(move |(at, event)| {
        let events = match event {
            Ok(event) => merge.take(at, event).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(events)
    })
}

/// Where the watches of the namespaces are.
struct Merge<K> {
    namespaces: Vec<Place<K>>,
    /// Whether every namespace was listed once and the whole was passed on.
    begun: bool,
}

/// One namespace.
struct Place<K> {
    name: String,
    listed: bool,
    /// Until the beginning, the objects.
    first: BTreeMap<String, Guarded<K>>,
    /// Afterwards, the names of what is there.
    known: BTreeSet<String>,
    /// What a list that goes on has named so far.
    listing: BTreeSet<String>,
}

impl<K: Resource<DynamicType = ()> + Clone> Merge<K> {
    fn new(namespaces: Vec<String>) -> Self {
        let place = |name| Place {
            name,
            listed: false,
            first: BTreeMap::new(),
            known: BTreeSet::new(),
            listing: BTreeSet::new(),
        };
        Self {
            namespaces: namespaces.into_iter().map(place).collect(),
            begun: false,
        }
    }

    fn take(&mut self, at: usize, event: Event<Guarded<K>>) -> Vec<Event<Guarded<K>>> {
        let Some(place) = self.namespaces.get_mut(at) else {
            return Vec::new();
        };
        if self.begun {
            return place.goes_on(event);
        }
        place.begins(event);
        if !self.namespaces.iter().all(|place| place.listed) {
            return Vec::new();
        }
        self.begun = true;
        let mut events = vec![Event::Init];
        for place in &mut self.namespaces {
            let first = std::mem::take(&mut place.first);
            place.known = first.keys().cloned().collect();
            events.extend(first.into_values().map(Event::InitApply));
        }
        events.push(Event::InitDone);
        events
    }
}

impl<K: Resource<DynamicType = ()> + Clone> Place<K> {
    fn begins(&mut self, event: Event<Guarded<K>>) {
        match event {
            Event::Init => {
                self.first.clear();
                self.listed = false;
            }
            Event::InitApply(object) | Event::Apply(object) => {
                self.first.insert(object.name_any(), object);
            }
            Event::Delete(object) => {
                self.first.remove(&object.name_any());
            }
            Event::InitDone => self.listed = true,
        }
    }

    /// A list that is made again becomes the differences: the others' objects are not in it.
    fn goes_on(&mut self, event: Event<Guarded<K>>) -> Vec<Event<Guarded<K>>> {
        match event {
            Event::Init => {
                self.listing.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listing.insert(object.name_any());
                vec![Event::Apply(object)]
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                let gone = self.known.difference(&listed);
                let gone = gone.map(|name| Event::Delete(stub(name, &self.name)));
                let gone = gone.collect();
                self.known = listed;
                gone
            }
            Event::Apply(object) => {
                self.known.insert(object.name_any());
                vec![Event::Apply(object)]
            }
            Event::Delete(object) => {
                self.known.remove(&object.name_any());
                vec![Event::Delete(object)]
            }
        }
    }
}

/// What is left of an object that went while nobody watched: its name.
fn stub<K>(name: &str, namespace: &str) -> Guarded<K> {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ObjectMeta::default()
    };
    let error = "deleted while nobody watched".to_owned();
    DeserializeGuard(Err(InvalidObject { error, metadata }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::ModuleModel;

    fn told(events: Vec<Event<Guarded<ModuleModel>>>) -> String {
        let each = |event: &Event<Guarded<ModuleModel>>| {
            let (kind, object) = match event {
                Event::Apply(o) => ("+", Some(o)),
                Event::Delete(o) => ("-", Some(o)),
                Event::Init => ("begin", None),
                Event::InitApply(o) => ("", Some(o)),
                Event::InitDone => ("end", None),
            };
            let of = |o: &Guarded<ModuleModel>| {
                format!("{}/{}", o.namespace().unwrap_or_default(), o.name_any())
            };
            format!("{kind}{}", object.map(of).unwrap_or_default())
        };
        events.iter().map(each).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn several_namespaces_are_one_watch() {
        let mut merge = Merge::<ModuleModel>::new(vec!["a".into(), "b".into()]);
        let mut check = |at: usize, event, expected: &str| {
            assert_eq!(told(merge.take(at, event)), expected);
        };
        check(0, Event::Init, "");
        check(0, Event::InitApply(stub("x", "a")), "");
        check(0, Event::InitApply(stub("y", "a")), "");
        check(0, Event::InitDone, "");
        // Nothing is passed on until the last namespace is listed; what happens meanwhile is not forgotten.
        check(0, Event::Delete(stub("x", "a")), "");
        check(0, Event::Apply(stub("z", "a")), "");
        check(1, Event::Init, "");
        check(1, Event::InitApply(stub("x", "b")), "");
        check(1, Event::InitDone, "begin a/y a/z b/x end");
        check(1, Event::Apply(stub("w", "b")), "+b/w");
        // One namespace is listed again: the others' objects stay, and what went from it goes.
        check(0, Event::Init, "");
        check(0, Event::InitApply(stub("z", "a")), "+a/z");
        check(0, Event::InitDone, "-a/y");
        check(1, Event::Delete(stub("w", "b")), "-b/w");
        check(1, Event::Init, "");
        check(1, Event::InitDone, "-b/x");
    }
}
