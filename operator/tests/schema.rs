//! Each kind of change of a table with rows, against the real databases.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, cluster::wait, condition, in_world, reason, status_of};

/// Rows of the table: more than one batch of a backfill.
const ROWS: i64 = 4_500;

/// A table with rows, and its resource.
struct Table<'w> {
    world: &'w World,
    name: String,
    resource: Value,
}

impl<'w> Table<'w> {
    async fn new(world: &'w World, model: &str, spec: Value) -> Self {
        let mut resource = world.model(model, model, spec);
        resource["spec"]["migrations"] = json!({"policy": {"allowDestructive": true}});
        world.apply_ready(&resource).await;
        world.everything_is_synced().await;
        Self {
            world,
            name: format!("{}.{model}", world.module()),
            resource,
        }
    }

    fn spec(&mut self) -> &mut Value {
        &mut self.resource["spec"]
    }

    /// Ready after another look: what rows stood in the way of is looked at again only after a while.
    async fn ready(&mut self) -> crds::ModuleModelStatus {
        let size = self.spec()["limits"]["maxPageSize"].as_i64().unwrap_or(500) - 1;
        self.spec()["limits"] = json!({"maxPageSize": size});
        self.world.apply_ready(&self.resource).await.status.unwrap()
    }

    /// What it is refused with, and that nothing was changed.
    async fn refused(&self) -> String {
        let written = "select revision + (select count(*) from platform.schema_migrations) from platform.catalog_revision";
        let before = self.world.number(written).await;
        let status = self
            .world
            .apply_stalled(&self.resource)
            .await
            .status
            .unwrap();
        assert_eq!(self.world.number(written).await, before);
        let schema = condition(&status.conditions, "SchemaApplied").unwrap();
        assert_eq!(schema.reason, "DestructiveChange", "{}", schema.message);
        schema.message.clone()
    }

    async fn count(&self, condition: &str) -> i64 {
        self.world
            .number(&format!(
                "select count(*) from {} where {condition}",
                self.name
            ))
            .await
    }

    async fn columns(&self) -> i64 {
        let query = format!(
            "select count(*) from pg_attribute where attrelid = '{}'::regclass and attnum > 0 and not attisdropped",
            self.name
        );
        self.world.number(&query).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_rows_is_changed_in_every_way() {
    in_world(every_way).await;
}

async fn every_way(world: &World) {
    world
        .apply_ready(&world.model(
            "companies",
            "companies",
            json!({"fields": [{"name": "code", "type": "text"}]}),
        ))
        .await;
    let mut table = Table::new(
        world,
        "deals",
        json!({"fields": [
            {"name": "title", "type": "text", "required": true, "maxLength": 200},
            {"name": "amount", "type": "int32", "default": "7"},
            {"name": "price", "type": "decimal", "precision": 10, "scale": 2},
            {"name": "stage", "type": "enum", "values": ["open", "won"], "default": "open"},
            {"name": "code", "type": "text"},
            {"name": "note", "type": "text"},
            {"name": "company_id", "type": "uuid"},
        ], "indexes": [{"name": "by_stage", "fields": ["stage"]}], "unique": [{"name": "one_title", "fields": ["title"]}]}),
    )
    .await;
    let name = table.name.clone();
    world
        .run(&format!(
            "insert into {name} (tenant_id, id, title, amount, price, code, note, created_by, updated_by) select '0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01', gen_random_uuid(), 'title ' || n, n, n, n::text, 'n', 'u', 'u' from generate_series(1, {ROWS}) n"
        ))
        .await;

    // Fields with a default of each kind, and without one.
    let fields = table.spec()["fields"].as_array_mut().unwrap();
    fields
        .push(json!({"name": "seen_at", "type": "timestamp", "default": "now", "required": true}));
    fields.push(json!({"name": "token", "type": "uuid", "default": "generate"}));
    fields.push(json!({"name": "flag", "type": "bool", "default": "true", "required": true}));
    fields.push(json!({"name": "extra", "type": "json"}));
    table.ready().await;
    assert_eq!(
        table
            .count("seen_at is not null and token is not null and flag and extra is null")
            .await,
        ROWS
    );
    assert_eq!(
        table.count("version = 1 and updated_at = created_at").await,
        ROWS,
        "nobody changed a record"
    );

    // A required field without a default has nothing to put into rows.
    let mut impossible = Table {
        world,
        name: name.clone(),
        resource: table.resource.clone(),
    };
    impossible.spec()["fields"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "must", "type": "bool", "required": true}));
    let message = impossible.refused().await;
    assert_eq!(
        message,
        format!(
            "spec.fields[11].required: {ROWS} rows have no value for it: give the field a default, or add it without required"
        )
    );

