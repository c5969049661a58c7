# shellcheck shell=bash
# shellcheck source=../lib/java.sh
. "$HERE/lib/java.sh"
# One broker that is its own controller. Retention of 7 days as the events' topic asks for. A row may have 1 MiB of
# text, an event has it twice, and JSON writes a control character as six: hence messages of 16 MiB. What waits for the
# broker's threads is bounded, so that a few of them fit into its heap.
data=$STATE/data/kafka
mkdir -p "$data" "$STATE/config"
# Where clients are sent to; another address than loopback leads here all the same, for pods of a node on this machine.
told=${SEPTEM_KAFKA_HOST:-127.0.0.1}
cat >"$STATE/config/kafka.properties" <<C
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$(port kafka-controller)
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$(port kafka),CONTROLLER://127.0.0.1:$(port kafka-controller)
advertised.listeners=PLAINTEXT://$told:$(port kafka)
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$data
num.partitions=6
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=2
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.retention.hours=168
log.segment.bytes=67108864
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
socket.request.max.bytes=33554432
queued.max.request.bytes=67108864
num.network.threads=2
num.io.threads=4
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
C
log4j kafka kafka.server.KafkaRaftServer
if [ ! -f "$data/meta.properties" ]; then
  java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${log4j[@]}" -cp "$CACHE/kafka-$KAFKA/*" \
    kafka.tools.StorageTool format -t "$(secret kafka-cluster)" -c "$STATE/config/kafka.properties"
fi
java_flags kafka 384
exec java "${java_flags[@]}" "${log4j[@]}" -cp "$CACHE/kafka-$KAFKA/*" kafka.Kafka "$STATE/config/kafka.properties"
