"""stoker-vmm on its own, driven as a client written for Firecracker would: REST over a Unix socket."""
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

import host as h

BOOT_ARGS = "console=ttyS0 loglevel=7 reboot=k panic=-1 nomodule tsc=reliable no_timer_check 8250.nr_uarts=1"
KERNEL = os.path.join(h.IMAGES, "vmlinux")
INITRD = h.program("stoker-initrd.cpio")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=h.DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Monitor:
    def __init__(self, folder, name, *arguments):
        self.socket = str(folder / f"{name}.sock")
        self.console = str(folder / f"{name}.console")
        self.log = str(folder / f"{name}.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [h.program("stoker-vmm"), "--api-sock", self.socket, "--serial-path", self.console, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        h.wait_for(lambda: self.listens() or self.process.poll() is not None, "the socket", 20 * h.SLOW)
        assert self.process.poll() is None, open(self.log).read()

    def listens(self):
        try:
            UnixConnection(self.socket).connect()
            return True
        except OSError:
            return False

    def __call__(self, method, path, body=None):
        connection = UnixConnection(self.socket)
        try:
            data = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def ok(self, method, path, body=None):
        status, answer = self(method, path, body)
        assert status in (200, 204), (path, status, answer, open(self.log).read()[-1500:])
        return answer

    def console_text(self):
        try:
            with open(self.console, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def boot(self, vsock=None):
        self.ok("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128})
        self.ok("PUT", "/boot-source", {"kernel_image_path": KERNEL, "initrd_path": INITRD, "boot_args": BOOT_ARGS})
        self.ok("PUT", "/drives/rootfs", {"drive_id": "rootfs", "is_root_device": False, "is_read_only": True,
                                          "path_on_host": os.path.join(h.IMAGES, "provided.img")})
        self.ok("PUT", "/entropy", {})
        if vsock:
            self.ok("PUT", "/vsock", {"guest_cid": 3, "uds_path": vsock})
        self.ok("PUT", "/actions", {"action_type": "InstanceStart"})

    def end(self):
        self.process.kill()
        self.process.wait(30)


@pytest.fixture
def monitor(tmp_path):
    made = []

    def make(name="vm", *arguments):
        one = Monitor(tmp_path, name, *arguments)
        made.append(one)
        return one
    yield make
    for one in made:
        one.end()
        text = open(one.log, errors="replace").read()
        assert "Sanitizer" not in text and "runtime error:" not in text, text[:5000]


@pytest.mark.smoke
def test_preflight():
    done = subprocess.run([h.program("stoker-vmm"), "--preflight"], capture_output=True, text=True)
    assert done.returncode == 0
    assert (done.stdout + done.stderr).strip().splitlines()[-1].startswith("kvm: ok")


@pytest.mark.smoke
def test_boot_pause_resume(monitor):
    vm = monitor()
    info = vm.ok("GET", "/")
    assert info["state"] == "Not started"
    assert re.match(r"\d+\.\d+", vm.ok("GET", "/version")["firecracker_version"])
    vm.boot()
    h.wait_for(lambda: "Linux version" in vm.console_text(), "the kernel on the console")
    assert vm.ok("GET", "/")["state"] == "Running"
    vm.ok("PATCH", "/vm", {"state": "Paused"})
    assert vm.ok("GET", "/")["state"] == "Paused"
    paused = vm.console_text()
    time.sleep(0.5)
    assert vm.console_text() == paused
    vm.ok("PATCH", "/vm", {"state": "Resumed"})
    assert vm.ok("GET", "/")["state"] == "Running"
    assert vm.ok("GET", "/machine-config")["mem_size_mib"] == 128


def test_a_client_that_does_not_read_its_answers(monitor):
    """More of them than the kernel holds: the rest waits, and the monitor stays in its filter."""
    vm = monitor()
    vm.boot()
    one, count = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", 4000
    connection = UnixConnection(vm.socket)
    connection.connect()
    with connection.sock as client:
        sender = threading.Thread(target=client.sendall, args=(one * count,), daemon=True)
        sender.start()
        sender.join(0.5)
        assert vm.ok("GET", "/")["state"] == "Running"  # others are served
        got = bytearray()
        while got.count(b"HTTP/1.1 200 ") < count or not got.endswith(b"}"):
            piece = client.recv(65536)
            assert piece, (got.count(b"HTTP/1.1 200 "), vm.process.poll())
            got += piece
        sender.join()
    assert vm.ok("GET", "/")["state"] == "Running"


def without_pvh(path, to):
    """A copy of the kernel that has no PVH entry point, so that it is started by Linux's own 64-bit protocol."""
    with open(path, "rb") as f:
        kernel = bytearray(f.read())
    notes = [m.start() for m in re.finditer(re.escape(b"\x12\0\0\0Xen\0"), kernel)]  # XEN_ELFNOTE_PHYS32_ENTRY
    assert len(notes) == 1, notes
    kernel[notes[0]] = 0x63
    to.write_bytes(kernel)
    return str(to)


@pytest.mark.parametrize("entry", ["PVH", "64-bit"])
def test_root_drive_without_initrd(monitor, tmp_path, entry):
    """As with Firecracker: the root device needs no words in boot_args. The shell is init, its script words of the kernel's
    that have no '=' and no '.'."""
    vm = monitor()
    kernel = KERNEL if entry == "PVH" else without_pvh(KERNEL, tmp_path / "vmlinux")
    vm.ok("PUT", "/boot-source", {"kernel_image_path": kernel, "boot_args":
                                  'console=ttyS0 panic=-1 reboot=k init=/bin/sh -c "echo root-is-$((6*7)); read x"'})
    vm.ok("PUT", "/drives/rootfs", {"drive_id": "rootfs", "is_root_device": True, "is_read_only": True,
                                    "path_on_host": os.path.join(h.IMAGES, "provided.img")})
    vm.ok("PUT", "/actions", {"action_type": "InstanceStart"})
    h.wait_for(lambda: "root-is-42" in vm.console_text() or vm.process.poll() is not None, "the shell on the console")
    assert "root-is-42" in vm.console_text(), vm.console_text()[-2000:]
    assert re.search(r"Kernel command line: .* root=/dev/vda ro ", vm.console_text())


def test_vsock_of_a_booted_guest(monitor, tmp_path):
    """The agent in the guest connects to port 1024: <uds_path>_1024 on this side."""
    uds = str(tmp_path / "v.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(uds + "_1024")
        listener.listen()
        listener.settimeout(h.DEADLINE)
        vm = monitor()
        vm.boot(vsock=uds)
        stream, _ = listener.accept()
        stream.settimeout(h.DEADLINE)
        assert len(stream.recv(64)) >= 16  # its HELLO
        stream.close()


@pytest.mark.smoke
def test_snapshot_and_load(monitor, tmp_path):
    vm = monitor("first")
    vm.boot()
    h.wait_for(lambda: "Linux version" in vm.console_text(), "the kernel on the console")
    state, memory = str(tmp_path / "state"), str(tmp_path / "memory")
    create = {"snapshot_type": "Full", "snapshot_path": state, "mem_file_path": memory}
    assert vm("PUT", "/snapshot/create", create)[0] == 400  # not while it runs
    vm.ok("PATCH", "/vm", {"state": "Paused"})
    vm.ok("PUT", "/snapshot/create", create)
    vm.end()
    assert os.path.getsize(memory) >= 128 << 20
    assert os.stat(memory).st_blocks * 512 < 100 << 20  # zero pages are left out

    clones = []
    for name in ("one", "two"):
        clone = monitor(name)
        clone.ok("PUT", "/snapshot/load", {"snapshot_path": state, "mem_backend": {
            "backend_type": "File", "backend_path": memory}, "resume_vm": name == "one"})
        clones.append(clone)
    assert clones[0].ok("GET", "/")["state"] == "Running"
    assert clones[1].ok("GET", "/")["state"] == "Paused"
    clones[1].ok("PATCH", "/vm", {"state": "Resumed"})
    for clone in clones:
        assert clone.process.poll() is None
    confined_before_it_runs(state, memory, tmp_path / "restored.log")


def confined_before_it_runs(state, memory, log):
    with open(log, "wb") as out:
        process = subprocess.Popen([h.program("stoker-vmm"), "--restore-state", state, "--restore-memory", memory,
                                    "--serial-off", "--log-level", "debug"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        h.wait_for(lambda: "start: " in log.read_text() or process.poll() is not None, "the times of its start")
        stages = re.findall(r"([a-z ]+) \d+ us", log.read_text().split("start: ")[1])
        assert stages.index(" confined") < stages.index(" resume"), stages
        threads = os.listdir(f"/proc/{process.pid}/task")
        assert len(threads) > 1
        free = []
        for thread in threads:
            with open(f"/proc/{process.pid}/task/{thread}/status") as f:
                status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
            if status["Seccomp"] != "2" or status["NoNewPrivs"] != "1":
                free.append(status)
        assert len(free) == h.TSAN, free  # ThreadSanitizer's own thread is there before main()
    finally:
        process.kill()
        process.wait(30)


@pytest.mark.smoke
@pytest.mark.parametrize("method, path, body", [
    ("PUT", "/machine-config", {"vcpu_count": 0, "mem_size_mib": 128}),
    ("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": -1}),
    ("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128, "colour": "red"}),
    ("PUT", "/machine-config", b"{"), ("PUT", "/machine-config", b""),
    ("PUT", "/drives/a", {"drive_id": "b", "is_root_device": False, "path_on_host": "/dev/null"}),
    ("PUT", "/drives/a", {"drive_id": "a", "is_root_device": False, "path_on_host": "/no/such/file"}),
    ("PUT", "/actions", {"action_type": "Dance"}), ("PUT", "/actions", {"action_type": "InstanceStart"}),
    ("PATCH", "/vm", {"state": "Paused"}), ("PUT", "/snapshot/load", {"snapshot_path": "/dev/null"}),
    ("PUT", "/vsock", {"guest_cid": 1, "uds_path": "/tmp/x"}), ("GET", "/nothing", None),
    ("DELETE", "/machine-config", None),
], ids=range(14))
def test_refusals(monitor, method, path, body):
    """Each with a text, and the monitor lives on."""
    vm = monitor()
    status, answer = vm(method, path, body)
    assert status in (400, 404, 405), (status, answer)
    assert answer["fault_message"]
    assert vm.ok("GET", "/")["state"] == "Not started"


def test_boot_problems(monitor, tmp_path):
    vm = monitor()
    text = tmp_path / "text"
    text.write_bytes(b"this is not a kernel" * 1000)
    for path in (str(tmp_path / "none"), str(text)):
        status, answer = vm("PUT", "/boot-source", {"kernel_image_path": path})
        if status == 204:  # found out at the start
            status, answer = vm("PUT", "/actions", {"action_type": "InstanceStart"})
        assert status == 400 and answer["fault_message"], (status, answer)
    assert vm.process.poll() is None
    assert vm.ok("GET", "/")["state"] in ("Not started", "Stopped")


def test_damaged_snapshots_are_refused(monitor, tmp_path):
    vm = monitor("first")
    vm.boot()
    h.wait_for(lambda: "Linux version" in vm.console_text(), "the kernel on the console")
    vm.ok("PATCH", "/vm", {"state": "Paused"})
    state, memory = tmp_path / "state", str(tmp_path / "memory")
    vm.ok("PUT", "/snapshot/create", {"snapshot_path": str(state), "mem_file_path": memory})
    vm.end()
    whole = state.read_bytes()
    for name, data in (("cut", whole[:len(whole) // 2]), ("empty", b""),
                       ("flipped", whole[:99] + bytes([whole[99] ^ 1]) + whole[100:]),
                       ("newer", whole[:8] + b"\xff\xff" + whole[10:])):
        bad = tmp_path / name
        bad.write_bytes(data)
        one = monitor(name)
        status, answer = one("PUT", "/snapshot/load", {"snapshot_path": str(bad), "mem_backend": {
            "backend_type": "File", "backend_path": memory}})
        assert status == 400 and answer["fault_message"], (name, status, answer)
        one.end()


def test_config_file(tmp_path):
    """Boots from a configuration file; the guest's power-off ends the process with status 0."""
    config = tmp_path / "config.json"
    console = tmp_path / "console"
    config.write_text(json.dumps({
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 128},
        "boot-source": {"kernel_image_path": KERNEL, "initrd_path": INITRD, "boot_args": BOOT_ARGS + " rdinit=/none"},
        "drives": [], "entropy": {}}))
    # with no init the kernel panics, and panic=-1 reset ends the guest
    done = subprocess.run([h.program("stoker-vmm"), "--config-file", str(config), "--serial-path", str(console)],
                          timeout=h.DEADLINE, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "Kernel panic" in console.read_text(errors="replace")


@pytest.mark.parametrize("arguments, status", [(["--what"], 153), (["--config-file", "/no/such/file"], (1, 152)),
                                               (["--api-sock"], 153), (["--version"], 0)])
def test_exit_codes(arguments, status):
    done = subprocess.run([h.program("stoker-vmm"), *arguments], timeout=h.DEADLINE, capture_output=True)
    assert done.returncode in (status if isinstance(status, tuple) else (status,)), done.stderr


@pytest.mark.parametrize("program", [("stoker-vmm",), ("stoker-snapshot", "create")])
def test_a_parent_that_has_ended_before_is_noticed(program, tmp_path):
    """Killed while its child was on the way to its first instruction: nobody would ever end that child."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    arguments = {"stoker-vmm": ["--api-sock", str(tmp_path / "api")],
                 "stoker-snapshot": [word for name in ("out", "kernel", "initrd", "rootfs", "code", "scratch")
                                     for word in ("--" + name, str(tmp_path / name))]}[program[0]]
    done = subprocess.run([h.program(program[0]), *program[1:], *arguments, "--die-with-parent", str(gone.pid)],
                          timeout=h.DEADLINE, capture_output=True, text=True)
    assert done.returncode == 1 and "gone already" in done.stderr, done
