"""Whether more tenants, models and shapes of queries make a request dearer than the same request among few."""

import random

from .contestants import Request
from .dataset import (COMPANY, CONTACT, MODULE, MODULE_ROWS, NAMESPACE_OBJECT, TENANT, apply, await_served, contact_number,
                      insert_contacts, made_uuid, model, tenant, tenant_id, uuid)
from .extras import one, septem
from .load import PICKS
from .stack import USER
from .words import say

TENANTS, ZIPF = 1000, 1.1  # the k-th largest tenant has a share of 1 / k ** ZIPF, of rows and of requests
ROWS = 200_000
MODELS, MODEL_ROWS = 200, 100
SHAPES = 500
MANY = "benchmany"  # the module of the 200 models


def measure_growth(stack, settings, data, results, everybody):
    ours = septem(everybody)
    for part in (many_tenants, many_models, many_shapes):
        if settings.wants(f"growth/{part.__name__.split('_')[1]}"):
            part(stack, settings, data, results, ours)


def race(settings, results, ours, work, few, many):
    """The same load in two surroundings, in rounds."""
    from .load import wrk

    for round_ in range(settings.rounds):
        pair = [("few", few), ("many", many)]
        for name, requests in pair if round_ % 2 == 0 else reversed(pair):
            one(results, work, name, 64, lambda: wrk(ours, requests, 64, settings.seconds))


def weights():
    shares = [1 / (k + 1) ** ZIPF for k in range(TENANTS)]
    return [share / sum(shares) for share in shares]


def many_tenants(stack, settings, data, results, ours):
    """One tenant with all the rows, and a thousand whose sizes and requests are skewed, of the same number of rows."""
    first = data.tenants  # the thousand, and the one behind them
    rows = [max(20, int(ROWS * share)) for share in weights()]
    say(f"{TENANTS + 1} more tenants, the largest with {rows[0]} rows")
    everyone = range(first, first + TENANTS + 1)
    apply(stack, [tenant(t, [MODULE]) for t in everyone], seconds=1800)
    sizes = ", ".join(map(str, [*rows, ROWS]))
    source = (f"(select {first} + k - 1 as t, n from unnest(array[{sizes}]) with ordinality s(n, k)) s, "
              "generate_series(0, s.n - 1) i")
    stack.sql(f"""
        insert into {MODULE}.companies (tenant_id, id, name, country, created_by, updated_by)
          select {made_uuid(f'{TENANT} + t')}, {made_uuid(f'{COMPANY} + t * {MODULE_ROWS} + i')}, 'Company ' || i, 'DE', '{USER}', '{USER}'
          from generate_series({first}, {first + TENANTS}) t, generate_series(0, 49) i on conflict do nothing;
        {insert_contacts(source)} on conflict do nothing;
        vacuum (freeze, analyze) {MODULE}.companies;
        vacuum (freeze, analyze) {MODULE}.contacts;
        checkpoint;""")
    tokens = stack.tokens([tenant_id(t) for t in everyone])
    await_served(stack, f"{ours.contacts}?limit=0", tokens[-1])

    def get(k, i):
        return Request("GET", f"{ours.contacts}/{uuid(contact_number(first + k, i))}", {"Authorization": f"Bearer {tokens[k]}"})

    def page(k):
        return Request("GET", ours.contacts + ours.page, {"Authorization": f"Bearer {tokens[k]}"})

    draw = random.Random("tenants")
    drawn = draw.choices(range(TENANTS), weights(), k=PICKS)
    race(settings, results, ours, "growth-tenants-get", [get(TENANTS, draw.randrange(ROWS)) for _ in range(PICKS)],
         [get(k, draw.randrange(rows[k])) for k in drawn])
    race(settings, results, ours, "growth-tenants-list", [page(TENANTS)], [page(k) for k in drawn])


def many_models(stack, settings, data, results, ours):
    """GET by id over two hundred models and over one of them."""
    say(f"{MODELS} models of module {MANY}")
    fields = [{"name": "name", "type": "text", "required": True, "maxLength": 200},
              {"name": "amount", "type": "int32", "required": True},
              {"name": "note", "type": "text", "maxLength": 500}]
    names = [f"m{i:03d}" for i in range(MODELS)]
    apply(stack, [NAMESPACE_OBJECT, *(model(name, fields, module=MANY) for name in names), tenant(0, [MODULE, MANY])], seconds=1800)
    stack.sql("".join(f"""
        insert into {MANY}.{name} (tenant_id, id, name, amount, note, created_by, updated_by)
          select '{tenant_id(0)}', {made_uuid(f'{CONTACT} + i')}, 'Name ' || i, i, repeat('x', 100), '{USER}', '{USER}'
          from generate_series(0, {MODEL_ROWS - 1}) i on conflict do nothing;
        vacuum (freeze, analyze) {MANY}.{name};""" for name in names))
    await_served(stack, f"/v1/data/{MANY}/{names[-1]}?limit=0", data.tokens[0])

    def get(name, i):
        return Request("GET", f"/v1/data/{MANY}/{name}/{uuid(CONTACT + i)}", ours.headers(0))

    race(settings, results, ours, "growth-models", [get(names[0], i) for i in range(MODEL_ROWS)],
         [get(names[(i * 7) % MODELS], i % MODEL_ROWS) for i in range(PICKS)])


def shapes():
    """Distinct shapes of a page of 20 by the same index: what is selected, and which further filters there are."""
    fields = ["name", "email", "score", "balance", "company_id", "created_at", "updated_at", "version"]
    filters = ["", "&score=gte.0", "&balance=gte.0", "&name=neq.x", "&email=not.is.null"]
    draw, found = random.Random("shapes"), []
    while len(found) < SHAPES:
        chosen = draw.sample(fields, draw.randint(4, 7))
        shape = f"&select={','.join(['id', *chosen])}{''.join(sorted(draw.sample(filters, 2)))}"
        if shape not in found:
            found.append(shape)
    return found


def many_shapes(stack, settings, data, results, ours):
    """Five hundred shapes of the list, and one of them."""
    def requests(some):
        return [Request("GET", ours.contacts + ours.page + shape, ours.headers(i % data.tenants)) for i, shape in enumerate(some)]

    found = shapes()
    race(settings, results, ours, "growth-shapes", requests([found[0]] * SHAPES), requests(found))
