#!/bin/bash
# Many functions and many VMs on a small machine: does each still cost what it costs when there are few? In an
# emulated machine with 6 GiB whose clock counts instructions (kvmbox --icount), so that figures repeat.
#
#   density.sh [--wall] [PART]...
#
#   flat     a warm call with 10 and with 10,000 functions registered: within 5 %; stokerd's memory for one more
#            function that is not called: at most 4 KiB
#   burst    100 requests at once while no VM is there: each is answered, the last within three times what 100 times
#            the CPU time of one cold-restore, spread over the processors, takes
#   refill   the time of a start while 10 and while 500 VMs are alive: within 20 %
#   density  1000 VMs warm at once; then 1000 requests, each answered right by a warm one
#
# In each part no round of stokerd's loop may take 2 ms, by its own work or by waiting in the kernel; how often another
# task had the processor is told (there is one only). --wall: by the wall clock, on all processors.
# STOKER_BUILD, STOKER_IMAGES, STOKER_FUNCTIONS say where things are, as for ./test.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
echo=${STOKER_FUNCTIONS:-$top/build/functions}/echo
clock=--icount
[ "${1:-}" != --wall ] || { clock=; shift; }
[ $# -gt 0 ] || set -- flat burst refill density
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# One folder with all that runs inside, links followed.
mkdir "$dir/images" "$dir/bin"
cp -L --sparse=always "$images"/{vmlinux,provided.img,scratch.img} "$dir/images/"
make -C "$build" --no-print-directory fleet >/dev/null
cp "$build"/{stokerd,stoker,stoker-bench,stoker-vmm,stoker-snapshot,stoker-initrd.cpio,fleet} "$dir/bin/"
cp -r "$echo" "$dir/"
cp "$top/bench/density-inside.sh" "$dir/"
"$top/kvmbox/kvmbox" $clock --mem 6144 --env "N=${N:-1000}" --env "FUNCTIONS=${FUNCTIONS:-10000}" --copy "$dir" \
	--copy "$(command -v mkfs.erofs)" --copy "$build/stokerd" --copy "$build/stoker-bench" --copy "$build/fleet" \
	-- sh "$dir/density-inside.sh" "$dir" "$@" >"$dir/out" || {
	cat "$dir/out"
	exit 1
}
[ -z "${KEEP:-}" ] || cp "$dir/out" "$KEEP"
/usr/bin/python3 - "$dir/out" <<'END'
import json, re, sys
found = {}
for part in open(sys.argv[1]).read().split("=== ")[1:]:
    name, rest = part.split("\n", 1)
    found[name] = json.loads(rest) if rest.lstrip().startswith("{") else rest
good = True
def check(text, value, limit, unit=""):
    global good
    good &= value <= limit
    print(f"{'ok  ' if value <= limit else 'MISS'} {text}: {value:.2f}{unit} (at most {limit:g})")
def say(text):
    print(f"     {text}")
def scenario(name):
    return next(iter(found[name]["scenarios"].values()))
def number(name):
    return float(found[name])
def starts(name):
    """Mean time of the starts of a run, ms."""
    before, after = (dict(re.findall(r"^stoker_vm_start_seconds_(sum|count)\S* (\S+)$", found[f"{name} {when}"], re.M))
                     for when in ("before", "after"))
    count = int(after["count"]) - int(before["count"])
    say(f"{name}: {count} starts")
    return (float(after["sum"]) - float(before["sum"])) / count * 1e3
def no_failure(name):
    r = scenario(name)
    check(f"{name}: requests that were not answered as they should", r["failed"], 0)
    for text, count in r["errors"].items():
        say(f"{count} x {text}")

if "flat few" in found:
    few, many = (scenario(f"flat {which}")["latency"]["p50_ms"] for which in ("few", "many"))
    functions = [int(number(f"functions {which}")) for which in ("few", "many")]
    no_failure("flat few")
    no_failure("flat many")
    say(f"a warm call: {few:.3f} ms with {functions[0]} functions, {many:.3f} ms with {functions[1]}")
    check("flat: a warm call with many functions against few", many / few, 1.05)
    check("flat: stokerd's memory for one more function, KiB",
          (number("memory many") - number("memory few")) / (functions[1] - functions[0]), 4)
    no_failure("flat one of many")
if "burst" in found:
    no_failure("burst")
    cpu = scenario("burst cold")["cpu_ms_per_request"]
    say(f"a cold-restore: {cpu:.1f} ms of CPU")
    check("burst: the last answer, s", scenario("burst")["latency"]["max_ms"] / 1e3,
          3 * 100 * cpu / 1e3 / number("processors"))
if "refill 10" in found:
    no_failure("refill 10")
    no_failure("refill 500")
    few, many = starts("refill 10"), starts("refill 500")
    say(f"a start: {few:.2f} ms among 10 VMs, {many:.2f} ms among 500")
    check("refill: a start among 500 VMs against 10", many / few, 1.2)
if "density" in found:
    n = int(number("vms"))
    say(f"{n} VMs warm after {number('seconds'):.1f} s; each took {(number('available before') - number('available after')) / n:.0f} KiB of MemAvailable")
    no_failure("density")
for name in found:
    if name.startswith("stalls"):
        causes = {}
        for line in found[name].splitlines():
            cause, value = line.split()
            causes.setdefault(cause, []).append(float(value))
        check(f"{name}: rounds of the loop of 2 ms or more", causes["work"][0] + causes["wait"][0], 0)
        say(", ".join(f"{int(count)} of {cause}{f' (longest {longest * 1e3:.1f} ms)' if count else ''}"
                      for cause, (count, longest) in causes.items()))
sys.exit(0 if good else 1)
END
