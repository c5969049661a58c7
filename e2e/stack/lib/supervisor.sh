# shellcheck shell=bash
# process-compose, asked over its unix socket.

supervisor_up() { alive "$(pid_of supervisor)" && compose project state >/dev/null 2>&1; }

# start_supervisor PART...: only these parts and what they depend on.
start_supervisor() {
  local name
  export SEPTEM_PART=$HERE/part SEPTEM_STATE=$STATE SEPTEM_STACK=$ROOT
  for name in $PORTS; do
    export "PORT_$(printf %s "$name" | tr 'a-z-' 'A-Z_')=$(port "$name")"
  done
  mkdir -p "$(dirname "$SOCKET")" "$STATE/log" "$STATE/run"
  # Without the access front, the operator waits for the server itself.
  sed "${CLICKHOUSE:+s/clickhouse-front: { condition:/clickhouse: { condition:/}" "$HERE/process-compose.yaml" \
    >"$STATE/config/process-compose.yaml"
  rm -f "$SOCKET"
  # Its own session, so that neither Ctrl-C nor the end of `make` reaches it.
  setsid "$STATE/bin/process-compose" up logs "$@" -f "$STATE/config/process-compose.yaml" --disable-dotenv --keep-project \
    -t=false -U -u "$SOCKET" -L "$STATE/log/supervisor.log" --ordered-shutdown \
    >"$STATE/log/supervisor.out" 2>&1 </dev/null 9>&- &
  echo $! >"$STATE/run/supervisor.pid"
  local _
  for _ in $(seq 100); do
    if supervisor_up; then return 0; fi
    alive "$(pid_of supervisor)" || break
    sleep 0.1
  done
  tail -n 5 "$STATE/log/supervisor.out" >&2
  fail "the supervisor did not start; its log is $STATE/log/supervisor.out"
}

# states: lines of "name status ready exit_code restarts" as the supervisor sees them.
states() {
  alive "$(pid_of supervisor)" || return 0
  compose process list -o json 2>/dev/null | python3 -c '
import json, sys
for p in json.loads(sys.stdin.read() or "[]"):
    print(p["name"], p["status"].replace(" ", "-"), p["is_ready"].replace(" ", "-"), p.get("exit_code", 0), p.get("restarts", 0))'
}

# wait_healthy SECONDS PART...: shows what is still awaited; returns 1 when the time is over.
wait_healthy() {
  local limit=$1 begun waiting before='' part all
  shift
  begun=$(date +%s)
  while :; do
    all=$(states || true)
    waiting=
    for part in "$@"; do
      # A task that has to complete counts as well when it has completed.
      printf '%s\n' "$all" | grep -Eq "^$part (Running|Launched) Ready |^$part Completed [^ ]+ 0 " || waiting="$waiting $part"
    done
    if [ -n "$TTY" ]; then
      printf '\r\033[K%s  waiting for:%s' "$(elapsed)" "${waiting:- nothing more}"
    elif [ "$waiting" != "$before" ]; then
      say "waiting for:${waiting:- nothing more}"
    fi
    before=$waiting
    if [ -z "$waiting" ]; then
      [ -z "$TTY" ] || printf '\r\033[K'
      return 0
    fi
    if [ $(($(date +%s) - begun)) -ge "$limit" ]; then
      [ -z "$TTY" ] || printf '\n'
      for part in $waiting; do
        printf -- '--- %s (last lines of %s)\n' "$part" "$STATE/log/$part.log" >&2
        tail -n 8 "$STATE/log/$part.log" 2>/dev/null | cut -c1-300 >&2 || true
      done
      # shellcheck disable=SC2034  # for the caller
      UNHEALTHY=$waiting
      return 1
    fi
    sleep 0.7
  done
}
