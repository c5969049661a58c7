# shellcheck shell=bash
# Keeps every log bounded while its part runs on; `part` does the same when one starts.
while :; do
  for file in "$STATE"/log/*.log; do bound_log "$file"; done
  sleep 30
done
