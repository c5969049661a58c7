# shellcheck shell=bash
# Runs once per data folder: the events' topic exists before anybody subscribes, with six partitions and 7 days, and
# takes whatever the broker takes. A data folder from before gets the new limit.
# shellcheck source=../lib/java.sh
. "$HERE/lib/java.sh"
topic=platform.data.events limit=16777216
[ "$(cat "$STATE/data/kafka/topics" 2>/dev/null)" != "$limit" ] || exit 0
log4j topics org.apache.kafka.tools
kafka_tool() {
  java -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${log4j[@]}" -cp "$CACHE/kafka-$KAFKA/*" "$@" \
    --bootstrap-server "127.0.0.1:$(port kafka)"
}
kafka_tool org.apache.kafka.tools.TopicCommand --create --if-not-exists --topic "$topic" --partitions 6 \
  --replication-factor 1 --config retention.ms=604800000 --config cleanup.policy=delete \
  --config "max.message.bytes=$limit"
if [ -f "$STATE/data/kafka/topics" ]; then
  kafka_tool kafka.admin.ConfigCommand --alter --topic "$topic" --add-config "max.message.bytes=$limit"
fi
echo "$limit" >"$STATE/data/kafka/topics"
