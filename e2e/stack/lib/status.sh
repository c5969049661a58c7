# shellcheck shell=bash
# The table of parts.

# A process and all its children: PostgreSQL is many.
family() {
  local child
  echo "$1"
  # shellcheck disable=SC2013  # words are what the file has
  for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do family "$child"; done
}
# MiB of a part, the pages that its processes share divided among them.
memory() {
  local pid
  # A child may end while it is looked at.
  for pid in $(family "$1"); do cat "/proc/$pid/smaps_rollup" 2>/dev/null || true; done |
    awk '/^Pss:/ { sum += $2 } END { print int(sum / 1024) }'
}

# status: prints; returns 0 only if every part is healthy and the DataPlane is ready.
status() {
  local part pid all state healthy=0 total=0 size
  all=$(states || true)
  printf '%-24s %8s %6s %10s  %s\n' PART PID PORT 'MEMORY' STATE
  for part in $DEPS $PRODUCTS; do
    pid=$(running "$part" || true)
    state=$(printf '%s\n' "$all" | awk -v p="$part" '$1 == p { print $2, $3 }')
    case $state in
      'Running Ready') state=healthy ;;
      'Running '*) state='not ready' ;;
      '') state=stopped ;;
      *) state=$(printf %s "${state%% *}" | tr 'A-Z-' 'a-z ') ;;
    esac
    if [ "$state" = healthy ] && [ -z "$pid" ]; then state='not ready'; fi
    [ "$state" = healthy ] || healthy=1
    size=-
    if [ -n "$pid" ]; then
      size=$(memory "$pid")
      total=$((total + size))
      size="$size MiB"
    fi
    printf '%-24s %8s %6s %10s  %s\n' "$part" "${pid:--}" "$(port "$part")" "$size" "$state"
  done
  state='not ready'
  # shellcheck disable=SC2153  # STATE is a folder, state a word
  if [ "$healthy" = 0 ] && "$STATE/bin/kubectl" --kubeconfig "$STATE/kubeconfig" wait dataplane/default \
    --for=condition=Ready --timeout=1s >/dev/null 2>&1; then
    state=healthy
  else
    healthy=1
  fi
  printf '%-24s %8s %6s %10s  %s\n' 'dataplane/default' - - "$total MiB" "$state"
  return "$healthy"
}
