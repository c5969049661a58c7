//! What is taken, and what is named as wrong.

use base64::Engine as _;

use super::*;

fn raw() -> RawConfig {
    RawConfig {
        listen: "127.0.0.1:1".into(),
        admin_listen: "127.0.0.1:2".into(),
        database_url: Some("postgres://a:b@127.0.0.1/x".into()),
        clickhouse_url: Some("http://127.0.0.1:3".into()),
        clickhouse_user: "septem_gateway".into(),
        clickhouse_password: Some("x".into()),
        valkey_url: Some("redis://127.0.0.1:4".into()),
        jwt_public_key: Some("key.pem".into()),
        jwks: None,
        jwt_issuer: Some("i".into()),
        jwt_audience: Some("a".into()),
        cursor_key: Some(
            base64::engine::general_purpose::STANDARD
                .encode([7; 32])
                .into(),
        ),
        cursor_key_previous: None,
        hook_key: None,
        hook_key_previous: None,
        hook_hosts: hook::HOSTS_DEFAULT.into(),
        threads: None,
        trusted_proxies: String::new(),
        cors_origins: String::new(),
        problem_base: PROBLEM_BASE_DEFAULT.into(),
        docs_assets: None,
        allow_old_clickhouse: "1".into(),
    }
}

#[test]
fn what_is_right_is_taken_as_meant() {
    let config = Config::try_from(raw()).ok().unwrap();
    assert!(config.clickhouse.allow_old);
    assert!(config.threads >= 1);
}

#[test]
fn each_wrong_value_is_named_and_never_repeated() {
    let check = |edit: &dyn Fn(&mut RawConfig), names: &[&str]| {
        let mut raw = raw();
        edit(&mut raw);
        let ConfigError(wrong) = Config::try_from(raw).err().unwrap();
        assert_eq!(wrong.len(), names.len(), "{wrong:?}");
        for (sentence, name) in wrong.iter().zip(names) {
            assert!(
                sentence.starts_with(name) && !sentence.contains("hunter2"),
                "{sentence}"
            );
        }
    };
    check(&|r| r.listen = "hunter2".into(), &["SEPTEM_PROXY_LISTEN"]);
    check(&|r| r.threads = Some("0".into()), &["SEPTEM_PROXY_THREADS"]);
    check(
        &|r| r.database_url = Some("mysql://hunter2@h/x".into()),
        &["SEPTEM_PROXY_DATABASE_URL"],
    );
    check(&|r| r.database_url = None, &["SEPTEM_PROXY_DATABASE_URL"]);
    check(
        &|r| r.valkey_url = Some("hunter2".into()),
        &["SEPTEM_PROXY_VALKEY_URL"],
    );
    check(
        &|r| r.jwt_public_key = None,
        &["SEPTEM_PROXY_JWT_PUBLIC_KEY or SEPTEM_PROXY_JWKS"],
    );
    check(
        &|r| r.cursor_key = Some("aHVudGVyMg==".into()),
        &["SEPTEM_PROXY_CURSOR_KEY"],
    );
    check(
        &|r| r.hook_key = Some("aHVudGVyMg==".into()),
        &["SEPTEM_HOOK_KEY"],
    );
    check(
        &|r| r.hook_hosts = "http://hunter2".into(),
        &["SEPTEM_HOOK_HOSTS"],
    );
    check(
        &|r| r.trusted_proxies = "10.0.0.0/33".into(),
        &["SEPTEM_PROXY_TRUSTED_PROXIES"],
    );
    check(
        &|r| r.cors_origins = "*".into(),
        &["SEPTEM_PROXY_CORS_ORIGINS"],
    );
    check(
        &|r| r.cors_origins = "https://a.example/".into(),
        &["SEPTEM_PROXY_CORS_ORIGINS"],
    );
    check(
        &|r| {
            r.jwt_issuer = None;
            r.allow_old_clickhouse = "yes".into();
        },
        &["SEPTEM_PROXY_JWT_ISSUER", "SEPTEM_ALLOW_OLD_CLICKHOUSE"],
    );
}
