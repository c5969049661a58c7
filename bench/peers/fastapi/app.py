"""The benchmark's contacts the way a competent team would write it in Python: FastAPI, pydantic models, an asyncpg pool.

The tenant comes from a header and no token is checked, which is in its favour.
"""

import os
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
from fastapi import FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel

USER = "bench"
COLUMNS = ("id, name, email, status, score, balance, company_id, joined_at, created_at, updated_at, created_by, updated_by, "
           "version")
INSERT = ("insert into bench.contacts (tenant_id, id, name, email, status, score, balance, company_id, joined_at, created_by, "
          "updated_by) ")
Tenant = Annotated[UUID, Header(alias="X-Tenant-Id")]


class NewContact(BaseModel):
    id: UUID
    name: str
    email: str | None = None
    status: str
    score: int
    balance: Decimal
    company_id: UUID
    joined_at: datetime


class Contact(NewContact):
    balance: float  # JSON numbers, as the others answer them
    created_at: datetime
    updated_at: datetime
    created_by: str
    updated_by: str
    version: int


class Company(BaseModel):
    id: UUID
    name: str
    country: str | None


class ContactWithCompany(Contact):
    company: Company | None = None


class Change(BaseModel):
    name: str | None = None
    score: int | None = None


class One(BaseModel):
    data: Contact


class Many(BaseModel):
    data: list[Contact]


class ManyWithCompany(BaseModel):
    data: list[ContactWithCompany]


@asynccontextmanager
async def lifespan(app):
    size = int(os.environ["POOL"])
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=size, max_size=size) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(asyncpg.IntegrityConstraintViolationError)
async def conflict(request: Request, error: asyncpg.IntegrityConstraintViolationError):
    return Response('{"error":"conflict"}', 409, media_type="application/json")


async def in_tenant(tenant: UUID, sql: str, *args):
    """Runs one statement in a transaction that is bound to a tenant."""
    async with app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute("select set_config('app.tenant_id', $1, true)", str(tenant))
        return await connection.fetch(sql, *args)


async def one(tenant, sql, *args):
    rows = await in_tenant(tenant, sql, *args)
    if not rows:
        raise HTTPException(404)
    return {"data": dict(rows[0])}


@app.get("/ready")
async def ready():
    return {}


@app.get("/contacts/{id}")
async def get(id: UUID, tenant: Tenant) -> One:
    return await one(tenant, f"select {COLUMNS} from bench.contacts where tenant_id = $1 and id = $2 and deleted_at is null",
                     tenant, id)


@app.get("/contacts", response_model=None)
async def find(tenant: Tenant, status: str, order: Literal["-joined_at"], limit: Annotated[int, Query(ge=0, le=1000)] = 50,
               include: Literal["company"] | None = None) -> Response:
    if include:
        rows = await in_tenant(
            tenant, """select t.id, t.name, t.email, t.status, t.score, t.balance, t.company_id, t.joined_at, t.created_at,
              t.updated_at, t.created_by, t.updated_by, t.version, c.id as c_id, c.name as c_name, c.country as c_country
              from bench.contacts t
              left join bench.companies c on c.tenant_id = t.tenant_id and c.id = t.company_id and c.deleted_at is null
              where t.tenant_id = $1 and t.status = $2 and t.deleted_at is null
              order by t.joined_at desc, t.id desc limit $3""", tenant, status, limit)
        found = ManyWithCompany(data=[with_company(row) for row in rows])
    else:
        rows = await in_tenant(
            tenant, f"""select {COLUMNS} from bench.contacts where tenant_id = $1 and status = $2 and deleted_at is null
              order by joined_at desc, id desc limit $3""", tenant, status, limit)
        found = Many(data=[Contact.model_validate(dict(row)) for row in rows])
    # Two shapes: written by pydantic itself, which is the quick way.
    return Response(found.model_dump_json(), media_type="application/json")


def with_company(row):
    fields = dict(row)
    company = {name: fields.pop(f"c_{name}") for name in ("id", "name", "country")}
    return ContactWithCompany.model_validate({**fields, "company": company if company["id"] else None})


@app.post("/contacts", status_code=201)
async def create(contact: NewContact, tenant: Tenant) -> One:
    return await one(tenant, f"{INSERT} values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) returning {COLUMNS}",
                     tenant, contact.id, contact.name, contact.email, contact.status, contact.score, contact.balance,
                     contact.company_id, contact.joined_at, USER)


@app.post("/contacts/bulk", status_code=201)
async def create_many(contacts: list[NewContact], tenant: Tenant) -> Many:
    columns = [[getattr(c, name) for c in contacts]
               for name in ("id", "name", "email", "status", "score", "balance", "company_id", "joined_at")]
    rows = await in_tenant(
        tenant, f"""{INSERT} select $1, i, n, e, s, k, b, c, j, $10, $10
          from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::numeric[], $8::uuid[], $9::timestamptz[])
            u(i, n, e, s, k, b, c, j) returning {COLUMNS}""", tenant, *columns, USER)
    return {"data": [dict(row) for row in rows]}


@app.patch("/contacts/{id}")
async def patch(id: UUID, change: Change, tenant: Tenant) -> One:
    return await one(
        tenant, f"""update bench.contacts set name = coalesce($3, name), score = coalesce($4, score), version = version + 1,
          updated_at = now(), updated_by = $5 where tenant_id = $1 and id = $2 and deleted_at is null returning {COLUMNS}""",
        tenant, id, change.name, change.score, USER)


@app.delete("/contacts/{id}", status_code=204)
async def delete(id: UUID, tenant: Tenant) -> None:
    await one(tenant, """update bench.contacts set deleted_at = now(), delete_id = gen_random_uuid(), version = version + 1,
      updated_at = now(), updated_by = $3 where tenant_id = $1 and id = $2 and deleted_at is null returning id""",
              tenant, id, USER)
