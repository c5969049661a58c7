#!/usr/bin/env bash
# Memory of every part and what the whole stack costs while nothing happens: CPU over a number of seconds (default 30).
#
# Memory is the proportional set size of the part's process and its children: pages that several share are divided.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
SECONDS_MEASURED=${1:-30}
TICKS=$(getconf CLK_TCK)

if ! ls .stack/run/*.pid >/dev/null 2>&1; then
  echo "The stack is not running: run \`make up\` first." >&2
  exit 1
fi

# A process and all its children.
tree() {
  local child
  echo "$1"
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$child"; done
}

# Clock ticks that the processes have used, in user and in kernel mode. The name in parentheses may hold blanks.
ticks() {
  local pid sum=0 stat
  for pid in "$@"; do
    stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
    set -- ${stat##*) }
    sum=$((sum + ${12} + ${13}))
  done
  echo "$sum"
}

kib() {
  local pid sum=0 part
  for pid in "$@"; do
    part=$(awk '$1 == "Pss:" { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null) || part=0
    sum=$((sum + ${part:-0}))
  done
  echo "$sum"
}

declare -A PIDS BEFORE
PARTS=()
for file in .stack/run/*.pid; do
  pid=$(tr -d '[:space:]' <"$file")
  [ -d "/proc/$pid" ] || continue
  part=$(basename "$file" .pid)
  # The supervisor is the parent of the others: itself only.
  if [ "$part" = supervisor ]; then PIDS[$part]=$pid; else PIDS[$part]=$(tree "$pid"); fi
  PARTS+=("$part")
done

for part in "${PARTS[@]}"; do BEFORE[$part]=$(ticks ${PIDS[$part]}); done
sleep "$SECONDS_MEASURED"

total_kib=0 total_ticks=0
printf '%-26s %10s %12s\n' PART 'MiB (PSS)' '% of a core'
for part in "${PARTS[@]}"; do
  used=$(($(ticks ${PIDS[$part]}) - BEFORE[$part]))
  size=$(kib ${PIDS[$part]})
  total_kib=$((total_kib + size)) total_ticks=$((total_ticks + used))
  printf '%-26s %10d %12s\n' "$part" $((size / 1024)) "$(awk "BEGIN { printf \"%.1f\", 100 * $used / $TICKS / $SECONDS_MEASURED }")"
done
printf '%-26s %10d %12s\n' total $((total_kib / 1024)) \
  "$(awk "BEGIN { printf \"%.1f\", 100 * $total_ticks / $TICKS / $SECONDS_MEASURED }")"
