package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
)

const (
	columns = "id::text, name, email, status, score, balance::text, company_id::text, joined_at, created_at, updated_at, " +
		"created_by, updated_by, version"
	insert = "insert into bench.contacts (tenant_id, id, name, email, status, score, balance, company_id, joined_at, " +
		"created_by, updated_by) "
	user     = "bench"
	bodySize = 1 << 20
)

type contact struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Email     *string     `json:"email"`
	Status    string      `json:"status"`
	Score     int32       `json:"score"`
	Balance   json.Number `json:"balance"`
	CompanyID string      `json:"company_id"`
	JoinedAt  time.Time   `json:"joined_at"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
	CreatedBy string      `json:"created_by"`
	UpdatedBy string      `json:"updated_by"`
	Version   int64       `json:"version"`
	Company   *company    `json:"company,omitempty"`
}

type company struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Country *string `json:"country"`
}

func (c *contact) fields() []any {
	return []any{&c.ID, &c.Name, &c.Email, &c.Status, &c.Score, (*string)(&c.Balance), &c.CompanyID, &c.JoinedAt,
		&c.CreatedAt, &c.UpdatedAt, &c.CreatedBy, &c.UpdatedBy, &c.Version}
}

// into reads all rows.
func into(out *[]contact) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*out, err = pgx.AppendRows((*out)[:0], rows, func(row pgx.CollectableRow) (c contact, err error) {
			return c, row.Scan(c.fields()...)
		})
		return err
	}
}

// one answers the only row.
func (s *server) one(w http.ResponseWriter, r *http.Request, status int, sql string, args ...any) {
	found := []contact{}
	if err := s.inTenant(r, into(&found), sql, args...); err != nil {
		fail(w, err)
	} else if len(found) == 0 {
		fail(w, pgx.ErrNoRows)
	} else {
		answer(w, status, found[0])
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request) {
	s.one(w, r, http.StatusOK, "select "+columns+" from bench.contacts where tenant_id = $1 and id = $2 and deleted_at is null",
		r.Header.Get("X-Tenant-Id"), chi.URLParam(r, "id"))
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 0 || limit > 1000 || query.Get("order") != "-joined_at" {
		http.Error(w, `{"error":"bad query"}`, http.StatusBadRequest)
		return
	}
	found := make([]contact, 0, limit)
	args := []any{r.Header.Get("X-Tenant-Id"), query.Get("status"), limit}
	if query.Get("include") == "company" {
		err = s.inTenant(r, withCompanies(&found), `select t.id::text, t.name, t.email, t.status, t.score, t.balance::text,
			t.company_id::text, t.joined_at, t.created_at, t.updated_at, t.created_by, t.updated_by, t.version,
			c.id::text, c.name, c.country
			from bench.contacts t
			left join bench.companies c on c.tenant_id = t.tenant_id and c.id = t.company_id and c.deleted_at is null
			where t.tenant_id = $1 and t.status = $2 and t.deleted_at is null
			order by t.joined_at desc, t.id desc limit $3`, args...)
	} else {
		err = s.inTenant(r, into(&found), "select "+columns+` from bench.contacts
			where tenant_id = $1 and status = $2 and deleted_at is null order by joined_at desc, id desc limit $3`, args...)
	}
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, found)
}

func withCompanies(out *[]contact) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*out, err = pgx.AppendRows((*out)[:0], rows, func(row pgx.CollectableRow) (c contact, err error) {
			var id, name *string
			var country *string
			if err = row.Scan(append(c.fields(), &id, &name, &country)...); err == nil && id != nil {
				c.Company = &company{*id, *name, country}
			}
			return c, err
		})
		return err
	}
}

func body(w http.ResponseWriter, r *http.Request, out any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodySize)).Decode(out); err != nil {
		http.Error(w, `{"error":"bad body"}`, http.StatusBadRequest)
		return false
	}
	return true
}

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	var c contact
	if !body(w, r, &c) {
		return
	}
	s.one(w, r, http.StatusCreated, insert+"values ($1, $2, $3, $4, $5, $6, $7::text::numeric, $8, $9, $10, $10) returning "+columns,
		r.Header.Get("X-Tenant-Id"), c.ID, c.Name, c.Email, c.Status, c.Score, string(c.Balance), c.CompanyID, c.JoinedAt, user)
}

// createMany makes all in one statement, or none.
func (s *server) createMany(w http.ResponseWriter, r *http.Request) {
	var rows []contact
	if !body(w, r, &rows) {
		return
	}
	n := len(rows)
	ids, names, emails, statuses := make([]string, n), make([]string, n), make([]*string, n), make([]string, n)
	scores, balances, companies, joined := make([]int32, n), make([]string, n), make([]string, n), make([]time.Time, n)
	for i, c := range rows {
		ids[i], names[i], emails[i], statuses[i] = c.ID, c.Name, c.Email, c.Status
		scores[i], balances[i], companies[i], joined[i] = c.Score, string(c.Balance), c.CompanyID, c.JoinedAt
	}
	found := make([]contact, 0, n)
	err := s.inTenant(r, into(&found), insert+`select $1, i, n, e, s, k, b::numeric, c, j, $10, $10
		from unnest($2::text[]::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[]::uuid[],
		$9::timestamptz[]) u(i, n, e, s, k, b, c, j) returning `+columns,
		r.Header.Get("X-Tenant-Id"), ids, names, emails, statuses, scores, balances, companies, joined, user)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusCreated, found)
}

func (s *server) patch(w http.ResponseWriter, r *http.Request) {
	var change struct {
		Name  *string `json:"name"`
		Score *int32  `json:"score"`
	}
	if !body(w, r, &change) {
		return
	}
	s.one(w, r, http.StatusOK, `update bench.contacts set name = coalesce($3, name), score = coalesce($4, score),
		version = version + 1, updated_at = now(), updated_by = $5
		where tenant_id = $1 and id = $2 and deleted_at is null returning `+columns,
		r.Header.Get("X-Tenant-Id"), chi.URLParam(r, "id"), change.Name, change.Score, user)
}

func (s *server) remove(w http.ResponseWriter, r *http.Request) {
	gone := 0
	count := func(rows pgx.Rows) error {
		for rows.Next() {
			gone++
		}
		return rows.Err()
	}
	err := s.inTenant(r, count, `update bench.contacts set deleted_at = now(), delete_id = gen_random_uuid(),
		version = version + 1, updated_at = now(), updated_by = $3
		where tenant_id = $1 and id = $2 and deleted_at is null returning id`,
		r.Header.Get("X-Tenant-Id"), chi.URLParam(r, "id"), user)
	if err == nil && gone == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
