//! The attack table. Tokens are signed with the keys in `tests/fixtures`, which are used nowhere else.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;

const ONE: &[u8] = include_bytes!("../../tests/fixtures/es256-one.pem");
const TWO: &[u8] = include_bytes!("../../tests/fixtures/es256-two.pem");
const ONE_PUBLIC: &[u8] = include_bytes!("../../tests/fixtures/es256-one.pub.pem");
const TWO_PUBLIC: &[u8] = include_bytes!("../../tests/fixtures/es256-two.pub.pem");
const P384: &[u8] = include_bytes!("../../tests/fixtures/es384.pem");
const P384_PUBLIC: &[u8] = include_bytes!("../../tests/fixtures/es384.pub.pem");
const NOW: i64 = 1_800_000_000;
const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";

fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": "septem", "sub": "ada", "tenant_id": TENANT, "exp": NOW + 60, "jti": "1"})
}

fn with(edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut claims = claims();
    edit(claims.as_object_mut().unwrap());
    signed(&json!({"alg": "ES256"}), &claims.to_string(), ONE)
}

fn unsigned(header: &Value, payload: &str) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload)
    )
}

fn signed(header: &Value, payload: &str, key: &[u8]) -> String {
    let message = unsigned(header, payload);
    let key = EncodingKey::from_ec_pem(key).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

struct Files {
    _folder: tempfile::TempDir,
    config: AuthConfig,
}

fn files(pem: Option<&[u8]>, jwks: Option<&Value>) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let config = AuthConfig {
        public_key: pem.map(|bytes| write("key.pem", bytes)),
        jwks: jwks.map(|jwks| write("jwks.json", jwks.to_string().as_bytes())),
        issuer: "https://id.example".into(),
        audience: "septem".into(),
    };
    Files {
        _folder: folder,
        config,
    }
}

fn verifier(pem: Option<&[u8]>, jwks: Option<&Value>) -> Verifier {
    Verifier::load(files(pem, jwks).config).unwrap()
}

fn jwk(kid: &str, mut public: &[u8]) -> Value {
    let Some(Ok(rustls_pemfile::Item::SubjectPublicKeyInfo(der))) =
        rustls_pemfile::read_all(&mut public).next()
    else {
        panic!("a public key")
    };
    let (x, y) = der[der.len() - 64..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
           "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
}

/// r‖s as ASN.1 DER.
fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let lead = usize::from(half[0] >= 0x80);
        let mut out = vec![2, u8::try_from(half.len() + lead).unwrap()];
        out.extend(std::iter::repeat_n(0, lead));
        out.extend(half);
        out
    };
    let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}

#[test]
fn a_good_token_names_tenant_and_user() {
    let verifier = verifier(Some(ONE_PUBLIC), None);
    let token = with(|_| {});
    for _ in 0..2 {
        let identity = verifier.verify(&token, NOW).unwrap();
        assert_eq!(
            (identity.tenant.to_string().as_str(), &*identity.user),
            (TENANT, "ada")
        );
    }
    let many = with(|c| drop(c.insert("aud".into(), json!(["other", "septem"]))));
    assert!(verifier.verify(&many, NOW).is_ok());
    let early = with(|c| drop(c.insert("nbf".into(), json!(NOW + 29))));
    assert!(verifier.verify(&early, NOW).is_ok());
}

