//! `onDelete: Cascade` and `SetNull`: what goes with a record, what loses its reference, and what comes back.

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::several::rows;
use crate::support::world::{A, B, Seen, World};

/// Two tenants with rows of the same ids.
struct Office {
    world: World,
    ids: [String; 8],
}

const REGION: usize = 0;
const COMPANY: usize = 1;
const OFFICE: usize = 2;
const DESK: usize = 3;
const PERSON: usize = 4;
const OTHER: usize = 5;
const OTHER_OFFICE: usize = 6;
const BADGE: usize = 7;

fn reference(name: &str, model: &str, on_delete: &str) -> Value {
    json!({"name": name, "type": "uuid", "column": format!("{name}__2"),
           "references": {"module": "crm", "model": model, "onDelete": on_delete}})
}

impl Office {
    async fn new() -> Self {
        let model = |name: &str, mut fields: Vec<Value>| {
            fields.push(json!({"name": "name", "type": "text"}));
            let document = json!({"module": "crm", "model": name, "autoApi": true, "analytics": true,
                                  "maxPageSize": 100, "fields": fields});
            serde_json::from_value(document).unwrap()
        };
        let models = [
            model("regions", vec![]),
            model("people", vec![]),
            model(
                "companies",
                vec![
                    reference("region_id", "regions", "SetNull"),
                    reference("second_region_id", "regions", "SetNull"),
                ],
            ),
            model(
                "offices",
                vec![reference("company_id", "companies", "Cascade")],
            ),
            model(
                "desks",
                vec![
                    reference("office_id", "offices", "Cascade"),
                    reference("company_id", "companies", "Cascade"),
                    reference("owner_id", "people", "Restrict"),
                ],
            ),
            model("badges", vec![reference("desk_id", "desks", "Restrict")]),
            model(
                "folders",
                vec![reference("parent_id", "folders", "Cascade")],
            ),
        ];
        let world = World::of(&models, |_| {}).await;
        let ids = std::array::from_fn(|_| uuid::Uuid::now_v7().to_string());
        let office = Self { world, ids };
        for tenant in [A, B] {
            let id = |at: usize| &office.ids[at];
            for (model, record) in [
                ("regions", json!({"id": id(REGION)})),
                ("people", json!({"id": id(PERSON)})),
                (
                    "companies",
                    json!({"id": id(COMPANY), "region_id": id(REGION), "second_region_id": id(REGION)}),
                ),
                ("companies", json!({"id": id(OTHER)})),
                (
                    "offices",
                    json!({"id": id(OFFICE), "company_id": id(COMPANY)}),
                ),
                (
                    "offices",
                    json!({"id": id(OTHER_OFFICE), "company_id": id(OTHER)}),
                ),
                (
                    "desks",
                    json!({"id": id(DESK), "office_id": id(OFFICE), "company_id": id(COMPANY), "owner_id": id(PERSON)}),
                ),
            ] {
                office.world.create(tenant, model, record).await;
            }
        }
        office
    }

    async fn send(&self, method: &str, model: &str, at: usize) -> Seen {
        let target = format!("{model}/{}", self.ids[at]);
        self.world.send(A, method, &target, None).await
    }

    async fn restore(&self, model: &str, at: usize) -> Seen {
        let target = format!("{model}/{}/restore", self.ids[at]);
        self.world.send(A, "POST", &target, None).await
    }

    /// Everything of a tenant, each row with what a write changes.
    async fn all(&self, tenant: &str) -> Vec<String> {
        let mut admin = self.world.database.admin().await;
        let mut lines = Vec::new();
        for model in [
            "regions",
            "people",
            "companies",
            "offices",
            "desks",
            "badges",
            "folders",
        ] {
            let query = format!(
                "select format('{model} %s v%s %s', id, version, case when deleted_at is null then 'live' else delete_id::text end)
                   || ' ' || coalesce((to_jsonb(t) - 'created_at' - 'updated_at' - 'deleted_at' - 'delete_id')::text, '')
                 from crm.{model} t where tenant_id = '{tenant}' order by id"
            );
            let found = sqlx::query(sqlx::AssertSqlSafe(query))
                .fetch_all(&mut admin)
                .await
                .unwrap();
            lines.extend(found.iter().map(|row| row.get::<String, _>(0)));
        }
        lines
    }

    /// Of which models rows are live, by tenant A's ids.
    async fn live(&self, pairs: &[(&str, usize)]) -> Vec<bool> {
        let mut live = Vec::new();
        for (model, at) in pairs {
            live.push(self.send("GET", model, *at).await.status == StatusCode::OK);
        }
        live
    }
}

const FAMILY: [(&str, usize); 3] = [("companies", COMPANY), ("offices", OFFICE), ("desks", DESK)];

