# shellcheck shell=bash
# A real ClickHouse server in the place of engine and access front: CLICKHOUSE_BIN, or clickhouse-server on the PATH.
# Exercised only where such a server exists; no package registry carries one.
data=$STATE/data/clickhouse-server
mkdir -p "$data" "$STATE/config"
(
  umask 077
  cat >"$STATE/config/clickhouse-server-users.xml" <<X
<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <!-- The operator makes all others. -->
    <septem_admin>
      <password_sha256_hex>$(secret clickhouse-admin | tr -d '\n' | sha256sum | cut -d' ' -f1)</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
    </septem_admin>
  </users>
</clickhouse>
X
)
cat >"$STATE/config/clickhouse-server.xml" <<X
<clickhouse>
  <listen_host>127.0.0.1</listen_host>
  <http_port>$(port clickhouse)</http_port>
  <tcp_port>$(port clickhouse-tcp)</tcp_port>
  <path>$data/</path>
  <tmp_path>$data/tmp/</tmp_path>
  <user_files_path>$data/user_files/</user_files_path>
  <format_schema_path>$data/format_schemas/</format_schema_path>
  <user_directories>
    <users_xml><path>$STATE/config/clickhouse-server-users.xml</path></users_xml>
    <local_directory><path>$data/access/</path></local_directory>
  </user_directories>
  <!-- Who has no row policy reads nothing, a table that no policy of the roles covers is an error, a profile's
       constraints replace earlier ones, and system tables need a grant. -->
  <access_control_improvements>
    <users_without_row_policies_can_read_rows>false</users_without_row_policies_can_read_rows>
    <throw_on_unmatched_row_policies>true</throw_on_unmatched_row_policies>
    <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
  </access_control_improvements>
  <query_log>
    <database>system</database>
    <table>query_log</table>
    <flush_interval_milliseconds>1000</flush_interval_milliseconds>
  </query_log>
  <logger>
    <level>warning</level>
    <console>1</console>
    <levels><executeQuery>fatal</executeQuery><DynamicQueryHandler>fatal</DynamicQueryHandler></levels>
  </logger>
  <mark_cache_size>67108864</mark_cache_size>
</clickhouse>
X
# The one program `clickhouse` is told to be a server; `clickhouse-server` is one by its name.
command=("$CLICKHOUSE")
case ${CLICKHOUSE##*/} in clickhouse) command+=(server) ;; esac
exec "${command[@]}" "--config-file=$STATE/config/clickhouse-server.xml"
