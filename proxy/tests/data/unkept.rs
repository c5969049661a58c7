//! Models with `softDelete: false`: what is deleted leaves its table, with what goes along.

use http::StatusCode;
use model::ModuleModel;
use serde_json::{Value, json};
use sqlx::Row as _;

use crate::support::world::{A, B, World};

const BOOK: &str = "0198f0aa-5b1e-7c3d-9a4e-000000000b01";
const PAGE: &str = "0198f0aa-5b1e-7c3d-9a4e-000000000c01";

/// Books keep nothing, nor do their pages, which go with them, and the notes on pages, which lose theirs. Loans keep
/// what was deleted, and hold their book. A shelf keeps, and its labels, which go with it, do not.
fn models() -> Vec<ModuleModel> {
    let of = |model: &str, keeps: bool, fields: Value| {
        serde_json::from_value(json!({
            "module": "crm", "model": model, "autoApi": true, "analytics": false, "maxPageSize": 100,
            "softDelete": keeps, "fields": fields,
        }))
        .unwrap()
    };
    let to = |field: &str, model: &str, on_delete: &str| json!({"name": field, "type": "uuid", "references": {"module": "crm", "model": model, "onDelete": on_delete}});
    let title = json!({"name": "title", "type": "text"});
    vec![
        of("books", false, json!([title])),
        of(
            "pages",
            false,
            json!([
                title,
                to("book_id", "books", "Cascade"),
                to("after_id", "pages", "Cascade")
            ]),
        ),
        of(
            "notes",
            false,
            json!([title, to("page_id", "pages", "SetNull")]),
        ),
        of(
            "loans",
            true,
            json!([title, to("book_id", "books", "Restrict")]),
        ),
        of(
            "marks",
            false,
            json!([
                to("page_id", "pages", "Cascade"),
                to("book_id", "books", "Restrict")
            ]),
        ),
        of(
            "nodes",
            false,
            json!([title, to("parent_id", "nodes", "Restrict")]),
        ),
        of("shelves", true, json!([title])),
        of(
            "labels",
            false,
            json!([title, to("shelf_id", "shelves", "Cascade")]),
        ),
        of(
            "prints",
            true,
            json!([
                to("shelf_id", "shelves", "Cascade"),
                to("label_id", "labels", "Restrict"),
            ]),
        ),
    ]
}

struct Library {
    world: World,
}

impl Library {
    async fn open() -> Self {
        let world = World::of(&models(), |_| {}).await;
        for tenant in [A, B] {
            // Of the same ids: a statement that forgets whose they are is found out.
            world
                .create(tenant, "books", json!({"id": BOOK, "title": "one"}))
                .await;
            world
                .create(tenant, "pages", json!({"id": PAGE, "book_id": BOOK}))
                .await;
            world
                .create(tenant, "pages", json!({"after_id": PAGE}))
                .await;
            world
                .create(tenant, "notes", json!({"title": "n", "page_id": PAGE}))
                .await;
        }
        Self { world }
    }

    /// Rows of a tenant in the table, deleted or not.
    async fn rows(&self, tenant: &str, model: &str) -> i64 {
        let mut admin = self.world.database.admin().await;
        let text = format!("select count(*) from crm.{model} where tenant_id = '{tenant}'");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        row.get(0)
    }

    async fn all(&self, tenant: &str) -> [i64; 3] {
        [
            self.rows(tenant, "books").await,
            self.rows(tenant, "pages").await,
            self.rows(tenant, "notes").await,
        ]
    }
}

