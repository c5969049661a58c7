"""Who is measured: how each is started, asked and understood."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from .dataset import MODULE, tenant_id, uuid
from .stack import Stack
from .settings import CACHE, HOME, PEER_PORT, STACK
from .work import BATCH, made_company
from .words import Unmeasured, say

# What the marker in a request stands for: the load generator writes twelve digits over it.
MARK = "@" * 12
POOL = 20  # connections of a peer to PostgreSQL, over all its processes


@dataclass
class Request:
    method: str
    path: str
    headers: dict = field(default_factory=dict)
    body: str = None

    def raw(self, host):
        """As it goes over the wire."""
        body = self.body.encode() if self.body is not None else b""
        headers = {"Host": host, **self.headers}
        if self.body is not None:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body


def id_text(number):
    """An id: of a number, or of what the load generator will put in."""
    return uuid(number) if number is not None else uuid(0)[:-12] + MARK


def made_row(t, number):
    return {"id": id_text(number), "name": "Made", "email": "made@example.com", "status": "made", "score": 7,
            "balance": 12.5, "company_id": made_company(t), "joined_at": "2026-01-01T00:00:00Z"}


class Rest:
    """A contestant that speaks REST. `contacts` is where its contacts are; the parameters are each one's own."""

    name, port, pid, answers_errors_with_200 = None, None, None, False
    contacts, page, include = "/contacts", "?status=active&order=-joined_at&limit=20", "&include=company"

    def headers(self, t):
        return {"X-Tenant-Id": tenant_id(t)}

    def request(self, work, t, number, score=0):
        """The request of a work item; a number of None leaves the marker in the place of each id."""
        rows = [made_row(t, None if number is None else number + i) for i in range(BATCH)] if work.name == "batch" else None
        method, path, body = {
            "get": ("GET", f"/{id_text(number)}", None),
            "list": ("GET", self.page, None),
            "list-include": ("GET", self.page + self.include, None),
            "create": ("POST", "", made_row(t, number)),
            "patch": ("PATCH", f"/{id_text(number)}", {"score": score}),
            "delete": ("DELETE", f"/{id_text(number)}", None),
            "batch": ("POST", self.batch_path(), rows),
        }[work.name]
        body = None if body is None else json.dumps(body, separators=(",", ":"))
        return Request(method, self.contacts + path, self.headers(t), body)

    def batch_path(self):
        return "/bulk"

    def ids(self, work, body):
        """The ids of the contacts in an answer, with the name of the company where it is included."""
        if work.name == "delete":
            return None
        found = json.loads(body)["data"]
        rows = found if isinstance(found, list) else [found]
        if work.name == "list-include":
            return [(row["id"], row["company"]["name"]) for row in rows]
        return [row["id"] for row in rows]

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, stack):
        """Nothing to do for one that runs already."""

    def stop(self):
        """The same."""


class Septem(Rest):
    """Ours, as the stack runs it: token, permissions, limits, access log."""

    name = "septem"
    contacts, page, include = (f"/v1/data/{MODULE}/contacts", "?status=eq.active&order=joined_at.desc&limit=20",
                               "&include=company(select=id,name,country)")

    def __init__(self, stack, tokens):
        self.base, self.tokens = stack.url, tokens
        self.port = int(stack.url.rsplit(":", 1)[1])

    @property
    def pid(self):
        return Stack.part_pid("proxy")

    def batch_path(self):
        return ""

    def headers(self, t):
        return {"Authorization": f"Bearer {self.tokens[t]}"}

    def version(self):
        return subprocess.run(["git", "-C", str(STACK.parent), "describe", "--always", "--dirty", "--abbrev=12"],
                              capture_output=True, text=True).stdout.strip()


