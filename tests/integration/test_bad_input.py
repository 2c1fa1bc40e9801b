"""Bad input gets a clear error, and nothing is lost by it."""
import json
import os
import socket
import subprocess
import threading
import time

import pytest

import host as h

SETTINGS = {"runtime": "python3", "handler": "app.handler"}


def status_of(raw):
    return int(raw.split(b" ", 2)[1]) if raw.startswith(b"HTTP/1.1 ") else None


@pytest.fixture(autouse=True)
def still_serving(host):
    yield
    assert host.request("GET", "/healthz").status == 200
    host.request("DELETE", "/v1/functions/bad")


# --- HTTP ---------------------------------------------------------------------------------------------

@pytest.mark.smoke
@pytest.mark.parametrize("request_bytes, status", [
    (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", (400, 505)),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n", 400),
    (b"POST /function/hello HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST /function/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    (b"POST /function/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab", 400),
    (b"POST /function/hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (414, 431)),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 200000 + b"\r\n\r\n", 431),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"H%d: x\r\n" % i for i in range(1000)) + b"\r\n", 431),
    (b"POST /v1/functions/hello/invoke HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413),
], ids=range(11))
def test_malformed_http(host, request_bytes, status):
    got = status_of(host.raw(request_bytes, close=True))
    assert got in (status if isinstance(status, tuple) else (status,))


def test_error_body_is_json(host):
    raw = host.raw(b"nonsense\r\n\r\n", close=True)
    error = json.loads(raw.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] and error["message"]


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/nothing/here", 404), ("GET", "/function/none", 404), ("GET", "/function/", 404),
    ("POST", "/v1/functions/none/invoke", 404), ("GET", "/v1/functions/none", 404),
    ("DELETE", "/v1/functions/none", 404), ("GET", "/v1/functions/none/logs", 404),
    ("GET", "/v1/functions/hello/invoke", 405), ("PATCH", "/v1/functions/hello", 405), ("POST", "/healthz", 405),
    ("GET", "/v1/functions/..%2f..%2fetc", (400, 404)), ("GET", "/function/a%00b", (400, 404)),
    ("GET", "/v1/functions/" + "n" * 65, (400, 404)),
])
def test_unknown_paths_and_methods(host, method, path, status):
    answer = host.request(method, path)
    assert answer.status in (status if isinstance(status, tuple) else (status,)), answer
    assert answer.json()["error"]["code"]


@pytest.mark.smoke
@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1} x', b"\xff\xfe", b"[" * 100000, b'{"a":1,}'],
                         ids=["empty", "open", "rest", "bytes", "deep", "comma"])
def test_event_that_is_no_json(host, body):
    answer = host.request("POST", "/v1/functions/hello/invoke", body)
    assert answer.status in (200, 400, 502) if body == b"" else answer.status in (400, 502), answer
    if answer.status == 400:
        assert answer.error()


def test_slow_client(host):
    """Headers that come byte by byte end in a time limit; others are served meanwhile."""
    with socket.create_connection(("127.0.0.1", host.port)) as slow:
        slow.settimeout(0.5)
        slow.sendall(b"GET /healthz HT")
        end = time.monotonic() + 90
        while time.monotonic() < end:
            assert host.request("GET", "/healthz").status == 200
            try:
                slow.sendall(b"T")
                got = slow.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
            assert got == b"" or status_of(got) in (400, 408)
            break
        else:
            raise AssertionError("a client that never ends its request keeps its connection")