#[tokio::test]
async fn records_go_with_what_they_refer_to_and_come_back_with_it() {
    let office = Office::new().await;
    let others = office.all(B).await;
    let gone = office.send("DELETE", "companies", COMPANY).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    assert_eq!(office.live(&FAMILY).await, [false; 3]);
    assert_eq!(
        office
            .live(&[
                ("companies", OTHER),
                ("offices", OTHER_OFFICE),
                ("people", PERSON)
            ])
            .await,
        [true; 3]
    );
    // All with one `delete_id`, each a version further.
    let deleted: Vec<_> = office
        .all(A)
        .await
        .into_iter()
        .filter(|l| !l.contains(" live "))
        .collect();
    assert_eq!(deleted.len(), 3, "{deleted:?}");
    let mark = |line: &String| {
        line.split(' ')
            .skip(2)
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(
        deleted
            .iter()
            .all(|l| mark(l) == mark(&deleted[0]) && mark(l).starts_with("v2 ")),
        "{deleted:?}"
    );

    // A desk needs its owner, who may go now.
    assert_eq!(
        office.send("DELETE", "people", PERSON).await.status,
        StatusCode::NO_CONTENT
    );
    let before = office.all(A).await;
    let refused = office.restore("companies", COMPANY).await;
    assert_eq!(
        (refused.status, refused.errors()),
        (
            StatusCode::CONFLICT,
            vec!["desks!owner_id REFERENCE_NOT_FOUND".to_owned()]
        )
    );
    // Nor without the company.
    let refused = office.restore("offices", OFFICE).await;
    assert_eq!(
        refused.errors(),
        [
            "company_id REFERENCE_NOT_FOUND",
            "desks!company_id REFERENCE_NOT_FOUND",
            "desks!owner_id REFERENCE_NOT_FOUND"
        ]
    );
    let stale = [("if-match", "\"1\"")];
    let caller = office.world.caller(A);
    let target = format!("companies/{}/restore", office.ids[COMPANY]);
    let refused = office
        .world
        .send_as(&caller, "POST", &target, &stale, None)
        .await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(office.all(A).await, before);

    assert_eq!(
        office.restore("people", PERSON).await.status,
        StatusCode::OK
    );
    let back = office.restore("companies", COMPANY).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    assert_eq!(office.live(&FAMILY).await, [true; 3]);

    // What was deleted by itself stays deleted.
    assert_eq!(
        office.send("DELETE", "desks", DESK).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        office.send("DELETE", "companies", COMPANY).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        office.restore("companies", COMPANY).await.status,
        StatusCode::OK
    );
    assert_eq!(office.live(&FAMILY).await, [true, true, false]);
    assert_eq!(office.all(B).await, others);
}

#[tokio::test]
async fn what_is_in_the_way_of_one_is_in_the_way_of_all() {
    let office = Office::new().await;
    let badge = json!({"id": office.ids[BADGE], "desk_id": office.ids[DESK]});
    office.world.create(A, "badges", badge).await;
    let before = (office.all(A).await, office.all(B).await);
    let one =
        |model: &str, at: usize| json!({"op": "delete", "model": model, "id": office.ids[at]});
    let refused = office.send("DELETE", "companies", COMPANY).await;
    let named = vec!["badges REFERENCE_IN_USE".to_owned()];
    assert_eq!(
        (refused.status, refused.errors()),
        (StatusCode::CONFLICT, named.clone())
    );
    let filter = format!(
        "companies?id=in.({},{})",
        office.ids[COMPANY], office.ids[OTHER]
    );
    let refused = office.world.send(A, "DELETE", &filter, None).await;
    assert_eq!(
        (refused.status, refused.errors()),
        (StatusCode::CONFLICT, named)
    );
    let batch = json!({"operations": [one("companies", OTHER), one("companies", COMPANY)]});
    let refused = office.world.send(A, "POST", "batch", Some(batch)).await;
    assert_eq!(
        (refused.status, rows(&refused)),
        (
            StatusCode::CONFLICT,
            vec!["1 badges REFERENCE_IN_USE".to_owned()]
        )
    );
    // Another version than the client knows.
    let (caller, stale) = (office.world.caller(A), [("if-match", "\"7\"")]);
    for (model, at) in [("companies", COMPANY), ("regions", REGION)] {
        let target = format!("{model}/{}", office.ids[at]);
        let refused = office
            .world
            .send_as(&caller, "DELETE", &target, &stale, None)
            .await;
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    }
    // Carried out, and undone.
    assert_eq!(office.all(A).await, before.0);
    let (dry, target) = (
        [("prefer", "tx=rollback")],
        format!("regions/{}", office.ids[REGION]),
    );
    let undone = office
        .world
        .send_as(&caller, "DELETE", &target, &dry, None)
        .await;
    assert_eq!(undone.status, StatusCode::NO_CONTENT, "{}", undone.text);
    assert_eq!((office.all(A).await, office.all(B).await), before);

    // The badge first, in one transaction.
    let batch = json!({"operations": [one("badges", BADGE), one("companies", COMPANY)]});
    let done = office.world.send(A, "POST", "batch", Some(batch)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(office.live(&FAMILY).await, [false; 3]);
    assert_eq!(office.all(B).await, before.1);
}

#[tokio::test]
async fn references_are_cleared_where_that_is_asked_for() {
    let office = Office::new().await;
    let others = office.all(B).await;
    assert_eq!(
        office.send("DELETE", "regions", REGION).await.status,
        StatusCode::NO_CONTENT
    );
    let company = office.send("GET", "companies", COMPANY).await.json();
    let company = &company["data"];
    assert_eq!(
        (
            &company["region_id"],
            &company["second_region_id"],
            &company["version"]
        ),
        (&Value::Null, &Value::Null, &json!(2))
    );
    // It does not come back with the region.
    assert_eq!(
        office.restore("regions", REGION).await.status,
        StatusCode::OK
    );
    assert_eq!(
        office.send("GET", "companies", COMPANY).await.json()["data"]["version"],
        2
    );
    let again = json!({"second_region_id": office.ids[REGION]});
    let target = format!("companies/{}", office.ids[COMPANY]);
    assert_eq!(
        office
            .world
            .send(A, "PATCH", &target, Some(again))
            .await
            .status,
        StatusCode::OK
    );
    let filter = format!("regions?id=eq.{}", office.ids[REGION]);
    let seen = office.world.send(A, "DELETE", &filter, None).await;
    assert_eq!(
        (seen.status, &seen.json()["meta"]["affected"]),
        (StatusCode::OK, &json!(1)),
        "{}",
        seen.text
    );
    let company = office.send("GET", "companies", COMPANY).await.json();
    assert_eq!(
        (
            &company["data"]["second_region_id"],
            &company["data"]["version"]
        ),
        (&Value::Null, &json!(4))
    );
    assert_eq!(office.all(B).await, others);
}

#[tokio::test]
async fn a_tree_goes_whole_and_so_does_a_circle() {
    let office = Office::new().await;
    let world = &office.world;
    let folder = async |name: &str, parent: Option<&str>| {
        let record = world
            .create(A, "folders", json!({"name": name, "parent_id": parent}))
            .await;
        record["id"].as_str().unwrap().to_owned()
    };
    let root = folder("a", None).await;
    let mut last = root.clone();
    for depth in 0..20 {
        folder("leaf", Some(&last)).await;
        last = folder(&format!("b{depth}"), Some(&last)).await;
    }
    let one = folder("one", None).await;
    let two = folder("two", Some(&one)).await;
    let closed = world
        .send(
            A,
            "PATCH",
            &format!("folders/{one}"),
            Some(json!({"parent_id": two})),
        )
        .await;
    assert_eq!(closed.status, StatusCode::OK);
    let own = folder("own", None).await;
    world
        .send(
            A,
            "PATCH",
            &format!("folders/{own}"),
            Some(json!({"parent_id": own})),
        )
        .await;

    let count = async || {
        world.send(A, "GET", "folders?limit=100", None).await.json()["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count().await, 44);
    for (id, left) in [(&root, 3), (&one, 1), (&own, 0)] {
        let seen = world
            .send(A, "DELETE", &format!("folders/{id}"), None)
            .await;
        assert_eq!(seen.status, StatusCode::NO_CONTENT, "{}", seen.text);
        assert_eq!(count().await, left);
    }
    for (id, back) in [(&own, 1), (&one, 3), (&root, 44)] {
        let seen = world
            .send(A, "POST", &format!("folders/{id}/restore"), None)
            .await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        assert_eq!(count().await, back);
    }
    // By filter: roots that are each other's descendants.
    let seen = world
        .send(A, "DELETE", "folders?name=in.(a,b3,one,own)", None)
        .await;
    assert_eq!(
        (seen.status, &seen.json()["meta"]["affected"]),
        (StatusCode::OK, &json!(4)),
        "{}",
        seen.text
    );
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn nothing_that_is_written_meanwhile_is_left_behind() {
    let office = Office::new().await;
    let world = &office.world;
    for _ in 0..12 {
        let mut parents = vec![
            world.create(A, "folders", json!({})).await["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        ];
        for _ in 0..4 {
            let child = json!({"parent_id": parents.last()});
            parents.push(
                world.create(A, "folders", child).await["id"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
        let delete = async {
            let seen = world
                .send(A, "DELETE", &format!("folders/{}", parents[0]), None)
                .await;
            assert!([204, 503].contains(&seen.status.as_u16()), "{}", seen.text);
        };
        let writes = parents.iter().rev().map(async |parent| {
            for _ in 0..3 {
                let child = json!({"parent_id": parent});
                let seen = world.send(A, "POST", "folders", Some(child)).await;
                let Some(id) = seen.json()["data"]["id"].as_str().map(str::to_owned) else {
                    assert_eq!(
                        seen.errors(),
                        ["parent_id REFERENCE_NOT_FOUND"],
                        "{}",
                        seen.text
                    );
                    continue;
                };
                let grandchild = json!({"parent_id": id});
                world.send(A, "POST", "folders", Some(grandchild)).await;
            }
        });
        futures::join!(delete, join_all(writes));
    }
    let mut admin = world.database.admin().await;
    let orphans: i64 = sqlx::query_scalar(
        "select count(*) from crm.folders c join crm.folders p on p.tenant_id = c.tenant_id and p.id = c.parent_id__2
         where c.deleted_at is null and p.deleted_at is not null",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(orphans, 0);
}
