#!/bin/bash
# Is the host steady below its capacity? On the machine it runs on, by the wall clock (inside kvmbox where there is no
# KVM: kvmbox/kvmbox --state DIR -- bench/steady.sh).
#
#   steady.sh [SECONDS]     finds the capacity for calls of echo, then offers 70 % of it for SECONDS (default 600), in
#                           an open loop with poisson arrivals: every request is answered, p99.9 is at most ten times
#                           p50, the load generator's own lag below 1 % of p99.9
#
# STEP (default 60) is the time of each step of the search, in seconds: so long that what a full pool adds to a step is
# little of it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
functions=${STOKER_FUNCTIONS:-$top/build/functions}
seconds=${1:-600}
step=${STEP:-60}
base=${STOKER_STATE:-/var/tmp}
[ ! -d /var/lib/stoker-box ] || base=/var/lib/stoker-box
dir=$(mktemp -d "$base/steady.XXXXXX")
url=http://127.0.0.1:18080
"$build/stokerd" --listen 127.0.0.1:18080 --state "$dir/state" --images "$images" --bin "$build" --pool-floor 10 \
	--pool-ceiling 40 >"$dir/log" 2>&1 &
host=$!
trap 'kill $host 2>/dev/null; wait $host 2>/dev/null || true; rm -rf "$dir"' EXIT
until curl -fsS -o /dev/null "$url/healthz" 2>/dev/null; do
	kill -0 $host || { cat "$dir/log"; exit 1; }
	sleep 0.1
done
mkdir "$dir/deployed"
"$top/.ci/deploy-folder" "$build/stoker" "$url" "$dir/deployed" - "$functions/echo" >&2
"$build/stoker-bench" --url "$url" --scenario warm -n 10 --think 500 echo >/dev/null 2>&1 # what it uses is learned
sleep 5

stalls() {
	curl -fsS "$url/metrics" | sed -n 's/^stoker_loop_stall[^{]*{cause="\([a-z]*\)"}/\1/p' | xargs
}

"$build/stoker-bench" --url "$url" --saturate --duration "$step" --json "$dir/capacity.json" echo || true
rate=$(/usr/bin/python3 -c '
import json, sys
print(round(json.load(open(sys.argv[1]))["saturation"]["capacity_per_second"] * 0.7, 3))' "$dir/capacity.json")
sleep 5
echo
echo "$rate requests per second for $seconds s:"
before=$(stalls)
"$build/stoker-bench" --url "$url" --arrivals poisson --rate "$rate" --duration "$seconds" -n 0 --json "$dir/steady.json" \
	${STEADY_HTML:+--html "$STEADY_HTML"} echo || true
echo "rounds of the loop of 2 ms or more, and the longest in s: before $before, after $(stalls)"
/usr/bin/python3 - "$dir/steady.json" <<'END'
import json, sys
r = json.load(open(sys.argv[1]))["scenarios"]["any"]
good = True
def check(text, value, limit):
    global good
    good &= value <= limit
    print(f"{'ok  ' if value <= limit else 'MISS'} {text}: {value:.3g} (at most {limit:g})")
check("requests that failed", r["failed"], 0)
for text, count in r["errors"].items():
    print(f"     {count} x {text}")
check("p99.9 / p50", r["latency"]["p99_9_ms"] / r["latency"]["p50_ms"], 10)
check("the generator's lag, p99.9, of the latency's p99.9, %", 100 * r["lag_share"], 1)
for name, c in r["classes"].items():
    print(f"     {c['count']} {name}: p50 {c['p50_ms']:.2f}, p99 {c['p99_ms']:.2f}, max {c['max_ms']:.2f} ms")
for name, c in r["stages"].items():
    print(f"     stage {name}: p50 {c['p50_ms']:.3f}, p99 {c['p99_ms']:.3f}, p99.9 {c['p99_9_ms']:.3f}, max {c['max_ms']:.2f} ms")
sys.exit(0 if good else 1)
END