#[test]
fn forged_signatures_are_refused() {
    let verifier = verifier(Some(ONE_PUBLIC), None);
    let good = with(|_| {});
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let resigned = |bytes: &[u8]| format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let payload = claims().to_string();
    let hs256 = {
        let message = unsigned(&json!({"alg": "HS256"}), &payload);
        let key = EncodingKey::from_secret(ONE_PUBLIC);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    let es384 = {
        let message = unsigned(&json!({"alg": "ES384"}), &payload);
        let key = EncodingKey::from_ec_pem(P384).unwrap();
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES384).unwrap();
        format!("{message}.{signature}")
    };
    let mut flipped = bytes.clone();
    flipped[5] ^= 1;
    let zero_r = [&[0; 32], &bytes[32..]].concat();
    let zero_s = [&bytes[..32], &[0; 32]].concat();
    let mut swapped = good.clone();
    swapped.replace_range(
        message.rfind('.').unwrap() + 1..message.len(),
        &URL_SAFE_NO_PAD.encode("{}"),
    );
    let table = [
        (
            "no algorithm",
            format!("{}.", unsigned(&json!({"alg": "none"}), &payload)),
        ),
        (
            "None with a signature",
            resigned(&bytes).replace(message, &unsigned(&json!({"alg": "None"}), &payload)),
        ),
        ("HS256 with the PEM as secret", hs256),
        ("ES384", es384),
        (
            "ES384 by name only",
            signed(&json!({"alg": "ES384"}), &payload, ONE),
        ),
        (
            "lower case",
            signed(&json!({"alg": "es256"}), &payload, ONE),
        ),
        ("alg missing", signed(&json!({"typ": "JWT"}), &payload, ONE)),
        (
            "alg is a list",
            signed(&json!({"alg": ["ES256"]}), &payload, ONE),
        ),
        (
            "unknown critical extension",
            signed(
                &json!({"alg": "ES256", "crit": ["x"], "x": 1}),
                &payload,
                ONE,
            ),
        ),
        (
            "a key of its own",
            signed(
                &json!({"alg": "ES256", "jwk": jwk("k", TWO_PUBLIC)}),
                &payload,
                TWO,
            ),
        ),
        (
            "another key",
            signed(&json!({"alg": "ES256"}), &payload, TWO),
        ),
        ("DER", resigned(&der(&bytes))),
        ("r is zero", resigned(&zero_r)),
        ("s is zero", resigned(&zero_s)),
        ("both are zero", resigned(&[0; 64])),
        ("a bit flipped", resigned(&flipped)),
        ("cut", resigned(&bytes[..63])),
        ("longer", resigned(&[bytes.as_slice(), &[0]].concat())),
        ("no signature", format!("{message}.")),
        ("padding", format!("{good}=")),
        (
            "standard base64",
            format!(
                "{message}.{}",
                base64::engine::general_purpose::STANDARD.encode(&bytes)
            ),
        ),
        ("another payload", swapped),
        ("two parts", message.to_owned()),
        ("four parts", format!("{good}.x")),
        ("space", format!("{good} ")),
        ("empty", String::new()),
        ("dots", "..".into()),
        (
            "overlong",
            with(|c| drop(c.insert("pad".into(), json!("x".repeat(TOKEN_BYTES_MAX))))),
        ),
    ];
    for (name, token) in table {
        assert_eq!(
            verifier.verify(&token, NOW),
            Err(Refused::Invalid),
            "{name}"
        );
    }
    assert!(verifier.verify(&good, NOW).is_ok());
}

#[test]
fn claims_are_required_and_typed() {
    let verifier = verifier(Some(ONE_PUBLIC), None);
    for missing in ["iss", "aud", "exp", "sub", "tenant_id"] {
        assert_eq!(
            verifier.verify(&with(|c| drop(c.remove(missing))), NOW),
            Err(Refused::Invalid),
            "{missing}"
        );
    }
    let set = |name: &str, value: Value| {
        (
            format!("{name} = {value}"),
            with(|c| drop(c.insert(name.into(), value))),
        )
    };
    let table = [
        set("iss", json!("https://evil.example")),
        set("iss", json!(["https://id.example"])),
        set("aud", json!("other")),
        set("aud", json!([])),
        set("aud", json!({"septem": true})),
        set("exp", json!((NOW + 60).to_string())),
        set("exp", json!(true)),
        set("exp", json!(null)),
        set("exp", json!([NOW + 60])),
        set("exp", json!(1e300)),
        set("nbf", json!(NOW + 31)),
        set("nbf", json!(NOW.to_string())),
        set("sub", json!("")),
        set("sub", json!(7)),
        set("sub", json!("a\nb")),
        set("sub", json!("a\u{0}")),
        set("sub", json!("a".repeat(256))),
        set("tenant_id", json!("00000000-0000-0000-0000-000000000000")),
        set("tenant_id", json!([TENANT])),
        set("tenant_id", json!(format!("{{{TENANT}}}"))),
        set("tenant_id", json!("acme' or 1=1 --")),
    ];
    for (name, token) in table {
        assert_eq!(
            verifier.verify(&token, NOW),
            Err(Refused::Invalid),
            "{name}"
        );
    }
    let twice = claims()
        .to_string()
        .replacen('{', &format!("{{\"tenant_id\":\"{TENANT}\","), 1);
    let token = signed(&json!({"alg": "ES256"}), &twice, ONE);
    assert_eq!(
        verifier.verify(&token, NOW),
        Err(Refused::Invalid),
        "a claim twice"
    );
    let infinite = claims()
        .to_string()
        .replace(&(NOW + 60).to_string(), "1e400");
    let token = signed(&json!({"alg": "ES256"}), &infinite, ONE);
    assert_eq!(
        verifier.verify(&token, NOW),
        Err(Refused::Invalid),
        "exp = 1e400"
    );
}

