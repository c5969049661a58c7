# shellcheck shell=bash
# shellcheck disable=SC2154  # $namespace is the story's
# The stack's stores beside the node, and what an installation needs to reach them. Sourced by `story`.

stores() {
  local parts part
  mkdir -p "$STATE"/{log,run,bin,data,config}
  link_tools
  write_settings "BASE=$BASE" "PROFILE=$(profile)" "TARGET=$TARGET" ISSUER=https://issuer.septem.local AUDIENCE=septem-data \
    "CLICKHOUSE=${CLICKHOUSE_BIN:-}"
  choose_parts
  make_secrets
  make_postgres
  write_env
  # Stores listen on loopback, which pods cannot reach: each has a door on the node's address.
  export SEPTEM_KAFKA_HOST=$NODE_IP
  for part in postgres valkey clickhouse-front kafka connect; do
    begin "door-$part" socat "TCP-LISTEN:$(port $part),bind=$NODE_IP,reuseaddr,fork" "TCP:127.0.0.1:$(port $part)"
  done
  parts="postgres valkey clickhouse kafka topics connect"
  [ -n "$CLICKHOUSE" ] || parts="$parts clickhouse-front"
  # shellcheck disable=SC2086  # a list
  start_supervisor $parts
  # shellcheck disable=SC2086
  wait_healthy 300 $parts || fail "the stores are not healthy:$UNHEALTHY"
}

make_secret() { kubectl create secret generic "$1" -n "$namespace" "${@:2}"; }
prerequisites() {
  local pg ch role
  pg=$NODE_IP:$(port postgres)/septem
  ch=http://$NODE_IP:$(port clickhouse-front)
  kubectl create namespace "$namespace"
  kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted
  make_secret postgres-owner --from-literal=url="postgres://septem_operator:$(secret postgres-owner)@$pg"
  for role in app cdc sink; do
    make_secret postgres-$role --from-literal=url="postgres://septem_$role:$(secret postgres-$role)@$pg"
  done
  for role in admin gateway sink; do
    make_secret clickhouse-$role --from-literal=url="${ch/:\/\//:\/\/septem_$role:$(secret clickhouse-$role)@}" \
      --from-literal=password="$(secret clickhouse-$role)"
  done
  make_secret kafka --from-literal=url="$NODE_IP:$(port kafka)"
  make_secret connect --from-literal=url="http://$NODE_IP:$(port connect)"
  make_secret valkey --from-literal=url="redis://$NODE_IP:$(port valkey)"
  make_secret septem-keys --from-file=cursor="$STATE/secrets/cursor.key" --from-file=hook="$STATE/secrets/hook.key"
  kubectl create configmap septem-jwt -n "$namespace" --from-file=jwt.pub="$STATE/secrets/jwt.pub"
  cat >"$WORK/values.yaml" <<Y
image: {pullPolicy: Never}
clickhouse: {url: "$ch"}
kafka: {bootstrap: "$NODE_IP:$(port kafka)"}
proxy:
  # A rollout has more pods than the chart's requests leave room for on a small machine.
  resources: {requests: {cpu: 100m}}
  jwt: {issuer: "$(setting ISSUER)", audience: "$(setting AUDIENCE)", configMap: septem-jwt}
  # Without a real server the engine stands in, below the floor that the proxy asks for.
  env: {SEPTEM_ALLOW_OLD_CLICKHOUSE: "$([ -n "$CLICKHOUSE" ] && echo 0 || echo 1)"}
hooks: {enabled: true, keySecret: {name: septem-keys}}
test: {image: "localhost/tools:1"}
Y
}
