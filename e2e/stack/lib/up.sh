# shellcheck shell=bash
# From nothing to healthy. Every step that is done already is skipped.

# A step or a supervisor that this run started does not outlive its failure.
give_up() {
  local code=$?
  trap - EXIT INT TERM
  [ -z "${STEP_PID:-}" ] || kill "$STEP_PID" 2>/dev/null || true
  if [ "$code" != 0 ] && [ -n "${STARTING:-}" ]; then
    say "stopping what this run has started"
    stop_stack
  fi
  exit "$code"
}

profile() { if [ "${SEPTEM_PROFILE:-release}" = dev ]; then echo dev; else echo release; fi; }

build_workspace() {
  local flags=(build --workspace --bins --locked)
  [ "$(profile)" = dev ] || flags+=(--release)
  HINT="read the compiler's message" \
    step "build the workspace ($(profile))" "$STATE/log/build.log" env -C "$ROOT" cargo "${flags[@]}"
}

# Parts whose binary was built anew since they started.
outdated() {
  local part pid
  for part in clickhouse-front $PRODUCTS; do
    pid=$(running "$part") || continue
    if [ "$(readlink "/proc/$pid/exe")" != "$(products)/$(binary "$part")" ]; then echo "$part"; fi
  done
}
binary() { case $1 in clickhouse-front) echo "$1" ;; hooks) echo septem-sink ;; *) echo "septem-$1" ;; esac; }

# up all|deps
up() {
  local what=$1 part wanted real
  { mkdir -p "$STATE"/{log,run,bin,data,config} 2>/dev/null && [ -w "$STATE" ] && [ -w "$STATE/run" ]; } ||
    fail "$(id -un) cannot write to $STATE; run this as its owner, $(stat -c %U "$STATE" 2>/dev/null || stat -c %U "$ROOT")"
  exec 9>"$STATE/run/lock"
  flock -n 9 || fail "another 'make' is working on this stack"
  trap give_up EXIT
  trap 'exit 130' INT TERM
  check_tools
  check_clickhouse
  if ! supervisor_up; then
    if [ -n "$(own_processes)" ]; then
      say "stopping what a killed supervisor left behind"
      stop_stack
    fi
    check_ports
    check_disk
  fi
  check_libraries
  install_packages
  install_go_tools
  link_tools
  # A stack that runs keeps the ClickHouse that it has.
  if supervisor_up; then real=$CLICKHOUSE; else real=${CLICKHOUSE_BIN:-$(command -v clickhouse-server || true)}; fi
  [ -z "$real" ] || real=$(realpath "$real")
  write_settings "BASE=$BASE" "PROFILE=$(profile)" "TARGET=$(realpath -m "$(target_folder)")" \
    ISSUER=https://issuer.septem.local AUDIENCE=septem-data "CLICKHOUSE=$real"
  choose_parts
  build_workspace
  make_secrets
  make_certificates
  make_kubeconfig
  make_postgres
  write_env

  wanted="$DEPS topics"
  [ "$what" = deps ] || wanted="$wanted $PRODUCTS resources data-plane"
  if supervisor_up && [ "$what" = all ] && [ "$(cat "$STATE/run/mode" 2>/dev/null)" != all ]; then
    say "the stack runs without the products; starting it again with them"
    stop_stack
  fi
  if ! supervisor_up; then
    check_ports
    STARTING=1
    # shellcheck disable=SC2086  # a list
    start_supervisor $wanted
    echo "$what" >"$STATE/run/mode"
  else
    for part in $(outdated); do
      say "restarting $part, which was built anew"
      restart_part "$part"
    done
  fi
  # shellcheck disable=SC2086  # a list
  if ! wait_healthy 300 $wanted; then
    # What runs is left for looking.
    STARTING=
    fail "not healthy after 300 s:$UNHEALTHY; see 'make logs PART=${UNHEALTHY##* }' and 'make status', then 'make down' and again"
  fi
  STARTING=
  exec 9>&- # whatever follows is no longer at work on the stack
  trap - EXIT INT TERM
  say "up: load $STATE/env"
}

restart_part() {
  compose process restart "$1" >>"$STATE/log/supervisor.out" 2>&1 ||
    compose process start "$1" >>"$STATE/log/supervisor.out" 2>&1
}
