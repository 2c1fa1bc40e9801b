#!/bin/bash
# What does one tenant's flood do to another's calls? On a machine whose clock counts instructions (kvmbox --icount, one
# processor that all share: host, VMs, both tenants' clients), or on this one by the wall clock.
#
#   neighbours.sh [--here] [ROUNDS] [SECONDS]   a quiet tenant calls RATE (default 5) times a second, in an open loop with
#                poisson arrivals; in every other part of ROUNDS (default 1) a loud one calls all the time, from CLIENTS
#                (default 64) clients without a pause. SECONDS (default 60) is the length of a part. The quiet one's p99
#                beside the flood is at most 1.5 times that without.
#
# LOUD is the function of the flood: echo (default), or primes, which computes for a while with EVENT (default {"n": 200000}).
# LIMIT bounds the calls that the loud tenant may have at the same time; what it does beyond that is refused.
# STOKERD_OPTIONS are further options of stokerd. STOKER_BUILD, STOKER_IMAGES, STOKER_EXAMPLES, STOKER_FUNCTIONS say where
# things are, as for ./test.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
primes=${STOKER_EXAMPLES:-$top/build/examples}/primes
echo=${STOKER_FUNCTIONS:-$top/build/functions}/echo
here=0
[ "${1:-}" != --here ] || { here=1; shift; }
dir=$(mktemp -d "${STOKER_STATE:-/var/tmp}/neighbours.XXXXXX")
trap 'rm -rf "$dir"' EXIT

# One folder with all that runs inside, links followed.
mkdir "$dir/images" "$dir/bin"
cp -L --sparse=always "$images"/{vmlinux,python3.img,provided.img,scratch.img} "$dir/images/"
cp "$build"/{stokerd,stoker,stoker-bench,stoker-vmm,stoker-snapshot,stoker-initrd.cpio} "$dir/bin/"
cp -r "$primes" "$echo" "$top/bench/neighbours-inside.sh" "$dir/"
inside=(sh "$dir/neighbours-inside.sh" "$dir" "${1:-1}" "${2:-60}" "${RATE:-5}" "${CLIENTS:-64}" "${LOUD:-echo}"
	"${EVENT:-{\"n\": 200000\}}" "${LIMIT:-}" "${STOKERD_OPTIONS:-}")
if [ $here = 1 ]; then
	"${inside[@]}" >"$dir/out"
else
	"$top/kvmbox/kvmbox" --icount --mem 6000 --copy "$dir" --copy "$(command -v mkfs.erofs)" --copy "$(command -v chrt)" \
		--copy "$build/stokerd" --copy "$build/stoker-bench" -- "${inside[@]}" >"$dir/out"
fi || { cat "$dir/out"; exit 1; }

/usr/bin/python3 - "$dir/out" <<'END'
import json, statistics, sys
figures = {}
for part in open(sys.argv[1]).read().split("=== ")[1:]:
    name, text = part.split("\n", 1)
    r = json.loads(text)["scenarios"]["any"]
    l = r["latency"]
    figures.setdefault(name, []).append(l)
    print(f"{name:7}: {r['ok']} answered, {r['failed']} failed, p50 {l['p50_ms']:.2f}, p90 {l['p90_ms']:.2f}, p99 "
          f"{l['p99_ms']:.2f} ms; " + ", ".join(f"{c['count']} {n}" for n, c in r["classes"].items()))
for key in "p50_ms", "p90_ms", "p99_ms":
    alone, beside = (statistics.median(l[key] for l in figures[name]) for name in ("alone", "beside"))
    ratio = beside / alone
    print(f"{key[:-3]}: {alone:.2f} ms alone, {beside:.2f} ms beside the flood: {ratio:.2f} times")
good = ratio <= 1.5
print("ok   p99" if good else "MISS p99", "at most 1.5 times")
sys.exit(0 if good else 1)
END
