"""The tables, tenants and rows that everything is measured on, and putting them back between two runs.

Every id is a fixed prefix and twelve digits, so that a load generator makes it from a number:
1000…t a tenant, 110 t i a contact, 120 t i a company, 130… contacts to be deleted, from 200… on those created under load.
"""

import json
import time
import urllib.error
import urllib.request

from .stack import USER
from .words import Refused, say

MODULE = "bench"
NAMESPACE = "septem-bench"
PREFIX = "01900000-0000-7000-8000-"
STATUSES = ("lead", "active", "churned")
COMPANIES = 50  # a tenant

TENANT, CONTACT, COMPANY, DOOMED, MADE = 100 * 10**9, 110 * 10**9, 120 * 10**9, 130 * 10**9, 200 * 10**9
MODULE_ROWS = 10**6  # numbers that a tenant has for its contacts


def uuid(number):
    return f"{PREFIX}{number:012d}"


def tenant_id(t):
    return uuid(TENANT + t)


def contact_number(t, i):
    return CONTACT + t * MODULE_ROWS + i


def company_id(t, i):
    return uuid(COMPANY + t * MODULE_ROWS + i)


def model(name, fields, module=MODULE, **more):
    """A ModuleModel whose data goes with it."""
    return {
        "apiVersion": "data.septemcore.com/v1alpha1",
        "kind": "ModuleModel",
        "metadata": {"name": f"{module}-{name}", "namespace": NAMESPACE, "labels": {"septem-bench": "yes"}},
        "spec": {"module": module, "model": name, "autoApi": True, "fields": fields, "deletionPolicy": "Delete",
                 "migrations": {"policy": {"allowDestructive": True}}, **more},
    }


def tenant(t, modules):
    """A Tenant that no limit of its own holds back: the limits are checked, and never met."""
    return {
        "apiVersion": "data.septemcore.com/v1alpha1",
        "kind": "Tenant",
        "metadata": {"name": f"bench-{t}", "labels": {"septem-bench": "yes"}},
        "spec": {"tenantId": tenant_id(t), "slug": f"bench-{t}", "displayName": f"Bench {t}", "modules": modules,
                 "admins": [USER]},
    }


NAMESPACE_OBJECT = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
MODELS = [
    model("companies", [
        {"name": "name", "type": "text", "required": True, "maxLength": 200},
        {"name": "country", "type": "text", "maxLength": 60},
    ]),
    model("contacts", [
        {"name": "name", "type": "text", "required": True, "maxLength": 200},
        {"name": "email", "type": "text", "maxLength": 200},
        {"name": "status", "type": "enum", "values": [*STATUSES, "doomed", "made"], "required": True},
        {"name": "score", "type": "int32", "required": True},
        {"name": "balance", "type": "decimal", "precision": 12, "scale": 2, "required": True},
        {"name": "company_id", "type": "uuid", "required": True,
         "references": {"module": MODULE, "model": "companies", "onDelete": "Restrict"}},
        {"name": "joined_at", "type": "timestamp", "required": True},
    ], indexes=[{"name": "by_status", "fields": ["status", "joined_at", "id"]}]),
]

# What PostGraphile needs for 100 rows in one statement: a function of its own, which is how it is told of such things.
PEER_SCHEMA = f"""
  create schema if not exists bench_peer;
  grant usage on schema bench_peer to septem_app;
  create or replace function bench_peer.create_contacts(tenant uuid, contacts jsonb) returns setof {MODULE}.contacts
    language sql volatile begin atomic
    insert into {MODULE}.contacts
      (tenant_id, id, name, email, status, score, balance, company_id, joined_at, created_by, updated_by)
      select tenant, r.id, r.name, r.email, r.status, r.score, r.balance, r.company_id, r.joined_at, '{USER}', '{USER}'
      from jsonb_to_recordset(contacts) r(id uuid, name text, email text, status text, score int, balance numeric,
        company_id uuid, joined_at timestamptz) returning *;
    end;"""


