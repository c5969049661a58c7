//! Conditions, groups, quoting and paths into JSON: a table of requests, each with the condition that means the same.

use super::lab::Lab;

/// `model`, query, condition.
#[rustfmt::skip]
const FILTERS: &[(&str, &str, &str)] = &[
    ("flights", "", "true"),
    ("flights", "delay=gt.30", "delay > 30"),
    ("flights", "delay=gt.30&status=eq.landed", "delay > 30 and status = 'landed'"),
    ("flights", "delay=gt.30&delay=lt.60", "delay > 30 and delay < 60"),
    ("flights", "delay=eq.0&delay=eq.37", "false"),
    ("flights", "delay=not.eq.0", "not delay = 0"),
    ("flights", "delay=not.is.null", "delay is not null"),
    ("flights", "delay=isdistinct.0", "delay is distinct from 0"),
    ("flights", "delay=not.isdistinct.37", "delay is not distinct from 37"),
    ("flights", "id=eq.0198f0aa-5b1e-7c3d-9a4e-000300000007", "id = '0198f0aa-5b1e-7c3d-9a4e-000300000007'"),
    ("flights", "version=eq.1&created_by=eq.x&deleted_at=is.null", "true"),
    ("flights", "created_at=lt.2000-01-01T00:00:00Z", "false"),
    ("flights", "departs_at=gte.2026-01-02T00:00:00%2B01:00", "departs_at >= '2026-01-01T23:00:00Z'"),
    ("flights", "departs_at=gte.2026-01-02 00:00:00", "departs_at >= '2026-01-02T00:00:00Z'"),
    // Groups.
    ("flights", "or=(delay.lt.10,status.eq.flying)", "delay < 10 or status = 'flying'"),
    ("flights", "or=( delay.lt.10 , status.eq.flying)", "delay < 10 or status = 'flying'"),
    // A space before a comma or bracket belongs to a text.
    ("flights", "or=(delay.lt.10,status.eq.flying )", "delay < 10"),
    ("flights", "or=(delay.lt.10,delay.gt.80)&status=eq.landed", "(delay < 10 or delay > 80) and status = 'landed'"),
    ("flights", "or=(delay.lt.10,delay.gt.80)&or=(status.eq.landed,status.eq.flying)",
        "(delay < 10 or delay > 80) and (status = 'landed' or status = 'flying')"),
    ("flights", "and=(delay.gte.10,or(status.eq.flying,delay.is.null))", "delay >= 10 and (status = 'flying' or delay is null)"),
    ("flights", "not.or=(delay.lt.10,status.eq.flying)", "not (delay < 10 or status = 'flying')"),
    ("flights", "not.and=(delay.gt.10,status.eq.flying)", "not (delay > 10 and status = 'flying')"),
    ("flights", "or=(not.and(delay.gt.10,delay.lt.60),status.eq.planned)", "not (delay > 10 and delay < 60) or status = 'planned'"),
    ("flights", "and=(delay.not.eq.37)", "not delay = 37"),
    ("flights", "or=(delay.not.in.(0,37),delay.not.is.null)", "not (delay in (0, 37)) or delay is not null"),
    ("flights", "or=(and(or(and(or(delay.eq.0)))))", "delay = 0"),
    ("flights", "or=(number.in.(\"SD001\",SD002),delay.is.null)", "number in ('SD001', 'SD002') or delay is null"),
    ("flights", "or=(departs_at.lt.2026-01-01T05:00:00Z,delay.eq.0)", "departs_at < '2026-01-01T05:00:00Z' or delay = 0"),
    ("flights", "or=(distance.eq.0.00,distance.gt.4000.5)", "distance = 0 or distance > 4000.5"),
    // Lists.
    ("flights", "number=in.(SD001,SD002)", "number in ('SD001', 'SD002')"),
    ("flights", "number=in.(SD001, SD002)", "number in ('SD001', ' SD002')"),
    ("flights", "delay=in.(0, 37, 74)", "delay in (0, 37, 74)"),
    ("flights", "delay=in.()", "false"),
    ("flights", "delay=not.in.()", "true"),
    ("flights", "status=in.(landed,nowhere)", "status = 'landed'"),
    ("flights", "delay=eq(any).{0,37}", "delay in (0, 37)"),
    ("flights", "delay=gt(all).{10,20}", "delay > 20"),
    ("flights", "or=(delay.eq(any).{0,37},number.like(any).{SD01*,*9})", "delay in (0, 37) or number like 'SD01%' or number like '%9'"),
    ("flights", "number=like(all).{SD*,*1*}", "number like 'SD%' and number like '%1%'"),
    ("flights", "tags=cs.{late}", "tags @> array['late']"),
    ("flights", "tags=cs.{}", "tags @> array[]::text[]"),
    ("flights", "tags=cd.{late,early}", "tags <@ array['late', 'early']"),
    ("flights", "tags=ov.{night,early}", "tags && array['night', 'early']"),
    ("flights", "or=(tags.cs.{late,night},delay.eq.0)", "tags @> array['late', 'night'] or delay = 0"),
    ("flights", "tags=eq.{late,night}", "tags = array['late', 'night']"),
    // Quotes: data at the top, syntax in lists and groups.
    ("samples", "a_text=eq.\"a\"", "a_text = '\"a\"'"),
    ("samples", "a_text=eq.a,b", "a_text = 'a,b'"),
    ("samples", "a_text=eq.a.b", "a_text = 'a.b'"),
    ("samples", "a_text=eq.(x)", "a_text = '(x)'"),
    ("samples", "a_text=eq.", "a_text = ''"),
    ("samples", "a_text=eq.null", "a_text = 'null'"),
    ("samples", "a_text=eq.NULL", "a_text = 'NULL'"),
    ("samples", "a_text=eq.eq.1", "a_text = 'eq.1'"),
    ("samples", "a_text=eq.{x,y}", "a_text = '{x,y}'"),
    ("samples", "a_text=eq. lead", "a_text = ' lead'"),
    ("samples", "a_text=eq.*", "a_text = '*'"),
    ("samples", "a_text=eq.100%25", "a_text = '100%'"),
    ("samples", "a_text=eq.e%CC%81", "a_text = U&'e\\0301'"),
    ("samples", "a_text=eq.back\\slash", "a_text = 'back\\slash'"),
    ("samples", "a_text=in.(a\"b)", "a_text = 'a\"b'"),
    ("samples", "a_text=in.(\"a\\\"b\")", "a_text = 'a\"b'"),
    ("samples", "a_text=in.(\"back\\\\slash\",\"a,b\")", "a_text in ('back\\slash', 'a,b')"),
    ("samples", "a_text=in.(\"\")", "a_text = ''"),
    ("samples", "a_text=in.(null)", "a_text = 'null'"),
    ("samples", "a_text=in.(NULL)", "a_text = 'NULL'"),
    ("samples", "a_text=in.(\"(x)\",\"{x,y}\")", "a_text in ('(x)', '{x,y}')"),
    ("samples", "or=(a_text.eq.\"a,b\",a_text.eq.a.b)", "a_text in ('a,b', 'a.b')"),
    ("samples", "or=(a_text.eq.\"a\\\"b\",a_text.eq.\"(x)\")", "a_text in ('a\"b', '(x)')"),
    ("samples", "or=(a_text.eq.,a_text.is.null)", "a_text = '' or a_text is null"),
    ("samples", "or=(a_text.eq.eq.1)", "a_text = 'eq.1'"),
    ("samples", "or=(a_text.eq.\"back\\\\slash\")", "a_text = 'back\\slash'"),
    ("samples", "a_enum=in.(x,\"Ünder, way\")", "a_enum in ('x', 'Ünder, way')"),
    ("samples", "or=(a_inet.eq.::1,a_time.eq.12:00:00.000001)", "a_inet = '::1' or a_time = '12:00:00.000001'"),
    ("samples", "texts=cs.{\"a,b\"}", "texts @> array['a,b']"),
    ("samples", "texts=cs.{\"q\\\"x\",\"\"}", "texts @> array['q\"x', '']"),
    ("samples", "texts=cs.{\"NULL\"}", "texts @> array['NULL']"),
    ("samples", "texts=ov.{ä,zzz}", "texts && array['ä', 'zzz']"),
    ("samples", "int64s=cs.{9007199254740993}", "int64s @> array[9007199254740993]"),
    // Patterns.
    ("samples", "a_text=like.a*", "a_text like 'a%'"),
    ("samples", "a_text=like.a%25", "a_text like 'a%'"),
    ("samples", "a_text=like.a\\_b", "a_text like 'a\\_b'"),
    ("samples", "a_text=like.*\\%25", "a_text like '%\\%'"),
    ("samples", "a_text=ilike.THE*", "a_text ilike 'the%'"),
    ("samples", "a_text=match.^[a-c]$", "a_text ~ '^[a-c]$'"),
    ("samples", "a_text=imatch.^THE", "a_text ~* '^the'"),
    ("samples", "a_text=not.match.o", "not a_text ~ 'o'"),
    // Full text.
    ("samples", "a_text=fts(english).fox", "to_tsvector('english', a_text) @@ to_tsquery('english', 'fox')"),
    ("samples", "a_text=plfts(english).jumping foxes", "to_tsvector('english', a_text) @@ plainto_tsquery('english', 'jumping foxes')"),
    ("samples", "a_text=not.phfts(english).brown fox", "not to_tsvector('english', a_text) @@ phraseto_tsquery('english', 'brown fox')"),
    ("samples", "a_text=wfts(simple).\"brown foxes\"", "to_tsvector('simple', a_text) @@ websearch_to_tsquery('simple', '\"brown foxes\"')"),
    ("samples", "or=(a_text.fts(english).jump,a_text.eq.a)", "to_tsvector('english', a_text) @@ to_tsquery('english', 'jump') or a_text = 'a'"),
    // Inside of JSON.
    ("flights", "crew->>captain=eq.c1", "crew->>'captain' = 'c1'"),
    ("flights", "crew->>captain=in.(c1,c2)", "crew->>'captain' in ('c1', 'c2')"),
    ("flights", "crew->>captain=like.c*", "crew->>'captain' like 'c%'"),
    ("flights", "crew->>captain=not.eq.c1", "not crew->>'captain' = 'c1'"),
    ("flights", "crew->>captain=is.null", "crew->>'captain' is null"),
    ("flights", "crew->captain=is.null", "crew->'captain' is null"),
    ("flights", "crew->captain=eq.null", "crew->'captain' = 'null'"),
    ("flights", "crew->seats=eq.5", "crew->'seats' = '5'"),
    ("flights", "crew->seats=gt.3", "crew->'seats' > '3'"),
    ("flights", "crew->seats=eq.0.50", "crew->'seats' = '0.5'"),
    ("flights", "crew->seats=in.(1,2,0.5)", "crew->'seats' in ('1', '2', '0.5')"),
    ("flights", "crew->crew->>0=eq.a", "crew->'crew'->>0 = 'a'"),
    ("flights", "crew->crew->>-1=eq.b1", "crew->'crew'->>-1 = 'b1'"),
    ("flights", "crew->crew=cs.[\"b1\"]", "crew->'crew' @> '[\"b1\"]'"),
    ("flights", "crew=cs.{\"captain\":\"c1\"}", "crew @> '{\"captain\":\"c1\"}'"),
    ("flights", "crew=cd.{\"captain\":\"c1\",\"seats\":1}", "crew <@ '{\"captain\":\"c1\",\"seats\":1}'"),
    ("flights", "or=(crew->>captain.eq.c1,crew->seats.eq.5)", "crew->>'captain' = 'c1' or crew->'seats' = '5'"),
    ("flights", "and=(crew->crew->>0.eq.a,not.or(crew->>captain.eq.c3))", "crew->'crew'->>0 = 'a' and not crew->>'captain' = 'c3'"),
    ("samples", "a_json->\"k.e y\"=eq.true", "a_json->'k.e y' = 'true'"),
    ("samples", "a_json->>\"->\"=eq.arrow", "a_json->>'->' = 'arrow'"),
    ("samples", "a_json->>ü=eq.ö", "a_json->>'ü' = 'ö'"),
    ("samples", "or=(a_json->\"k.e y\".eq.true)", "a_json->'k.e y' = 'true'"),
    ("samples", "a_json->big=eq.123456789012345678901234567890.5", "a_json->'big' = '123456789012345678901234567890.5'"),
    ("samples", "a_json->big=lt.123456789012345678901234567890.50001", "a_json->'big' < '123456789012345678901234567890.50001'"),
    ("samples", "a_json->b->c->2->>d=eq.x", "a_json->'b'->'c'->2->>'d' = 'x'"),
    ("samples", "a_json->a=eq.{}", "a_json->'a' = '{}'"),
    ("samples", "a_json->b=cs.{\"c\":[2]}", "a_json->'b' @> '{\"c\":[2]}'"),
];

