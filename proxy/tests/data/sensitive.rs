//! Fields that are marked sensitive: for those who may not see them they are not there.

use http::StatusCode;
use model::ModuleModel;
use proxy::caller::Caller;
use serde_json::{Value, json};

use super::idempotency::with_platform;
use crate::support::world::{A, B, World, send_to};

const CANARY: &str = "canary-51e4c2";
const OPEN: [&str; 6] = [
    "crm.people.read",
    "crm.people.write",
    "crm.people.delete",
    "crm.teams.read",
    "crm.teams.write",
    "crm.teams.delete",
];

/// People of teams; what they earn, who they are to the tax office and who leads them is not for everybody.
fn models() -> Vec<ModuleModel> {
    let of = |model: &str, fields: Value, unique: Value| {
        serde_json::from_value(json!({
            "module": "crm", "model": model, "autoApi": true, "analytics": false, "maxPageSize": 100,
            "fields": fields, "unique": unique,
        }))
        .unwrap()
    };
    vec![
        of(
            "teams",
            json!([{"name": "name", "type": "text"}]),
            json!([]),
        ),
        of(
            "people",
            json!([
                {"name": "name", "type": "text"},
                {"name": "tax_id", "type": "text", "sensitive": true},
                {"name": "file", "type": "json", "sensitive": true},
                {"name": "team_id", "type": "uuid", "references": {"module": "crm", "model": "teams"}},
                {"name": "leads_id", "type": "uuid", "sensitive": true, "references": {"module": "crm", "model": "teams"}},
            ]),
            json!([{"name": "one_tax_id", "fields": ["tax_id"]}]),
        ),
    ]
}

struct Scene {
    world: World,
    /// Everything but `crm.people.sensitive`.
    open: Caller,
    team: String,
    person: String,
}

async fn scene() -> Scene {
    let world = with_platform(World::of(&models(), |_| {}).await).await;
    let team = world.create(A, "teams", json!({"name": "red"})).await;
    let team = team["id"].as_str().unwrap().to_owned();
    let person = world
        .create(
            A,
            "people",
            json!({"name": "Ada", "tax_id": CANARY, "file": {"note": CANARY}, "team_id": team, "leads_id": team}),
        )
        .await;
    assert_eq!(person["tax_id"], CANARY, "who may see it sees it");
    Scene {
        open: world.caller_with(A, &OPEN),
        world,
        team,
        person: person["id"].as_str().unwrap().to_owned(),
    }
}

impl Scene {
    async fn ask(&self, method: &str, target: &str, body: Option<Value>) -> (StatusCode, String) {
        let seen = self.world.send_as(&self.open, method, target, &[], body);
        let seen = seen.await;
        assert!(
            !seen.text.contains(CANARY),
            "{method} {target}: {}",
            seen.text
        );
        (seen.status, seen.text)
    }
}

