# shellcheck shell=bash
# shellcheck source=../lib/java.sh
. "$HERE/lib/java.sh"
mkdir -p "$STATE/config"
cat >"$STATE/config/connect.properties" <<C
bootstrap.servers=127.0.0.1:$(port kafka)
group.id=septem-connect
key.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
value.converter.replace.null.with.default=false
offset.storage.topic=septem.connect.offsets
offset.storage.replication.factor=1
offset.storage.partitions=1
config.storage.topic=septem.connect.configs
config.storage.replication.factor=1
status.storage.topic=septem.connect.status
status.storage.replication.factor=1
status.storage.partitions=1
offset.flush.interval.ms=1000
exactly.once.source.support=disabled
connector.client.config.override.policy=All
listeners=http://127.0.0.1:$(port connect)
rest.advertised.host.name=127.0.0.1
plugin.path=$CACHE/debezium-$DEBEZIUM
plugin.discovery=service_load
scheduled.rebalance.max.delay.ms=0
session.timeout.ms=6000
heartbeat.interval.ms=2000
C
# What tells where a connector stands. The rest of Debezium says each table and each setting at each start of a task.
log4j connect org.apache.kafka.connect.runtime.distributed.DistributedHerder \
  io.debezium.connector.postgresql.PostgresStreamingChangeEventSource \
  io.debezium.connector.postgresql.connection.WalPositionLocator \
  io.debezium.pipeline.source.snapshot.incremental io.debezium.pipeline.signal
java_flags connect 768
exec java "${java_flags[@]}" "${log4j[@]}" -cp "$CACHE/kafka-$KAFKA/*" \
  org.apache.kafka.connect.cli.ConnectDistributed "$STATE/config/connect.properties"