    // Another type: a new column. More digits: the same one.
    table.spec()["fields"][1]["type"] = json!("int64");
    table.spec()["fields"][2]["precision"] = json!(14);
    let columns = table.columns().await;
    let status = table.ready().await;
    assert_eq!(
        status.columns.get("amount").map(String::as_str),
        Some("amount__2")
    );
    assert_eq!(status.rollout, None);
    assert_eq!(table.count("amount__2 is not null and pg_typeof(amount__2) = 'bigint'::regtype and pg_typeof(price) = 'numeric'::regtype").await, ROWS);
    assert_eq!(table.columns().await, columns, "the old column is gone");
    let left = format!(
        "select count(*) from pg_trigger where tgrelid = '{name}'::regclass and not tgisinternal"
    );
    assert_eq!(world.number(&left).await, 0);
    let kept = "select count(*) from platform.model_columns where name = 'amount' and dropped_at is not null";
    assert_eq!(world.number(kept).await, 1);
    world
        .run(&format!(
            "update {name} set price = 123456789012.34 where title = 'title 1'"
        ))
        .await;

    // A text that is a number but for three rows.
    world
        .run(&format!(
            "update {name} set code = 'abc' where title in ('title 1', 'title 2', 'title 3')"
        ))
        .await;
    table.spec()["fields"][4] = json!({"name": "code", "type": "int16"});
    assert_eq!(
        table.refused().await,
        "spec.fields[4].type: 3 rows hold a value of code that does not convert: change them first"
    );
    world
        .run(&format!("update {name} set code = null where code = 'abc'"))
        .await;
    table.ready().await;
    assert_eq!(table.count("code__2 is not null").await, ROWS - 3);

    // Another name, with the unique key that is over it.
    table.spec()["fields"][0] = json!({"name": "headline", "type": "text", "required": true, "maxLength": 200, "renamedFrom": "title"});
    table.spec()["unique"][0]["fields"] = json!(["headline"]);
    table.ready().await;
    assert_eq!(table.count("headline like 'title %'").await, ROWS);
    let unique = format!(
        "select count(*) from pg_indexes where schemaname || '.' || tablename = '{name}' and indexname = 'deals__one_title' and indexdef like '%headline%'"
    );
    assert_eq!(world.number(&unique).await, 1);

    // Shorter, fewer, required: counted, refused, proven.
    table.spec()["fields"][0]["maxLength"] = json!(9);
    assert_eq!(
        table.refused().await,
        format!(
            "spec.fields[0].maxLength: {} rows hold a value that it would not allow: change them first",
            ROWS - 999
        )
    );
    table.spec()["fields"][0]["maxLength"] = json!(20);
    table.spec()["fields"][3]["values"] = json!(["open", "lost"]);
    table.spec()["fields"][4]["required"] = json!(true);
    assert_eq!(
        table.refused().await,
        "spec.fields[4].required: 3 rows have no value for it: give them one, or give the field a default"
    );
    table.spec()["fields"][4]["default"] = json!("5");
    table.ready().await;
    assert_eq!(
        table
            .count("code__3 = 5 and headline in ('title 1', 'title 2', 'title 3', 'title 5')")
            .await,
        4
    );
    // Not required any more.
    table.spec()["fields"][4]["required"] = json!(false);
    table.ready().await;
    world
        .run(&format!(
            "update {name} set code__4 = null where headline = 'title 5'"
        ))
        .await;