class Dataset:
    def __init__(self, stack, settings):
        self.stack = stack
        self.tenants = settings.tenants
        self.rows = settings.contacts // settings.tenants  # contacts of a tenant
        # As many deletes as a run could make; a run that makes more is reported as failed, not as fast.
        self.doomed = settings.seconds * 15_000
        self.run = 0

    def set_up(self):
        say(f"models of module {MODULE} and {self.tenants} tenants")
        apply(self.stack, [NAMESPACE_OBJECT, *MODELS, *(tenant(t, [MODULE]) for t in range(self.tenants))])
        self.load()
        self.stack.sql(PEER_SCHEMA)
        self.tokens = self.stack.tokens([tenant_id(t) for t in range(self.tenants)])
        await_served(self.stack, f"/v1/data/{MODULE}/contacts/{uuid(contact_number(self.tenants - 1, 0))}", self.tokens[-1])

    def load(self):
        say(f"{self.tenants * self.rows} contacts, and {self.doomed} to be deleted")
        self.stack.sql(f"""
            set client_min_messages = warning;
            truncate {MODULE}.companies, {MODULE}.contacts;
            insert into {MODULE}.companies (tenant_id, id, name, country, created_by, updated_by)
              select {made_uuid(f'{TENANT} + t')}, {made_uuid(f'{COMPANY} + t * {MODULE_ROWS} + i')},
                'Company ' || i, (array['DE', 'FR', 'IT', 'ES'])[1 + i % 4], '{USER}', '{USER}'
              from generate_series(0, {self.tenants - 1}) t, generate_series(0, {COMPANIES - 1}) i;
            {insert_contacts(f"generate_series(0, {self.tenants - 1}) t, generate_series(0, {self.rows - 1}) i")};
            insert into {MODULE}.contacts
              (tenant_id, id, name, email, status, score, balance, company_id, joined_at, created_by, updated_by)
              select {made_uuid(f'{TENANT} + n % {self.tenants}')}, {made_uuid(f'{DOOMED} + n')}, 'Doomed ' || n,
                'doomed' || n || '@example.com', 'doomed', 0, 0,
                {made_uuid(f'{COMPANY} + n % {self.tenants} * {MODULE_ROWS} + n % {COMPANIES}')}, '2026-01-01Z', '{USER}', '{USER}'
              from generate_series(0::bigint, {self.doomed - 1}) n;
            vacuum (freeze, analyze) {MODULE}.companies;
            vacuum (freeze, analyze) {MODULE}.contacts;
            checkpoint;""")

    def next_run(self):
        """A first number for rows that one run creates; no other run uses it."""
        self.run += 1
        return MADE + self.run % 700 * 10**9

    def restore(self):
        """After a run of writes: rows made are gone, rows deleted are back, and the next run starts from a checkpoint, so
        that the pages that PostgreSQL logs whole are as many for each."""
        self.stack.sql(f"""
            delete from {MODULE}.contacts where status = 'made';
            update {MODULE}.contacts set deleted_at = null, delete_id = null, version = 1
              where status = 'doomed' and deleted_at is not null;
            vacuum (analyze) {MODULE}.contacts;
            checkpoint;""")

    def written(self, work):
        """Rows that the last run of creates or deletes has left."""
        what = "status = 'doomed' and deleted_at is not null" if work == "delete" else "status = 'made'"
        return int(self.stack.sql(f"select count(*) from {MODULE}.contacts where {what};")[0][0])

    def tear_down(self):
        self.stack.sql("drop schema if exists bench_peer cascade;")
        say("removing models and tenants (the tenants' ids stay known, and serve the next run)")
        remove(self.stack)


def made_uuid(number):
    """SQL for the id of a number."""
    return f"('{PREFIX}' || lpad(({number})::text, 12, '0'))::uuid"


def insert_contacts(source):
    """SQL that fills contacts for every (t, i) of a source; the values follow from i alone."""
    words = ", ".join(f"'{status}'" for status in STATUSES)
    return f"""insert into {MODULE}.contacts
      (tenant_id, id, name, email, status, score, balance, company_id, joined_at, created_by, updated_by)
      select {made_uuid(f'{TENANT} + t')}, {made_uuid(f'{CONTACT} + t * {MODULE_ROWS} + i')}, 'Contact number ' || i,
        'contact' || i || '@example.com', (array[{words}])[1 + i % 3], i % 1000, (i * 37 % 100000) / 100.0,
        {made_uuid(f'{COMPANY} + t * {MODULE_ROWS} + i % {COMPANIES}')},
        timestamptz '2024-01-01Z' + interval '1 minute' * (i * 7919 % 1000000), '{USER}', '{USER}'
      from (select t::bigint, i::bigint from {source}) s"""


def apply(stack, objects, seconds=180):
    """Applies resources and waits until the operator says that they are Ready."""
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    stack.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(listed))
    wanted = {(o["kind"], o["metadata"]["name"]) for o in objects if o["kind"] != "Namespace"}
    until = time.monotonic() + seconds
    while waiting := wanted - ready(stack):
        if time.monotonic() > until:
            raise Refused(f"{len(waiting)} resources are not Ready after {seconds} s, {sorted(waiting)[0]} among them.")
        time.sleep(1)


def ready(stack):
    """Kind and name of the benchmark's resources that are Ready as last applied."""
    items = json.loads(stack.kubectl("get", "modulemodels,tenants", "-A", "-l", "septem-bench=yes", "-o", "json"))["items"]
    return {(o["kind"], o["metadata"]["name"]) for o in items
            if any(c["type"] == "Ready" and c["status"] == "True" and
                   c.get("observedGeneration", o["metadata"]["generation"]) == o["metadata"]["generation"]
                   for c in o.get("status", {}).get("conditions", []))}


def remove(stack):
    stack.kubectl("delete", "tenants", "-l", "septem-bench=yes", "--ignore-not-found", "--timeout=300s")
    # All at once: the operator holds back a model that others refer to until those are gone.
    stack.kubectl("delete", "modulemodels", "-n", NAMESPACE, "-l", "septem-bench=yes", "--ignore-not-found", "--timeout=300s")
    stack.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")


def await_served(stack, path, token, seconds=60):
    """Waits until the proxy has heard of it."""
    until, last = time.monotonic() + seconds, None
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(urllib.request.Request(stack.url + path, headers={"Authorization": f"Bearer {token}"})):
                return
        except (urllib.error.URLError, OSError) as error:
            last = error
        time.sleep(0.5)
    raise Refused(f"The proxy does not serve {path} after {seconds} s: {last}.")
