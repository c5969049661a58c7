# shellcheck shell=bash
# fsync stays on: the speed and the crash tests would mean nothing without it.
data=$(cat "$STATE/postgres-data")
bin=$(readlink -f "$STATE/pginstall")/bin # its user may not pass through .stack
cd /
settings=(
  -c listen_addresses=127.0.0.1 -c port="$(port postgres)" -c unix_socket_directories=
  -c password_encryption=scram-sha-256 -c max_connections=150 -c shared_buffers=128MB -c fsync=on
  -c wal_level=logical -c max_replication_slots=16 -c max_wal_senders=16 -c max_slot_wal_keep_size=4GB
  -c wal_sender_timeout=10s -c logical_decoding_work_mem=64MB -c idle_replication_slot_timeout=0
  -c timezone=UTC -c log_timezone=UTC -c shared_preload_libraries=pg_stat_statements
  -c log_line_prefix='%m [%p] %u@%d '
  # Statements and details of errors hold tenants' values, which do not belong in a log.
  -c log_min_error_statement=panic -c log_error_verbosity=terse
)
if [ "$(id -u)" = 0 ]; then
  user=$(pg_user)
  exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- \
    "$bin/postgres" -D "$data" "${settings[@]}"
fi
exec "$bin/postgres" -D "$data" "${settings[@]}"
