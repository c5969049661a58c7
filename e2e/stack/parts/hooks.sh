# shellcheck shell=bash
# shellcheck disable=SC2155  # these functions do not fail
export SEPTEM_HOOKS_LISTEN=127.0.0.1:$(port hooks)
SEPTEM_SINK_DATABASE_URL=postgres://septem_sink:$(secret postgres-sink)@127.0.0.1:$(port postgres)/septem
SEPTEM_HOOK_KEY=$(secret hook.key)
export SEPTEM_SINK_DATABASE_URL SEPTEM_HOOK_KEY
export SEPTEM_SINK_KAFKA_BOOTSTRAP=127.0.0.1:$(port kafka)
# Back ends of modules run on this machine.
export SEPTEM_HOOK_HOSTS=127.0.0.1
# The group knows it again after a kill, and gives it its partitions at once.
export SEPTEM_HOOKS_INSTANCE=hooks-1
exec "$(products)/septem-sink" hooks
