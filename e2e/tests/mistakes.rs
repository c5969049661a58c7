//! The mistakes that people make most, each made with `kubectl apply`: `kubectl describe` says what
//! `docs/troubleshooting.md` says that it says, and what that page advises makes the object Ready.

mod page;
mod planes;
mod rows;
mod specs;
mod sql_files;
mod tenants;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, kubectl, wait};
use serde_json::{Value, json};

use page::{Section, Told};

/// Until the operator has seen what was applied: ConfigMaps and Secrets are read every 15 s and every 10 s.
const TOLD_MAX: Duration = Duration::from_secs(60);

/// What `kubectl describe` shows of an object.
#[derive(Debug, Default)]
struct Described {
    /// Type, status, reason and message of each condition.
    conditions: Vec<[String; 4]>,
    /// Lines of the Events.
    events: Vec<String>,
}

impl Described {
    async fn of(place: &[&str]) -> Result<Self> {
        let text = kubectl::succeed(&[&["describe"], place].concat(), None).await?;
        Ok(Self::read(&text))
    }

    /// Keys of a condition are printed in alphabetical order, `Type` last.
    fn read(text: &str) -> Self {
        let (object, events) = text.split_once("\nEvents:").unwrap_or((text, ""));
        let mut found = Self {
            conditions: Vec::new(),
            events: events.lines().map(str::to_owned).collect(),
        };
        let [mut status, mut reason, mut message] = [const { String::new() }; 3];
        for line in object.lines() {
            let Some((key, value)) = line.trim().split_once(':') else {
                continue;
            };
            let value = value.trim().to_owned();
            match key {
                "Status" => status = value,
                "Reason" => reason = value,
                "Message" => message = value,
                "Type" => {
                    let [status, reason, message] = [&status, &reason, &message].map(Clone::clone);
                    found.conditions.push([value, status, reason, message]);
                }
                _ => {}
            }
        }
        found
    }

    /// Whether a condition says that, and an Event too.
    fn says(&self, told: &Told) -> bool {
        let Told {
            condition,
            reason,
            message,
        } = told;
        let shown = self.conditions.iter().any(|[kind, status, why, text]| {
            kind == condition && status == "False" && why == reason && text == message
        });
        let event = |line: &String| line.contains(&**reason) && line.ends_with(&**message);
        shown && self.events.iter().any(event)
    }
}

/// Waits until `kubectl describe` says what the page says of that mistake.
async fn says(scene: &Scene, section: &mut Section, mistake: &str, place: &[&str]) -> Result<()> {
    let told = section.take(mistake)?.of(scene);
    let shown = wait::until(mistake, TOLD_MAX, async || {
        let described = Described::of(place).await?;
        ensure!(described.says(&told), "{described:#?}");
        Ok(Some(()))
    })
    .await;
    shown.with_context(|| format!("the page says {told:#?}"))
}

/// Applies what the API server must refuse with the page's words.
async fn refuses(
    scene: &Scene,
    section: &mut Section,
    mistake: &str,
    object: &Value,
) -> Result<()> {
    let told = section.take(mistake)?.of(scene);
    let said = kubectl::apply_refused(object).await?;
    ensure!(
        said.contains(&told.message),
        "the page says {told:#?}, kubectl {said}"
    );
    Ok(())
}

/// A text field, and those.
fn fields(more: &[Value]) -> Value {
    let mut fields = vec![json!({"name": "title", "type": "text"})];
    fields.extend_from_slice(more);
    json!({ "fields": fields })
}

/// The same spec with those members besides.
fn with(mut spec: Value, more: Value) -> Value {
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    spec
}

#[tokio::test]
async fn the_page_has_no_table_that_nobody_compares() -> Result<()> {
    let compared = [
        specs::SECTION,
        specs::REFUSED,
        rows::SECTION,
        sql_files::SECTION,
        tenants::SECTION,
        planes::SECTION,
    ];
    ensure!(page::sections()? == compared, "{:?}", page::sections()?);
    Ok(())
}

#[test]
fn conditions_and_events_are_read_as_kubectl_prints_them() {
    let text = "Status:\n  Conditions:\n    Message:  a: b\n    Reason:  R\n    Status:  False\n    Type:  Ready\n\
                Events:\n  Warning  R  2s  septem-operator  a: b\n";
    let told = |message: &str| Told {
        condition: "Ready".into(),
        reason: "R".into(),
        message: message.into(),
    };
    assert!(Described::read(text).says(&told("a: b")));
    assert!(!Described::read(text).says(&told("b")));
    let silent = text.replace("septem-operator  a: b", "septem-operator  c");
    assert!(!Described::read(&silent).says(&told("a: b")), "no Event");
}
