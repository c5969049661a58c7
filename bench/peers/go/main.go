// Command peer serves the benchmark's contacts the way a competent team would write it in Go: chi for routes, a pgx
// pool, plain structs, encoding/json. The tenant comes from a header and no token is checked, which is in its favour.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const setTenant = "select set_config('app.tenant_id', $1, true)"

type server struct {
	pool *pgxpool.Pool
	// Whether begin, set_config, the statement and commit go out together.
	batch bool
}

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	size, err := strconv.Atoi(os.Getenv("POOL"))
	if err != nil {
		log.Fatal("POOL: ", err)
	}
	config.MaxConns = int32(size)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	s := &server{pool: pool, batch: os.Getenv("BATCH") != ""}
	r := chi.NewRouter()
	r.Get("/ready", func(w http.ResponseWriter, r *http.Request) {
		if err := pool.Ping(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	r.Get("/contacts", s.list)
	r.Post("/contacts", s.create)
	r.Post("/contacts/bulk", s.createMany)
	r.Get("/contacts/{id}", s.get)
	r.Patch("/contacts/{id}", s.patch)
	r.Delete("/contacts/{id}", s.remove)
	h := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: r, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(h.ListenAndServe())
}

// inTenant runs one statement in a transaction that is bound to the request's tenant, and hands its rows to read.
func (s *server) inTenant(r *http.Request, read func(pgx.Rows) error, sql string, args ...any) error {
	ctx, tenant := r.Context(), r.Header.Get("X-Tenant-Id")
	if !s.batch {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, setTenant, tenant); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, sql, args...)
			if err != nil {
				return err
			}
			return read(rows)
		})
	}
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(setTenant, tenant)
	b.Queue(sql, args...).Query(read)
	b.Queue("commit")
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // a connection in a broken transaction is thrown away by the pool
	return conn.SendBatch(ctx, b).Close()
}

// fail answers an error; what the database said stays here.
func fail(w http.ResponseWriter, err error) {
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		http.Error(w, `{"error":"not found"}`, http.StatusNotFound)
	case errors.As(err, &refused) && refused.Code[:2] == "23":
		http.Error(w, `{"error":"conflict"}`, http.StatusConflict)
	case errors.As(err, &refused) && refused.Code[:2] == "22":
		http.Error(w, `{"error":"invalid value"}`, http.StatusBadRequest)
	default:
		log.Print(err)
		http.Error(w, `{"error":"internal"}`, http.StatusInternalServerError)
	}
}

func answer(w http.ResponseWriter, status int, data any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(map[string]any{"data": data}); err != nil {
		log.Print(err)
	}
}
