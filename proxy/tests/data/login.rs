//! Who may log in, and as what.

use proxy::postgres::{ConnectError, Database, DatabaseConfig};

use crate::support::{database::run, world::World};

#[tokio::test]
async fn scram_lets_in_with_the_password_only() {
    let world = World::new().await;
    let mut config = DatabaseConfig::from_url(&world.database.app_url).unwrap();
    config.password = "wrong".to_owned().into();
    let refused = Database::connect(config.clone())
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(&refused, ConnectError::Refused { code, .. } if code == "28P01"),
        "{refused}"
    );
    assert!(!refused.to_string().contains("wrong"));
    config.port = 1;
    let away = Database::connect(config).await.map(|_| ()).unwrap_err();
    assert!(matches!(away, ConnectError::Unreachable(_)));
}

#[tokio::test]
async fn a_role_that_sees_past_the_fence_is_refused() {
    let world = World::new().await;
    let refused = |url: String| async move {
        let error = Database::connect(DatabaseConfig::from_url(&url).unwrap())
            .await
            .map(|_| ())
            .unwrap_err();
        match error {
            ConnectError::Fence(fence) => fence.to_string(),
            other => panic!("{other}"),
        }
    };
    assert!(
        refused(world.database.admin_url.clone())
            .await
            .contains("superuser")
    );
    let mut admin = world.database.admin().await;
    let role = format!("r_{}", uuid::Uuid::new_v4().simple());
    let url = {
        let mut url = url::Url::parse(&world.database.app_url).unwrap();
        url.set_username(&role).unwrap();
        url.set_password(Some("secret")).unwrap();
        url.to_string()
    };
    run(
        &mut admin,
        &format!("create role {role} login password 'secret'"),
    )
    .await;
    for (give, take, expected) in [
        (
            "alter role R bypassrls",
            "alter role R nobypassrls",
            "bypasses row-level security",
        ),
        (
            "alter role R replication",
            "alter role R noreplication",
            "may replicate",
        ),
        (
            "grant septem_owner to R",
            "revoke septem_owner from R",
            "septem_owner",
        ),
        (
            "grant pg_read_all_data to R",
            "revoke pg_read_all_data from R",
            "reads or writes everything",
        ),
        (
            "create table crm.own (); alter table crm.own owner to R",
            "drop table crm.own",
            "owns tables",
        ),
        (
            "create table crm.bare (tenant_id uuid); grant select on crm.bare to R; grant usage on schema crm to R",
            "drop table crm.bare; revoke usage on schema crm from R",
            "crm.bare",
        ),
    ] {
        for part in give.replace('R', &role).split(';') {
            run(&mut admin, part).await;
        }
        assert!(refused(url.clone()).await.contains(expected), "{give}");
        for part in take.replace('R', &role).split(';') {
            run(&mut admin, part).await;
        }
    }
    let fenced = Database::connect(DatabaseConfig::from_url(&url).unwrap()).await;
    assert!(fenced.is_ok());
    drop(fenced);
    run(
        &mut admin,
        &format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"),
    )
    .await;
    run(&mut admin, &format!("drop role {role}")).await;
}
