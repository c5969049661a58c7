//! Transactions that are held open, and every way out of them.

use std::time::Duration;

use proxy::postgres::{Database, DatabaseError, Lane, Row, Scope};
use serde_json::json;
use sql::Statement;
use sqlx::PgConnection;

use crate::support::{
    database::run,
    world::{A, B, World},
};

const SETTING: &str = "select current_setting('app.tenant_id', true)";

fn scope(tenant: &str) -> Scope {
    Scope {
        tenant: tenant.parse().unwrap(),
        user: "ada".into(),
    }
}

fn statement(text: impl Into<String>) -> Statement {
    Statement {
        text: text.into(),
        binds: vec![],
    }
}

fn insert(tenant: &str, name: &str) -> Statement {
    statement(format!(
        "insert into crm.companies (tenant_id, id, name, created_by, updated_by)
         values ('{tenant}', gen_random_uuid(), '{name}', 'a', 'a') returning name"
    ))
}

fn text_of(rows: &[Row]) -> String {
    String::from_utf8(rows[0].values().next().unwrap().unwrap().to_vec()).unwrap()
}

/// A world whose one exclusive connection is what every transaction must leave as it was.
async fn world() -> World {
    World::with(|config| {
        config.exclusive.connections = 1;
        config.transaction_idle_max = Duration::from_secs(20);
    })
    .await
}

async fn names(world: &World, tenant: &str) -> Vec<String> {
    let seen = world
        .send(tenant, "GET", "companies?order=name&select=name", None)
        .await
        .json();
    let names = seen["data"].as_array().unwrap().iter();
    names
        .map(|c| c["name"].as_str().unwrap().to_owned())
        .collect()
}

/// B, on the one connection, is B and sees nothing of A.
async fn check_connection_is_clean(database: &Database) {
    let looks = [
        statement(SETTING),
        statement("select count(*) from crm.companies"),
        statement("select pg_current_xact_id_if_assigned() is null"),
    ];
    let seen = database.run_write(&scope(B), looks).await.unwrap();
    let seen: Vec<_> = seen.iter().map(|rows| text_of(rows)).collect();
    assert_eq!(seen, [B, "0", "t"]);
}

async fn backends_in_transaction(admin: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database()
         and application_name = 'septem-proxy' and state like 'idle in transaction%'",
    )
    .fetch_one(admin)
    .await
    .unwrap()
}

#[tokio::test]
async fn rounds_of_one_transaction_are_kept_together() {
    let world = world().await;
    let database = &world.data.database;
    let (mut transaction, first) = database
        .begin(&scope(A), [insert(A, "one"), statement(SETTING)])
        .await
        .unwrap();
    assert_eq!(
        (text_of(&first[0]), text_of(&first[1])),
        ("one".into(), A.into())
    );
    // The setting lasts, and nobody else sees anything yet.
    let second = transaction
        .run([statement(SETTING), insert(A, "two")])
        .await
        .unwrap();
    assert_eq!((second.len(), text_of(&second[0])), (2, A.into()));
    let nothing = transaction.run([]).await.unwrap();
    assert!(nothing.is_empty());
    let mut admin = world.database.admin().await;
    assert_eq!(backends_in_transaction(&mut admin).await, 1);
    let last = transaction.commit([insert(A, "three")]).await.unwrap();
    assert_eq!((last.len(), text_of(&last[0])), (1, "three".into()));
    assert_eq!(names(&world, A).await, ["one", "three", "two"]);
    check_connection_is_clean(database).await;
    // A commit of nothing more.
    let (transaction, _) = database
        .begin(&scope(A), [insert(A, "four")])
        .await
        .unwrap();
    transaction.commit([]).await.unwrap();
    assert_eq!(names(&world, A).await.len(), 4);
    assert_eq!(backends_in_transaction(&mut admin).await, 0);
}

