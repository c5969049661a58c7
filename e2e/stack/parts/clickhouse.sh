# shellcheck shell=bash
# The engine out of libchdb.
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
  <logger><level>warning</level><console>1</console></logger>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <background_pool_size>2</background_pool_size>
</clickhouse>
X
exec python3 "$HERE/clickhouse-engine.py" "$CACHE/chdb-$CHDB/libchdb.so" "$data" "$STATE/config/clickhouse.xml" \
  "$(port clickhouse)" "$(port clickhouse-tcp)"
