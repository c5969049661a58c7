# shellcheck shell=bash
# A task: the custom resource definitions, the Secrets, and the DataPlane that names them. Applying again changes
# nothing.
export KUBECONFIG=$STATE/kubeconfig
pg=127.0.0.1:$(port postgres)/septem
ch=127.0.0.1:$(port clickhouse-front)
manifest_secret() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: septem-system}\nstringData: {url: "%s"}\n' \
    "$1" "$2"
}
"$(products)/crdgen" | kubectl apply --server-side --force-conflicts -f -
kubectl wait --for=condition=Established --timeout=30s crd/dataplanes.data.septemcore.com \
  crd/tenants.data.septemcore.com crd/modulemodels.data.septemcore.com
{
  printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: septem-system}\n'
  manifest_secret postgres-owner "postgres://septem_operator:$(secret postgres-owner)@$pg"
  manifest_secret postgres-app "postgres://septem_app:$(secret postgres-app)@$pg"
  manifest_secret postgres-cdc "postgres://septem_cdc:$(secret postgres-cdc)@$pg"
  manifest_secret postgres-sink "postgres://septem_sink:$(secret postgres-sink)@$pg"
  manifest_secret clickhouse-admin "http://septem_admin:$(secret clickhouse-admin)@$ch"
  manifest_secret clickhouse-gateway "http://septem_gateway:$(secret clickhouse-gateway)@$ch"
  manifest_secret clickhouse-sink "http://septem_sink:$(secret clickhouse-sink)@$ch"
  manifest_secret kafka "127.0.0.1:$(port kafka)"
  manifest_secret connect "http://127.0.0.1:$(port connect)"
  manifest_secret valkey "redis://127.0.0.1:$(port valkey)"
  cat "$HERE/dataplane.yaml"
} | kubectl apply --server-side --force-conflicts -f -
