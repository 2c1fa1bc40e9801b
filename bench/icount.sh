#!/bin/bash
# Cost of starts in units of one fork+exec+wait of a small static program, on a machine whose clock counts
# instructions (kvmbox --icount): figures repeat to about one percent, whatever else this machine does.
#
#   icount.sh [N]       N requests of each kind (default 20)
#
# STOKER_BUILD, STOKER_IMAGES, STOKER_EXAMPLES, STOKER_FUNCTIONS say where things are, as for ./test.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
hello=${STOKER_EXAMPLES:-$top/build/examples}/hello
echo=${STOKER_FUNCTIONS:-$top/build/functions}/echo
n=${1:-20}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# One folder with all that runs inside, links followed.
mkdir "$dir/images" "$dir/bin"
cp -L --sparse=always "$images"/{vmlinux,python3.img,provided.img,scratch.img} "$dir/images/"
make -C "$build" --no-print-directory noop unit >/dev/null
cp "$build"/{stokerd,stoker,stoker-bench,stoker-vmm,stoker-snapshot,stoker-initrd.cpio,noop,unit} "$dir/bin/"
cp -r "$hello" "$echo" "$dir/"
cp "$top/bench/icount-inside.sh" "$dir/"
"$top/kvmbox/kvmbox" --icount --mem 4000 --env "N=$n" --copy "$dir" --copy "$(command -v mkfs.erofs)" \
	--copy "$build/stokerd" --copy "$build/stoker-bench" -- sh "$dir/icount-inside.sh" "$dir" >"$dir/out" || {
	cat "$dir/out"
	exit 1
}
/usr/bin/python3 - "$dir/out" <<'END'
import json, sys
figures, memory = {}, {}
text = open(sys.argv[1]).read()
for part in text.split("=== ")[1:]:
    name, rest = part.split("\n", 1)
    if name == "unit":
        unit = int(rest) / 1e6
    elif name.startswith("available"):
        _, function, floor = name.split()
        memory[function, int(floor)] = int(rest.split()[0])
    else:
        figures[name] = json.loads(rest)["scenarios"]
LIMITS = {  # doc/PERFORMANCE.md
    "echo": {"warm": 1, "shell": 6, "cold-restore": 9, "life": 20, "reset": 0.7, "mib": 1.2},
    "hello": {"warm": 1.5, "shell": 14, "cold-restore": 18, "life": 40, "reset": 1.5, "mib": 5},
}
good = True
print(f"unit: fork+exec+wait of a static program, {unit:.3f} ms ({unit * 500:.0f} thousand instructions)")
print(f"{'':28}{'echo (C)':>22}{'hello (Python)':>22}")
def row(label, key, value):
    global good
    cells = []
    for function in ("echo", "hello"):
        v, limit = value(function), LIMITS[function][key]
        good &= v <= limit
        cells.append(f"{v:.2f} (<= {limit}{')' if v <= limit else ') MISS'}")
    print(f"{label:28}{cells[0]:>22}{cells[1]:>22}")
row("warm, units", "warm", lambda f: figures[f]["warm"]["latency"]["p50_ms"] / unit)
row("shell, units", "shell", lambda f: figures[f]["shell"]["latency"]["p50_ms"] / unit)
row("cold-restore, units", "cold-restore", lambda f: figures[f]["cold-restore"]["latency"]["p50_ms"] / unit)
row("whole life, CPU, units", "life", lambda f: figures[f]["warm"]["cpu_ms_per_request"] / unit)
row("reset, sustained, units", "reset", lambda f: 1e3 / figures[f + "-reset"]["any"]["per_second"] / unit)
for function in ("echo", "hello"):
    floors = sorted(k[1] for k in memory if k[0] == function)
    if len(floors) == 2:
        few, many = floors
        memory[function] = (memory[function, few] - memory[function, many]) / (many - few) / 1024
if "echo" in memory and "hello" in memory:
    row("one more warm VM, MiB", "mib", lambda f: memory[f])
sys.exit(0 if good else 1)
END
