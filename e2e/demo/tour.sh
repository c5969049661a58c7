# The tour: each command as a person would type it, its true answer, and a check of that answer. Sourced by demo.sh.

tour() {
  tour_resources
  tour_reading
  tour_relations
  tour_writing
  tour_batch
  tour_export
  tour_fence
  tour_analytics
  tour_freshness
  tour_cache
  tour_schema
}

tour_resources() {
  step 'What was applied' operator 'kubectl describe mm,tn,dp -A'
  run 'kubectl get mm,tn,dp -A'
  local ready
  ready=$(kubectl get mm,tn,dp -A -o jsonpath='{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}')
  case $ready in *False* | *Unknown*) fail 'something is not Ready' ;; esac
}

tour_reading() {
  step 'List: filter, order, limit' proxy 'psql "$DATABASE_URL" -c "select count(*) from crm.deals"'
  run 'curl "$SEPTEM_URL/v1/data/crm/deals?stage=eq.open&amount=gte.500&order=ordered_on.desc&limit=3&select=id,title,amount,ordered_on" \
    -H "Authorization: Bearer $TOKEN"'
  expect 200 'three open deals, newest first, and more to come' \
    'len(d["data"]) == 3 and d["meta"]["hasMore"] is True and [r["ordered_on"] for r in d["data"]] == sorted((r["ordered_on"] for r in d["data"]), reverse=True)' \
    'none below the filter' 'all(Decimal(str(r["amount"])) >= 500 for r in d["data"])'
  local cursor last first_page
  cursor=$(answer 'd["meta"]["nextCursor"]')
  last=$(answer 'd["data"][-1]["ordered_on"]')
  first_page=$(answer '" ".join(r["id"] for r in d["data"])')

  step 'The next page, by cursor' proxy 'a cursor holds for its own filter and order only'
  run "curl \"\$SEPTEM_URL/v1/data/crm/deals?stage=eq.open&amount=gte.500&order=ordered_on.desc&limit=3&select=id,title,amount,ordered_on&cursor=$cursor\" \\
    -H \"Authorization: Bearer \$TOKEN\""
  expect 200 'it goes on where the first page ended' \
    "d['data'] and d['data'][0]['ordered_on'] <= '$last' and not set(r['id'] for r in d['data']) & set('$first_page'.split())"

  DEAL=${first_page%% *}
  step 'One record, with its ETag' proxy 'make logs PART=proxy'
  run "curl \"\$SEPTEM_URL/v1/data/crm/deals/$DEAL\" -H \"Authorization: Bearer \$TOKEN\""
  expect 200 'the ETag is its version' "h['etag'] == '\"%d\"' % d['data']['version'] and d['data']['id'] == '$DEAL'" \
    'no tenant_id in it' '"tenant_id" not in d["data"]'
  COMPANY=$(answer 'd["data"]["company_id"]')
}

tour_relations() {
  step 'Companies with their largest deals, in one statement' proxy 'make logs PART=proxy'
  run 'curl "$SEPTEM_URL/v1/data/crm/companies?order=name&limit=2&select=name,country&include=deals!inner(select=title,amount;amount=gt.9000;order=amount.desc)" \
    -H "Authorization: Bearer $TOKEN"'
  expect 200 'only companies with such deals, only such deals' \
    'len(d["data"]) == 2 and all(r["deals"] and all(Decimal(str(x["amount"])) > 9000 for x in r["deals"]) for r in d["data"])'
}

