# shellcheck shell=bash
# The engine out of libchdb, or a real server where there is one.
if [ -n "$CLICKHOUSE" ]; then
  # shellcheck source=clickhouse-server.sh
  . "$HERE/parts/clickhouse-server.sh"
fi
data=$STATE/data/clickhouse
mkdir -p "$data" "$STATE/config"
hash() { secret "$1" | tr -d '\n' | sha256sum | cut -d' ' -f1; }
(
  umask 077
  cat >"$STATE/config/clickhouse-users.xml" <<X
<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <!-- The session that keeps the process; whoever else logs in as it can do no more than this. -->
    <default>
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>
    <septem_admin>
      <password_sha256_hex>$(hash clickhouse-admin)</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
    </septem_admin>
    <!-- As these two, the access front sends the queries of everybody who is no administrator. -->
    <front_reader>
      <password_sha256_hex>$(hash clickhouse-engine)</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SELECT, SHOW ON *.*</query>
        <query>REVOKE SELECT ON system.*</query>
      </grants>
    </front_reader>
    <front_writer>
      <password_sha256_hex>$(hash clickhouse-engine)</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SELECT, SHOW, INSERT ON *.*</query>
        <query>REVOKE SELECT, INSERT ON system.*</query>
      </grants>
    </front_writer>
  </users>
</clickhouse>
X
)
cat >"$STATE/config/clickhouse.xml" <<X
<clickhouse>
  <user_directories><users_xml><path>$STATE/config/clickhouse-users.xml</path></users_xml></user_directories>
  <!-- A query's error goes to whoever asked; here it would be a hundred lines, with the values in the query. -->
  <logger>
    <level>warning</level>
    <console>1</console>
    <levels>
      <executeQuery>fatal</executeQuery>
      <DynamicQueryHandler>fatal</DynamicQueryHandler>
      <StaticRequestHandler>fatal</StaticRequestHandler>
      <logger>
        <name>bool DB::WriteBufferFromHTTPServerResponse::cancelWithException(HTTPServerRequest &amp;, int, const std::string &amp;, WriteBuffer *)</name>
        <level>fatal</level>
      </logger>
    </levels>
  </logger>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <background_pool_size>2</background_pool_size>
  <!-- The engine's own 2 let one task of a kind run at a time, and warn of it several times a second. -->
  <background_schedule_pool_size>32</background_schedule_pool_size>
  <background_streaming_schedule_pool_size>32</background_streaming_schedule_pool_size>
</clickhouse>
X
exec python3 "$HERE/clickhouse-engine.py" "$CACHE/chdb-$CHDB/libchdb.so" "$data" "$STATE/config/clickhouse.xml" \
  "$(port clickhouse)" "$(port clickhouse-tcp)"
