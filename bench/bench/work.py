"""What is measured: each work item as the SQL that a database administrator would write for it, and as a request."""

from dataclasses import dataclass

from .dataset import COMPANIES, DOOMED, MODULE, MODULE_ROWS, PREFIX, TENANT, company_id, uuid
from .stack import USER

COLUMNS = ("id, name, email, status, score, balance, company_id, joined_at, "
           "created_at, updated_at, created_by, updated_by, version")
OWN = "tenant_id = {tenant} and id = {id} and deleted_at is null"
PAGE = "t.tenant_id = {tenant} and t.status = 'active' and t.deleted_at is null order by t.joined_at desc, t.id desc limit 20"
INSERT = (f"insert into {MODULE}.contacts (tenant_id, id, name, email, status, score, balance, company_id, joined_at, "
          "created_by, updated_by)")
MADE_VALUES = f"'Made', 'made@example.com', 'made', 7, 12.50, {{company}}, '2026-01-01T00:00:00Z', '{USER}', '{USER}'"
BATCH = 100


@dataclass(frozen=True)
class Work:
    """`picks`: each request is one of many that are known beforehand. `makes`: each is of new ids, so many a request."""

    name: str
    sql: str
    picks: bool = True
    makes: int = 0

    @property
    def writes(self):
        return self.name in ("create", "patch", "delete", "batch")

    def first(self, data):
        """The number of the first id that a run of this work uses up."""
        return DOOMED if self.name == "delete" else data.next_run() if self.makes else 0


WORKS = [
    Work("get", f"select {COLUMNS} from {MODULE}.contacts where {OWN}"),
    Work("list", f"select {COLUMNS} from {MODULE}.contacts t where {PAGE}"),
    Work("list-include",
         "select " + ", ".join(f"t.{c.strip()}" for c in COLUMNS.split(",")) + ", c.id, c.name, c.country "
         f"from {MODULE}.contacts t left join {MODULE}.companies c "
         f"on c.tenant_id = t.tenant_id and c.id = t.company_id and c.deleted_at is null where {PAGE}"),
    Work("create", f"{INSERT} values ({{tenant}}, {{id}}, {MADE_VALUES}) returning {COLUMNS}", picks=False, makes=1),
    Work("patch", f"update {MODULE}.contacts set score = {{score}}, version = version + 1, updated_at = now(), "
                  f"updated_by = '{USER}' where {OWN} returning {COLUMNS}"),
    Work("delete", f"update {MODULE}.contacts set deleted_at = now(), delete_id = gen_random_uuid(), version = version + 1, "
                   f"updated_at = now(), updated_by = '{USER}' where {OWN} returning id", picks=False, makes=1),
    Work("batch", f"{INSERT} select {{tenant}}, {{each}}, {MADE_VALUES} from generate_series(0, {BATCH - 1}) g "
                  f"returning {COLUMNS}", picks=False, makes=BATCH),
]
BY_NAME = {work.name: work for work in WORKS}


def id_sql(number):
    """SQL for an id from a number that always has twelve digits: next to nothing beside the statement itself."""
    return f"('{PREFIX}' || {number}::text)::uuid"


def literal_sql(work, t, number, score=0):
    """The statement with its values, for psql."""
    return work.sql.format(tenant=f"'{uuid(TENANT + t)}'::uuid", id=f"'{uuid(number)}'::uuid", score=score,
                           company=f"'{made_company(t)}'::uuid", each=id_sql(f"({number} + g)"))


def made_company(t):
    """A tenant's own: rows made at the same time do not all lock one company's row."""
    return company_id(t, t % COMPANIES)


def pgbench_script(work, data, first, pipelined):
    """The statement in a transaction of its own that is bound to a tenant, as a script for pgbench."""
    if work.picks:
        lines = [f"\\set t random(0, {data.tenants - 1})", f"\\set i random(0, {data.rows - 1})",
                 f"\\set n 110000000000 + :t * {MODULE_ROWS} + :i", "\\set score random(0, 999)"]
    else:
        # A client's variables last from one transaction to the next, so :k counts them.
        lines = ["\\set x :k * :clients + :client_id", "\\set k :k + 1", f"\\set t :x % {data.tenants}",
                 f"\\set n {first} + :x * {work.makes}"]
    lines += [f"\\set tenant {TENANT} + :t", f"\\set company 120000000000 + :t * {MODULE_ROWS} + :t % {COMPANIES}"]
    sql = work.sql.format(tenant=id_sql(":tenant"), id=id_sql(":n"), score=":score", company=id_sql(":company"),
                          each=id_sql("(:n::bigint + g)"))
    body = ["begin;", f"select set_config('app.tenant_id', '{PREFIX}' || :tenant::text, true);", f"{sql};", "commit;"]
    if pipelined:
        body = ["\\startpipeline", *body, "\\endpipeline"]
    return "\n".join(lines + body) + "\n"