#[test]
fn a_token_ends_even_while_it_is_remembered() {
    let verifier = verifier(Some(ONE_PUBLIC), None);
    let token = with(|c| drop(c.insert("exp".into(), json!(NOW))));
    assert!(verifier.verify(&token, NOW + 29).is_ok());
    assert_eq!(verifier.verify(&token, NOW + 30), Err(Refused::Expired));
    assert_eq!(
        verifier.verify(&with(|c| drop(c.insert("exp".into(), json!(-1)))), NOW),
        Err(Refused::Expired)
    );
}

#[test]
fn a_key_is_found_by_its_kid() {
    let jwks = json!({"keys": [
        jwk("one", ONE_PUBLIC),
        {"kty": "RSA", "kid": "rsa", "n": "AQ", "e": "AQAB"},
        {"kty": "EC", "crv": "P-384", "kid": "p384", "x": "AA", "y": "AA"},
    ]});
    let verifier = verifier(None, Some(&jwks));
    let by = |kid: Value, key: &[u8]| {
        signed(
            &json!({"alg": "ES256", "kid": kid}),
            &claims().to_string(),
            key,
        )
    };
    assert!(verifier.verify(&by(json!("one"), ONE), NOW).is_ok());
    for (kid, key) in [
        (json!("two"), ONE),
        (json!("one"), TWO),
        (json!("../../etc/passwd"), ONE),
        (json!("one' or '1'='1"), ONE),
        (json!(""), ONE),
        (json!(1), ONE),
        (json!(null), ONE),
    ] {
        assert_eq!(
            verifier.verify(&by(kid.clone(), key), NOW),
            Err(Refused::Invalid),
            "{kid}"
        );
    }
}

#[test]
fn keys_follow_their_file_and_survive_a_broken_one() {
    let files = files(None, Some(&json!({"keys": [jwk("one", ONE_PUBLIC)]})));
    let path = files.config.jwks.clone().unwrap();
    let verifier = Verifier::load(files.config.clone()).unwrap();
    let token = signed(
        &json!({"alg": "ES256", "kid": "one"}),
        &claims().to_string(),
        ONE,
    );
    assert!(verifier.verify(&token, NOW).is_ok());
    assert!(!verifier.reload().unwrap());
    std::fs::write(&path, "{").unwrap();
    assert!(verifier.reload().is_err());
    assert!(verifier.verify(&token, NOW).is_ok());
    std::fs::write(&path, json!({"keys": [jwk("two", TWO_PUBLIC)]}).to_string()).unwrap();
    assert!(verifier.reload().unwrap());
    assert_eq!(
        verifier.verify(&token, NOW),
        Err(Refused::Invalid),
        "remembered, but its key is gone"
    );
}

#[test]
fn only_p256_keys_are_taken() {
    let refused =
        |pem: Option<&[u8]>, jwks: Option<&Value>| Verifier::load(files(pem, jwks).config).is_err();
    assert!(refused(Some(P384_PUBLIC), None));
    assert!(refused(Some(ONE), None), "a private key");
    assert!(refused(Some(b"x"), None));
    assert!(
        refused(Some(&[ONE_PUBLIC, TWO_PUBLIC].concat()), None),
        "two keys"
    );
    assert!(refused(None, Some(&json!({"keys": []}))));
    assert!(
        refused(
            None,
            Some(&json!({"keys": [jwk("a", ONE_PUBLIC), jwk("a", TWO_PUBLIC)]}))
        ),
        "one kid twice"
    );
    let mut encryption = jwk("a", ONE_PUBLIC);
    encryption["use"] = json!("enc");
    assert!(refused(None, Some(&json!({"keys": [encryption]}))));
}

#[test]
fn only_one_bearer_header_is_read() {
    let check = |lines: &[&str], expected: Result<&str, Refused>| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, line.parse().unwrap());
        }
        assert_eq!(bearer(&headers), expected, "{lines:?}");
    };
    check(&["Bearer abc"], Ok("abc"));
    check(&["bearer abc"], Ok("abc"));
    check(&[], Err(Refused::Missing));
    check(&["Bearer a", "Bearer b"], Err(Refused::Missing));
    check(&["Basic abc"], Err(Refused::Missing));
    check(&["Bearer"], Err(Refused::Missing));
}
