"""A contestant that answers otherwise than the database is not measured."""

import http.client
import subprocess
import tempfile
from pathlib import Path

from .contestants import MARK, PgBench
from .dataset import DOOMED, MODULE, contact_number, uuid
from .work import BATCH, literal_sql, pgbench_script
from .words import Unmeasured


def send(contestant, request):
    connection = http.client.HTTPConnection("127.0.0.1", contestant.port, timeout=15)
    try:
        body = None if request.body is None else request.body.encode()
        headers = request.headers | ({"Content-Type": "application/json"} if body else {})
        connection.request(request.method, request.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def expect(what, got, wanted):
    if got != wanted:
        raise Unmeasured(f"its answer is wrong: {what} is {str(got)[:200]}, not {str(wanted)[:200]}")


def expected(stack, work, t, number):
    """What the reference statement answers: ids, with the company's name where it is included."""
    rows = stack.sql(literal_sql(work, t, number) + ";")
    return [(row[0], row[-2]) for row in rows] if work.name == "list-include" else [row[0] for row in rows]


def left(stack, work, number):
    """What a write has left of the row with a number: enough to tell whether it did its work."""
    what = {"patch": "score", "delete": "(deleted_at is not null)::int", "create": "score", "batch": "score"}[work.name]
    return [int(row[0]) for row in stack.sql(
        f"select {what} from {MODULE}.contacts where id between '{uuid(number)}' and "
        f"'{uuid(number + (BATCH if work.name == 'batch' else 1) - 1)}';")]


def check(stack, contestant, work, data):
    """Asks once and compares with the database; then asks for another tenant's row, and wants none."""
    t, i = 1, 7
    number = contact_number(t, i) if work.picks else (DOOMED + t if work.name == "delete" else data.next_run())
    if work.writes:
        data.restore()
    if isinstance(contestant, PgBench):
        return check_script(stack, contestant, work, data, number)
    if work.writes:
        status, body = send(contestant, contestant.request(work, t, number, 741))
        expect("the status", status // 100, 2)
        found = contestant.ids(work, body)
        if found is not None:
            expect("the ids", sorted(found), [uuid(number + k) for k in range(work.makes or 1)])
        check_left(stack, work, number)
        return
    wanted = expected(stack, work, t, number)
    expect("the number of rows that the data set has for it", len(wanted) in (1, 20), True)
    status, body = send(contestant, contestant.request(work, t, number))
    expect("the status", status, 200)
    expect("the rows", contestant.ids(work, body), wanted)
    if work.name == "get":
        status, body = send(contestant, contestant.request(work, t + 1, number))
        expect("another tenant's row", status == 404 or contestant.ids(work, body) == [], True)


def check_left(stack, work, number):
    wanted = {"patch": [741], "delete": [1], "create": [7], "batch": [7] * BATCH}[work.name]
    expect("what the write has left", left(stack, work, number), wanted)


def check_script(stack, contestant, work, data, number):
    """pgbench does not show rows: writes are looked up, and reads are one statement with psql's, as the same role."""
    script = pgbench_script(work, data, number, contestant.pipelined)
    if work.picks:
        # One row instead of any.
        t, i = 1, 7
        script = script.replace(f"random(0, {data.tenants - 1})", str(t)).replace(f"random(0, {data.rows - 1})", str(i))
        script = script.replace("random(0, 999)", "741")
    else:
        script = script.replace(f":x % {data.tenants}", "1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.sql"
        path.write_text(script)
        done = subprocess.run(["pgbench", stack.app_url, "-n", "-M", "prepared", "-c", "1", "-t", "1", "-D", "clients=1", "-D", "k=0",
                               "-f", str(path)], env=stack.env, cwd=folder, capture_output=True, text=True)
    expect("pgbench's end", (done.returncode, done.stderr.strip()[-200:] if done.returncode else ""), (0, ""))
    if work.writes:
        check_left(stack, work, number)
        return
    body = "\n".join(line for line in script.splitlines() if not line.startswith("\\"))
    t, i = 1, 7
    for name, value in (("tenant", 100 * 10**9 + t), ("n", contact_number(t, i))):
        body = body.replace(f":{name}::text", f"'{value}'::text")
    rows = [row for row in stack.sql(body, stack.app_url) if len(row) > 1]
    seen = [(row[0], row[-2]) for row in rows] if work.name == "list-include" else [row[0] for row in rows]
    expect("the rows", seen, expected(stack, work, t, number))


assert len(MARK) == len(f"{DOOMED:012d}")