#[tokio::test]
async fn no_answer_shows_them_and_no_question_names_them() {
    let scene = scene().await;
    let Scene { team, person, .. } = &scene;
    for target in [
        "people".to_owned(),
        "people?select=*".to_owned(),
        "people?deleted=include&order=name&limit=1&count=exact".to_owned(),
        "people?include=team".to_owned(),
        "people?or=(name.eq.Ada,name.is.null)".to_owned(),
        "teams?include=people".to_owned(),
        "teams?include=people!team_id(select=name)".to_owned(),
        format!("people/{person}"),
        format!("teams/{team}?include=people"),
    ] {
        let (status, text) = scene.ask("GET", &target, None).await;
        assert_eq!(status, StatusCode::OK, "{target}: {text}");
        for hidden in ["tax_id", "\"file\"", "leads_id"] {
            assert!(!text.contains(hidden), "{target}: {text}");
        }
    }
    // As a name that nobody knows, word for word.
    for (target, made_up) in [
        ("people?tax_id=eq.x", "people?wax_id=eq.x"),
        ("people?select=id,tax_id", "people?select=id,wax_id"),
        ("people?order=tax_id", "people?order=wax_id"),
        ("people?distinct=tax_id", "people?distinct=wax_id"),
        ("people?file->>note=eq.x", "people?pile->>note=eq.x"),
        ("people?select=file->note", "people?select=pile->note"),
        ("people?not.or=(tax_id.eq.x)", "people?not.or=(wax_id.eq.x)"),
        ("people?include=leads", "people?include=weads"),
        (
            "people?include=leads!leads_id",
            "people?include=leads!weads_id",
        ),
        (
            "teams?include=people!leads_id",
            "teams?include=people!weads_id",
        ),
        (
            "teams?include=people(tax_id=eq.x)",
            "teams?include=people(wax_id=eq.x)",
        ),
        (
            "teams?include=people!inner(select=tax_id)",
            "teams?include=people!inner(select=wax_id)",
        ),
        ("people?order=leads(name)", "people?order=weads(name)"),
    ] {
        let (status, hidden) = scene.ask("GET", target, None).await;
        let (_, made_up) = scene.ask("GET", made_up, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{target}: {hidden}");
        let spelled = made_up
            .replace("wax_id", "tax_id")
            .replace("pile", "file")
            .replace("weads", "leads");
        assert_eq!(hidden, spelled, "{target}");
    }
    // Who may see them asks all of that.
    for target in [
        "people?tax_id=eq.x",
        "people?order=tax_id",
        "people?select=file->note",
        "people?include=leads",
        "teams?include=people!leads_id",
    ] {
        let seen = scene.world.send(A, "GET", target, None).await;
        assert_eq!(seen.status, StatusCode::OK, "{target}: {}", seen.text);
    }
}

#[tokio::test]
async fn what_is_in_the_way_is_told_without_their_names() {
    let scene = scene().await;
    let Scene {
        team,
        person,
        world,
        ..
    } = &scene;
    for target in [format!("teams/{team}"), "teams?name=eq.red".to_owned()] {
        let (status, text) = scene.ask("DELETE", &target, None).await;
        assert_eq!(status, StatusCode::CONFLICT, "{target}: {text}");
        assert!(text.contains("people!team_id"), "{target}: {text}");
        assert!(!text.contains("leads_id"), "{target}: {text}");
    }
    // A person whose team is gone cannot come back, nor can one who leads one that is gone.
    for (kept, freed) in [("team_id", "leads_id"), ("leads_id", "team_id")] {
        let one = format!("people/{person}");
        let only = json!({kept: team, freed: null});
        let seen = world.send(A, "PATCH", &one, Some(only)).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        for (method, target) in [("DELETE", &one), ("DELETE", &format!("teams/{team}"))] {
            let seen = world.send(A, method, target, None).await;
            assert_eq!(seen.status, StatusCode::NO_CONTENT, "{}", seen.text);
        }
        let back = format!("{one}/restore");
        let (status, text) = scene.ask("POST", &back, None).await;
        assert_eq!(status, StatusCode::CONFLICT, "{text}");
        assert_eq!(text.contains("team_id"), kept == "team_id", "{text}");
        assert!(!text.contains("leads_id"), "{text}");
        for target in [format!("teams/{team}/restore"), back] {
            let seen = world.send(A, "POST", &target, None).await;
            assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        }
    }
}

#[tokio::test]
async fn who_may_write_them_writes_them_and_is_not_shown_them() {
    let scene = scene().await;
    let Scene { person, world, .. } = &scene;
    let one = format!("people/{person}");
    let secret = format!("{CANARY}-2");
    // Answers are checked by `ask`.
    let (status, text) = scene
        .ask("PATCH", &one, Some(json!({"tax_id": secret})))
        .await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(!text.contains("tax_id"), "{text}");
    let (status, _) = scene
        .ask("POST", "people", Some(json!({"name": "B", "tax_id": "b"})))
        .await;
    assert_eq!(status, StatusCode::CREATED);
    let whole = world.send(A, "GET", &one, None).await.json();
    assert_eq!(whole["data"]["tax_id"], secret.as_str());
    assert_eq!(whole["data"]["file"]["note"], CANARY);

    // Nobody finds a record by a value that he may not see: neither as a condition nor as a key.
    for (method, target) in [
        ("PATCH", "people?tax_id=like.canary*"),
        ("DELETE", "people?tax_id=like.canary*"),
        ("PATCH", "people?name=eq.Ada&select=tax_id"),
    ] {
        let body = (method == "PATCH").then(|| json!({"name": "found"}));
        let (status, text) = scene.ask(method, target, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{target}: {text}");
    }
    let upsert = send_to(
        &world.data,
        &scene.open,
        "POST",
        "people?on_conflict=tax_id",
        &[("prefer", "resolution=merge-duplicates")],
        Some(json!({"name": "found", "tax_id": secret}).to_string()),
    )
    .await;
    assert_eq!(upsert.status, StatusCode::BAD_REQUEST, "{}", upsert.text);
    assert!(!upsert.text.contains("tax_id"), "{}", upsert.text);
    // A value of an earlier operation is not carried into a field that is shown.
    let batch = json!({"operations": [
        {"op": "update", "model": "people", "ref": "p", "id": person, "data": {}},
        {"op": "create", "model": "teams", "data": {"name": {"$ref": "p.tax_id"}}},
    ]});
    let (status, text) = scene.ask("POST", "batch", Some(batch)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let renamed = world.send(A, "GET", "people?name=eq.found", None).await;
    assert_eq!(renamed.json()["data"], json!([]));

    // But an earlier operation's value can be written into one that is not.
    let carried = json!({"operations": [
        {"op": "create", "model": "teams", "ref": "t", "data": {"name": "blue"}},
        {"op": "create", "model": "people", "data": {"name": "D", "leads_id": {"$ref": "t.id"}}},
    ]});
    let (status, text) = scene.ask("POST", "batch", Some(carried)).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    // A taken value is told without its field.
    let (status, text) = scene
        .ask("POST", "people", Some(json!({"tax_id": "b"})))
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{text}");
    assert!(!text.contains("tax_id"), "{text}");

    // All of it again for the tables of a spreadsheet.
    let csv = [("accept", "text/csv")];
    let table = world
        .send_as(&scene.open, "GET", "people", &csv, None)
        .await;
    assert!(
        table.text.starts_with("id,name,team_id,created_at"),
        "{}",
        table.text
    );
    assert!(!table.text.contains(CANARY));
    // Deletion and the way back answer the record too.
    let representation = [("prefer", "return=representation")];
    for (method, target) in [("DELETE", one.clone()), ("POST", format!("{one}/restore"))] {
        let seen = world
            .send_as(&scene.open, method, &target, &representation, None)
            .await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        assert!(!seen.text.contains(CANARY), "{}", seen.text);
    }
}

#[tokio::test]
async fn an_answer_that_showed_them_is_not_given_again_to_one_who_lost_sight() {
    let scene = scene().await;
    let headers = [("idempotency-key", "k1")];
    let body = Some(json!({"name": "C", "tax_id": CANARY.to_uppercase()}));
    let all = scene.world.caller(A);
    let first = scene
        .world
        .send_as(&all, "POST", "people", &headers, body.clone())
        .await;
    assert_eq!(first.json()["data"]["tax_id"], CANARY.to_uppercase());
    let again = scene
        .world
        .send_as(&scene.open, "POST", "people", &headers, body.clone())
        .await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        !again.text.contains(&CANARY.to_uppercase()),
        "{}",
        again.text
    );
    let replayed = scene
        .world
        .send_as(&all, "POST", "people", &headers, body)
        .await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
}

#[tokio::test]
async fn sight_of_ones_own_is_no_sight_of_others() {
    let scene = scene().await;
    let seen = scene.world.send(B, "GET", "people", None).await;
    assert_eq!(seen.json()["data"], json!([]));
    // Of another model it says nothing.
    let held = OPEN.into_iter().chain(["crm.teams.sensitive"]);
    let other = scene.world.caller_with(A, &held.collect::<Vec<_>>());
    let seen = scene
        .world
        .send_as(&other, "GET", "people", &[], None)
        .await;
    assert!(!seen.text.contains(CANARY), "{}", seen.text);
}
