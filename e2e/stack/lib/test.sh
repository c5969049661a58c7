# shellcheck shell=bash
# What developers and CI run: tests, lints, generated files, tokens.

CARGO_DENY=0.20.2

token() {
  local binary
  if [ -z "${TENANT:-}" ] || [ -z "${USER:-}" ]; then
    fail "usage: make -s token TENANT=<uuid> USER=<sub> [TTL=3600]"
  fi
  [ -r "$STATE/env" ] || fail "the stack was never up: run 'make up' first"
  binary=$(products)/token
  [ -x "$binary" ] || fail "the stack is not built: run 'make up' first"
  (
    # shellcheck source=/dev/null
    . "$STATE/env"
    exec "$binary" "$TENANT" "$USER" "${TTL:-3600}"
  )
}

# Leaves a stack as it found it: one that ran goes on, one that did not is stopped again.
run_tests() {
  local was_up='' code=0
  if supervisor_up; then was_up=1; fi
  (
    check_test_tools
    up all
  )
  say "cargo test --workspace"
  (
    # shellcheck source=/dev/null
    . "$STATE/env"
    cd "$ROOT"
    cargo test --workspace --locked
  ) || code=$?
  if [ -z "$was_up" ]; then
    say "stopping the stack that the tests started"
    stop_stack
  fi
  [ "$code" = 0 ] || fail "the tests failed; a part's log is in $STATE/log"
}

CRDS=$ROOT/charts/septem-data/files/crds.yaml

generate() {
  say "the chart's files/crds.yaml"
  env -C "$ROOT" cargo run --quiet --locked -p crds --bin crdgen >"$CRDS.part"
  mv "$CRDS.part" "$CRDS"
  say "the chart's values.yaml, and the table in its README.md"
  "$ROOT/charts/values"
}

check_generated() {
  env -C "$ROOT" cargo run --quiet --locked -p crds --bin crdgen | diff -u "$CRDS" - ||
    fail "$CRDS is not current: run 'make generate'"
  "$ROOT/charts/values" check || exit 1
}

install_cargo_deny() {
  [ -x "$CACHE/cargo-deny-$CARGO_DENY/bin/cargo-deny" ] && return
  # Its own target folder, so that the workspace's stays small; removed when done.
  HINT="read the compiler's message" step "build cargo-deny $CARGO_DENY" "$STATE/log/install.log" env \
    CARGO_TARGET_DIR="$CACHE/tmp/cargo-deny" cargo install --quiet --locked "cargo-deny@$CARGO_DENY" \
    --root "$CACHE/cargo-deny-$CARGO_DENY"
  rm -rf "$CACHE/tmp/cargo-deny"
}

lint() {
  cd "$ROOT" || exit 1
  mkdir -p "$STATE/log"
  check_libraries
  say "cargo fmt --check"
  cargo fmt --all --check || fail "not formatted: run 'make fmt'"
  say "cargo clippy"
  cargo clippy --workspace --all-targets --locked -- -D warnings
  install_cargo_deny
  say "cargo deny (bans, licences, sources)"
  "$CACHE/cargo-deny-$CARGO_DENY/bin/cargo-deny" --locked check bans licenses sources
  say "generated files"
  check_generated
  if command -v shellcheck >/dev/null; then
    say "shellcheck"
    shellcheck -x e2e/stack/stack e2e/stack/part e2e/stack/part-stop e2e/stack/lib/*.sh e2e/stack/parts/*.sh .ci/run \
      charts/images/build e2e/kind/run e2e/cluster/run e2e/cluster/story e2e/cluster/*.sh
  fi
  say "lint is clean"
}
