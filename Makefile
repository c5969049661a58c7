# Every chore has its name here; `make` alone lists them.

.DEFAULT_GOAL := help
STACK := e2e/stack/stack
# `make` passes its command line's variables on, but USER is everybody's: only one from the command line is a user.
TOKEN_USER := $(if $(filter command,$(origin USER)),$(USER))

.PHONY: help up up-deps down status logs restart kill token demo test cluster bench bench-instructions bench-operator lint fmt generate

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

up: ## the whole stack with operator, proxy and sink; 0 when all are healthy
	@$(STACK) up

up-deps: ## the stack without operator, proxy and sink
	@$(STACK) up-deps

down: ## stops everything; WIPE=1 forgets the data
	@WIPE='$(WIPE)' $(STACK) down

status: ## part, pid, port, memory, state; 0 only if all are healthy
	@$(STACK) status

logs: ## follows one part's log: PART=proxy
	@PART='$(PART)' $(STACK) logs

restart: ## stops and starts one part: PART=proxy
	@PART='$(PART)' $(STACK) restart

kill: ## kill -9 of one part, which the supervisor brings back: PART=sink
	@PART='$(PART)' $(STACK) kill

token: ## an access token: TENANT=<uuid> USER=<sub> [TTL=3600]
	@TENANT='$(TENANT)' USER='$(TOKEN_USER)' TTL='$(TTL)' $(STACK) token

demo: ## the tour, from nothing to analytics
	@$(STACK) demo

test: ## every test, against the stack
	@$(STACK) test

cluster: ## the chart on a Kubernetes node of this machine, as root: [KEEP=1]
	@KEEP='$(KEEP)' e2e/cluster/run

bench-operator: ## the operator's figures: [MODELS=1000 TENANTS=10000 ROUNDS=3 ANALYTICS=0 PROFILE=release]
	@. .stack/env && MODELS='$(or $(MODELS),1000)' TENANTS='$(or $(TENANTS),10000)' ANALYTICS='$(or $(ANALYTICS),0)' \
	  ROUNDS='$(or $(ROUNDS),3)' \
	  cargo test --locked --profile '$(or $(PROFILE),release)' -p operator --test main -- --ignored --exact --nocapture bench::bench

bench-instructions: ## instructions of a request beside the kept counts: [KEEP=1]
	@. .stack/env && KEEP='$(KEEP)' \
	  cargo test --locked --release -p proxy --test main -- --ignored --exact --nocapture \
	  edge::instructions::a_request_takes_no_more_instructions_than_it_did

bench: ## the proxy beside pgbench and others: [ROUNDS=3 SECONDS=10 ONLY="get list/go" KEEP=1 TRIAL=1 CHECK=1]
	@BENCH_ROUNDS='$(ROUNDS)' BENCH_SECONDS='$(if $(filter command,$(origin SECONDS)),$(SECONDS))' BENCH_ONLY='$(ONLY)' \
	  BENCH_KEEP='$(KEEP)' BENCH_TRIAL='$(TRIAL)' BENCH_CHECK='$(CHECK)' bench/run

lint: ## formatting, clippy, dependencies, generated files
	@$(STACK) lint

fmt: ## formats all code
	@$(STACK) fmt

generate: ## writes the generated files
	@$(STACK) generate
