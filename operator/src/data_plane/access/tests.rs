use super::*;

const TENANT: &str = "t_0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";

fn whole() -> ObservedAccess {
    let grant = |holder: &str, access: &str| GrantRow {
        holder: holder.into(),
        access: access.into(),
        database: Some(DATABASE.into()),
        table: None,
        column: None,
    };
    let role = |holder: &str, role: &str| RoleRow {
        holder: holder.into(),
        role: role.into(),
    };
    let policy = |name: &str, filter: &str| PolicyRow {
        name: name.into(),
        table: String::new(),
        filter: Some(filter.into()),
        everybody: 0,
        roles: vec![name.into()],
    };
    let settings = ddl::GATEWAY_SETTINGS.iter().chain([&ddl::GATEWAY_OVERFLOW]);
    let own = |text: Option<&str>| text.map(str::to_owned);
    ObservedAccess {
        gateway_opens: false,
        users: vec![ddl::GATEWAY_USER.into(), ddl::SINK_USER.into()],
        grants: vec![
            grant(ddl::READ_ROLE, "SELECT"),
            grant(ddl::SINK_USER, "SELECT"),
            grant(ddl::SINK_USER, "INSERT"),
            grant(ddl::SINK_USER, "SHOW COLUMNS"),
        ],
        roles: vec![
            role(TENANT, ddl::READ_ROLE),
            role(ddl::GATEWAY_USER, TENANT),
        ],
        policies: vec![
            policy(ddl::SINK_USER, "1"),
            policy(TENANT, "tenant_id = 'x'"),
            policy("analyst", "1"),
        ],
        settings: settings
            .map(|s| SettingRow {
                profile: ddl::GATEWAY_PROFILE.into(),
                name: s.name.into(),
                value: own(s.value),
                min: own(s.bounds.map(|b| b.0)),
                max: own(s.bounds.map(|b| b.1)),
                writability: own(s.writability),
            })
            .collect(),
    }
}

#[test]
fn what_is_whole_is_left_alone_and_so_is_a_server_without_us() {
    assert_eq!(compare_access(&whole()), AccessPlan::default());
    assert_eq!(
        compare_access(&ObservedAccess::default()),
        AccessPlan::default()
    );
}

#[test]
fn each_hole_is_seen_and_closed() {
    type Tamper = fn(&mut ObservedAccess);
    let cases: [(Tamper, &str, &str); 11] = [
        (
            |o| o.gateway_opens = true,
            "default roles or settings of septem_gateway",
            "alter user septem_gateway default role none",
        ),
        (
            |o| o.settings[6].value = Some("1".into()),
            "settings profile septem_gateway",
            "alter settings profile septem_gateway settings readonly = 1",
        ),
        (
            |o| drop(o.settings.pop()),
            "settings profile septem_gateway",
            "alter settings profile",
        ),
        (
            |o| {
                let mut grant = o.grants[0].clone();
                grant.holder = ddl::GATEWAY_USER.into();
                o.grants.push(grant);
            },
            "ClickHouse privilege SELECT on septem_data.* of septem_gateway",
            "revoke SELECT on `septem_data`.* from `septem_gateway`",
        ),
        (
            |o| {
                let mut grant = o.grants[0].clone();
                (grant.holder, grant.database) = (TENANT.into(), None);
                o.grants.push(grant);
            },
            "ClickHouse privilege SELECT on *.* of t_",
            "revoke SELECT on *.* from `t_",
        ),
        (
            |o| o.roles[1].role = ddl::READ_ROLE.into(),
            "ClickHouse role septem_read of septem_gateway",
            "revoke `septem_read` from `septem_gateway`",
        ),
        (
            |o| o.roles[0].role = "admin".into(),
            "ClickHouse role admin of t_",
            "revoke `admin` from `t_",
        ),
        (
            |o| o.policies[2].everybody = 1,
            "row policy analyst on every table",
            "drop row policy if exists `analyst` on `septem_data`.*",
        ),
        (
            |o| o.policies[2].roles.push(TENANT.into()),
            "row policy analyst on every table",
            "drop row policy if exists `analyst`",
        ),
        (
            |o| {
                o.policies[2].roles.push(TENANT.into());
                o.policies[2].name = TENANT.into();
                o.policies[2].table = "crm__deals__g1".into();
            },
            "row policy t_0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01 on crm__deals__g1",
            "on `septem_data`.`crm__deals__g1`",
        ),
        (
            |o| drop(o.grants.remove(0)),
            "missing ClickHouse privilege SELECT of septem_read",
            "",
        ),
    ];
    for (tamper, what, statement) in cases {
        let mut observed = whole();
        tamper(&mut observed);
        let plan = compare_access(&observed);
        assert_eq!(plan.differences.len(), 1, "{what}: {plan:?}");
        assert!(plan.differences[0].starts_with(what), "{plan:?}");
        assert!(plan.statements.join("").contains(statement), "{plan:?}");
    }
}
