# shellcheck shell=bash
# shellcheck disable=SC2155  # these functions do not fail
export KUBECONFIG=$STATE/kubeconfig
export SEPTEM_OPERATOR_LISTEN=127.0.0.1:$(port operator)
exec "$(products)/septem-operator"