#[tokio::test]
async fn every_way_out_but_commit_undoes_it() {
    let world = world().await;
    let database = &world.data.database;
    let bad = || statement("select acos(2)");
    let missing = || statement("select * from crm.nowhere");

    // An error in the first round.
    for wrong in [bad(), missing()] {
        let error = database
            .begin(&scope(A), [insert(A, "x"), wrong])
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            DatabaseError::Invalid { .. } | DatabaseError::StaleSchema(_)
        ));
        check_connection_is_clean(database).await;
    }
    // An error in the second; whatever follows is told so.
    for wrong in [bad(), missing(), statement("selec")] {
        let (mut transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
        let error = transaction.run([insert(A, "y"), wrong]).await.unwrap_err();
        assert_ne!(error, DatabaseError::TransactionLost);
        assert_eq!(
            transaction.run([insert(A, "z")]).await.unwrap_err(),
            DatabaseError::TransactionLost
        );
        assert_eq!(
            transaction.commit([]).await.unwrap_err(),
            DatabaseError::TransactionLost
        );
        check_connection_is_clean(database).await;
    }
    // An error beside the commit.
    for wrong in [bad(), missing(), statement("selec")] {
        let (transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
        transaction
            .commit([insert(A, "y"), wrong])
            .await
            .unwrap_err();
        check_connection_is_clean(database).await;
    }
    // Rolled back, dropped, dropped in the middle of a round.
    let (transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
    transaction.rollback();
    check_connection_is_clean(database).await;
    let (transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
    drop(transaction);
    check_connection_is_clean(database).await;
    let (mut transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
    let slow = transaction.run([statement("select pg_sleep(0.3)")]);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), slow)
            .await
            .is_err()
    );
    assert_eq!(
        transaction.commit([]).await.unwrap_err(),
        DatabaseError::TransactionLost
    );
    check_connection_is_clean(database).await;
    // Given up while it begins.
    let (held_scope, begun) = (
        scope(A),
        [insert(A, "x"), statement("select pg_sleep(0.3)")],
    );
    let begin = database.begin(&held_scope, begun);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), begin)
            .await
            .is_err()
    );
    check_connection_is_clean(database).await;
    assert!(names(&world, A).await.is_empty());
}

