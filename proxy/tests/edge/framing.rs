//! Bytes that no good client sends.

use super::{
    client::Connection,
    world::{World, bearer},
};

#[test]
fn ambiguous_requests_get_one_400_and_the_end_of_the_connection() {
    let world = World::open();
    let token = bearer(world.a, "ada");
    let auth = format!("Authorization: {token}\r\n");
    let smuggled = "GET /v1/schema HTTP/1.1\r\nHost: x\r\n\r\n";
    let put = r#"{"value":1}"#;
    let chunked = format!("{:x}\r\n{put}\r\n0\r\n\r\n", put.len());
    let corpus = [
        ("no Host", format!("GET /v1/schema HTTP/1.1\r\n{auth}\r\n")),
        (
            "empty Host",
            format!("GET /v1/schema HTTP/1.1\r\nHost:\r\n{auth}\r\n"),
        ),
        (
            "two Hosts",
            format!("GET /v1/schema HTTP/1.1\r\nHost: a\r\nHost: b\r\n{auth}\r\n"),
        ),
        (
            "TE and CL",
            format!(
                "PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\n{auth}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{chunked}{smuggled}"
            ),
        ),
        (
            "CL and TE",
            format!(
                "PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\n{auth}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{chunked}{smuggled}"
            ),
        ),
        (
            "gzip, chunked",
            format!(
                "PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\n{auth}Transfer-Encoding: gzip, chunked\r\n\r\n{chunked}"
            ),
        ),
        (
            "identity",
            format!(
                "PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\n{auth}Transfer-Encoding: identity\r\n\r\n{chunked}"
            ),
        ),
        (
            "TE with a space",
            format!(
                "PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\n{auth}Transfer-Encoding : chunked\r\n\r\n{chunked}"
            ),
        ),
        (
            "TE on HTTP/1.0",
            format!(
                "PUT /v1/cache/x HTTP/1.0\r\nHost: a\r\n{auth}Transfer-Encoding: chunked\r\n\r\n{chunked}"
            ),
        ),
        (
            "two lengths",
            format!(
                "PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\n{auth}Content-Length: 4\r\nContent-Length: 5\r\n\r\n{put}"
            ),
        ),
        (
            "a length that is none",
            format!(
                "PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\n{auth}Content-Length: +11\r\n\r\n{put}"
            ),
        ),
        (
            "bare LF",
            format!(
                "GET /v1/schema HTTP/1.1\nHost: a\n{}\n",
                auth.replace('\r', "")
            ),
        ),
        (
            "folded header",
            format!("GET /v1/schema HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n{auth}\r\n"),
        ),
        (
            "NUL in a value",
            format!("GET /v1/schema HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n{auth}\r\n"),
        ),
        (
            "another authority",
            format!("GET http://evil/v1/schema HTTP/1.1\r\nHost: a\r\n{auth}\r\n"),
        ),
        ("no HTTP", "hello\r\n\r\n".to_owned()),
    ];
    for (name, bytes) in corpus {
        let mut connection = Connection::open(world.proxy.address);
        connection.send(bytes.as_bytes());
        let answer = connection.answer(false);
        let answer = answer.unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (400, "VALIDATION_ERROR"),
            "{name}"
        );
        assert!(connection.is_closed(), "{name}: one answer and no second");
    }
    assert_eq!(
        world.get(world.a, "ada", "/v1/cache/x").status,
        404,
        "nothing was written"
    );
}

