#!/bin/bash
# Many VMs on a small machine, on the machine it runs on (inside kvmbox where there is no KVM:
# kvmbox/kvmbox --mem 6144 --state DIR -- bench/density.sh).
#   burst    100 requests at once while no VM is there: each is answered, the last within three times what 100 times
#            the CPU time of one cold-restore, spread over the processors, takes
#   refill   the time of one more VM while 10 and while 500 are alive: within 20 %
#   density  N VMs warm at once (default 1000); then N requests, each answered right by a warm one
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
functions=${STOKER_FUNCTIONS:-$top/build/functions}
n=${1:-1000}
base=${STOKER_STATE:-/var/tmp}
[ ! -d /var/lib/stoker-box ] || base=/var/lib/stoker-box
dir=$(mktemp -d "$base/density.XXXXXX")
url=http://127.0.0.1:18080
ulimit -n 65536
host=
trap '[ -z "$host" ] || { kill $host; wait $host || true; }; rm -rf "$dir"' EXIT
good=0

start_host() {
	"$build/stokerd" --listen 127.0.0.1:18080 --state "$dir/state" --images "$images" --bin "$build" \
		--memory-budget 100000 --queue 1000 --queue-timeout 300000 "$@" >>"$dir/log" 2>&1 &
	host=$!
	until curl -fsS -o /dev/null "$url/healthz" 2>/dev/null; do
		kill -0 $host || { cat "$dir/log"; exit 1; }
		sleep 0.1
	done
}

stop_host() {
	kill $host
	wait $host || true
	host=
}

bench() {
	"$build/stoker-bench" --url "$url" --json "$dir/$1.json" "${@:2}" echo >"$dir/$1.txt" 2>&1 || {
		cat "$dir/$1.txt"
		good=1
	}
}

# value FILE EXPRESSION: of the JSON, called r
value() {
	/usr/bin/python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$dir/$1.json" "$2"
}

# check TEXT VALUE LIMIT: at most
check() {
	/usr/bin/python3 -c '
import sys
text, value, limit = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
print(f"{chr(111)}k   {text}: {value:.2f} (at most {limit:.2f})" if value <= limit else f"MISS {text}: {value:.2f} (at most {limit:.2f})")
sys.exit(value > limit)' "$@" || good=1
}

warm() {
	curl -fsS "$url/v1/functions/echo" | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["pool"]["warm"])'
}

# Seconds until there are $1 warm VMs.
wait_warm() {
	local begin=$EPOCHREALTIME
	until [ "$(warm)" -ge "$1" ]; do
		kill -0 $host || { tail "$dir/log"; exit 1; }
		sleep 0.2
	done
	/usr/bin/python3 -c "print($EPOCHREALTIME - $begin)"
}

start_host --pool-floor 0 --pool-ceiling 150 --pool-idle 1
mkdir "$dir/deployed"
"$top/.ci/deploy-folder" "$build/stoker" "$url" "$dir/deployed" - "$functions/echo" >&2
bench learn --scenario warm -n 8 --think 300
bench cold --scenario cold-restore -n 20 --think 300 --cpu
until [ "$(warm)" = 0 ]; do sleep 0.2; done
echo "burst of 100 on an empty pool ..." >&2
bench burst --scenario any --arrivals burst:100@1000 -n 100 --warmup 0 --timeout 120
check "burst of 100: requests that were not answered" "$(value burst 'r["scenarios"]["any"]["failed"]')" 0
cpu=$(value cold 'r["scenarios"]["cold-restore"]["cpu_ms_per_request"]')
check "burst of 100: the last answer, s" "$(value burst 'r["scenarios"]["any"]["latency"]["max_ms"] / 1000')" \
	"$(/usr/bin/python3 -c "print(3 * 100 * $cpu / 1000 / $(nproc))")"
stop_host

for floor in 10 500; do
	echo "$floor VMs ..." >&2
	start_host --pool-floor $floor --pool-ceiling $((floor + 50))
	wait_warm $floor >/dev/null
	bench refill-$floor --scenario warm -n 40 --think 400 --cpu
	stop_host
done
few=$(value refill-10 'r["scenarios"]["warm"]["cpu_ms_per_request"]')
many=$(value refill-500 'r["scenarios"]["warm"]["cpu_ms_per_request"]')
check "CPU of a call with its refill: 500 VMs alive against 10" "$(/usr/bin/python3 -c "print($many / $few)")" 1.2

echo "$n VMs ..." >&2
before=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
start_host --pool-floor "$n" --pool-ceiling $((n + 50))
seconds=$(wait_warm "$n")
after=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
echo "     $n VMs warm after $seconds s; each took $(((before - after) / n)) KiB of MemAvailable"
bench density --scenario warm -n "$n" -c 4 --warmup 0
check "$n warm VMs: requests that were not answered by one" "$(value density 'r["scenarios"]["warm"]["failed"]')" 0
exit $good
