# shellcheck shell=bash
# Runs once per data folder: the events' topic exists before anybody subscribes, with six partitions and 7 days.
# shellcheck source=../lib/java.sh
. "$HERE/lib/java.sh"
[ ! -f "$STATE/data/kafka/topics" ] || exit 0
log4j topics org.apache.kafka.tools
java -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${log4j[@]}" -cp "$CACHE/kafka-$KAFKA/*" \
  org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$(port kafka)" --create --if-not-exists \
  --topic platform.data.events --partitions 6 --replication-factor 1 --config retention.ms=604800000 \
  --config cleanup.policy=delete --config max.message.bytes=8388608
touch "$STATE/data/kafka/topics"