#[tokio::test]
async fn a_transaction_that_waits_for_too_long_is_undone() {
    let world = World::with(|config| {
        config.exclusive.connections = 1;
        config.transaction_idle_max = Duration::from_millis(100);
    })
    .await;
    let database = &world.data.database;
    let (mut transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
    // Somebody else gets the connection although nobody lets go of it.
    check_connection_is_clean(database).await;
    assert_eq!(
        transaction.run([insert(A, "y")]).await.unwrap_err(),
        DatabaseError::TransactionLost
    );
    let (transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        transaction.commit([]).await.unwrap_err(),
        DatabaseError::TransactionLost
    );
    assert!(names(&world, A).await.is_empty());
}

#[tokio::test]
async fn a_server_process_that_dies_in_between_keeps_nothing() {
    let world = world().await;
    let database = &world.data.database;
    let mut admin = world.database.admin().await;
    let kill =
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
         and application_name = 'septem-proxy' and state = 'idle in transaction'";
    let (mut transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
    run(&mut admin, kill).await;
    assert_eq!(
        transaction.run([insert(A, "y")]).await.unwrap_err(),
        DatabaseError::TransactionLost
    );
    check_connection_is_clean(database).await;

    // While a commit is under way nobody can know.
    let (transaction, _) = database.begin(&scope(A), [insert(A, "x")]).await.unwrap();
    let commit = transaction.commit([statement("select pg_sleep(5)")]);
    let killer = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        run(&mut admin, &kill.replace("idle in transaction", "active")).await;
    };
    let (unknown, ()) = futures::future::join(commit, killer).await;
    assert_eq!(unknown.unwrap_err(), DatabaseError::OutcomeUnknown);
    check_connection_is_clean(database).await;
    assert!(names(&world, A).await.is_empty());
}

#[tokio::test]
async fn a_dry_run_answers_and_keeps_nothing() {
    let world = world().await;
    let database = &world.data.database;
    let counted = statement("select count(*) from crm.companies");
    let answer = database
        .run_rolled_back(&scope(A), [insert(A, "x"), counted])
        .await
        .unwrap();
    assert_eq!(
        (text_of(&answer[0]), text_of(&answer[1])),
        ("x".into(), "1".into())
    );
    check_connection_is_clean(database).await;
    for wrong in ["select acos(2)", "select * from crm.nowhere", "selec"] {
        let dry = [insert(A, "x"), statement(wrong)];
        database.run_rolled_back(&scope(A), dry).await.unwrap_err();
        check_connection_is_clean(database).await;
    }
    assert!(names(&world, A).await.is_empty());
}

#[tokio::test]
async fn tables_may_change_under_a_transaction_that_is_begun_again() {
    let world = world().await;
    let database = &world.data.database;
    let all = || statement("select * from crm.companies");
    // Several times, so that the server has made a plan of it.
    for _ in 0..7 {
        let (transaction, _) = database.begin(&scope(A), [all()]).await.unwrap();
        transaction.commit([all()]).await.unwrap();
    }
    let mut owner = world.database.admin().await;
    run(&mut owner, "set role septem_owner").await;
    run(&mut owner, "alter table crm.companies add column note text").await;
    let stale = database.begin(&scope(A), [all()]).await.unwrap_err();
    assert_eq!(stale, DatabaseError::StaleSchema("0A000".into()));
    let (mut transaction, _) = database.begin(&scope(A), [all()]).await.unwrap();
    transaction.run([all()]).await.unwrap();
    drop(transaction);
    // In the second round, the table changes in between.
    let (mut transaction, _) = database
        .begin(&scope(A), [statement("select 1")])
        .await
        .unwrap();
    run(&mut owner, "alter table crm.companies add column more text").await;
    let stale = transaction.run([all()]).await.unwrap_err();
    assert_eq!(stale, DatabaseError::StaleSchema("0A000".into()));
    check_connection_is_clean(database).await;
    let (transaction, _) = database.begin(&scope(A), [all()]).await.unwrap();
    transaction.commit([all()]).await.unwrap();
}

#[tokio::test]
async fn two_that_wait_for_each_other_are_told_so() {
    let world = World::with(|config| config.exclusive.connections = 2).await;
    let database = &world.data.database;
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let made = world.create(A, "companies", json!({"name": name})).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let lock = |id: &str| {
        statement(format!(
            "select id from crm.companies where tenant_id = '{A}' and id = '{id}' for update"
        ))
    };
    let scope = scope(A);
    let one = database.begin(&scope, [lock(&ids[0])]);
    let two = database.begin(&scope, [lock(&ids[1])]);
    let (one, two) = futures::future::join(one, two).await;
    let ((mut one, _), (mut two, _)) = (one.unwrap(), two.unwrap());
    let (first, second) =
        futures::future::join(one.run([lock(&ids[1])]), two.run([lock(&ids[0])])).await;
    let lost = [first.err(), second.err()];
    // The server ends one of the two; nobody but its caller can begin it again.
    assert_eq!(
        lost.iter().flatten().collect::<Vec<_>>(),
        [&DatabaseError::Contention]
    );
    let (winner, loser) = if lost[0].is_none() {
        (one, two)
    } else {
        (two, one)
    };
    winner.commit([]).await.unwrap();
    assert_eq!(
        loser.commit([]).await.unwrap_err(),
        DatabaseError::TransactionLost
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_setting_of_one_tenant_is_seen_by_another() {
    let world = World::with(|config| config.exclusive.connections = 2).await;
    let database = &world.data.database;
    world
        .create(A, "companies", json!({"name": "canary-a"}))
        .await;
    world
        .create(B, "companies", json!({"name": "canary-b"}))
        .await;
    let look = || {
        [
            statement(SETTING),
            statement("select string_agg(name, ',') from crm.companies"),
        ]
    };
    let seen = |answer: &[Vec<Row>]| (text_of(&answer[0]), text_of(&answer[1]));
    // Each does at random what a transaction can do, and must always be itself.
    let client = |i: usize| async move {
        let (tenant, canary) = if i.is_multiple_of(2) {
            (A, "canary-a")
        } else {
            (B, "canary-b")
        };
        let expected = (tenant.to_owned(), canary.to_owned());
        let scope = scope(tenant);
        for round in 0..40 {
            match (i + round * 7) % 6 {
                0 => {
                    let answer = database.run_write(&scope, look()).await.unwrap();
                    assert_eq!(seen(&answer), expected);
                }
                1 => {
                    let answer = database.run_rolled_back(&scope, look()).await.unwrap();
                    assert_eq!(seen(&answer), expected);
                }
                2 => {
                    let (transaction, _) = database.begin(&scope, look()).await.unwrap();
                    let last = transaction.commit(look()).await.unwrap();
                    assert_eq!(seen(&last), expected);
                }
                3 => {
                    let (mut transaction, first) = database.begin(&scope, look()).await.unwrap();
                    assert_eq!(seen(&first), expected);
                    transaction
                        .run([statement("select 1/0")])
                        .await
                        .unwrap_err();
                }
                4 => {
                    let work = database.begin(&scope, look());
                    let _ = tokio::time::timeout(Duration::from_micros(300), work).await;
                }
                _ => {
                    let answer = database.run_read(&scope, Lane::Exclusive, look()).await;
                    assert_eq!(seen(&answer.unwrap()), expected);
                }
            }
        }
    };
    futures::future::join_all((0..8).map(client)).await;
}