tour_writing() {
  step 'Create' proxy 'the answer names the field that is refused'
  run "curl \"\$SEPTEM_URL/v1/data/crm/deals\" -H \"Authorization: Bearer \$TOKEN\" -H 'Content-Type: application/json' -d '{
      \"title\": \"Tour: first order\", \"order_number\": $TOUR_NUMBER, \"amount\": 1234.5, \"company_id\": \"$COMPANY\",
      \"ordered_on\": \"2014-05-07\", \"tags\": [\"tour\", \"größer\"], \"extra\": {\"rating\": 5, \"by\": [\"phone\", null]}}'"
  expect 201 'version 1, made by ada, default stage, exact amount' \
    'd["data"]["version"] == 1 and d["data"]["created_by"] == "ada" and d["data"]["stage"] == "open" and str(d["data"]["amount"]) == "1234.50"' \
    'Location names it' 'h["location"].endswith(d["data"]["id"])'
  local id etag
  id=$(answer 'd["data"]["id"]')
  etag=$(answer 'h["etag"]')

  step 'Change it, if it is still that version' proxy '412 means that somebody else has changed it'
  run "curl -X PATCH \"\$SEPTEM_URL/v1/data/crm/deals/$id\" -H \"Authorization: Bearer \$TOKEN\" -H 'If-Match: $etag' \\
    -H 'Content-Type: application/json' -d '{\"stage\": \"won\", \"shipped_on\": \"2014-05-09\"}'"
  expect 200 'one version on' 'd["data"]["version"] == 2 and d["data"]["stage"] == "won" and h["etag"] == "\"2\""'

  step 'Delete it (softly)' proxy 'make logs PART=proxy'
  run "curl -X DELETE \"\$SEPTEM_URL/v1/data/crm/deals/$id\" -H \"Authorization: Bearer \$TOKEN\""
  expect 204
  WRITTEN_AT=$(date +%s.%N)
  curl "$SEPTEM_URL/v1/data/crm/deals/$id" -H "Authorization: Bearer $TOKEN"
  expect 404 'it is gone from the API' 'd["code"] == "NOT_FOUND"'
  [ "$(psql "$DATABASE_URL" -Atc "select deleted_at is not null from crm.deals where id = '$id'")" = t ] ||
    fail 'the row is not kept in PostgreSQL with deleted_at'
  printf '%s  ✓ its row is kept in PostgreSQL, marked deleted%s\n' "$GREEN" "$PLAIN"
}

tour_batch() {
  step 'A company and its first deal, in one transaction, safe to send again' proxy 'make logs PART=proxy'
  local batch="curl \"\$SEPTEM_URL/v1/data/crm/batch\" -H \"Authorization: Bearer \$TOKEN\" -H 'Idempotency-Key: tour-$TOUR_KEY' \\
    -H 'Content-Type: application/json' -H 'Prefer: return=representation' -d '{\"operations\": [
      {\"op\": \"create\", \"model\": \"companies\", \"ref\": \"new\", \"data\": {\"code\": \"$TOUR_CODE\", \"name\": \"Tour Ltd\"}},
      {\"op\": \"create\", \"model\": \"deals\", \"data\": {\"title\": \"Tour: opening order\", \"order_number\": 990003,
        \"amount\": \"10.00\", \"ordered_on\": \"2014-05-07\", \"company_id\": {\"\$ref\": \"new.id\"}}}]}'"
  run "$batch" 8
  expect 200 'the deal is the new company'"'"'s' 'd["data"][1]["company_id"] == d["data"][0]["id"]'
  local id
  id=$(answer 'd["data"][0]["id"]')
  eval "$batch"
  expect 200 'sent again it is answered, and not written, again' \
    "h['idempotency-replayed'] == 'true' and d['data'][0]['id'] == '$id'"

  step 'Delete by filter' proxy 'make logs PART=proxy'
  run "curl -X DELETE \"\$SEPTEM_URL/v1/data/crm/deals?order_number=eq.990003\" -H \"Authorization: Bearer \$TOKEN\" -H 'Prefer: return=minimal, max-affected=1'"
  expect 204
  curl -X DELETE "$SEPTEM_URL/v1/data/crm/companies/$id" -H "Authorization: Bearer $TOKEN"
  expect 204
}

tour_export() {
  step 'Everything, as CSV, streamed' proxy 'make logs PART=proxy'
  run 'curl "$SEPTEM_URL/v1/data/crm/deals?created_by=eq.northwind&order=order_number&select=order_number,title,amount,tags" -H "Authorization: Bearer $TOKEN" -H "Accept: text/csv"' 4
  expect 200 'a line for each deal' "len(text.splitlines()) == 1 + totals['acme']['deals']"
}

tour_fence() {
  step 'The same id, asked for as tenant globex' proxy 'stop here: a tenant sees what is not its own'
  run "curl \"\$SEPTEM_URL/v1/data/crm/deals/$DEAL\" -H \"Authorization: Bearer \$TOKEN_B\""
  expect 404 'not there, as far as globex can tell' 'd["code"] == "NOT_FOUND" and "data" not in d'
}

tour_analytics() {
  wait_synced deals
  step 'Analytics: deals by stage' sink 'make logs PART=connect'
  run 'curl "$SEPTEM_URL/v1/data/crm/analytics" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '"'"'{
      "model": "deals", "groupBy": "stage", "metrics": [{"aggregate": "count"}, {"aggregate": "sum", "field": "amount"}],
      "filters": {"created_by": "eq.northwind"}, "order": "stage.asc"}'"'"
  expect 200 'equal to the files, stage by stage' \
    '{r["stage"]: (r["count"], str(r["sum"])) for r in d["data"]} == {k: (v["count"], v["amount"]) for k, v in totals["acme"]["byStage"].items()}' \
    "complete up to $(answer 'd["meta"]["lastSyncAt"]')" 'd["meta"]["lastSyncAt"] is not None'

  step 'Analytics: deals by month' sink 'make logs PART=connect'
  run 'curl "$SEPTEM_URL/v1/data/crm/analytics" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '"'"'{
      "model": "deals", "groupBy": "ordered_on", "groupByInterval": "month", "order": "ordered_on.asc",
      "filters": {"created_by": "eq.northwind"},
      "metrics": [{"aggregate": "count"}, {"aggregate": "sum", "field": "amount"}, {"aggregate": "max", "field": "amount"}]}'"'" 32
  expect 200 'equal to the files, month by month' \
    '{r["ordered_on"]: (r["count"], str(r["sum"])) for r in d["data"]} == {k: (v["count"], v["amount"]) for k, v in totals["acme"]["byMonth"].items()}'
}

