#!/usr/bin/python3
"""stoker-snapshot create against monitors and guests that misbehave: the right exit status, a message
that says what happened, and nothing left behind. The program given as --vmm is this file itself: it
plays the bad part named by its link's name."""
import http.server
import json
import os
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time

HELLO, START, READY, TRIM, TRIMMED, RESPONSE, ERROR, LOG = 1, 2, 3, 4, 5, 9, 10, 11


def frame(kind, payload=b"", stream=0, magic=b"STKW", length=None):
    return magic + struct.pack("<HHIII", 1, kind, 0, stream, len(payload) if length is None else length) + payload


HELLO_FRAME = frame(HELLO, b"\0" + struct.pack("<H", 3) + b"9.9")


def error(kind, detail=0, body=b""):
    return frame(ERROR, struct.pack("<HiI", kind, detail, len(body)) + body)


# ---- the bad monitors ----

def serve(refuse=None, on_start=lambda: None):
    """Answers the REST calls with 204, except one."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if refuse and self.path == refuse:
                text = json.dumps({"fault_message": "no such thing here"}).encode()
                self.send_response(400)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                return
            self.send_response(204)
            self.end_headers()
            self.wfile.flush()
            if self.path == "/actions" and json.loads(body)["action_type"] == "InstanceStart":
                threading.Thread(target=on_start, daemon=True).start()
        do_PUT = do_PATCH = do_GET = answer

        def log_message(self, *args):
            pass

        def address_string(self):
            return "unix"

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
    Server("api.sock", Handler).serve_forever()


def guest(*steps):
    """Sends bytes; waits for a frame where a step is a number."""
    def run():
        s = socket.socket(fileno=os.dup(3))
        for step in steps:
            if isinstance(step, int):
                head = s.recv(20, socket.MSG_WAITALL)
                kind, length = struct.unpack("<H", head[6:8])[0], struct.unpack("<I", head[16:20])[0]
                assert kind == step, (kind, step)
                s.recv(length, socket.MSG_WAITALL)
            elif callable(step):
                step()
            else:
                try:
                    s.sendall(step)
                except BrokenPipeError:
                    pass
        time.sleep(1000)
    return lambda: serve(on_start=run)


def shut():
    socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RDWR)


PARTS = {
    "ends": lambda: sys.exit(7),
    "deaf": lambda: time.sleep(1000),
    "refuses": lambda: serve(refuse="/boot-source"),
    "mute": guest(),
    "garbage": guest(b"GET / HTTP/1.1\r\n\r\n" * 4),
    "too-long": guest(HELLO_FRAME, START, frame(LOG, b"", length=1 << 30)),
    "out-of-turn": guest(frame(READY, struct.pack("<Q", 1))),
    "bad-hello": guest(frame(HELLO, b"\0\xff\xff")),
    "response": guest(HELLO_FRAME, START, frame(RESPONSE, b"x", stream=1)),
    "hangs-up": guest(HELLO_FRAME, START, shut),
    "dies": guest(lambda: print("kernel: last words\x1b[31m", flush=True), HELLO_FRAME, START,
                  lambda: os.kill(os.getpid(), signal.SIGSEGV)),
    "agent-error": guest(HELLO_FRAME, START, error(9, 0, b"no memory")),
    "exits": guest(HELLO_FRAME, START, frame(LOG, b"\2some output\n"), lambda: time.sleep(0.1), error(3, 12)),
    "init-error": guest(HELLO_FRAME, START, error(1, 0, b'{"errorType":"E","errorMessage":"m","more":[1]}')),
    "not-json": guest(HELLO_FRAME, START, error(1, 0, b"\xff\xfe\0")),
    "hangs": guest(HELLO_FRAME, START),
    "log-flood": guest(HELLO_FRAME, START, *[frame(LOG, b"\1" + b"x" * 65000)] * 40, error(3, 1)),
    "no-trim": guest(HELLO_FRAME, START, frame(READY, struct.pack("<Q", 5)), TRIM, error(4, 9)),
    "no-files": guest(HELLO_FRAME, START, frame(READY, struct.pack("<Q", 5)), TRIM,
                      frame(TRIMMED, struct.pack("<Q", 5))),
}

# part: (exit status, text in the message or in the JSON, further options)
EXPECTED = {
    "ends": (1, "ended with status 7", ()),
    "deaf": (1, "did not open its API socket in time", ("--time-limit", "500")),
    "refuses": (1, "refuses PUT /boot-source (400): no such thing here", ()),
    "mute": (1, "s of its start: no answer in time: the microVM sleeps, after ", ("--boot-timeout", "300")),
    "garbage": (1, "broke the protocol", ()),
    "too-long": (1, "broke the protocol", ()),
    "out-of-turn": (1, "broke the protocol", ()),
    "bad-hello": (1, "broke the protocol", ()),
    "response": (1, "broke the protocol", ()),
    "hangs-up": (1, "closed its connection", ()),
    "dies": (1, "killed by signal 11", ()),
    "agent-error": (1, "agent failed: no memory", ()),
    "exits": (3, {"errorType": "Runtime.ExitError",
                  "errorMessage": "Error: Runtime exited with error: exit status 12"}, ("--init-report", "1")),
    "init-error": (3, {"errorType": "E", "errorMessage": "m", "more": [1]}, ()),
    "not-json": (3, {"errorType": "Runtime.InitError", "errorMessage": "???"}, ()),
    "hangs": (3, {"errorType": "Sandbox.Timedout",
                  "errorMessage": "Error: Init phase: Task timed out after 0.10 seconds"}, ("--init-timeout", "100", "--init-report", "1")),
    "log-flood": (3, {"errorType": "Runtime.ExitError",
                      "errorMessage": "Error: Runtime exited with error: exit status 1"}, ()),
    "no-trim": (3, {"errorType": "Runtime.ExitError",
                    "errorMessage": "Error: Runtime exited with error: signal: killed"}, ()),
    "no-files": (1, "No such file", ()),
}


# ---- the tests ----

def command(folder, part, *options):
    vmm = os.path.join(folder, "vmm-" + part)
    if not os.path.exists(vmm):  # a copy: the tool resolves links
        with open(__file__, "rb") as source, open(vmm, "wb") as target:
            target.write(source.read())
        os.chmod(vmm, 0o755)
    image = os.path.join(folder, "image")
    with open(image, "wb") as f:
        f.write(b"image")
    inputs = [word for name in ("kernel", "initrd", "rootfs", "code", "scratch") for word in ("--" + name, image)]
    return [os.path.join(os.environ.get("STOKER_BUILD", "."), "stoker-snapshot"), "create", "--out",
            os.path.join(folder, "out", "snap"), "--vmm", vmm, *inputs, *options]


def left_running(folder):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if folder.encode() in f.read() and int(pid) != os.getpid():
                    found.append(pid)
        except OSError:
            pass
    return found


def nothing_left(folder):
    assert os.listdir(os.path.join(folder, "out")) == [], os.listdir(os.path.join(folder, "out"))
    assert left_running(folder) == []


def misbehaving(folder, part):
    status, text, options = EXPECTED[part]
    begin = time.monotonic()
    done = subprocess.run(command(folder, part, *options), capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    stderr = done.stderr.decode(errors="replace")
    assert done.returncode == status, (done.returncode, stderr)
    if isinstance(text, dict):
        lines = done.stdout.splitlines()
        assert json.loads(lines[0]) == text, done.stdout
        assert len(lines) == 1 + ("--init-report" in options), done.stdout
        if lines[1:]:
            report = json.loads(lines[1])
            assert report["status"] == ("timeout" if part == "hangs" else "error"), report
            assert 100000 <= report["durationUs"] < 30000000, report
    else:
        assert text in stderr, stderr
        assert done.stdout == b"", done.stdout
    if part == "exits":
        assert "some output\n" in stderr
    if part == "dies":
        assert "last words\\x1b[31m" in stderr and "\x1b" not in stderr
    if part == "log-flood":
        assert len(stderr) < 1200000 and "the rest is not shown" in stderr
    assert time.monotonic() - begin < 30
    nothing_left(folder)


def ended_by_signal(folder, part, number):
    tool = subprocess.Popen(command(folder, part), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not left_running(os.path.join(folder, "vmm-" + part) + "\0--api-sock"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    tool.send_signal(number)
    tool.communicate(timeout=20)
    assert tool.returncode == -number, tool.returncode
    nothing_left(folder)


def existing_folder(folder):
    existing = command(folder, "deaf")
    os.mkdir(os.path.join(folder, "out", "snap"))
    done = subprocess.run(existing, capture_output=True, timeout=20)
    assert done.returncode == 1 and b"exists already" in done.stderr
    os.rmdir(os.path.join(folder, "out", "snap"))


def bad_usage(folder):
    def run(*options, status=2, text=""):
        done = subprocess.run(command(folder, "deaf", *options), capture_output=True, text=True, timeout=20)
        assert done.returncode == status, (options, done.returncode, done.stderr)
        assert text in done.stderr, done.stderr
        nothing_left(folder)
    run("--memory", "64", text="--memory: expected a number from 128 to 10240")
    run("--scratch-size", "10241", text="--scratch-size: expected a number from 1 to 10240")
    run("--memory", text="--memory needs a value")
    run("--dance", "1", text="unknown option --dance")
    run("--name", "a b", text="--name")
    run("--env", "AWS_REGION=secret", text="AWS_REGION is set by the host")
    for account in "12345678901", "1234567890123", "12345678901x":
        run("--account", account, text="--account: expected 12 digits")
    run("--env", "X", text="expected NAME=VALUE")
    run("--kernel", "/no/such/kernel", status=1, text="/no/such/kernel")
    run("--vmm", "/no/such/vmm", status=1, text="/no/such/vmm")
    run("--vmm", os.path.join(folder, "image"), status=1, text="cannot start")
    run("--out", "/no/such/folder/snap", status=1, text="/no/such/folder/snap")
    run("--env-file", "/no/such/env", status=1, text="/no/such/env")
    run("--code", folder, status=1, text="not a regular file")


def main():
    failed = 0
    folder = tempfile.mkdtemp(prefix="stoker-tool.")
    os.mkdir(os.path.join(folder, "out"))
    tests = [(part, lambda p=part: misbehaving(folder, p)) for part in PARTS]
    tests += [("SIGTERM while it starts", lambda: ended_by_signal(folder, "deaf", signal.SIGTERM)),
              ("SIGINT while it waits", lambda: ended_by_signal(folder, "mute", signal.SIGINT)),
              ("an existing folder", lambda: existing_folder(folder)),
              ("bad usage", lambda: bad_usage(folder))]
    for name, test in tests:
        try:
            test()
            print("ok", name)
        except Exception as e:  # the next tests still say something
            failed += 1
            print("FAILED", name, repr(e)[:2000])
    subprocess.run(["rm", "-rf", folder], check=True)
    return 1 if failed else 0


if __name__ == "__main__":
    name = os.path.basename(sys.argv[0])
    if name.startswith("vmm-"):
        PARTS[name[4:]]()
    sys.exit(main())
