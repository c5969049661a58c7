# shellcheck shell=bash
# A cache and nothing else: it may forget, so it neither saves nor refuses.
exec "$STATE/bin/valkey-server" --bind 127.0.0.1 --port "$(port valkey)" --save '' --appendonly no \
  --maxmemory 256mb --maxmemory-policy allkeys-lru --dir "$STATE/data" --daemonize no --set-proc-title no