    // A field that is dropped, and comes back as another one.
    let note = table.spec()["fields"].as_array_mut().unwrap().remove(5);
    assert!(
        table
            .refused()
            .await
            .starts_with("spec.fields: note left the spec")
    );
    table.spec()["migrations"]["policy"]["allowDrop"] = json!(["note"]);
    table.ready().await;
    let module = world.module();
    let in_clickhouse = |column: &str| {
        let query = format!(
            "select count() from system.columns where database = 'septem_data' and table = '{module}__deals__g1' and name = '{column}'"
        );
        async move { world.clickhouse(query).await.trim().to_owned() }
    };
    assert_eq!(in_clickhouse("note").await, "0");
    table.spec()["fields"].as_array_mut().unwrap().push(note);
    let status = table.ready().await;
    assert_eq!(
        status.columns.get("note").map(String::as_str),
        Some("note__2")
    );
    assert_eq!(
        (
            table.count("note__2 is null").await,
            in_clickhouse("note__2").await
        ),
        (ROWS, "1".into())
    );

    // Conditions, counted and proven; a proxy that does not know one is refused by the database.
    table.spec()["checks"] = json!([{"name": "positive", "expression": "amount > 0 and (stage = 'open' or length(headline) < 20)"}]);
    table.ready().await;
    table.spec()["checks"] = json!([{"name": "positive", "expression": "amount > 10"}]);
    assert_eq!(
        table.refused().await,
        "spec.checks[0]: 10 rows do not fulfil it: change them first"
    );
    world
        .run(&format!(
            "update {name} set amount__2 = 11 where amount__2 <= 10"
        ))
        .await;
    table.ready().await;
    let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "update {name} set amount__2 = 10"
    )))
    .execute(&world.admin)
    .await
    .unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().constraint(),
        Some("deals__positive")
    );
    table.spec()["checks"] = json!([]);
    table.ready().await;
    world
        .run(&format!(
            "update {name} set amount__2 = 10 where headline = 'title 1'"
        ))
        .await;

    // Indexes and uniques.
    world.run(&format!("update {name} set token = '0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01' where headline in ('title 1', 'title 2')")).await;
    table.spec()["unique"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "one_token", "fields": ["token"]}));
    assert_eq!(
        table.refused().await,
        "spec.unique[1]: 2 rows have the same values as another row of their tenant: change or delete them first"
    );
    world
        .run(&format!(
            "update {name} set token = gen_random_uuid() where headline = 'title 1'"
        ))
        .await;
    table.spec()["indexes"] = json!([{"name": "by_stage", "fields": ["stage", "amount"]}, {"name": "by_seen", "fields": ["seen_at"]}]);
    table.ready().await;
    let indexes =
        format!("select count(*) from pg_index where indrelid = '{name}'::regclass and indisvalid");
    assert_eq!(
        world.number(&indexes).await,
        5,
        "key, two indexes, two uniques"
    );
    table.spec()["indexes"] = json!([]);
    table.spec()["unique"].as_array_mut().unwrap().remove(1);
    table.ready().await;
    assert_eq!(world.number(&indexes).await, 2);

    // References.
    world
        .run(&format!(
            "update {name} set company_id = gen_random_uuid() where headline = 'title 1'"
        ))
        .await;
    table.spec()["fields"][5]["references"] = json!({"module": module, "model": "companies"});
    assert_eq!(
        table.refused().await,
        "spec.fields[5].references: 1 row refer to a row that is not there: change them first"
    );
    world
        .run(&format!("update {name} set company_id = null"))
        .await;
    table.ready().await;
    let keys = format!(
        "select count(*) from pg_constraint where conrelid = '{name}'::regclass and contype = 'f' and convalidated"
    );
    assert_eq!(
        (world.number(&keys).await, world.number(&indexes).await),
        (1, 3)
    );
    table.spec()["fields"][5]
        .as_object_mut()
        .unwrap()
        .remove("references");
    table.ready().await;
    assert_eq!(
        (world.number(&keys).await, world.number(&indexes).await),
        (0, 2)
    );

    // Nothing is left, and what is there is what was asked for.
    let unproven = format!(
        "select count(*) from pg_constraint where conrelid = '{name}'::regclass and not convalidated"
    );
    assert_eq!(world.number(&unproven).await, 0);
    let status = world.models().get("deals").await.unwrap().status.unwrap();
    assert_eq!(status_of(&status.conditions, "Drifted"), "False");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_stays_until_no_proxy_uses_it_and_both_take_writes_meanwhile() {
    in_world(side_by_side).await;
}

