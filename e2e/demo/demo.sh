#!/usr/bin/env bash
# The demo: module crm and two tenants by kubectl, Northwind through the HTTP API, then a tour of what that gives.
#
# Runs on a running stack (`make demo` starts one first). A second run finds the data and leaves the same data.
set -euo pipefail

DEMO=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$DEMO/../.."
if [ ! -r .stack/env ]; then
  echo "The stack is not running: run \`make up\` first, or \`make demo\`, which does both." >&2
  exit 1
fi
. .stack/env

WORK=$(mktemp -d)
. "$DEMO/lib/say.sh"
trap leave EXIT
. "$DEMO/tour.sh"

# Deals that the tour makes and removes have numbers from here on; Northwind's end at 11077.
TOUR_NUMBER=990001
# The tour's own company, and a key that no earlier tour has used.
TOUR_CODE=TOUR
TOUR_KEY=$(date +%s)
# Rows that the loader made, so that others which somebody has added do not count.
LOADED='"filters": {"created_by": "eq.northwind"}'
export ACME=0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01 GLOBEX=0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02

apply_resources() {
  step 'Apply module crm and two tenants' operator 'kubectl describe mm,tn -A (the conditions name what is wrong)'
  run 'kubectl apply -f e2e/demo/manifests'
  local wait_models='kubectl wait --for=condition=Ready --timeout=120s -n crm mm --all'
  local wait_tenants='kubectl wait --for=condition=Ready --timeout=120s tn/acme tn/globex dp/default'
  for command in "$wait_models" "$wait_tenants"; do
    printf '\n%s$ %s%s\n' "$BOLD" "$command" "$PLAIN"
    waiting 'condition Ready' $command || { cat "$WORK/wait"; explain_conditions; fail 'not Ready within 120 s'; }
    cat "$WORK/wait"
  done
}

explain_conditions() {
  kubectl get mm,tn,dp -A -o go-template='{{range .items}}{{$n := .metadata.name}}{{range .status.conditions}}{{if ne .status "True"}}  {{$n}}: {{.type}}={{.status}} {{.reason}} {{.message}}{{"\n"}}{{end}}{{end}}{{end}}' || true
}

make_tokens() {
  step 'Tokens for one user of each tenant' proxy 'make -s token TENANT='"$ACME"' USER=ada'
  printf '%s$ . .stack/env%s    # SEPTEM_URL=%s\n' "$BOLD" "$PLAIN" "$SEPTEM_URL"
  TOKEN=$(make -s token TENANT="$ACME" USER=ada) || fail 'make token failed'
  TOKEN_B=$(make -s token TENANT="$GLOBEX" USER=grace) || fail 'make token failed'
  ACME_TOKEN=$(make -s token TENANT="$ACME" USER=northwind) || fail 'make token failed'
  GLOBEX_TOKEN=$(make -s token TENANT="$GLOBEX" USER=northwind) || fail 'make token failed'
  export ACME_TOKEN GLOBEX_TOKEN
  printf '%s$ TOKEN=$(make -s token TENANT=%s USER=ada)%s\n' "$BOLD" "$ACME" "$PLAIN"
  printf '%s$ TOKEN_B=$(make -s token TENANT=%s USER=grace)%s\n' "$BOLD" "$GLOBEX" "$PLAIN"
}

# An interrupted tour leaves its records behind; the totals below must not count them.
remove_tour_records() {
  local target
  for target in "deals?order_number=gte.$TOUR_NUMBER" "companies?code=eq.$TOUR_CODE"; do
    curl -X DELETE "$SEPTEM_URL/v1/data/crm/$target" -H "Authorization: Bearer $TOKEN" -H 'Prefer: return=minimal'
    expect 204
  done
}

load_northwind() {
  step 'Load Northwind through the HTTP API' proxy 'make status; the message above names the request that failed'
  remove_tour_records
  say 'Customers become companies and contacts, orders become deals: all for acme, the German and French for globex.'
  node "$DEMO/northwind/load.mjs" "$WORK/totals.json" || fail 'the loader stopped'
  WRITTEN_AT=$(date +%s.%N)
}

# analytics TOKEN BODY
analytics() {
  curl "$SEPTEM_URL/v1/data/crm/analytics" -H "Authorization: Bearer $1" -H 'Content-Type: application/json' -d "$2"
}

# Waits until analytics promises to hold everything written up to $WRITTEN_AT, for model $1.
wait_synced() {
  local from=$SECONDS
  until
    analytics "$TOKEN" "{\"model\": \"$1\", \"aggregate\": \"count\"}"
    python3 "$DEMO/lib/answer.py" check "$WORK" "status == 200 and d['meta']['lastSyncAt'] and __import__('datetime').datetime.fromisoformat(d['meta']['lastSyncAt']).timestamp() >= $WRITTEN_AT" 2>/dev/null
  do
    [ $((SECONDS - from)) -lt 60 ] || fail "lastSyncAt of $1 did not pass the last write within 60 s: $(head -c 600 "$WORK/body")"
    sleep 0.1
  done
}

compare_totals() {
  step 'Analytics against the package: what the loader computed from the files' sink 'make logs PART=connect; make down WIPE=1 forgets all data'
  for model in companies contacts deals; do wait_synced "$model"; done
  local tenant token
  for tenant in acme globex; do
    [ $tenant = acme ] && token=$TOKEN || token=$TOKEN_B
    for model in companies contacts; do
      analytics "$token" "{\"model\": \"$model\", \"aggregate\": \"count\", $LOADED}"
      expect 200 "$tenant: $(answer 'd["data"][0]["count"]') $model" "d['data'][0]['count'] == totals['$tenant']['$model']"
    done
    analytics "$token" "{\"model\": \"deals\", $LOADED, \"metrics\": [{\"aggregate\": \"count\"}, {\"aggregate\": \"sum\", \"field\": \"amount\"}]}"
    expect 200 "$tenant: $(answer 'd["data"][0]["count"]') deals worth $(answer 'd["data"][0]["sum"]')" \
      "d['data'][0]['count'] == totals['$tenant']['deals'] and str(d['data'][0]['sum']) == totals['$tenant']['amount']"
  done
}

say_goodbye() {
  cat <<END

${BOLD}Done in $SECONDS s.${PLAIN} The stack is still running. To look further:

  . .stack/env                                    URLs, KUBECONFIG and the stack's own tools on the PATH
  TOKEN=\$(make -s token TENANT=$ACME USER=ada)
  curl "\$SEPTEM_URL/v1/schema" -H "Authorization: Bearer \$TOKEN"
  kubectl explain mm.spec.fields                  every field of a model; edit e2e/demo/manifests/crm.yaml and apply it
  kubectl describe mm -n crm crm-deals            conditions and events
  psql "\$DATABASE_URL" -c '\\d crm.deals'          the table, its policies and keys
  make status, make logs PART=proxy               parts and their logs

To stop: make down (keeps the data), make down WIPE=1 (forgets it).
END
}

apply_resources
make_tokens
load_northwind
compare_totals
tour
say_goodbye