#[tokio::test]
async fn conditions_mean_what_sql_means() {
    let lab = Lab::new().await;
    for (model, query, condition) in FILTERS {
        lab.expect_ids(model, query, condition, "id").await;
    }
    for (query, view) in [
        ("deleted=include", "all_flights"),
        ("deleted=exclude", "flights"),
    ] {
        let sql = format!(
            "select '{{\"id\":\"' || id || '\"}}' from oracle.{view} where delay > 30 order by id"
        );
        lab.expect(
            &format!("flights?select=id&limit=1000&delay=gt.30&{query}"),
            &sql,
        )
        .await;
    }
    let deleted = "select '{\"id\":\"' || id || '\"}' from oracle.all_flights where deleted_at is not null order by id";
    lab.expect("flights?select=id&limit=1000&deleted=only", deleted)
        .await;
    lab.finish().await;
}

/// Query and the errors of its refusal.
#[rustfmt::skip]
const REFUSED: &[(&str, &[&str])] = &[
    ("nope=eq.1", &["nope UNKNOWN_FIELD"]),
    ("tenant_id=eq.0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e0a", &["tenant_id UNKNOWN_FIELD"]),
    ("delete_id=is.null", &["delete_id UNKNOWN_FIELD"]),
    ("not.delay=eq.1", &["not.delay UNKNOWN_FIELD"]),
    ("nope=eq.1&delay=eq.x", &["delay INVALID_VALUE", "nope UNKNOWN_FIELD"]),
    ("delay=1", &["delay INVALID_OPERATOR"]),
    ("delay=", &["delay INVALID_OPERATOR"]),
    ("delay=foo.1", &["delay INVALID_OPERATOR"]),
    ("delay=EQ.1", &["delay INVALID_OPERATOR"]),
    ("delay=not.not.eq.1", &["delay INVALID_OPERATOR"]),
    ("delay=eq.", &["delay INVALID_VALUE"]),
    ("delay=eq.1.5", &["delay INVALID_VALUE"]),
    ("delay=eq.1e3", &["delay INVALID_VALUE"]),
    ("delay=eq. 1", &["delay INVALID_VALUE"]),
    ("delay=eq.0x10", &["delay INVALID_VALUE"]),
    ("delay=eq.1_000", &["delay INVALID_VALUE"]),
    ("delay=eq.null", &["delay INVALID_VALUE"]),
    ("delay=eq.2147483648", &["delay OUT_OF_RANGE"]),
    ("delay=in.(1,x)", &["delay INVALID_VALUE"]),
    ("delay=in.1", &["delay INVALID_VALUE"]),
    ("delay=in.(1", &["delay INVALID_VALUE"]),
    ("delay=in.(1)2", &["delay INVALID_VALUE"]),
    ("delay=is.nul", &["delay INVALID_VALUE"]),
    ("delay=is.null.", &["delay INVALID_VALUE"]),
    ("delay=is.true", &["delay INVALID_OPERATOR"]),
    ("delay=like.1*", &["delay INVALID_OPERATOR"]),
    ("number=like.a\\", &["number INVALID_VALUE"]),
    ("number=match.(", &["number INVALID_VALUE"]),
    ("number=match.a**", &["number INVALID_VALUE"]),
    ("number=eq.%00", &["number INVALID_VALUE"]),
    ("number=fts(klingon).a", &["number INVALID_OPERATOR"]),
    ("departs_at=eq.tomorrow", &["departs_at INVALID_VALUE"]),
    ("departs_at=eq.infinity", &["departs_at INVALID_VALUE"]),
    ("departs_at=eq.2026-01-02", &["departs_at INVALID_VALUE"]),
    ("distance=eq.NaN", &["distance INVALID_VALUE"]),
    ("distance=eq.Infinity", &["distance INVALID_VALUE"]),
    ("tags=cs.late", &["tags INVALID_VALUE"]),
    ("tags=cs.{late", &["tags INVALID_VALUE"]),
    ("tags=cs.{{late}}", &["tags INVALID_VALUE"]),
    ("crew=cs.{a}", &["crew INVALID_VALUE"]),
    ("crew->seats=eq.x", &["crew->seats INVALID_VALUE"]),
    ("crew->=eq.1", &["crew-> INVALID_VALUE"]),
    ("delay->a=eq.1", &["delay INVALID_OPERATOR"]),
    ("or=()", &["or INVALID_VALUE"]),
    ("or=", &["or INVALID_VALUE"]),
    ("or=delay.eq.1", &["or INVALID_VALUE"]),
    ("or=(delay.eq.1", &["or INVALID_VALUE"]),
    ("or=(delay.eq.1,)", &["or INVALID_VALUE"]),
    ("or=(delay.eq.1)x", &["or INVALID_VALUE"]),
    ("and=(delay.eq.1,delay.neq.2))", &["and INVALID_VALUE"]),
    ("and=(not.delay.eq.1)", &["and INVALID_OPERATOR"]),
    ("or=(nope.eq.1)", &["nope UNKNOWN_FIELD"]),
    ("or=(delay)", &["delay INVALID_OPERATOR"]),
    ("or=(delay.eq.x)", &["delay INVALID_VALUE"]),
    ("limit=abc", &["limit INVALID_VALUE"]),
    ("limit=-1", &["limit INVALID_VALUE"]),
    ("limit=1.0", &["limit INVALID_VALUE"]),
    ("limit=5&limit=6", &["limit DUPLICATE"]),
    ("offset=-1", &["offset INVALID_VALUE"]),
    ("offset=x", &["offset INVALID_VALUE"]),
    ("order=nope", &["nope UNKNOWN_FIELD"]),
    ("order=delay.ascc", &["delay INVALID_VALUE"]),
    ("order=delay.nullslast.asc", &["delay INVALID_VALUE"]),
    ("order=delay,delay", &["delay DUPLICATE"]),
    ("select=nope", &["nope UNKNOWN_FIELD"]),
    ("select=tenant_id", &["tenant_id UNKNOWN_FIELD"]),
    ("select=", &["select INVALID_VALUE"]),
    ("count=some", &["count INVALID_VALUE"]),
    ("deleted=yes", &["deleted INVALID_VALUE"]),
    ("cursor=abc", &["cursor INVALID_VALUE"]),
];

#[tokio::test]
async fn what_is_not_the_language_is_refused_by_name() {
    let lab = Lab::new().await;
    for (query, errors) in REFUSED {
        lab.refused(&format!("flights?{query}"), errors).await;
    }
    lab.finish().await;
}