#[test]
fn too_much_is_refused_by_its_own_name() {
    let world = World::open();
    let token = bearer(world.a, "ada");
    let auth = ("Authorization", token.as_str());
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let answer = Connection::open(world.proxy.address).ask(method, path, headers, body);
        (answer.status, answer.problem())
    };
    let big = "x".repeat(17 * 1024);
    assert_eq!(
        ask("GET", "/v1/schema", &[auth, ("X-Big", &big)], b""),
        (431, "HEADERS_TOO_LARGE".into())
    );
    assert_eq!(
        ask("GET", &format!("/v1/schema?{}", &big[..9000]), &[auth], b""),
        (414, "URI_TOO_LONG".into())
    );
    let many: Vec<_> = std::iter::once(auth)
        .chain((0..120).map(|_| ("X-Many", "1")))
        .collect();
    assert_eq!(
        ask("GET", "/v1/schema", &many, b""),
        (431, "HEADERS_TOO_LARGE".into())
    );
    for bad in ["/v1/cache/%", "/v1/cache/%zz", "/v1/cache/%ff"] {
        assert_eq!(
            ask("GET", bad, &[auth], b""),
            (400, "VALIDATION_ERROR".into()),
            "{bad}"
        );
    }

    // Announced: refused before it is sent. Chunked: as soon as it is too much.
    let mut connection = Connection::open(world.proxy.address);
    connection.send(format!("PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nContent-Length: 2000000\r\n\r\n").as_bytes());
    let answer = connection.answer(false).unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (413, "CONTENT_TOO_LARGE")
    );
    let mut connection = Connection::open(world.proxy.address);
    connection.send(format!("PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes());
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..20 {
        connection.send(chunk.as_bytes());
    }
    let answer = connection.answer(false).unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (413, "CONTENT_TOO_LARGE")
    );
}

#[test]
fn a_target_may_hold_what_no_uri_does() {
    let world = World::open();
    let token = bearer(world.a, "ada");
    let mut connection = Connection::open(world.proxy.address);
    for key in ["größe", "a>b", "{\"x\"}"] {
        for (method, body, status) in [("PUT", r#"{"value":1}"#, 204), ("GET", "", 200)] {
            let length = body.len();
            connection.send(
                format!(
                    "{method} /v1/cache/{key} HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nContent-Length: {length}\r\n\r\n{body}"
                )
                .as_bytes(),
            );
            assert_eq!(
                connection.answer(false).unwrap().status,
                status,
                "{method} {key}"
            );
        }
    }
    assert_eq!(
        world
            .get(world.a, "ada", "/v1/cache/gr%C3%B6%C3%9Fe")
            .status,
        200
    );
    // Not UTF-8: decoded, and refused like its encoded form.
    connection.send(
        &[
            b"GET /v1/cache/\xff HTTP/1.1\r\nHost: a\r\nAuthorization: ",
            token.as_bytes(),
            b"\r\n\r\n",
        ]
        .concat(),
    );
    assert_eq!(connection.answer(false).unwrap().status, 400);
}

#[test]
fn good_bodies_come_in_every_legal_form() {
    let world = World::open();
    let token = bearer(world.a, "ada");
    let body = r#"{"value":"chunked"}"#;
    let mut connection = Connection::open(world.proxy.address);
    let head = format!("PUT /v1/cache/x HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n");
    connection.send(
        format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            &body[..5],
            body.len() - 5,
            &body[5..]
        )
        .as_bytes(),
    );
    assert_eq!(connection.answer(false).unwrap().status, 204);
    assert_eq!(
        world.get(world.a, "ada", "/v1/cache/x").json()["data"],
        "chunked"
    );

    connection.send(
        format!(
            "{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .as_bytes(),
    );
    assert_eq!(connection.answer(false).unwrap().status, 100);
    connection.send(body.as_bytes());
    assert_eq!(connection.answer(false).unwrap().status, 204);
    // One connection, and still in step.
    assert_eq!(
        connection
            .ask("GET", "/v1/cache/x", &[("Authorization", &token)], b"")
            .json()["data"],
        "chunked"
    );
}

#[test]
fn a_head_that_drips_is_cut_off_and_blocks_nobody() {
    let world = World::open();
    let mut slow: Vec<_> = (0..50)
        .map(|_| Connection::open(world.proxy.address))
        .collect();
    for connection in &mut slow {
        connection.send(b"GET /v1/schema HTTP/1.1\r\nHost: a\r\nX: ");
    }
    assert_eq!(world.get(world.a, "ada", "/v1/schema").status, 200);
    let started = std::time::Instant::now();
    for connection in &mut slow {
        let answer = connection.answer(false).unwrap();
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (400, "VALIDATION_ERROR")
        );
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(15));
}