#[tokio::test]
async fn what_is_deleted_leaves_its_table_with_what_goes_along() {
    let library = Library::open().await;
    let world = &library.world;
    let stale = [("if-match", "\"7\"")];
    let one = format!("books/{BOOK}");
    let refused = world
        .send_as(&world.caller(A), "DELETE", &one, &stale, None)
        .await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(library.all(A).await, [1, 2, 1]);
    // A loan holds the book, and still does when it was deleted: it could be restored.
    let loan = world.create(A, "loans", json!({"book_id": BOOK})).await;
    let loan = format!("loans/{}", loan["id"].as_str().unwrap());
    for _ in 0..2 {
        let held = world.send(A, "DELETE", &one, None).await;
        assert_eq!(held.errors(), ["loans REFERENCE_IN_USE"], "{}", held.text);
        let held = world.send(A, "DELETE", "books?title=eq.one", None).await;
        assert_eq!(held.errors(), ["loans REFERENCE_IN_USE"], "{}", held.text);
        assert_eq!(library.all(A).await, [1, 2, 1], "nothing is half done");
        world.send(A, "DELETE", &loan, None).await;
    }
    let freed = json!({"book_id": null});
    let restored = world
        .send(A, "POST", &format!("{loan}/restore"), None)
        .await;
    assert_eq!(restored.status, StatusCode::OK, "{}", restored.text);
    world.send(A, "PATCH", &loan, Some(freed)).await;

    let shown = [("prefer", "return=representation")];
    let gone = world
        .send_as(&world.caller(A), "DELETE", &one, &shown, None)
        .await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    assert_eq!(gone.json()["data"]["title"], "one");
    assert_eq!(library.all(A).await, [0, 0, 1]);
    let note = world.send(A, "GET", "notes", None).await.json();
    assert_eq!(note["data"][0]["page_id"], Value::Null);
    assert_eq!(note["data"][0]["version"], 2);
    for again in [&one, &format!("pages/{PAGE}")] {
        let again = world.send(A, "DELETE", again, None).await;
        assert_eq!(again.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(
        library.all(B).await,
        [1, 2, 1],
        "the other tenant's are all there"
    );
    // Its id is free.
    world.create(A, "books", json!({"id": BOOK})).await;
}

#[tokio::test]
async fn by_filter_and_in_a_batch_it_is_the_same() {
    let library = Library::open().await;
    let world = &library.world;
    let seen = world.send(A, "DELETE", "books?title=eq.one", None).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    assert_eq!(seen.json()["meta"]["affected"], 1);
    assert_eq!(library.all(A).await, [0, 0, 1]);
    let seen = world.send(A, "DELETE", "notes?title=eq.n", None).await;
    assert_eq!(seen.json()["meta"]["affected"], 1, "{}", seen.text);
    assert_eq!(library.all(A).await, [0, 0, 0]);

    let batch = json!({"operations": [
        {"op": "delete", "model": "books", "id": BOOK, "version": 1},
        {"op": "create", "model": "books", "data": {"id": BOOK, "title": "two"}},
    ]});
    let seen = world.send(B, "POST", "batch", Some(batch)).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    assert_eq!(library.all(B).await, [1, 0, 1]);
    let undone = json!({"operations": [
        {"op": "delete", "model": "books", "id": BOOK},
        {"op": "delete", "model": "books", "id": PAGE},
    ]});
    let seen = world.send(B, "POST", "batch", Some(undone)).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND, "{}", seen.text);
    assert_eq!(library.all(B).await, [1, 0, 1], "one failure undoes all");
}

#[tokio::test]
async fn rows_that_are_not_kept_go_with_one_that_is() {
    let library = Library::open().await;
    let world = &library.world;
    for by_filter in [false, true] {
        let shelf = world.create(A, "shelves", json!({"title": "s"})).await;
        let shelf = shelf["id"].as_str().unwrap().to_owned();
        for tenant in [A, B] {
            if tenant == B && !by_filter {
                world.create(B, "shelves", json!({"id": shelf})).await;
                world.create(B, "labels", json!({"shelf_id": shelf})).await;
            }
        }
        world.create(A, "labels", json!({"shelf_id": shelf})).await;
        let target = match by_filter {
            true => "shelves?title=eq.s".to_owned(),
            false => format!("shelves/{shelf}"),
        };
        let gone = world.send(A, "DELETE", &target, None).await;
        assert!(gone.status.is_success(), "{}", gone.text);
        assert_eq!(library.rows(A, "labels").await, 0);
        // The shelf comes back without them.
        let back = world
            .send(A, "POST", &format!("shelves/{shelf}/restore"), None)
            .await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.text);
        world
            .send(A, "DELETE", &format!("shelves/{shelf}"), None)
            .await;
    }
    assert_eq!(library.rows(A, "shelves").await, 2);
    assert_eq!(library.rows(B, "labels").await, 1);
}