async fn side_by_side(world: &World) {
    let mut table = Table::new(
        world,
        "deals",
        json!({"fields": [
            {"name": "title", "type": "text", "required": true},
            {"name": "amount", "type": "text", "default": "1"},
        ]}),
    )
    .await;
    let name = table.name.clone();
    let insert = |column: &str, title: &str, value: &str| {
        format!(
            "insert into {name} (tenant_id, id, title, {column}, created_by, updated_by) values ('0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01', gen_random_uuid(), '{title}', {value}, 'u', 'u')"
        )
    };
    world.run(&insert("amount", "before", "'41'")).await;
    world
        .run("insert into platform.proxy_instances (instance, revision, last_seen) values ('old-proxy', 0, now() + interval '1 hour')")
        .await;
    table.spec()["fields"][1] = json!({"name": "amount", "type": "int32", "default": "1"});
    world.apply(&world.models(), &table.resource).await.unwrap();
    let waiting = wait(&world.models(), "deals", "proxies to wait for", |m| {
        m.status
            .as_ref()
            .is_some_and(|s| reason(&s.conditions, "SchemaApplied") == "WaitingForProxies")
    })
    .await;
    let status = waiting.status.unwrap();
    let rollout = status.rollout.clone().unwrap();
    assert_eq!(rollout.waiting_for, ["old-proxy"]);
    assert_eq!(rollout.waiting_for_revision, status.catalog_revision);
    assert_eq!(status_of(&status.conditions, "CatalogPublished"), "True");
    assert_eq!(status_of(&status.conditions, "Ready"), "False");

    // An old and a new proxy write, and each reads what the other wrote.
    world.run(&insert("amount", "old", "'42'")).await;
    world.run(&insert("amount__2", "new", "43")).await;
    world.run(&insert("amount", "null", "null")).await;
    let same = "amount is not distinct from amount__2::text";
    assert_eq!(table.count(same).await, 4);
    assert_eq!(table.count("amount is null").await, 1);
    world.run(&format!("update {name} set amount = '52' where title = 'old'; update {name} set amount__2 = 53 where title = 'new'; update {name} set title = 'nothing' where title = 'null'")).await;
    assert_eq!(table.count(same).await, 4);
    assert_eq!(
        table
            .count("(title, amount__2) in (('before', 41), ('old', 52), ('new', 53))")
            .await,
        3
    );
    // What the new type cannot hold is an error, never a silent null.
    for bad in [
        insert("amount", "bad", "'abc'"),
        format!("update {name} set amount = '1.5'"),
        insert("amount", "bad", "'3000000000'"),
    ] {
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(bad))
            .execute(&world.admin)
            .await
            .unwrap_err();
        assert_eq!(
            refused.as_database_error().unwrap().code().as_deref(),
            Some("22000")
        );
    }
    // An operator that starts again still waits.
    world.stop().await;
    world.start();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(table.count(same).await, 4, "both columns are there");

    world
        .run("update platform.proxy_instances set revision = 1000")
        .await;
    table.ready().await;
    assert_eq!(table.columns().await, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_refer_to_each_other_are_applied_together() {
    in_world(circle).await;
}

async fn circle(world: &World) {
    let to = |model: &str| {
        let reference = json!({"module": world.module(), "model": model});
        json!({"fields": [{"name": "name", "type": "text"}, {"name": "other_id", "type": "uuid", "references": reference}]})
    };
    let (hens, eggs) = (
        world.model("hens", "hens", to("eggs")),
        world.model("eggs", "eggs", to("hens")),
    );
    world.apply(&world.models(), &hens).await.unwrap();
    world.apply_ready(&eggs).await;
    world.apply_ready(&hens).await;
    let keys = format!(
        "select count(*) from pg_constraint where contype = 'f' and convalidated and connamespace = '{}'::regnamespace",
        world.module()
    );
    assert_eq!(world.number(&keys).await, 2);
    let served = "select count(*) from platform.models where document->'fields'->1 ? 'references'";
    assert_eq!(world.number(served).await, 2);
}
