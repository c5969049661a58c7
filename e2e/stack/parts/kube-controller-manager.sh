# shellcheck shell=bash
# Only the controllers that a cluster without nodes can use: the others would cost memory and do nothing.
controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller
controllers=$controllers,root-ca-certificate-publisher-controller,clusterrole-aggregation-controller
controllers=$controllers,validatingadmissionpolicy-status-controller
exec "$STATE/bin/kube-controller-manager" --kubeconfig="$STATE/kubeconfig" --bind-address=127.0.0.1 \
  --secure-port="$(port kube-controller-manager)" --authentication-kubeconfig="$STATE/kubeconfig" \
  --authorization-kubeconfig="$STATE/kubeconfig" --authorization-always-allow-paths=/healthz \
  --service-account-private-key-file="$STATE/pki/sa.key" --root-ca-file="$STATE/pki/ca.crt" \
  --use-service-account-credentials=false --leader-elect=false --controllers="$controllers" --profiling=false \
  --cert-dir="$STATE/pki/controller-manager"
