# Steps, commands and checks of the demo. Sourced by demo.sh, which sets DEMO (this folder's parent) and WORK.

if [ -t 1 ]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' GREEN='' RED='' PLAIN=''
fi
STEP=starting STEP_NUMBER=0 STEP_FROM=0 PART=proxy TRY='make status'

# step NAME PART TRY: PART is whose log to read when the step fails, TRY what to do then.
step() {
  STEP=$1 PART=$2 TRY=$3 STEP_FROM=$SECONDS
  STEP_NUMBER=$((STEP_NUMBER + 1))
  printf '\n%s── %d. %s%s %s(%d s)%s\n' "$BOLD" "$STEP_NUMBER" "$STEP" "$PLAIN" "$DIM" "$SECONDS" "$PLAIN"
}

fail() {
  touch "$WORK/told"
  {
    printf '\n%sFailed: step %d, "%s", after %d s: %s%s\n' "$RED" "$STEP_NUMBER" "$STEP" $((SECONDS - STEP_FROM)) "$1" "$PLAIN"
    printf '  log:  .stack/log/%s.log (make logs PART=%s)\n' "$PART" "$PART"
    [ -r ".stack/log/$PART.log" ] && tail -n 5 ".stack/log/$PART.log" | cut -c 1-300 | sed 's/^/        /'
    printf '  try:  %s\n' "$TRY"
  } >&2
  exit 1
}

# On leaving: forgets the work folder, and tells of a failure that no check has told of.
leave() {
  local code=$?
  [ "$code" -eq 0 ] || [ -e "$WORK/told" ] || (fail "stopped with exit code $code") || true
  rm -rf "$WORK"
  exit "$code"
}

say() { printf '%s%s%s\n' "$DIM" "$1" "$PLAIN"; }

# waiting WHAT COMMAND…: runs the command and shows the seconds; its output goes to $WORK/wait.
waiting() {
  local what=$1 from=$SECONDS shown=$SECONDS code
  shift
  "$@" >"$WORK/wait" 2>&1 &
  local pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if [ -t 1 ]; then
      printf '\r    waiting for %s: %d s' "$what" $((SECONDS - from))
    elif [ $((SECONDS - shown)) -ge 5 ]; then
      shown=$SECONDS
      printf '    waiting for %s: %d s\n' "$what" $((SECONDS - from))
    fi
  done
  wait "$pid" && code=0 || code=$?
  [ -t 1 ] && printf '\r\e[K'
  return "$code"
}

# run COMMAND: prints the command as a person would type it, runs just that, prints its answer.
run() {
  local lines=${2:-26}
  printf '\n%s$ %s%s\n' "$BOLD" "$1" "$PLAIN"
  case $1 in
    curl*)
      eval "$1"
      python3 "$DEMO/lib/answer.py" show "$WORK" "$lines"
      ;;
    *)
      eval "$1" >"$WORK/body" 2>&1 || { cat "$WORK/body"; fail "the command failed"; }
      cat "$WORK/body"
      ;;
  esac
}

# curl as the tour prints it, and quiet, bounded and kept for the checks.
curl() {
  rm -f "$WORK/headers" "$WORK/body"
  command curl --silent --show-error --max-time 30 --dump-header "$WORK/headers" --output "$WORK/body" "$@" 2>"$WORK/error" ||
    fail "no HTTP answer: $(cat "$WORK/error")"
}

answer() { python3 "$DEMO/lib/answer.py" get "$WORK" "$1" || fail "the answer lacks $1: $(head -c 600 "$WORK/body")"; }

# expect STATUS [SENTENCE EXPRESSION]…: the answer's status, and facts about its content.
expect() {
  local status=$1
  shift
  python3 "$DEMO/lib/answer.py" check "$WORK" "status == $status" ||
    fail "expected status $status, got $(head -n 1 "$WORK/headers" | tr -d '\r'): $(head -c 600 "$WORK/body")"
  while [ $# -gt 0 ]; do
    python3 "$DEMO/lib/answer.py" check "$WORK" "$2" || fail "not so: $1: $(head -c 600 "$WORK/body")"
    printf '%s  ✓ %s%s\n' "$GREEN" "$1" "$PLAIN"
    shift 2
  done
}
