#!/usr/bin/env bash
# A worker on claims, in bash with psql.
#
#   DATABASE_URL=postgresql://… bash claims_worker.sh
#
# The result and the release are one statement, so a result is written only under a claim that is still held. SIGINT and
# SIGTERM let the row at hand finish and give the others back.
set -euo pipefail

work_type=${WORK_TYPE:-count-words}
worker=${WORKER_ID:-$(hostname)-$$}
batch=${BATCH:-10}
ttl_s=${TTL_S:-300}   # some times what a batch takes; it is renewed after every row
slow_s=${SLOW_S:-0}   # stands for a slow model

stopping=
trap 'stopping=1' INT TERM

# SQL from standard input; values come as psql variables, quoted by psql itself. In a session of its own, so that Ctrl-C
# in a terminal reaches this script and not the statement under way.
run_sql() {
    setsid --wait psql "$DATABASE_URL" --no-psqlrc --quiet --tuples-only --no-align --field-separator=' ' \
        -v ON_ERROR_STOP=1 -v work_type="$work_type" -v worker="$worker" -v ttl_s="$ttl_s" -v batch="$batch" "$@"
}

give_back() {
    run_sql <<<"select public.release_thought_claims_for_worker(:'work_type', :'worker')" >/dev/null
}
trap give_back EXIT

# Yours to replace: prints the result for the row whose id is $1.
work() {
    run_sql -v id="$1" <<<"select cardinality(regexp_split_to_array(trim(body), '\s+')) from public.thoughts where id = :'id'"
    sleep "$slow_s"
}

while [[ -z $stopping ]]; do
    claims=$(run_sql <<<"select id, token, fingerprint from public.claim_next_thoughts(:'work_type', :'worker', :batch, :ttl_s)")
    if [[ -z $claims ]]; then
        read -r left pause_s < <(run_sql <<<"select waiting + held, least(30, greatest(0.2, coalesce(next_free_in_seconds, 0)))
                                             from public.thought_claims_remaining(:'work_type')")
        [[ $left == 0 ]] && break
        sleep "$pause_s" || true
        continue
    fi
    while read -r id token fingerprint <&3; do
        [[ -n $stopping ]] && break
        # the claim may have been taken away while the row before was worked
        held=$(run_sql <<<"select token from public.renew_thought_claims(:'work_type', :'worker', :ttl_s)")
        grep -qx "$token" <<<"$held" || continue
        if result=$(work "$id" 2>&1); then status=succeeded error=; else status=failed error=$result; fi
        run_sql -v id="$id" -v token="$token" -v fingerprint="$fingerprint" -v status="$status" -v error="$error" \
            -v result="$result" >/dev/null <<'SQL'
with released as (
    select public.release_thought(:'id', :'work_type', :'worker', :'status', nullif(:'error', ''), :token, :'fingerprint') as ok)
insert into public.thought_words (thought_id, words, worker_id)
select :'id', nullif(:'result', '')::integer, :'worker' from released where ok and :'status' = 'succeeded'
on conflict (thought_id) do update set words = excluded.words, worker_id = excluded.worker_id;
SQL
    done 3<<<"$claims"
done
