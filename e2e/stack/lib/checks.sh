# shellcheck shell=bash
# What can be wrong with a machine, found before anything starts and said in one sentence.

check_tools() {
  local tool missing=''
  for tool in cargo go java mvn node npm python3 gcc make openssl sha256sum; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
  done
  [ -z "$missing" ] ||
    fail "missing on this machine:$missing (needed: Rust, Go 1.26, JDK 17 with Maven, Node 20, Python 3.11 with pip, gcc, make, openssl)"
  python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip (Debian: apt-get install python3-pip)"
  if [ "$(id -u)" = 0 ]; then
    command -v setpriv >/dev/null || fail "setpriv is missing (Debian: apt-get install util-linux); PostgreSQL refuses to run as root without it"
    getent passwd "$(pg_user)" >/dev/null || fail "there is no user $(pg_user) to run PostgreSQL as; set SEPTEM_PG_USER to one"
  fi
}

# What the Rust workspace links against, from apt when it is not there.
check_libraries() {
  local missing=''
  command -v curl >/dev/null || missing="$missing curl"
  command -v pkg-config >/dev/null || missing="$missing pkg-config"
  pkg-config --exists openssl 2>/dev/null || missing="$missing libssl-dev"
  pkg-config --exists zlib 2>/dev/null || missing="$missing zlib1g-dev"
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] || fail "these packages are missing and only root can install them: run 'sudo apt-get install$missing'"
  # shellcheck disable=SC2086  # a list
  HINT="run 'apt-get install$missing' by hand" step "apt-get install$missing" "$STATE/log/install.log" \
    sh -c "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q$missing"
}

# What only tests run, in the same way.
check_test_tools() {
  [ ! -x /usr/sbin/pgbouncer ] || return 0
  [ "$(id -u)" = 0 ] || fail "PgBouncer is missing and only root can install it: run 'sudo apt-get install pgbouncer'"
  HINT="run 'apt-get install pgbouncer' by hand" step "apt-get install pgbouncer" "$STATE/log/install.log" \
    sh -c "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q pgbouncer"
}

check_clickhouse() {
  [ -z "${CLICKHOUSE_BIN:-}" ] || { [ -f "$CLICKHOUSE_BIN" ] && [ -x "$CLICKHOUSE_BIN" ]; } ||
    fail "CLICKHOUSE_BIN names $CLICKHOUSE_BIN, which is no program; unset it to use the engine that the stack installs"
}

# GiB that building from nothing takes; less when something is there already.
check_disk() {
  local need=2 free folder
  [ -x "$CACHE/bin/kube-controller-manager-$KUBERNETES" ] || need=$((need + 5))
  [ -d "$(target_folder)/release" ] || need=$((need + 3))
  [ -d "$(target_folder)/debug" ] || need=$((need + 2))
  for folder in "$ROOT" "$CACHE"; do
    mkdir -p "$folder"
    free=$(($(df -Pk "$folder" | awk 'NR == 2 { print $4 }') / 1048576))
    [ "$free" -ge "$need" ] || fail "$folder has $free GiB free and $need GiB are needed"
  done
}

check_ports() {
  local name number _
  for name in $PORTS; do
    number=$(port "$name")
    # A process that has just been stopped may hold its port for a moment longer than its name.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      if [ -n "$(port_owner "$number")" ] || ! listening "$number"; then break; fi
      sleep 0.2
    done
    if listening "$number"; then
      fail "port $number (for $name) is in use$(port_owner "$number"); stop that, or set SEPTEM_PORT_BASE to another base than $BASE"
    fi
  done
}
port_owner() {
  local owner
  owner=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1, pid \2/p' | head -n 1)
  [ -z "$owner" ] || printf ' by %s' "$owner"
}

target_folder() { echo "${CARGO_TARGET_DIR:-$ROOT/target}"; }