#[tokio::test]
async fn what_goes_along_is_not_in_the_way() {
    let library = Library::open().await;
    let world = &library.world;
    // A mark goes with its page, and would hold the book.
    for tenant in [A, B] {
        let mark = json!({"page_id": PAGE, "book_id": BOOK});
        world.create(tenant, "marks", mark).await;
    }
    let gone = world
        .send(A, "DELETE", &format!("books/{BOOK}"), None)
        .await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    assert_eq!(
        (library.all(A).await, library.rows(A, "marks").await),
        ([0, 0, 1], 0)
    );
    let gone = world.send(B, "DELETE", "books?title=eq.one", None).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    assert_eq!(
        (library.all(B).await, library.rows(B, "marks").await),
        ([0, 0, 1], 0)
    );

    // Rows of one model that refer to each other, or to themselves, go together.
    let own = "0198f0aa-5b1e-7c3d-9a4e-000000000d01";
    world
        .create(A, "nodes", json!({"id": own, "parent_id": own}))
        .await;
    let child = world
        .create(A, "nodes", json!({"title": "child", "parent_id": own}))
        .await;
    let held = world
        .send(A, "DELETE", &format!("nodes?id=eq.{own}"), None)
        .await;
    assert_eq!(held.errors(), ["nodes REFERENCE_IN_USE"], "{}", held.text);
    let both = format!("nodes?id=in.({own},{})", child["id"].as_str().unwrap());
    let gone = world.send(A, "DELETE", &both, None).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    assert_eq!(library.rows(A, "nodes").await, 0);
}

#[tokio::test]
async fn what_is_kept_holds_what_would_leave_it_without_its_reference() {
    let library = Library::open().await;
    let world = &library.world;
    let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
    let shelf = id(&world.create(A, "shelves", json!({"title": "s"})).await);
    let label = id(&world.create(A, "labels", json!({"shelf_id": shelf})).await);
    let print = json!({"shelf_id": shelf, "label_id": label});
    let print = id(&world.create(A, "prints", print).await);
    for target in [format!("shelves/{shelf}"), "shelves?title=eq.s".to_owned()] {
        let held = world.send(A, "DELETE", &target, None).await;
        assert_eq!(held.errors(), ["prints REFERENCE_IN_USE"], "{}", held.text);
        assert_eq!(library.rows(A, "labels").await, 1);
        let live = world.send(A, "GET", &format!("prints/{print}"), None).await;
        assert_eq!(live.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn nobody_asks_for_what_is_not_kept() {
    let library = Library::open().await;
    let world = &library.world;
    let one = format!("books/{BOOK}");
    for (method, target, body) in [
        ("GET", "books?deleted=include".to_owned(), None),
        ("GET", "books?deleted=only".to_owned(), None),
        ("POST", format!("{one}/restore"), None),
        (
            "POST",
            "batch".to_owned(),
            Some(json!({"operations": [{"op": "restore", "model": "books", "id": BOOK}]})),
        ),
    ] {
        let seen = world.send(A, method, &target, body).await;
        assert_eq!(
            seen.status,
            StatusCode::BAD_REQUEST,
            "{target}: {}",
            seen.text
        );
        assert!(
            seen.text.contains("books keeps no deleted records"),
            "{target}: {}",
            seen.text
        );
    }
}

#[tokio::test]
async fn versions_are_no_condition_without_optimistic_locking() {
    let plain: ModuleModel = serde_json::from_value(json!({
        "module": "crm", "model": "ticks", "autoApi": true, "analytics": false, "maxPageSize": 100,
        "optimisticLocking": false, "fields": [{"name": "n", "type": "int32"}],
    }))
    .unwrap();
    let world = World::of(&[plain], |_| {}).await;
    let tick = world.create(A, "ticks", json!({"n": 1})).await;
    let one = format!("ticks/{}", tick["id"].as_str().unwrap());
    let ada = world.caller(A);
    let tagged = [("if-match", "\"1\"")];
    for (method, body) in [("PATCH", Some(json!({"n": 2}))), ("DELETE", None)] {
        let seen = world.send_as(&ada, method, &one, &tagged, body).await;
        assert_eq!(seen.errors(), ["If-Match INVALID_VALUE"], "{}", seen.text);
    }
    let named = json!({"n": 2, "version": 1});
    let seen = world.send(A, "PATCH", &one, Some(named)).await;
    assert_eq!(seen.errors(), ["version READ_ONLY"], "{}", seen.text);
    let seen = world.send(A, "PATCH", &one, Some(json!({"n": 2}))).await;
    assert_eq!(seen.json()["data"]["version"], 2, "it counts all the same");
    // What is known already is still not sent again.
    let known = [("if-none-match", "\"2\"")];
    let seen = world.send_as(&ada, "GET", &one, &known, None).await;
    assert_eq!(seen.status, StatusCode::NOT_MODIFIED);
}