def test_stalled_body(host):
    with socket.create_connection(("127.0.0.1", host.port), timeout=90) as stalled:
        stalled.sendall(b"POST /v1/functions/hello/invoke HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert status_of(stalled.recv(1000)) == 408


def test_many_idle_connections(host):
    connections = [socket.create_connection(("127.0.0.1", host.port)) for _ in range(300)]
    assert host.invoke("hello", {}).status == 200
    for c in connections:
        c.close()


# --- deployments --------------------------------------------------------------------------------------

@pytest.mark.smoke
@pytest.mark.parametrize("settings, word", [
    ({"runtime": "cobol"}, "runtime"), ({"runtime": ""}, "runtime"), ({"handler": "no dots"}, "handler"),
    ({"handler": "x" * 300}, "handler"), ({"memory": 127}, "memory"), ({"memory": 10241}, "memory"),
    ({"memory": "many"}, "memory"), ({"timeout": 0}, "timeout"), ({"timeout": 901}, "timeout"),
    ({"timeout": "-5"}, "timeout"), ({"env": "NOVALUE"}, "env"), ({"env": "1BAD=x"}, "env"),
    ({"env": "KEY=" + "x" * 5000}, "too long"), ({"colour": "red"}, "colour"),
], ids=lambda v: "-".join(f"{k}={str(x)[:12]}" for k, x in v.items()) if isinstance(v, dict) else "")
def test_wrong_settings(host, settings, word):
    answer = host.put("bad", h.zip_bytes({"app.py": h.PYTHON_ONE}), **{**SETTINGS, **settings})
    assert answer.status in (400, 422), answer
    assert word in answer.json()["error"]["message"].lower()
    assert host.request("GET", "/v1/functions/bad").status == 404


def bomb():
    with open(os.path.join(h.FUNCTIONS, "bomb.zip"), "rb") as f:
        return f.read()


@pytest.mark.smoke
@pytest.mark.parametrize("make", [
    lambda: b"", lambda: b"this is not a zip", lambda: h.zip_bytes({"app.py": h.PYTHON_ONE})[:-30],
    lambda: h.zip_bytes({"../app.py": h.PYTHON_ONE}), lambda: h.zip_bytes({"a/../../app.py": h.PYTHON_ONE}),
    lambda: h.zip_bytes({"/app.py": h.PYTHON_ONE}),
    lambda: h.zip_bytes({"app.py": h.PYTHON_ONE}, {"out": "/etc/passwd"}),
    lambda: h.zip_bytes({"app.py": h.PYTHON_ONE}, {"out": "../../../../etc"}),
    lambda: h.zip_bytes({"link/app.py": h.PYTHON_ONE}, {"link": "/tmp"}),
    lambda: h.zip_bytes({"app.py": h.PYTHON_ONE, "app.py/x": b""}),
    lambda: h.zip_bytes({"x" * 5000: b""}),
    lambda: h.zip_bytes({}),
    bomb,
], ids=["empty", "no-zip", "cut", "dotdot", "inner-dotdot", "absolute", "symlink-absolute", "symlink-out",
        "through-symlink", "file-as-folder", "long-name", "no-files", "bomb"])
def test_hostile_zip(host, make):
    answer = host.put("bad", make(), **SETTINGS)
    assert answer.status in (400, 413), answer
    assert answer.json()["error"]["message"]
    assert host.request("GET", "/v1/functions/bad").status == 404
    assert not os.path.exists("/app.py")


def test_wrong_content_type_and_size(host):
    answer = host.request("PUT", "/v1/functions/bad?runtime=python3&handler=app.handler", b"x",
                          {"Content-Type": "text/plain"})
    assert answer.status in (400, 415)
    raw = host.raw(b"PUT /v1/functions/bad?runtime=python3&handler=app.handler HTTP/1.1\r\nHost: x\r\n"
                   b"Content-Type: application/zip\r\nContent-Length: 60000000\r\n\r\n", close=True)
    assert status_of(raw) == 413


def test_handler_that_is_not_there(host):
    answer = host.put("bad", h.zip_bytes({"other.py": h.PYTHON_ONE}), **SETTINGS)
    assert answer.status in (400, 422), answer
    assert "app" in answer.body.decode()
    answer = host.put("bad", h.zip_bytes({"readme": b"no bootstrap here"}), runtime="provided", handler="x")
    assert answer.status in (400, 422), answer
    assert "bootstrap" in answer.body.decode()
    assert host.request("GET", "/v1/functions/bad").status == 404


@pytest.mark.parametrize("arguments, word", [
    (["deploy"], "needs a name"), (["deploy", "x", "--runtime", "python3", "/no/such/folder"], "/no/such/folder"), (["frobnicate"], "frobnicate"),
    (["invoke", "hello", "--data", "not json"], "unmarshal"), ([], "usage")], ids=["none", "folder", "command", "json", "empty"])
def test_cli_mistakes(host, arguments, word):
    done = host.cli(*arguments, check=False)
    assert done.returncode != 0
    assert word in (done.stderr + done.stdout).lower()


# --- starting -----------------------------------------------------------------------------------------

def stokerd(*arguments):
    return subprocess.run([h.program("stokerd"), *arguments], capture_output=True, text=True, timeout=h.DEADLINE,
                          stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("arguments, word", [
    (["--listen", "nowhere"], "listen"), (["--memory-budget", "lots"], "memory-budget"), (["--what"], "what"),
    (["--config", "/no/such/file"], "/no/such/file"), (["--pool-floor", "-1"], "pool-floor"),
])
def test_stokerd_options(tmp_path, arguments, word):
    done = stokerd("--state", str(tmp_path / "s"), *arguments)
    assert done.returncode != 0
    assert word in done.stderr


@pytest.mark.parametrize("missing", ["vmlinux", "python3.img", "scratch.img"])
def test_missing_images(tmp_path, missing):
    """Said by name, at start or at the deploy that needs it."""
    images = tmp_path / "images"
    images.mkdir()
    for name in os.listdir(h.IMAGES):
        if name != missing:
            os.symlink(os.path.realpath(os.path.join(h.IMAGES, name)), images / name)
    port = h.free_port()
    log = open(tmp_path / "log", "w+")
    process = subprocess.Popen([h.program("stokerd"), "--listen", f"127.0.0.1:{port}", "--state",
                                str(tmp_path / "state"), "--images", str(images), "--bin", h.BUILD],
                               stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        one = h.Host(str(tmp_path / "state"), port)

        def up_or_ended():
            if process.poll() is not None:
                return "ended"
            try:
                return one.request("GET", "/healthz", timeout=5).status == 200
            except OSError:
                return False
        said = ""
        if h.wait_for(up_or_ended, "stokerd to start or to refuse") != "ended":
            answer = one.put("f", h.zip_bytes({"app.py": h.PYTHON_ONE}), **SETTINGS)
            assert answer.status >= 400
            said = answer.body.decode()
        log.seek(0)
        assert missing.removesuffix(".img") in said + log.read()
    finally:
        process.terminate()
        process.wait(30)


def test_port_in_use(host, tmp_path):
    done = stokerd("--listen", f"127.0.0.1:{host.port}", "--state", str(tmp_path / "s"), "--images", h.IMAGES,
                   "--bin", h.BUILD)
    assert done.returncode != 0
    assert "in use" in done.stderr


def test_state_in_use(host):
    done = stokerd("--listen", f"127.0.0.1:{h.free_port()}", "--state", host.state, "--images", h.IMAGES,
                   "--bin", h.BUILD)
    assert done.returncode != 0
    assert host.state in done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not os.environ.get("STOKER_IN_BOX"),
                    reason="hides /dev/kvm: only inside kvmbox")
def test_no_kvm(tmp_path):
    """A mount namespace in which there is no /dev/kvm, then one in which it is something else."""
    def hidden(*command, how="mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9"):
        return subprocess.run(["unshare", "-m", "sh", "-c", how + ' && exec "$@"', "sh", *command],
                              capture_output=True, text=True, timeout=h.DEADLINE)
    done = hidden(h.program("stoker-vmm"), "--preflight", how="mount --bind /dev/null /dev/kvm")
    assert done.returncode == 1
    assert "kvm" in done.stdout + done.stderr
    done = hidden(h.program("stoker-vmm"), "--preflight")
    assert done.returncode == 1
    assert "/dev/kvm" in done.stdout + done.stderr
    done = hidden("timeout", "20", h.program("stokerd"), "--listen", f"127.0.0.1:{h.free_port()}", "--state",
                  str(tmp_path / "s"), "--images", h.IMAGES, "--bin", h.BUILD)
    assert "kvm" in (done.stdout + done.stderr).lower()
