# shellcheck shell=bash
# shellcheck disable=SC2155  # these functions do not fail
export SEPTEM_SINK_LISTEN=127.0.0.1:$(port sink)
SEPTEM_SINK_DATABASE_URL=postgres://septem_sink:$(secret postgres-sink)@127.0.0.1:$(port postgres)/septem
SEPTEM_SINK_CLICKHOUSE_PASSWORD=$(secret clickhouse-sink)
export SEPTEM_SINK_DATABASE_URL SEPTEM_SINK_CLICKHOUSE_PASSWORD
export SEPTEM_SINK_KAFKA_BOOTSTRAP=127.0.0.1:$(port kafka)
export SEPTEM_SINK_CLICKHOUSE_URL=http://127.0.0.1:$(port clickhouse-front)
export SEPTEM_SINK_CLICKHOUSE_USER=septem_sink
# The group knows it again after a kill, and gives it its partitions at once.
export SEPTEM_SINK_INSTANCE=sink-1
exec "$(products)/septem-sink"
