# shellcheck shell=bash
# shellcheck disable=SC2155  # these functions do not fail
export SEPTEM_PROXY_LISTEN=127.0.0.1:$(port proxy)
export SEPTEM_PROXY_ADMIN_LISTEN=127.0.0.1:$(port proxy-admin)
SEPTEM_PROXY_DATABASE_URL=postgres://septem_app:$(secret postgres-app)@127.0.0.1:$(port postgres)/septem
SEPTEM_PROXY_CLICKHOUSE_PASSWORD=$(secret clickhouse-gateway)
SEPTEM_PROXY_CURSOR_KEY=$(secret cursor.key)
SEPTEM_HOOK_KEY=$(secret hook.key)
export SEPTEM_HOOK_KEY SEPTEM_PROXY_DATABASE_URL SEPTEM_PROXY_CLICKHOUSE_PASSWORD SEPTEM_PROXY_CURSOR_KEY
# Back ends of modules run on this machine.
export SEPTEM_HOOK_HOSTS=127.0.0.1
export SEPTEM_PROXY_CLICKHOUSE_URL=http://127.0.0.1:$(port clickhouse-front)
export SEPTEM_PROXY_CLICKHOUSE_USER=septem_gateway
export SEPTEM_PROXY_VALKEY_URL=redis://127.0.0.1:$(port valkey)
export SEPTEM_PROXY_JWT_PUBLIC_KEY=$STATE/secrets/jwt.pub
SEPTEM_PROXY_JWT_ISSUER=$(setting ISSUER)
SEPTEM_PROXY_JWT_AUDIENCE=$(setting AUDIENCE)
export SEPTEM_PROXY_JWT_ISSUER SEPTEM_PROXY_JWT_AUDIENCE
[ ! -d "$SWAGGER_UI_HOME" ] || export SEPTEM_DOCS_ASSETS=$SWAGGER_UI_HOME
# The engine reports 26.7.2, below the floor that the proxy asks of a server.
[ -n "$CLICKHOUSE" ] || export SEPTEM_ALLOW_OLD_CLICKHOUSE=1
exec "$(products)/septem-proxy"
