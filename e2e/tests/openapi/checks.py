"""What holds of answers beyond what an OpenAPI document can say of them.

schemathesis loads this beside its own checks. SEPTEM_RECORDS names records that are there, as JSON: ids by the verb of
an operation and the model. Made up ids are replaced by them most of the time: else no record would ever be found.
"""

import json
import os
import re
import zlib

import schemathesis

RECORDS = json.loads(os.environ["SEPTEM_RECORDS"])
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
FORMATS = ["application/json", "text/csv", "application/x-ndjson"]


def digest(case):
    """The same number for the same request, so that every run asks the same."""
    operation = operation_of(case).split(".")[1:]
    return zlib.crc32(repr((operation, case.query, case.body)).encode())


def operation_of(case):
    return case.operation.definition.raw.get("operationId", "")


@schemathesis.serializer("text/csv", "application/x-ndjson")
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.hook
def before_call(context, case, kwargs):
    number = digest(case)
    *model, verb = operation_of(case).split(".")
    ids = RECORDS.get(verb, {}).get(".".join(model), [])
    asked = (case.path_parameters or {}).get("id", "")
    if ids and number % 4 and UUID.fullmatch(str(asked)):
        case.path_parameters["id"] = ids[number % len(ids)]
    for name, right in RECORDS["names"].items():
        if number % 4 and name in (case.path_parameters or {}):
            case.path_parameters[name] = right
    if verb == "delete-many":
        # Else nothing would be left for the others to find.
        case.headers["Prefer"] = ", ".join(filter(None, ["tx=rollback", preferences(case)]))
    # In the other phases a header more would be one that is missing on purpose.
    if verb == "list" and model and model != ["schema"] and "fuzzing" in str(case.meta.phase.name).lower():
        case.headers["Accept"] = FORMATS[number % 3]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what OpenAPI has no words for: 201 without a body, and names that a client gave to other values."""
    kind = type(failure).__name__
    if kind == "MissingContentType":
        return not (response.status_code == 201 and "return=" in preferences(case) and not response.content)
    select = (case.query or {}).get("select", [])
    if kind == "JsonSchemaError" and response.status_code < 300:
        return not re.search(r"[:>]", ",".join(map(str, select)))
    return True


def preferences(case):
    value = (case.headers or {}).get("Prefer", "")
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def one(response, name):
    return (response.headers.get(name) or [None])[0]


def components(case):
    return case.operation.schema.raw_schema["components"]["schemas"]


def check_problem(response):
    problem = json.loads(response.content)
    assert problem["status"] == response.status_code, "the problem has another status"
    assert problem["type"].rsplit("/", 1)[1].upper().replace("-", "_") == problem["code"], "type and code differ"
    rows = [error.get("row", 0) for error in problem.get("errors", [])]
    assert all(row >= 0 for row in rows), "a row before the first"


def check_records(case, key, records, texts):
    """Whole records, and numbers as the client wants them."""
    required = components(case)[key]["required"]
    properties = components(case)[key + ".part"]["properties"]
    for record in records:
        missing = [name for name in required if name not in record]
        assert not missing, f"a record without {missing}"
        more = [name for name in record if name not in required + ["deleted_at"]]
        assert not more, f"a record with {more}"
        for name, value in record.items():
            kinds = properties[name].get("type")
            if isinstance(kinds, list) and "string" in kinds and kinds[0] != "string" and value is not None:
                assert isinstance(value, str) == texts, f"{name} is {value!r}"


def check_list(case, response, answer):
    meta, links = answer["meta"], one(response, "link") or ""
    assert meta["hasMore"] == ("nextCursor" in meta) == ('rel="next"' in links), "more and how to get it"
    assert ("prevCursor" in meta) == ('rel="prev"' in links), "the page before"
    asked = "count" in (case.query or {}) or "count=" in preferences(case)
    assert ("count" in meta) == asked, "a count that was not asked for, or none"
    assert not asked or meta["count"] >= len(answer["data"]) or "exact" not in str(case.query), "too small a count"


@schemathesis.check
def answers_as_promised(ctx, response, case):
    status = response.status_code
    # What is refused before it is a request has none.
    assert one(response, "x-request-id") or status in (414, 431), "no request id"
    if status >= 400:
        if response.request.method != "HEAD":
            check_problem(response)
        return
    if status in (204, 304):
        assert not response.content, "a body where there is none"
        return
    key, _, verb = operation_of(case).rpartition(".")
    is_list = verb == "list" and key + ".part" in components(case)
    kind = (one(response, "content-type") or "").split(";")[0]
    if is_list:
        asked = response.request.headers.get("Accept", FORMATS[0])
        assert asked == "*/*" or kind == asked, f"{kind} and not {asked}"
    if kind != FORMATS[0] or response.request.method != case.operation.method.upper():
        return
    answer = json.loads(response.content)
    if is_list:
        check_list(case, response, answer)
    applied = one(response, "preference-applied") or ""
    if case.operation.method.upper() != "GET" and "return=" in preferences(case) and "tx=" not in applied:
        assert "return=representation" in applied or "return=" not in applied, "a body that was not asked for"
    bare = not any(name in (case.query or {}) for name in ("select", "distinct", "include"))
    if bare and key + ".part" in components(case):
        data = answer["data"]
        texts = "numbers=string" in preferences(case)
        check_records(case, key, data if isinstance(data, list) else [data], texts)
        if isinstance(data, dict) and not texts:
            assert one(response, "etag") == f'"{data["version"]}"', "the tag is not the version"
        if status == 201 and isinstance(data, dict):
            assert one(response, "location").endswith("/" + data["id"]), "Location names another record"
