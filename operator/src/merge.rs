//! One verdict of several: a ModuleModel is applied to each of its DataPlanes, and its status tells of the worst.

use crds::{
    ConditionType,
    condition::State,
    status::{DRIFT_NAMES_MAX, DriftStatus},
};

use crate::{
    metrics::Outcome,
    outcome::End,
    report::{Refusal, Stage, Verdict},
};

/// The end of a reconcile on several DataPlanes, each with its name. With one, its own; with more, messages name the
/// DataPlane that they are about. `ends` is not empty.
pub fn merge(ends: Vec<(String, End)>) -> End {
    let several = ends.len() > 1;
    let mut merged: Option<End> = None;
    for (name, end) in ends {
        let end = if several { named(&name, end) } else { end };
        merged = Some(match merged {
            None => end,
            Some(before) => worse(before, end),
        });
    }
    // An empty list is refused by the resource's schema; a reconcile of nothing found nothing.
    merged.unwrap_or_else(|| End::looked(Vec::new(), false))
}

/// What differs on each DataPlane that was looked at; names tell which when there is more than one. None when none was.
pub fn merge_drift(drifts: Vec<(String, DriftStatus)>) -> Option<DriftStatus> {
    let several = drifts.len() > 1;
    let merge = |mut all: DriftStatus, (name, drift): (String, DriftStatus)| {
        let add = |to: &mut Vec<String>, names: Vec<String>| {
            let named = names.into_iter().map(|object| match several {
                true => format!("{name}: {object}"),
                false => object,
            });
            to.extend(named);
            to.truncate(DRIFT_NAMES_MAX);
        };
        add(&mut all.extra, drift.extra);
        add(&mut all.missing, drift.missing);
        add(&mut all.modified, drift.modified);
        all
    };
    let some = !drifts.is_empty();
    some.then(|| drifts.into_iter().fold(DriftStatus::default(), merge))
}

/// Refused, then failed, then waiting, then looked at.
fn rank(end: &End) -> u8 {
    match (&end.verdict, &end.error) {
        (Verdict::Refused(_), _) => 4,
        (Verdict::Retrying(_), Some(_)) => 3,
        (Verdict::Retrying(_), None) => 2,
        (Verdict::Paused, _) => 1,
        (Verdict::Looked(_), _) => 0,
    }
}

fn worse(a: End, b: End) -> End {
    let (mut worst, mut other) = if rank(&b) > rank(&a) { (b, a) } else { (a, b) };
    // Whatever the other has failed with is tried again too.
    let error = worst.error.take().or_else(|| other.error.take());
    if let (Verdict::Looked(stages), Verdict::Looked(others)) = (&mut worst.verdict, other.verdict)
    {
        for stage in stages {
            if let Some(same) = others.iter().find(|o| o.condition == stage.condition) {
                *stage = worse_stage(stage, same);
            }
        }
        if other.outcome == Outcome::Applied {
            worst.outcome = Outcome::Applied;
        }
    }
    let again = worst.again.into_iter().chain(other.again).min();
    End {
        error,
        again,
        ..worst
    }
}

fn worse_stage(a: &Stage, b: &Stage) -> Stage {
    // Of drift the bad state is True.
    let badness = |stage: &Stage| match (stage.state, stage.condition == ConditionType::Drifted) {
        (State::True, false) | (State::False, true) => 0,
        (State::Unknown, _) => 1,
        (State::False, false) | (State::True, true) => 2,
    };
    let (first, second) = if badness(b) > badness(a) {
        (b, a)
    } else {
        (a, b)
    };
    let message = if badness(first) == badness(second) && first.message != second.message {
        format!("{}; {}", first.message, second.message)
    } else {
        first.message.clone()
    };
    Stage {
        message,
        ..first.clone()
    }
}

fn named(name: &str, end: End) -> End {
    let name = |message: String| format!("DataPlane {name}: {message}");
    let verdict = match end.verdict {
        Verdict::Looked(stages) => Verdict::Looked(
            stages
                .into_iter()
                .map(|stage| Stage {
                    message: name(stage.message),
                    ..stage
                })
                .collect(),
        ),
        Verdict::Refused(refusal) => Verdict::Refused(Refusal {
            message: name(refusal.message),
            ..refusal
        }),
        Verdict::Retrying(stage) => Verdict::Retrying(Stage {
            message: name(stage.message),
            ..stage
        }),
        Verdict::Paused => Verdict::Paused,
    };
    End { verdict, ..end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crds::Reason;

    fn looked(schema: Stage, drift: State) -> End {
        let drifted = Stage {
            condition: ConditionType::Drifted,
            state: drift,
            reason: Reason::NoDrift,
            message: "drift".into(),
        };
        End::looked(vec![schema, drifted], false)
    }

    fn reached(message: &str) -> Stage {
        Stage::reached(ConditionType::SchemaApplied, message)
    }

    fn missing(message: &str) -> Stage {
        Stage::missing(ConditionType::SchemaApplied, Reason::Progressing, message)
    }

    fn told(ends: Vec<(&str, End)>) -> String {
        let ends = ends.into_iter().map(|(name, end)| (name.to_owned(), end));
        match merge(ends.collect()).verdict {
            Verdict::Looked(stages) => {
                let each = |s: &Stage| format!("{} {}", s.state.as_str(), s.message);
                stages.iter().map(each).collect::<Vec<_>>().join(" | ")
            }
            Verdict::Refused(refusal) => format!("refused {}", refusal.message),
            Verdict::Retrying(stage) => format!("retrying {}", stage.message),
            Verdict::Paused => "paused".into(),
        }
    }

    #[test]
    fn the_worst_data_plane_speaks_and_is_named() {
        let failed = |message: &str| End::failed(missing(message), Error::Superseded);
        let fine = || looked(reached("there"), State::False);
        assert_eq!(told(vec![("a", fine())]), "True there | False drift");
        assert_eq!(
            told(vec![
                ("a", fine()),
                ("b", looked(missing("not there"), State::True))
            ]),
            "False DataPlane b: not there | True DataPlane b: drift"
        );
        assert_eq!(
            told(vec![("a", fine()), ("b", fine())]),
            "True DataPlane a: there; DataPlane b: there | False DataPlane a: drift; DataPlane b: drift"
        );
        assert_eq!(
            told(vec![("a", failed("away")), ("b", fine())]),
            "retrying DataPlane a: away"
        );
        let refused = End::refused(Refusal::of_spec(Reason::NameConflict, "taken"));
        assert_eq!(
            told(vec![("a", failed("away")), ("b", refused)]),
            "refused DataPlane b: taken"
        );
    }

    #[test]
    fn a_failure_beside_a_refusal_is_still_tried_again() {
        let refused = End::refused(Refusal::of_spec(Reason::NameConflict, "taken"));
        let failed = End::failed(missing("away"), Error::Superseded);
        let merged = merge(vec![("a".into(), refused), ("b".into(), failed)]);
        assert!(matches!(merged.verdict, Verdict::Refused(_)) && merged.error.is_some());
    }
}
