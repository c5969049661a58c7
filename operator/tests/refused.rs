//! What is refused: by the API server where CEL can tell, by a condition otherwise.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{World, cluster::wait, condition, in_world, reason, status_of};

fn fields() -> Value {
    json!([
        {"name": "title", "type": "text", "maxLength": 20},
        {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
        {"name": "stage", "type": "enum", "values": ["open", "won"], "default": "open"},
        {"name": "company_id", "type": "uuid"},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_spec_does_not_pass_the_api_server() {
    in_world(invalid_specs).await;
}

async fn invalid_specs(world: &World) {
    let models = world.models();
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::apply("operator-tests").force()
    };
    let check = |change: fn(&mut Value)| {
        let mut object = world.model("dry", "deals", json!({"fields": fields()}));
        change(&mut object["spec"]);
        let (models, dry) = (models.clone(), dry.clone());
        async move {
            models
                .patch("dry", &dry, &Patch::Apply(&object))
                .await
                .map(|_| ())
        }
    };
    check(|_| {}).await.unwrap();
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 29] = [
        (|s| s["module"] = json!("platform"), "is reserved"),
        (|s| s["module"] = json!("pg_x"), "is reserved"),
        (|s| s["module"] = json!("septem_x"), "is reserved"),
        (|s| s["module"] = json!("a__b"), "spec.module"),
        (|s| s["model"] = json!("batch"), "is reserved"),
        (
            |s| s["fields"][0]["name"] = json!("tenant_id"),
            "is reserved for a system column",
        ),
        (
            |s| s["fields"][0]["name"] = json!("Title"),
            "spec.fields[0].name",
        ),
        (
            |s| s["fields"][0]["name"] = json!("amount"),
            "duplicate entries",
        ),
        (
            |s| s["fields"][2]["values"] = Value::Null,
            "type enum needs values",
        ),
        (
            |s| s["fields"][0]["values"] = json!(["a"]),
            "type enum needs values",
        ),
        (
            |s| s["fields"][2]["default"] = json!("lost"),
            "the default is not one of the values",
        ),
        (
            |s| s["fields"][1]["precision"] = Value::Null,
            "type decimal needs precision",
        ),
        (
            |s| s["fields"][1]["scale"] = json!(13),
            "only type decimal has scale",
        ),
        (
            |s| s["fields"][3]["maxLength"] = json!(5),
            "only type text has maxLength",
        ),
        (
            |s| s["fields"][0]["references"] = json!({"module": "crm", "model": "a"}),
            "references needs type uuid",
        ),
        (
            |s| s["fields"][0]["items"] = json!("text"),
            "type array needs items",
        ),
        (
            |s| s["fields"][0] = json!({"name": "v", "type": "vector"}),
            "type vector needs dimension",
        ),
        (
            |s| s["fields"][0] = json!({"name": "v", "type": "vector", "dimension": 16_001}),
            "16000",
        ),
        (
            |s| s["fields"][0]["dimension"] = json!(3),
            "type vector needs dimension",
        ),
        (|s| s["fields"][0]["name"] = json!("company"), "ok"),
        (
            |s| {
                s["fields"][0]["name"] = json!("company");
                s["fields"][3]["references"] = json!({"module": "crm", "model": "a"});
            },
            "a reference names a relation",
        ),
        (
            |s| s["unique"] = json!([{"name": "u", "fields": ["nope"]}]),
            "a unique names a field that is not there",
        ),
        (
            |s| s["indexes"] = json!([{"name": "i", "fields": ["nope"]}]),
            "an index names a field that is not there",
        ),
        (
            |s| {
                s["unique"] = json!([{"name": "u", "fields": ["title"]}]);
                s["indexes"] = json!([{"name": "u", "fields": ["title"]}]);
            },
            "an index and a unique have the same name",
        ),
        (
            |s| s["deletionPolicy"] = json!("Delete"),
            "requires migrations.policy.allowDestructive",
        ),
        (
            |s| s["migrations"] = json!({"approvedPlan": "x"}),
            "approvedPlan is for approval Manual",
        ),
        (
            |s| s["migrations"] = json!({"policy": {"lockTimeout": "soon"}}),
            "lockTimeout",
        ),
        (
            |s| s["limits"] = json!({"maxPageSize": 1001}),
            "maxPageSize",
        ),
        (|s| s["fields"] = json!([]), "spec.fields"),
    ];
    for (i, (change, expected)) in cases.into_iter().enumerate() {
        match check(change).await {
            Ok(()) => assert_eq!(expected, "ok", "case {i}"),
            Err(error) => assert!(error.to_string().contains(expected), "case {i}: {error}"),
        }
    }

    // What a resource is of cannot change.
    world
        .apply(
            &models,
            &world.model("fixed", "deals", json!({"fields": fields()})),
        )
        .await
        .unwrap();
    for (key, value) in [
        ("module", json!("other")),
        ("model", json!("other")),
        ("dataPlaneRefs", json!(["other"])),
    ] {
        let mut object = world.model("fixed", "deals", json!({"fields": fields()}));
        object["spec"][key] = value;
        let refused = world.apply(&models, &object).await.unwrap_err();
        assert!(
            refused.to_string().contains("is immutable"),
            "{key}: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_refuses_is_said_in_conditions() {
    in_world(refusals).await;
}

async fn refusals(world: &World) {
    let first = world
        .apply_ready(&world.model("first", "deals", json!({"fields": fields()})))
        .await;

    // A second resource for the same model: refused, naming the first, which does not notice.
    let second = world.model("second", "deals", json!({"fields": fields()}));
    let refused = world.apply_stalled(&second).await.status.unwrap();
    let accepted = condition(&refused.conditions, "Accepted").unwrap();
    assert_eq!(
        (accepted.status.as_str(), accepted.reason.as_str()),
        ("False", "NameConflict")
    );
    assert!(
        accepted.message.contains(&format!("{}/first", world.name)),
        "{}",
        accepted.message
    );
    let unchanged = world.models().get("first").await.unwrap();
    assert_eq!(unchanged.status, first.status);

    // Unsupported and contradictory specs, by path.
    let later = json!({"fields": fields(), "cache": {"ttl": "1m"}, "realtime": true});
    let object = world.model("later", "notes", later);
    let refused = world.apply_stalled(&object).await.status.unwrap();
    let accepted = condition(&refused.conditions, "Accepted").unwrap();
    assert_eq!(accepted.reason, "NotYetSupported");
    assert_eq!(
        accepted.message,
        "not yet supported: spec.cache.ttl, spec.realtime"
    );
    let mut wrong = fields();
    wrong[1]["default"] = json!("1.234");
    let refused = world
        .apply_stalled(&world.model("wrong", "notes", json!({"fields": wrong})))
        .await
        .status
        .unwrap();
    assert_eq!(reason(&refused.conditions, "Accepted"), "InvalidModel");
    assert_eq!(
        world.number("select count(*) from platform.models").await,
        1
    );

    // The name is free when the first is gone: the second takes the table with its rows.
    world
        .models()
        .delete("first", &DeleteParams::default())
        .await
        .unwrap();
    wait(&world.models(), "second", "Ready", |m| {
        m.status
            .as_ref()
            .is_some_and(|s| status_of(&s.conditions, "Ready") == "True")
    })
    .await;
}
