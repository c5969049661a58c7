# shellcheck shell=bash
# A task: waits until the operator has made the DataPlane ready, which is when the proxy's and the sink's logins exist.
export KUBECONFIG=$STATE/kubeconfig
kubectl wait dataplane/default --for=condition=Ready --timeout=120s
