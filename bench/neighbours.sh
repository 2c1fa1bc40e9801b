#!/bin/bash
# What does one tenant's flood do to another's calls? On the machine it runs on, by the wall clock (inside kvmbox where
# there is no KVM: kvmbox/kvmbox --state DIR -- bench/neighbours.sh).
#
#   neighbours.sh [ROUNDS] [SECONDS]   a quiet tenant calls RATE times a second (default 1), in an open loop with poisson
#                           arrivals; in every other part of ROUNDS (default 4) a loud one calls all the time, from CLIENTS
#                           (default 64) clients without a pause. The quiet one's p99 beside the flood is at most 1.5
#                           times that without.
#
# LIMIT bounds the calls that the loud tenant may have at the same time; what it does beyond that is refused. SPREAD
# (default 1) is the number of functions that it calls.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
functions=${STOKER_FUNCTIONS:-$top/build/functions}
rounds=${1:-4} seconds=${2:-120} rate=${RATE:-1} clients=${CLIENTS:-64} spread=${SPREAD:-1}
base=${STOKER_STATE:-/var/tmp}
[ ! -d /var/lib/stoker-box ] || base=/var/lib/stoker-box
dir=$(mktemp -d "$base/neighbours.XXXXXX")
url=http://127.0.0.1:18080
quiet=token-of-the-quiet-tenant loud=token-of-the-loud-tenant
limit=${LIMIT:+", \"concurrency\": $LIMIT"}
(umask 077 && cat >"$dir/keys") <<END
{"tenants": [{"name": "quiet", "account": "111122223333"}, {"name": "loud", "account": "444455556666"$limit}],
 "keys": [{"name": "q", "tenant": "quiet", "tokens": ["$quiet"]}, {"name": "l", "tenant": "loud", "tokens": ["$loud"]}]}
END
"$build/stokerd" --listen 127.0.0.1:18080 --state "$dir/state" --images "$images" --bin "$build" --keys "$dir/keys" \
	${STOKERD_OPTIONS:-} >"$dir/log" 2>&1 &
host=$! flood=
trap 'kill $flood $host 2>/dev/null; wait $host 2>/dev/null || true; rm -rf "$dir"' EXIT
until curl -fsS -o /dev/null "$url/healthz" 2>/dev/null; do
	kill -0 $host || { cat "$dir/log"; exit 1; }
	sleep 0.1
done

deploy() {
	STOKER_TOKEN=$1 "$build/stoker" --host "$url" deploy "$2" --runtime provided --memory 128 --timeout 10 "$functions/echo" >&2
}
deploy "$quiet" echo
for i in $(seq "$spread"); do
	deploy "$loud" "echo$i"
done
bench() {
	"$build/stoker-bench" --url "$url" "$@"
}
STOKER_TOKEN=$quiet bench --scenario any -n 20 --think 500 echo >/dev/null # what it uses is learned

for round in $(seq "$rounds"); do
	for with in 0 1; do
		if [ $with = 1 ]; then
			for i in $(seq "$spread"); do
				STOKER_TOKEN=$loud "$build/stoker-bench" --url "$url" --duration 86400 -n 0 \
					-c $(((clients + spread - 1) / spread)) "echo$i" >/dev/null 2>&1 &
				flood="$flood $!"
			done
		fi
		sleep 5
		STOKER_TOKEN=$quiet bench --arrivals poisson --rate "$rate" --duration "$seconds" -n 0 \
			--json "$dir/$with.$round.json" echo >/dev/null || true
		if [ -n "$flood" ]; then
			kill $flood
			wait $flood 2>/dev/null || true
			flood=
			sleep 5
		fi
	done
	/usr/bin/python3 - "$dir" "$round" <<'END'
import json, sys
for on in 0, 1:
    r = json.load(open(f"{sys.argv[1]}/{on}.{sys.argv[2]}.json"))["scenarios"]["any"]
    l = r["latency"]
    print(f"round {sys.argv[2]} {'beside the flood' if on else 'alone           '}: {r['ok']} answered, {r['failed']} failed, "
          f"p50 {l['p50_ms']:.2f}, p90 {l['p90_ms']:.2f}, p99 {l['p99_ms']:.2f} ms; "
          + ", ".join(f"{c['count']} {n}" for n, c in r["classes"].items()), flush=True)
END
done
curl -fsS -H "Authorization: Bearer $loud" "$url/metrics" | grep -E '^stoker_invocations_total.*loud' || true
/usr/bin/python3 - "$dir" "$rounds" <<'END'
import json, statistics, sys
def of(on, key):
    return [json.load(open(f"{sys.argv[1]}/{on}.{i + 1}.json"))["scenarios"]["any"]["latency"][key] for i in range(int(sys.argv[2]))]
good = True
for key in "p50_ms", "p90_ms", "p99_ms":
    alone, beside = (statistics.median(of(on, key)) for on in (0, 1))
    ratio = beside / alone
    print(f"{key[:-3]}: median of the rounds {alone:.2f} ms alone, {beside:.2f} ms beside the flood: {ratio:.2f} times")
good = ratio <= 1.5
print("ok   p99" if good else "MISS p99", "at most 1.5 times")
sys.exit(0 if good else 1)
END
