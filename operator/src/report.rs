//! Status as conditions: computed here, from what was found and done, and written only when it changed.

use crds::{
    ConditionType, Reason,
    condition::{State, condition},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use tracing::instrument;

use crate::{error::Error, telemetry::TARGET};

/// Who owns our fields in server-side apply.
pub const FIELD_MANAGER: &str = "septem-operator";

/// What somebody has to change before we can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `Accepted`, or `SchemaApplied` when the spec is fine and the change is not.
    pub condition: ConditionType,
    /// Why.
    pub reason: Reason,
    /// What to change, with the field's path.
    pub message: String,
}

impl Refusal {
    /// The spec cannot be accepted.
    pub fn of_spec(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            condition: ConditionType::Accepted,
            reason,
            message: message.into(),
        }
    }
}

/// One stage as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Which.
    pub condition: ConditionType,
    /// Whether it is reached.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

impl Stage {
    /// Reached.
    pub fn reached(condition: ConditionType, message: impl Into<String>) -> Self {
        Self {
            condition,
            state: State::True,
            reason: Reason::Applied,
            message: message.into(),
        }
    }

    /// Not asked for.
    pub fn disabled(condition: ConditionType) -> Self {
        Self {
            condition,
            state: State::True,
            reason: Reason::Disabled,
            message: "not asked for".into(),
        }
    }

    /// Not reached.
    pub fn missing(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            condition,
            state: State::False,
            reason,
            message: message.into(),
        }
    }
}

/// What came of a reconcile, as far as conditions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every stage was looked at.
    Looked(Vec<Stage>),
    /// Somebody has to change something. Stages keep what was true before.
    Refused(Refusal),
    /// One stage could not be reached now and will be tried again. The others keep what was true before.
    Retrying(Stage),
    /// `spec.paused`.
    Paused,
}

impl Verdict {
    /// The reason of `Ready`.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Looked(looked) => missing(looked).map_or(Reason::Applied, |s| s.reason),
            Self::Refused(refusal) => refusal.reason,
            Self::Retrying(stage) => stage.reason,
            Self::Paused => Reason::Paused,
        }
    }
}

/// The first stage that `Ready` waits for.
fn missing(looked: &[Stage]) -> Option<&Stage> {
    let mut stages = looked.iter();
    stages.find(|s| s.state != State::True && !s.condition.leaves_ready_alone())
}

/// All conditions of an object, in a fixed order, from those before and the verdict. `stages` are the stages of the
/// kind, without `Accepted`.
pub fn conditions(
    before: &[Condition],
    generation: i64,
    stages: &[ConditionType],
    verdict: &Verdict,
) -> Vec<Condition> {
    use ConditionType::{Accepted, Ready, Reconciling, Stalled};
    let make = |kind, state, reason, message: &str| {
        condition(before, generation, kind, state, reason, message)
    };
    let of_stage = |stage: &Stage| make(stage.condition, stage.state, stage.reason, &stage.message);
    let kept = |kind: ConditionType| {
        let old = before.iter().find(|c| c.type_ == kind.as_str()).cloned();
        old.unwrap_or_else(|| {
            make(
                kind,
                State::Unknown,
                Reason::Progressing,
                "not looked at yet",
            )
        })
    };
    let accepted = || {
        make(
            Accepted,
            State::True,
            Reason::Applied,
            "valid and supported",
        )
    };

    let (ready, reconciling, stalled, accepted, stages): (_, _, _, _, Vec<_>) = match verdict {
        Verdict::Looked(looked) => {
            let (ready, reconciling) = match missing(looked) {
                None => (
                    make(
                        Ready,
                        State::True,
                        Reason::Applied,
                        "everything asked for is there",
                    ),
                    make(
                        Reconciling,
                        State::False,
                        Reason::Reconciled,
                        "nothing is left to do",
                    ),
                ),
                Some(s) => (
                    make(Ready, State::False, s.reason, &s.message),
                    make(Reconciling, State::True, s.reason, &s.message),
                ),
            };
            let stalled = make(
                Stalled,
                State::False,
                Reason::NotStalled,
                "nothing stands in the way",
            );
            (
                ready,
                reconciling,
                stalled,
                accepted(),
                looked.iter().map(of_stage).collect(),
            )
        }
        Verdict::Refused(refusal) => {
            let Refusal {
                condition,
                reason,
                message,
            } = refusal;
            let refused = |kind| make(kind, State::False, *reason, message);
            let accepted = if *condition == Accepted {
                refused(Accepted)
            } else {
                accepted()
            };
            let stages = stages.iter().map(|s| {
                if s == condition {
                    refused(*s)
                } else {
                    kept(*s)
                }
            });
            (
                refused(Ready),
                make(Reconciling, State::False, *reason, message),
                make(Stalled, State::True, *reason, message),
                accepted,
                stages.collect(),
            )
        }
        Verdict::Retrying(stage) => {
            let stages = stages.iter().map(|s| {
                if *s == stage.condition {
                    of_stage(stage)
                } else {
                    kept(*s)
                }
            });
            (
                make(Ready, State::False, stage.reason, &stage.message),
                make(Reconciling, State::True, stage.reason, &stage.message),
                make(
                    Stalled,
                    State::False,
                    Reason::NotStalled,
                    "it will be tried again",
                ),
                accepted(),
                stages.collect(),
            )
        }
        Verdict::Paused => {
            let text = "spec.paused: nothing is changed until it is false";
            (
                make(Ready, State::Unknown, Reason::Paused, text),
                make(Reconciling, State::False, Reason::Paused, text),
                make(Stalled, State::False, Reason::Paused, text),
                kept(Accepted),
                stages.iter().map(|s| kept(*s)).collect(),
            )
        }
    };
    [ready, reconciling, stalled, accepted]
        .into_iter()
        .chain(stages)
        .collect()
}

/// Writes a whole status by server-side apply. The caller has compared it with the one before.
#[instrument(target = TARGET, name = "write status", skip_all)]
pub async fn write_status<K, S>(api: &Api<K>, name: &str, status: &S) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    S: Serialize,
{
    let patch = serde_json::json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(name, &params, &Patch::Apply(patch)).await {
        Ok(_) => Ok(()),
        // Deleted meanwhile: nobody is left to tell.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kubernetes("a status")(error)),
    }
}

/// Says that a resource cannot be read. It has no status that we could compare with, so everything in it is constant
/// for the object: the API server changes nothing when it is applied again.
pub async fn write_unreadable<K: Resource<DynamicType = ()>>(
    client: &Client,
    metadata: &ObjectMeta,
    problem: &str,
) -> Result<(), Error> {
    let name = metadata.name.clone().unwrap_or_default();
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = match &metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    let message = format!("the resource cannot be read by this version: {problem}");
    let conditions = [
        (ConditionType::Ready, State::False),
        (ConditionType::Stalled, State::True),
        (ConditionType::Accepted, State::False),
    ]
    .map(|(kind, state)| {
        let generation = metadata.generation.unwrap_or(0);
        let mut made = condition(&[], generation, kind, state, Reason::InvalidModel, &message);
        if let Some(created) = &metadata.creation_timestamp {
            made.last_transition_time = created.clone();
        }
        made
    });
    let patch = serde_json::json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name},
        "status": {"observedGeneration": metadata.generation, "conditions": conditions},
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kubernetes("a status")(error)),
    }
}

#[cfg(test)]
mod tests;