class Peer(Rest):
    """A peer: a process that is there only while it is measured, so that its connections and threads burden nobody."""

    port = PEER_PORT
    process = None
    folder = None  # under bench/peers

    def command(self, home):
        """What starts it."""
        raise NotImplementedError

    def build(self, home):
        """Makes it, from what its lock file says, in a folder of the cache."""
        raise NotImplementedError

    def environment(self, stack):
        return {"DATABASE_URL": stack.app_url, "PORT": str(self.port), "POOL": str(POOL)}

    def home(self):
        """Where it is built, by the content of its source: a change builds it anew."""
        source = HOME / "peers" / self.folder
        files = sorted(p for p in source.rglob("*") if p.is_file() and not {"node_modules", "target"} & set(p.parts))
        digest = hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files))
        home = CACHE / "bench" / f"{self.folder}-{digest.hexdigest()[:12]}"
        if not (home / "built").exists():
            say(f"building {self.folder}")
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(source, home, ignore=shutil.ignore_patterns("node_modules", "target", "__pycache__"))
            self.build(home)
            (home / "built").touch()
        return home

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def start(self, stack):
        home = self.home()
        log = open(CACHE / "bench" / f"{self.name}.log", "w")
        env = {**os.environ, **self.environment(stack)}
        self.process = subprocess.Popen(self.command(home), cwd=home, env=env, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(self.url() + "/ready", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise Unmeasured(f"{self.name} does not start; see {log.name}")

    def stop(self):
        if not self.process:
            return
        for way in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, way)
            except ProcessLookupError:
                break
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        self.process.wait()
        self.process = None


def make(*command, cwd, env=None):
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unmeasured(f"`{' '.join(map(str, command))}` failed: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


class Go(Peer):
    """chi and a pgx pool: begin, set_config, the statement, commit, each a round trip, as pgx's own transactions do it."""

    name, folder = "go-pgx", "go"

    def build(self, home):
        make("go", "build", "-trimpath", "-o", "peer", ".", cwd=home, env={"GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"})

    def command(self, home):
        return [str(home / "peer")]

    def version(self):
        return "chi 5.5.0, pgx 5.12.0, " + make("go", "env", "GOVERSION", cwd=HOME).strip()


class GoBatch(Go):
    """The same handler, with the four sent as one pgx batch: for a team that has read far into pgx."""

    name = "go-pgx-batch"

    def environment(self, stack):
        return super().environment(stack) | {"BATCH": "1"}


class FastApi(Peer):
    name, folder = "fastapi", "fastapi"

    def build(self, home):
        make("python3", "-m", "venv", str(home / "venv"), cwd=home)
        make(str(home / "venv/bin/pip"), "install", "-q", "--no-deps", "-r", "requirements.txt", cwd=home)

    def command(self, home):
        return [str(home / "venv/bin/uvicorn"), "app:app", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "2",
                "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]

    def environment(self, stack):
        return super().environment(stack) | {"POOL": str(POOL // 2)}

    def version(self):
        text = (HOME / "peers/fastapi/requirements.txt").read_text()
        pins = dict(line.split("==") for line in text.splitlines() if "==" in line)
        return ", ".join(f"{name} {pins[name]}" for name in ("fastapi", "uvicorn", "asyncpg"))


class PostGraphile(Peer):
    """GraphQL over the same tables, by tables' names and keys; the 100 rows by a function, which is its way to do that."""

    name, folder, answers_errors_with_200 = "postgraphile", "postgraphile", True
    FIELDS = ("rowId name email status score balance companyId joinedAt createdAt updatedAt createdBy updatedBy version")

    QUERIES = {
        "get": "query($t:UUID!,$id:UUID!){c:contactByTenantIdAndRowId(tenantId:$t,rowId:$id){FIELDS}}",
        "list": "query($t:UUID!){c:allContacts(condition:{tenantId:$t,status:\"active\",deletedAt:null},"
                "orderBy:[JOINED_AT_DESC,ROW_ID_DESC],first:20){nodes{FIELDS}}}",
        "create": "mutation($r:ContactInput!){c:createContact(input:{contact:$r}){contact{FIELDS}}}",
        "patch": "mutation($t:UUID!,$id:UUID!,$p:ContactPatch!){c:updateContactByTenantIdAndRowId("
                 "input:{tenantId:$t,rowId:$id,contactPatch:$p}){contact{FIELDS}}}",
        "delete": "mutation($t:UUID!,$id:UUID!,$p:ContactPatch!){c:updateContactByTenantIdAndRowId("
                  "input:{tenantId:$t,rowId:$id,contactPatch:$p}){contact{rowId}}}",
        "batch": "mutation($t:UUID!,$rows:JSON!){c:benchPeerCreateContacts(input:{tenant:$t,contacts:$rows}){result{FIELDS}}}",
    }
    QUERIES["list-include"] = QUERIES["list"].replace("FIELDS", "FIELDS company:companyByTenantIdAndCompanyId{rowId name country}")

    def build(self, home):
        make("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=home)

    def command(self, home):
        return [str(home / "node_modules/.bin/node"), "server.mjs"]

    def environment(self, stack):
        return super().environment(stack) | {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}

    def request(self, work, t, number, score=0):
        tenant, id_ = tenant_id(t), id_text(number)
        variables = {
            "get": {"t": tenant, "id": id_},
            "list": {"t": tenant},
            "list-include": {"t": tenant},
            "create": {"r": self.row(t, number)},
            "patch": {"t": tenant, "id": id_, "p": {"score": score, "updatedBy": "bench"}},
            "delete": {"t": tenant, "id": id_, "p": {"deletedAt": "2026-01-01T00:00:00Z", "updatedBy": "bench"}},
            "batch": {"t": tenant, "rows": [made_row(t, None if number is None else number + i) for i in range(BATCH)]},
        }[work.name]
        query = self.QUERIES[work.name].replace("FIELDS", self.FIELDS)
        body = json.dumps({"query": query, "variables": variables}, separators=(",", ":"))
        return Request("POST", "/graphql", self.headers(t), body)

    @staticmethod
    def row(t, number):
        row = made_row(t, number)
        return {"rowId": row["id"], "tenantId": tenant_id(t), "companyId": row["company_id"], "joinedAt": row["joined_at"],
                "balance": "12.50", "createdBy": "bench", "updatedBy": "bench",
                **{k: row[k] for k in ("name", "email", "status", "score")}}

    def ids(self, work, body):
        answer = json.loads(body)
        if answer.get("errors"):
            raise Unmeasured(f"postgraphile answers {answer['errors'][0]['message']}")
        found = answer["data"]["c"]
        if found is None:
            return []
        rows = found.get("nodes") or found.get("result") or [found.get("contact") or found]
        if work.name == "list-include":
            return [(row["rowId"], row["company"]["name"]) for row in rows]
        return None if work.name == "delete" else [row["rowId"] for row in rows]

    def version(self):
        lock = json.loads((HOME / "peers/postgraphile/package-lock.json").read_text())["packages"]
        return ", ".join(f"{name} {lock[f'node_modules/{name}']['version']}" for name in ("postgraphile", "node"))


class Hello(Peer):
    """A bare endpoint of a server library: what HTTP alone costs."""

    folder = "hello"

    def __init__(self, name):
        self.name = name

    def build(self, home):
        make("cargo", "build", "--release", "--locked", cwd=home, env={"CARGO_TARGET_DIR": str(home / "target")})

    def command(self, home):
        return [str(home / "target/release" / self.name), str(self.port)]


class PgBench:
    """The ceiling: the same statement with nothing before it. `pipelined` sends a transaction's four statements at once."""

    port, answers_errors_with_200 = None, False

    def __init__(self, pipelined):
        self.pipelined, self.pid = pipelined, None
        self.name = "pgbench-pipelined" if pipelined else "pgbench"

    def start(self, stack):
        pass

    def stop(self):
        pass


PEERS = (Go, GoBatch, FastApi, PostGraphile)
