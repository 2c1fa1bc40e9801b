#!/bin/bash
# The promised ratios and sizes in one run, on the machine it runs on (inside kvmbox where there is
# no KVM: kvmbox/kvmbox --state DIR -- bench/ratios.sh).
#   cold-restore at least 30 times faster than cold-boot, warm at least 4 times faster than
#   cold-restore (python3 hello, 128 MiB); loading a snapshot with stoker-vmm at least 10 times
#   faster than QEMU's microvm machine with -incoming; memory of idle VMs.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
examples=${STOKER_EXAMPLES:-$top/build/examples}
n=${1:-20}
base=${STOKER_STATE:-/var/tmp}
[ ! -d /var/lib/stoker-box ] || base=/var/lib/stoker-box
dir=$(mktemp -d "$base/ratios.XXXXXX")
port=18080
"$build/stokerd" --listen 127.0.0.1:$port --state "$dir/state" --images "$images" --bin "$build" --pool-floor 2 \
	>"$dir/log" 2>&1 &
host=$!
trap 'kill $host 2>/dev/null; wait $host 2>/dev/null; rm -rf "$dir"' EXIT
mkdir "$dir/deployed"
until curl -fsS -o /dev/null "http://127.0.0.1:$port/healthz" 2>/dev/null; do
	kill -0 $host || { cat "$dir/log"; exit 1; }
	sleep 0.1
done
for name in hello primes; do
	"$top/.ci/deploy-folder" "$build/stoker" "http://127.0.0.1:$port" "$dir/deployed" - "$examples/$name" >&2
done
sleep 2

"$build/stoker-bench" --url "http://127.0.0.1:$port" --scenario cold-boot,cold-restore,warm -n "$n" \
	--think 400 --warmup 2 --memory --json "$dir/hello.json" hello
echo
"$build/stoker-bench" --url "http://127.0.0.1:$port" --scenario warm -n "$n" --think 400 --memory \
	--json "$dir/primes.json" --event '{"n": 100}' primes
echo

# Snapshot load: from before the process is made until it has said that its vCPUs run, as QEMU's is measured.
version=$(ls -d "$dir"/state/functions/hello/*/ | sort -V | tail -n 1)
ours=$(/usr/bin/python3 - "$build/stoker-vmm" "${version%/}" "$n" 2>"$dir/vmm.log" <<'END'
import os, statistics, subprocess, sys, time
vmm, version, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
took = []
for _ in range(n):
    ours, theirs = os.pipe()
    start = time.monotonic_ns()
    process = subprocess.Popen(
        [vmm, "--restore-state", version + "/snapshot/state", "--restore-memory", version + "/snapshot/memory",
         "--drive", f"code={version}/code.img", "--control-fd", str(theirs), "--serial-off"],
        pass_fds=[theirs], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.close(theirs)
    said = os.read(ours, 100)
    took.append(time.monotonic_ns() - start)
    process.kill()
    process.wait()
    os.close(ours)
    if not said.startswith(b"running "):
        sys.exit(1)
print(int(statistics.median(took)))
END
) || { echo "stoker-vmm did not restore:"; tail -n 5 "$dir/vmm.log"; exit 1; }
qemu=
if [ -x "$top/bench/qemu-incoming.sh" ]; then
	qemu=$("$top/bench/qemu-incoming.sh" "$images" 5 | sed -n 's/^median_ns //p')
fi

/usr/bin/python3 - "$dir" "$ours" "${qemu:-0}" <<'END'
import json, sys
hello = json.load(open(sys.argv[1] + "/hello.json"))
primes = json.load(open(sys.argv[1] + "/primes.json"))
ours, qemu = int(sys.argv[2]) / 1e6, int(sys.argv[3]) / 1e6
p50 = {name: s["latency"]["p50_ms"] for name, s in hello["scenarios"].items()}
good = True
def line(text, value, limit, at_least):
    global good
    ok = value >= limit if at_least else value <= limit
    good &= ok
    print(f"{'ok  ' if ok else 'MISS'} {text}: {value:.1f} ({'at least' if at_least else 'at most'} {limit})")
line(f"cold-boot {p50['cold-boot']:.1f} ms / cold-restore {p50['cold-restore']:.1f} ms",
     p50["cold-boot"] / p50["cold-restore"], 30, True)
line(f"cold-restore {p50['cold-restore']:.1f} ms / warm {p50['warm']:.2f} ms", p50["cold-restore"] / p50["warm"], 4, True)
if qemu:
    line(f"QEMU -incoming {qemu:.1f} ms / snapshot load {ours:.2f} ms", qemu / ours, 10, True)
else:
    print(f"---- snapshot load {ours:.2f} ms; QEMU was not measured")
for result, limit in ((hello, 12), (primes, 6)):
    memory = result["memory"]
    line(f"idle {result['function']} VM, private MiB", memory["private_kib"] / 1024, limit, False)
    line(f"  of that outside guest memory, MiB", memory["private_monitor_kib"] / 1024, 2, False)
sys.exit(0 if good else 1)
END