FRESH="{\"model\": \"deals\", \"aggregate\": \"count\", \"filters\": {\"order_number\": \"eq.990002\"}}"

# Polls until that many deals have the tour's second number; prints the milliseconds since $2 (seconds with a fraction).
fresh_deals_become() {
  while :; do
    analytics "$TOKEN" "$FRESH"
    local now=$EPOCHREALTIME
    if grep -q "\"count\":$1[,}]" "$WORK/body"; then
      python3 -c "print(round(($now - $2) * 1000))"
      return
    fi
    python3 -c "import sys; sys.exit($now - $2 > 30)" || fail 'the change did not show in analytics within 30 s'
  done
}

tour_freshness() {
  step 'A change, and how long it takes to show in analytics' sink 'make logs PART=sink; kubectl get dp default -o yaml'
  run "curl \"\$SEPTEM_URL/v1/data/crm/deals\" -H \"Authorization: Bearer \$TOKEN\" -H 'Content-Type: application/json' -d '{
      \"title\": \"Tour: lost deal\", \"order_number\": 990002, \"amount\": \"99.90\", \"company_id\": \"$COMPANY\",
      \"ordered_on\": \"2014-05-07\", \"stage\": \"lost\"}'" 8
  local at=$EPOCHREALTIME id
  expect 201
  id=$(answer 'd["data"]["id"]')
  printf '\n%s$ curl "$SEPTEM_URL/v1/data/crm/analytics" … -d '\''%s'\''%s    # until it counts 1\n' "$BOLD" "$FRESH" "$PLAIN"
  local shown
  shown=$(fresh_deals_become 1 "$at")
  printf '%s  ✓ in analytics %d ms after the API had answered 201%s\n' "$GREEN" "$shown" "$PLAIN"
  [ "$shown" -lt 5000 ] || fail 'that is not under 5 s'
  run "curl -X DELETE \"\$SEPTEM_URL/v1/data/crm/deals/$id\" -H \"Authorization: Bearer \$TOKEN\""
  at=$EPOCHREALTIME
  expect 204
  shown=$(fresh_deals_become 0 "$at")
  printf '%s  ✓ gone from analytics %d ms after the API had answered 204%s\n' "$GREEN" "$shown" "$PLAIN"
}

tour_cache() {
  step 'Cache: set, get, invalidate' proxy 'valkey-cli -u "$VALKEY_URL" ping'
  run 'curl -X PUT "$SEPTEM_URL/v1/cache/tour:top" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \
    -d '"'"'{"value": {"titles": ["QUICK-Stop #10865"]}, "ttl": 60}'"'"
  expect 204
  run 'curl "$SEPTEM_URL/v1/cache/tour:top" -H "Authorization: Bearer $TOKEN"'
  expect 200 'the value, and the seconds that it has left' 'd["data"] == {"titles": ["QUICK-Stop #10865"]} and 0 < d["meta"]["ttl"] <= 60'
  run 'curl "$SEPTEM_URL/v1/cache/invalidate" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '"'"'{"pattern": "tour:*"}'"'"
  expect 200 'one key of acme' 'd["data"]["invalidated"] == 1'
  curl "$SEPTEM_URL/v1/cache/tour:top" -H "Authorization: Bearer $TOKEN"
  expect 404 'it is gone' 'd["code"] == "NOT_FOUND"'
}

tour_schema() {
  step 'The model, described' proxy 'make logs PART=proxy'
  run 'curl "$SEPTEM_URL/v1/schema/crm/deals" -H "Authorization: Bearer $TOKEN"' 40
  expect 200 'with the fields of the manifest' \
    '{"title", "order_number", "amount", "stage", "company_id", "contact_id", "ordered_on", "tags", "extra"} <= {f["name"] for f in d["data"]["fields"]}'
}
