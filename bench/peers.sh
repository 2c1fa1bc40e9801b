#!/bin/bash
# What others cost on this machine, in one run, with a cold start of Stoker's for comparison.
#
#   peers.sh [-n N] [--images DIR] [--url URL --function NAME]
#
# Each peer runs the smallest static program (noop.c), from fork to its end, N times (default 30):
#   fork+exec      plain process
#   bubblewrap     all namespaces new, a root with nothing but the program
#   crun, runsc    an OCI bundle with the same root, "run", no network
# and QEMU's microvm machine loads a saved guest (qemu-incoming.sh: until its vCPUs run, with no answer from it yet;
# needs KVM and DIR with vmlinux and python3.img). With --url, stoker-bench measures cold-restore of the function NAME
# there, from the request to the answer, and every peer's median is given as a multiple of its median. A peer that is
# not installed or does not run here is named with the reason. STOKER_BUILD says where the programs are.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
n=30 url= function=
usage() {
	sed -n '4s/^# *//p' "$0" >&2
	exit 2
}
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || usage
	case $1 in
	-n) n=$2 ;;
	--images) images=$2 ;;
	--url) url=$2 ;;
	--function) function=$2 ;;
	*) usage ;;
	esac
	shift 2
done
case $n in '' | *[!0-9]*) usage ;; esac
[ "$n" -ge 1 ] && [ "$n" -le 1000 ] || { echo "peers.sh: N is 1 to 1000" >&2; exit 2; }
[ -z "$url" ] || [ -n "$function" ] || usage

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
make -C "$build" --no-print-directory noop unit >/dev/null
mkdir -p "$dir/bundle/rootfs"/{dev,proc,sys} # where the OCI runtimes mount
cp "$build/noop" "$dir/bundle/rootfs/noop"
: >"$dir/results"

result() { # NAME NANOSECONDS
	echo "$1 $2" >>"$dir/results"
}

skip() { # NAME REASON
	echo "skipped: $1: $2"
}

# program NAME PACKAGE PROGRAM ARGUMENTS...
program() {
	local name=$1 package=$2 path ns
	path=$(command -v "$3") || { skip "$name" "$3 is not installed (package $package)"; return; }
	shift 3
	# one start that does not count: page cache
	if "$build/unit" "$path" 1 "$@" >/dev/null 2>"$dir/error" </dev/null &&
		ns=$("$build/unit" "$path" "$n" "$@" 2>"$dir/error" </dev/null | tail -n 1) && [ -n "$ns" ]; then
		result "$name" "$ns"
	else
		skip "$name" "does not run here: $(tr -s '\n' ' ' <"$dir/error" | cut -c1-200)"
	fi
}

# The bundle of crun and runsc. Without root, in a user namespace with this user as its root.
write_bundle() {
	/usr/bin/python3 - "$dir/bundle/config.json" <<'PYTHON'
import json, os, sys
uid, gid = os.getuid(), os.getgid()
namespaces = ["pid", "mount", "ipc", "uts", "network"] + (["user"] if uid else [])
linux = {"namespaces": [{"type": n} for n in namespaces]}
if uid:
    linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
json.dump({"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": True}, "hostname": "peer",
           "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/noop"], "cwd": "/",
                       "env": ["PATH=/"], "noNewPrivileges": True},
           "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}], "linux": linux},
          open(sys.argv[1], "w"))
PYTHON
}

qemu() {
	local name="QEMU -incoming" ns
	command -v "${QEMU:-qemu-system-x86_64}" >/dev/null ||
		{ skip "$name" "qemu-system-x86_64 is not installed (package qemu-system-x86)"; return; }
	[ -r "$images/vmlinux" ] && [ -r "$images/python3.img" ] || { skip "$name" "no guest images in $images"; return; }
	"$build/stoker-vmm" --preflight >"$dir/error" 2>&1 || { skip "$name" "KVM does not work here"; return; }
	if ns=$("$top/bench/qemu-incoming.sh" "$images" "$n" 2>"$dir/error" | sed -n 's/^median_ns //p') && [ -n "$ns" ]; then
		result "$name" "$ns"
	else
		skip "$name" "does not run here: $(tail -n 1 "$dir/error" | cut -c1-200)"
	fi
}

program fork+exec - "$build/noop"
program bubblewrap bubblewrap bwrap --unshare-all --ro-bind "$dir/bundle/rootfs" / -- /noop
write_bundle
program crun crun crun --root "$dir/crun" --cgroup-manager disabled run --bundle "$dir/bundle" "stoker-peer-$$"
program runsc runsc runsc --root "$dir/runsc" --network none --ignore-cgroups $([ "$(id -u)" = 0 ] || echo --rootless) \
	run --bundle "$dir/bundle" "stoker-peer-$$"
qemu
[ -z "$url" ] || "$build/stoker-bench" --url "$url" --scenario cold-restore -n "$n" --json - "$function" \
	>"$dir/stoker.json" 2>"$dir/error" || { cat "$dir/error" >&2; exit 1; }

/usr/bin/python3 - "$dir/results" "$dir/stoker.json" "$function" <<'PYTHON'
import json, os, sys
rows = [line.rsplit(" ", 1) for line in open(sys.argv[1]).read().splitlines()]
ours = None
if os.path.exists(sys.argv[2]):
    ours = json.load(open(sys.argv[2]))["scenarios"]["cold-restore"]["latency"]["p50_ms"]
print(f"{'':30}{'median ms':>12}" + (f"{'/ cold-restore':>16}" if ours else ""))
if ours:
    print(f"{'Stoker cold-restore, ' + sys.argv[3]:30}{ours:12.3f}{1:16.2f}")
for name, ns in rows:
    ms = int(ns) / 1e6
    print(f"{name:30}{ms:12.3f}" + (f"{ms / ours:16.2f}" if ours else ""))
PYTHON
