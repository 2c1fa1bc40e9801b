#!/bin/bash
# How long QEMU's microvm machine takes to load a saved guest, for comparison with stoker-vmm: from
# the start of the process to running vCPUs (QMP event RESUME). The guest is of the same kind as a
# python3 function's: same kernel, same runtime image as root, 128 MiB, 1 vCPU, a Python interpreter
# that has imported what a runtime imports, waiting. It is saved once by migration to a file and then
# loaded N times with -incoming. Needs KVM (kvmbox/kvmbox -- bench/qemu-incoming.sh where there is none).
#
#   qemu-incoming.sh [--json] [IMAGES [N]]
#
# IMAGES holds vmlinux and python3.img. Prints "median_ns NS" and the single figures, or JSON.
set -eu
json=
[ "${1:-}" != --json ] || { json=1; shift; }
top=$(cd "$(dirname "$0")/.." && pwd)
images=${1:-${STOKER_IMAGES:-$top/build/images}}
n=${2:-10}
qemu=${QEMU:-qemu-system-x86_64}
command -v "$qemu" >/dev/null || { echo "qemu-incoming: $qemu is not installed (package qemu-system-x86)" >&2; exit 1; }
for f in vmlinux python3.img; do
	[ -r "$images/$f" ] || { echo "qemu-incoming: $images/$f is missing" >&2; exit 1; }
done
base=/var/tmp
[ ! -d /var/lib/stoker-box ] || base=/var/lib/stoker-box
dir=$(mktemp -d "$base/qemu-incoming.XXXXXX")
trap 'rm -rf "$dir"' EXIT
/usr/bin/python3 - "$qemu" "$images" "$n" "$dir" "$json" <<'END'
import json, os, signal, socket, statistics, subprocess, sys, time

qemu, images, n, folder, as_json = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], bool(sys.argv[5])
LIMIT = 180  # seconds for any one step
saved = os.path.join(folder, "saved")
console = os.path.join(folder, "console")
# QEMU puts the addresses of its devices behind what -append gives, so that nothing may stand behind
# "--". Words that the kernel does not know become the arguments of init, if they have no '=' or '.'.
GUEST = "import json,os,socket;from http import client;from time import sleep;print('guest-is-up');sleep(1000000000)"


class Failed(Exception):
    pass


class Machine:
    """One QEMU process and its QMP connection (over an inherited socket: nothing to poll for)."""

    def __init__(self, *extra):
        ours, theirs = socket.socketpair()
        ours.settimeout(LIMIT)
        fds = [theirs.fileno()] + [a for a in extra if isinstance(a, int)]
        command = [
            qemu, "-M", "microvm,accel=kvm,pic=off,pit=off,rtc=off,acpi=off", "-cpu", "host", "-m", "128", "-smp", "1",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", images + "/vmlinux",
            "-append", "console=ttyS0 quiet loglevel=1 reboot=k panic=-1 tsc=reliable no_timer_check root=/dev/vda ro "
            f"init=/usr/bin/python3 -c \"{GUEST}\"",
            "-drive", f"id=root,file={images}/python3.img,format=raw,if=none,readonly=on",
            "-device", "virtio-blk-device,drive=root", "-device", "virtio-rng-device",
            "-serial", "file:" + console,
            "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control",
            *(f"fd:{a}" if isinstance(a, int) else a for a in extra)]
        self.start = time.monotonic_ns()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=fds)
        theirs.close()
        self.sock = ours
        self.lines = ours.makefile("rb")
        self.events = []

    def message(self):
        line = self.lines.readline()
        if not line:
            raise Failed(f"QEMU ended with status {self.process.wait()}")
        return json.loads(line)

    def call(self, command, **arguments):
        self.sock.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            m = self.message()
            if "event" in m:
                self.events.append(m["event"])
            elif "error" in m:
                raise Failed(f"QMP {command}: {m['error']['desc']}")
            elif "return" in m:
                return m["return"]

    def hello(self):
        assert "QMP" in self.message()
        self.call("qmp_capabilities")

    def wait_event(self, name):
        while name not in self.events:
            m = self.message()
            if "event" in m:
                self.events.append(m["event"])

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.sock.close()


def tail():
    try:
        with open(console, "rb") as f:
            return f.read()[-1000:].decode(errors="replace")
    except OSError:
        return ""


def save():
    m = Machine()
    try:
        m.hello()
        end = time.monotonic() + LIMIT
        while "guest-is-up" not in tail():
            if time.monotonic() > end or m.process.poll() is not None or "Kernel panic" in tail():
                raise Failed("the guest did not come up; its console:\n" + tail())
            time.sleep(0.05)
        # Not stopped before: a machine saved while it runs goes on by itself when it is loaded.
        m.call("migrate", uri=f"exec:cat >{saved}")
        while True:
            status = m.call("query-migrate").get("status")
            if status == "completed":
                return
            if status in ("failed", "cancelled") or time.monotonic() > end:
                raise Failed(f"saving the guest: {status}")
            time.sleep(0.05)
    finally:
        m.end()


def load():
    fd = os.open(saved, os.O_RDONLY)
    m = Machine("-incoming", fd)
    os.close(fd)
    try:
        m.hello()
        if m.call("query-status")["status"] != "running":
            m.wait_event("RESUME")
        took = time.monotonic_ns() - m.start
        if m.call("query-status")["status"] != "running":
            raise Failed("the loaded machine does not run")
        return took
    finally:
        m.end()


try:
    save()
    load()  # not counted: page cache
    times = sorted(load() for _ in range(n))
except (Failed, OSError, ValueError) as e:
    print(f"qemu-incoming: {e}", file=sys.stderr)
    sys.exit(1)
median = int(statistics.median(times))
size = os.stat(saved).st_size
starts = []
for _ in range(n):  # the part of it that QEMU takes to start at all
    begin = time.monotonic_ns()
    version = subprocess.run([qemu, "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    starts.append(time.monotonic_ns() - begin)
start = statistics.median(starts)
if as_json:
    print(json.dumps({"median_ms": median / 1e6, "min_ms": times[0] / 1e6, "max_ms": times[-1] / 1e6, "n": n,
                      "version_only_ms": start / 1e6, "saved_bytes": size, "qemu": version}))
else:
    print(f"{version}, saved guest {size / 1048576:.1f} MiB, {n} loads")
    print(f"qemu --version alone takes {start / 1e6:.1f} ms")
    print("ms " + " ".join(f"{t / 1e6:.1f}" for t in times))
    print(f"median_ns {median}")
END
