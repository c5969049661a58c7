# shellcheck shell=bash
# shellcheck disable=SC2155  # these functions do not fail
# Users, roles and row policies for the engine, which has no place for them.
SEPTEM_FRONT_ADMIN_PASSWORD=$(secret clickhouse-admin)
SEPTEM_FRONT_ENGINE_PASSWORD=$(secret clickhouse-engine)
export SEPTEM_FRONT_ADMIN_PASSWORD SEPTEM_FRONT_ENGINE_PASSWORD
export SEPTEM_FRONT_LISTEN=127.0.0.1:$(port clickhouse-front)
export SEPTEM_FRONT_ENGINE=127.0.0.1:$(port clickhouse)
export SEPTEM_FRONT_STATE=$STATE/data/clickhouse-access.json
exec "$(products)/clickhouse-front"
