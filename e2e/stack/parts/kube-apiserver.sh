# shellcheck shell=bash
# A loopback address cannot be an endpoint of service `kubernetes`, hence no endpoint reconciler.
exec "$STATE/bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$(port etcd)" \
  --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --endpoint-reconciler-type=none \
  --secure-port="$(port kube-apiserver)" --tls-cert-file="$STATE/pki/apiserver.crt" \
  --tls-private-key-file="$STATE/pki/apiserver.key" --client-ca-file="$STATE/pki/ca.crt" \
  --authorization-mode=Node,RBAC --service-cluster-ip-range=10.96.0.0/16 --profiling=false \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file="$STATE/pki/sa.pub" --service-account-signing-key-file="$STATE/pki/sa.key"
