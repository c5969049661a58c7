# shellcheck shell=bash
# What a client of the proxy does. Sourced by `story`, which sets API_URL and TOKEN.

# call METHOD PATH [CURL'S ARGUMENTS]: the answer's body; any other status than 2xx fails.
call() {
  curl -sS -m 30 --fail-with-body -X "$1" "$API_URL$2" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' "${@:3}"
}
# field KEY...: a part of the JSON that comes in.
field() {
  python3 -c 'import functools, json, sys
print(functools.reduce(lambda value, key: value[int(key) if isinstance(value, list) else key], sys.argv[1:], json.load(sys.stdin)))' "$@"
}
expect() { [ "$2" = "$3" ] || fail "$1: '$2' and not '$3'"; }

crud() {
  local id
  id=$(call POST /data/cluster/things -d '{"name": "first"}' | field data id)
  expect "what was written" "$(call GET "/data/cluster/things/$id" | field data name)" first
  call PATCH "/data/cluster/things/$id" -d '{"name": "changed"}' >/dev/null
  expect "what was changed" "$(call GET '/data/cluster/things?name=eq.changed' | field data 0 id)" "$id"
  call DELETE "/data/cluster/things/$id" >/dev/null
  expect "what was deleted" "$(call GET /data/cluster/things | field data)" '[]'
  call POST /data/cluster/things -d '{"name": "kept"}' >/dev/null
}
# counted NAME: analytics has one thing of that name.
counted() {
  [ "$(call POST /data/cluster/analytics --data-raw \
    '{"model": "things", "aggregate": "count", "filters": {"name": "eq.'"$1"'"}}' | field data 0 count)" = 1 ]
}

# Until $WORK/enough is there, a line with the status of each: reads, twenty on one connection, and writes, each on its own.
# What a failed one was answered goes to standard error.
reads() {
  while [ ! -e "$WORK/enough" ]; do
    call GET '/data/cluster/things?limit=[1-20]' --fail-early -o "$WORK/read" -w '%{http_code}\n' || cat "$WORK/read" >&2
  done
}
writes() {
  while [ ! -e "$WORK/enough" ]; do
    call POST /data/cluster/things -d '{"name": "under way"}' -o "$WORK/written" -w '%{http_code}\n' || cat "$WORK/written" >&2
  done
}
# under_load COMMAND...: no request fails while it runs.
under_load() {
  local kind loads=()
  for kind in reads writes; do
    $kind >"$WORK/$kind" 2>"$WORK/$kind.failures" &
    loads+=($!)
  done
  "$@"
  touch "$WORK/enough"
  wait "${loads[@]}"
  for kind in reads writes; do
    say "$kind meanwhile: $(sort "$WORK/$kind" | uniq -c | awk '{ printf "%s%d with status %s", (NR > 1 ? ", " : ""), $1, $2 }')"
    [ "$(wc -l <"$WORK/$kind")" -ge 20 ] || fail "too few $kind to tell"
    ! grep -qv '^20[01]$' "$WORK/$kind" || fail "$kind failed: $(head -n 5 "$WORK/$kind.failures")"
  done
}
