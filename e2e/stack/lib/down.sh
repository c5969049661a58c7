# shellcheck shell=bash
# Stops everything by pid and proves that nothing is left.

# Every process that the stack started carries its clone's name in its environment. Those of `make cluster`, which are in
# another namespace, do so too.
own_processes() {
  local file pid
  for file in /proc/[0-9]*/environ; do
    pid=${file#/proc/}
    pid=${pid%/environ}
    [ "$pid" != $$ ] || continue
    [ "/proc/$pid/ns/pid" -ef /proc/self/ns/pid ] || continue
    if tr '\0' '\n' 2>/dev/null <"$file" | grep -qxF "SEPTEM_STACK=$ROOT"; then echo "$pid"; fi
  done
}

# stop_stack: the supervisor stops its parts in reverse order; what is left then gets a signal of its own.
stop_stack() {
  local pid left _
  pid=$(pid_of supervisor)
  if alive "$pid"; then
    timeout 60 "$STATE/bin/process-compose" -U -u "$SOCKET" down >>"$STATE/log/supervisor.out" 2>&1 || kill "$pid" || true
    for _ in $(seq 600); do
      alive "$pid" || break
      [ -z "$TTY" ] || printf '\r\033[K%s  stopping: %s' "$(elapsed)" "$(still_running)"
      sleep 0.1
    done
    [ -z "$TTY" ] || printf '\r\033[K'
  fi
  left=$(own_processes)
  if [ -n "$left" ]; then
    # shellcheck disable=SC2086  # pids
    kill $left 2>/dev/null || true
    for _ in $(seq 50); do
      [ -n "$(own_processes)" ] || break
      sleep 0.1
    done
    left=$(own_processes)
    # shellcheck disable=SC2086
    [ -z "$left" ] || kill -9 $left 2>/dev/null || true
  fi
  rm -f "$STATE"/run/*.pid "$SOCKET"
}

still_running() {
  local part
  for part in $DEPS $PRODUCTS; do
    if alive "$(pid_of "$part")"; then printf '%s ' "$part"; fi
  done
}

wipe() {
  rm -rf "$STATE" "$SPILL"
}
