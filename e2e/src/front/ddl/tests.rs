use super::*;
use crate::front::access::Writability;

fn names(names: &[&str]) -> Names {
    Names::Only(names.iter().map(|n| (*n).to_owned()).collect())
}

#[test]
fn access_ddl_is_known_by_its_first_words() {
    for sql in [
        "create role if not exists x",
        "-- c\nGRANT a TO b",
        "CREATE OR REPLACE USER x",
        "drop row policy x on a.b",
        "create settings profile p",
        "alter user `u` default role none",
        "SET DEFAULT ROLE NONE TO x",
        "revoke a from b",
    ] {
        assert!(is_access(sql), "{sql}");
    }
    for sql in [
        "create table role (x Int8)",
        "select 'grant'",
        "create or replace table t",
        "set role x",
        "",
        "'",
    ] {
        assert!(!is_access(sql), "{sql}");
    }
}

#[test]
fn the_products_statements_are_read() {
    let statement = parse(
        "CREATE ROW POLICY OR REPLACE `t_1` ON `septem_data`.* FOR SELECT USING tenant_id = 'it''s' AS PERMISSIVE TO `t_1`",
    );
    let clauses = Clauses {
        filter: Some(Some("tenant_id = 'it''s'".into())),
        restrictive: Some(false),
        to: Some(names(&["t_1"])),
        ..Clauses::default()
    };
    let policy = PolicyName {
        name: "t_1".into(),
        database: Some("septem_data".into()),
        table: None,
    };
    assert_eq!(
        statement,
        Ok(Statement::CreatePolicy(
            Presence::Replace,
            vec![policy],
            clauses
        ))
    );

    let Ok(Statement::Create(Entity::User, Presence::Lenient, _, clauses)) = parse(
        "create user if not exists g identified with sha256_password by 'x' default role none settings profile 'p'",
    ) else {
        panic!("not a user")
    };
    assert!(clauses.password.unwrap().accepts("x"));
    assert_eq!(clauses.default_roles, Some(Names::none()));
    assert_eq!(clauses.settings, Some(vec![Element::Inherit("p".into())]));

    let grant = Grant {
        privilege: "SHOW COLUMNS".into(),
        columns: vec![],
        database: Some("d".into()),
        table: None,
        grantable: false,
    };
    let insert = Grant {
        privilege: "INSERT".into(),
        ..grant.clone()
    };
    assert_eq!(
        parse("grant insert, show columns on `d`.* to s"),
        Ok(Statement::Grant(vec![insert, grant], vec!["s".into()]))
    );
    assert_eq!(
        parse("grant `septem_read` to `t_1`;"),
        Ok(Statement::GrantRoles(
            vec!["septem_read".into()],
            vec!["t_1".into()],
            false
        ))
    );
    assert_eq!(
        parse("revoke all from g"),
        Ok(Statement::RevokeRoles(Names::all(), vec!["g".into()]))
    );
}

#[test]
fn settings_keep_value_bounds_and_writability() {
    let Ok(Statement::Create(_, _, _, clauses)) = parse(
        "create settings profile p settings readonly = 1, max_execution_time = 30 min 1 max 30 changeable_in_readonly, \
         log_comment changeable_in_readonly, result_overflow_mode = 'throw' const",
    ) else {
        panic!("not a profile")
    };
    let settings = clauses.settings.unwrap();
    let bounded = Element::Setting {
        name: "max_execution_time".into(),
        value: Some("30".into()),
        min: Some("1".into()),
        max: Some("30".into()),
        writability: Some(Writability::ChangeableInReadonly),
    };
    assert_eq!(settings.len(), 4);
    assert_eq!(settings[1], bounded);
    assert!(matches!(&settings[2], Element::Setting { value: None, .. }));
}

#[test]
fn what_is_not_carried_out_is_refused_by_name() {
    for sql in [
        "create user u identified with bcrypt_password by 'x'",
        "create user u host ip '10.0.0.1'",
        "grant select on a.b to c with replace option",
        "create user u valid until '2030-01-01'",
    ] {
        assert_eq!(parse(sql).unwrap_err().code, 48, "{sql}");
    }
}
