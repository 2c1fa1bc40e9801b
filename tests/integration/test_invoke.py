"""Functions answer: the examples, both ways of calling, what the answer carries."""
import io
import json
import os
import re
import signal
import subprocess
import threading
import zipfile

import pytest

import host as h

GPL = "/usr/share/common-licenses/GPL-3"


def curl(host, path, *arguments):
    return subprocess.run(["curl", "-sS", "--max-time", "120", *arguments, f"http://127.0.0.1:{host.port}{path}"],
                          capture_output=True, check=True).stdout


@pytest.mark.smoke
def test_hello(host):
    answer = host.call("hello", path="?name=Ada")
    assert (answer.status, answer.body) == (200, b"Hello, Ada!\n")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert host.call("hello", "POST", body=b"Grace").body == b"Hello, Grace!\n"
    assert host.invoke("hello", {"name": "Alan"}).json() == {"greeting": "Hello, Alan!"}


@pytest.mark.smoke
def test_wordcount_of_the_gpl(host):
    got = json.loads(curl(host, "/function/wordcount", "--data-binary", f"@{GPL}"))
    lines, words, size = subprocess.run(["wc", "-lwc", GPL], capture_output=True, text=True,
                                        check=True, env={"LC_ALL": "C"}).stdout.split()[:3]
    assert (got["lines"], got["words"], got["bytes"]) == (int(lines), int(words), int(size))
    words = [w.strip(".,;:()\"`'") for w in open(GPL).read().lower().split()]
    assert got["top"][0] == {"word": "the", "count": words.count("the")}


@pytest.mark.smoke
def test_primes_in_c(host):
    assert json.loads(curl(host, "/function/primes?n=100000")) == {"n": 100000, "primes": 9592}
    assert host.invoke("primes", {"n": 1000}).json() == {"n": 1000, "primes": 168}
    assert host.invoke("primes", {"n": "many"}).json()["errorType"] == "BadEvent"


PHOTO = "/usr/share/matplotlib/mpl-data/sample_data/grace_hopper.jpg"  # package python-matplotlib-data


@pytest.fixture
def thumbnail(host):
    host.deploy("thumbnail", os.path.join(h.EXAMPLES, "thumbnail"), "--timeout", "30")
    yield
    host.cli("delete", "thumbnail")


def test_thumbnail_of_a_photograph(host, thumbnail):
    image = pytest.importorskip("PIL.Image")
    if not os.path.exists(PHOTO):
        pytest.skip("the photograph of python-matplotlib-data is missing")
    with image.open(PHOTO) as original:
        width, height = original.size
    small = curl(host, "/function/thumbnail?width=120", "-H", "Content-Type: image/jpeg",
                 "--data-binary", f"@{PHOTO}")
    with image.open(io.BytesIO(small)) as got:
        got.load()
        assert got.format == "JPEG"
        assert got.size == (120, round(height * 120 / width))
    assert host.call("thumbnail", "POST", body=b"not an image", headers={"Content-Type": "image/jpeg"}).status == 400


def test_what_an_answer_carries(host):
    answer = host.invoke("probe", {"do": "environment"})
    environment = answer.json()
    assert answer.headers["X-Request-Id"] == environment["context"]["aws_request_id"]
    assert answer.headers["X-Stoker-Start"] in ("warm", "shell", "cold-restore", "cold-boot")
    stages = dict(re.findall(r"([a-z]+);dur=([0-9.]+)", answer.headers["Server-Timing"]))
    assert {"parse", "queue", "start", "send", "function", "total"} <= set(stages)
    assert 0 < float(stages["function"]) <= float(stages["total"]) <= answer.seconds * 1000 + 1
    assert environment["env"]["AWS_LAMBDA_FUNCTION_NAME"] == "probe"
    assert environment["env"]["_HANDLER"] == "app.handler"
    assert environment["env"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert environment["cwd"] == "/var/task"
    assert 0 < environment["remaining_ms"] <= 30000


def test_result_as_it_is(host):
    for value in (None, 0, "", "ü\u2028\U0001f525", [1, {"a": [True, None]}], {"statusCode": 404, "body": "x"}):
        answer = host.invoke("probe", {"do": "echo", "value": value})
        assert answer.status == 200
        assert answer.json() == value


def test_function_url_event(host):
    """Payload format 2.0, as the handler sees it, and its answer mapped back."""
    answer = host.call("echo", "PUT", "/some/path%20here?a=1&a=2&b=%C3%BC", b"\x00\xff binary",
                       {"X-Custom": "one", "Cookie": "k=v; l=w", "Content-Type": "application/octet-stream"})
    event = answer.json()
    assert event["version"] == "2.0"
    assert event["rawQueryString"] == "a=1&a=2&b=%C3%BC"
    assert event["queryStringParameters"] == {"a": "1,2", "b": "ü"}
    assert event["headers"]["x-custom"] == "one"
    assert event["cookies"] == ["k=v", "l=w"]
    assert event["requestContext"]["http"]["method"] == "PUT"
    assert event["requestContext"]["http"]["path"].startswith("/some/path")
    assert event["isBase64Encoded"] is True
    import base64
    assert base64.b64decode(event["body"]) == b"\x00\xff binary"


def test_binary_answer(host):
    answer = host.call("probe", "POST", body=b'{"do": "binary"}')
    assert answer.body == bytes(range(256))
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_large_payloads(host):
    text = "x" * (5 << 20)
    assert host.invoke("probe", {"do": "size", "value": text}).json() == {"length": len(text)}
    assert len(host.invoke("probe", {"do": "big", "size": 5 << 20}).body) == 5 << 20


def test_too_large_payloads(host):
    answer = host.invoke("probe", {"do": "big", "size": (6 << 20) + 4096})
    assert answer.status == 502
    assert "exceeded maximum allowed payload size" in answer.json()["errorMessage"]
    for size in (7 << 20, 70 << 20):  # however much of it the host still reads, the answer arrives
        answer = host.raw(b"POST /v1/functions/probe/invoke HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
                          + bytes(size))
        assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]


@pytest.mark.smoke
@pytest.mark.parametrize("start", ["cold-boot", "cold-restore", "shell", "warm"])
def test_forced_start(host, start):
    if start == "warm":
        host.wait_warm("hello")
    answer = host.invoke("hello", {}, start=start)
    assert (answer.status, answer.headers["X-Stoker-Start"]) == (200, start)
    assert answer.json() == {"greeting": "Hello, world!"}


def test_logs(host):
    mark = os.urandom(8).hex()
    host.invoke("probe", {"do": "log", "line": f"out {mark}", "err": f"err {mark}", "lines": 3})
    h.wait_for(lambda: host.cli("logs", "probe").stdout.count(mark) == 4, "four lines in the log")
    text = host.request("GET", "/v1/functions/probe/logs?lines=1000").body.decode()
    assert text.count(f"out {mark}") == 3 and text.count(f"err {mark}") == 1


class Follower:
    """stoker logs -f, and what it has printed so far."""
    def __init__(self, host, *arguments):
        self.process = subprocess.Popen([h.program("stoker"), "--host", f"http://127.0.0.1:{host.port}", "logs", "-f", *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True).start()

    def wait_for(self, text, times=1):
        h.wait_for(lambda: sum(text in line for line in list(self.lines)) >= times, f"{text} in the log that is followed")

    def end(self, number=None):
        """(status, what it said)"""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(h.DEADLINE)
        with self.process.stderr as err:
            return status, err.read()


def test_deploy_of_a_zip(host, tmp_path):
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return event['a'] + 1\n")
    try:
        host.cli("deploy", "zipped", "--runtime", "python3", "--handler", "app.handler", str(tmp_path / "code.zip"))
        assert host.cli("invoke", "zipped", "--data", '{"a": 41}').stdout.strip() == "42"
    finally:
        host.cli("delete", "zipped", check=False)


def test_logs_are_followed(own_host, tmp_path):
    (tmp_path / "app.py").write_text("def handler(event, context):\n    for i in range(event['lines']):\n"
                                     "        print(event['mark'], i, 'x' * 500)\n    return {}\n")
    host = own_host(pool_floor=1)
    for name in ("talker", "other"):
        host.cli("deploy", name, "--runtime", "python3", "--handler", "app.handler", "--timeout", "60", str(tmp_path))
    first, second = Follower(host, "talker", "-n", "0"), Follower(host, "talker:$LATEST", "--since", "1h")
    stopped = Follower(host, "other")
    h.wait_for(lambda: host.metrics()["stoker_log_readers"] == 3, "three followers")
    host.invoke("talker", {"mark": "one", "lines": 3})
    for one in (first, second):
        one.wait_for(" one 2 ")
        one.wait_for(" REPORT RequestId: ")
        assert sum(" one " in line for line in one.lines) == 3
    assert not any(" building " in line for line in second.lines)
    # rotation
    for i in range(5):
        host.invoke("talker", {"mark": f"round-{i}", "lines": 700})
        first.wait_for(" REPORT RequestId: ", i + 2)
    assert os.path.exists(os.path.join(host.state, "logs", "talker.log.1"))
    assert [int(line.split()[3]) for line in first.lines if " round-" in line] == list(range(700)) * 5
    assert all(line.endswith("\n") for line in first.lines)
    # the rest of what tail can do
    answer = host.invoke("talker", {"mark": "two", "lines": 2})
    shown = host.cli("logs", "talker", "--request-id", answer.headers["X-Request-Id"]).stdout
    assert (shown.count(" two "), shown.count("\n")) == (2, 5)
    assert host.cli("logs", "talker", "-n", "2").stdout.count("\n") == 2
    assert host.cli("logs", "talker", "--since", "soon", check=False).returncode == 1
    # the ends
    assert stopped.end(signal.SIGINT)[0] == -signal.SIGINT
    host.cli("delete", "talker")
    status, said = second.end()
    assert (status, "talker was deleted" in said) == (1, True), said
    assert first.end()[0] == 1
    stopped = Follower(host, "other")
    h.wait_for(lambda: host.metrics()["stoker_log_readers"] == 1, "the follower")
    host.stop()
    status, said = stopped.end()
    assert (status, "the host has ended the log" in said) == (1, True), said


def test_cli(host):
    assert "hello" in host.cli("list").stdout
    assert json.loads(host.cli("show", "hello").stdout)["runtime"] == "python3"
    done = host.cli("invoke", "hello", "--data", '{"name": "Linus"}')
    assert json.loads(done.stdout) == {"greeting": "Hello, Linus!"}
    assert host.cli("show", "no-such-function", check=False).returncode != 0
    assert "no function of this name" in host.cli("show", "no-such-function", check=False).stderr


def test_metrics(host):
    host.invoke("hello", {})
    metrics = host.metrics()
    assert any(name.startswith("stoker") for name in metrics)
    assert any("hello" in name for name in metrics)


def test_update_and_delete(own_host):
    host = own_host()
    first = host.put("f", h.zip_bytes({"app.py": b"def handler(e, c):\n    return 'old'\n"}), runtime="python3",
                     handler="app.handler")
    assert first.status == 201, first
    assert host.invoke("f", {}).json() == "old"
    variables = {"KEY": "new=value", "L2": "2", **{f"V{i}": f"x{i}" for i in range(200)}}
    second = host.put("f", h.zip_bytes({"app.py": b"import os\ndef handler(e, c):\n    return dict(os.environ)\n"}),
                      runtime="python3", handler="app.handler", env=list(map("=".join, variables.items())), timeout=5)
    assert second.status == 200, second
    got = host.invoke("f", {}).json()
    assert {name: got.get(name) for name in variables} == variables
    assert host.request("DELETE", "/v1/functions/f").status in (200, 204)
    assert host.invoke("f", {}).status == 404
    h.wait_for(lambda: not host.vmms(), "the deleted function's VMs to end")
    h.wait_for(lambda: not [f for _, _, files in os.walk(os.path.join(host.state, "functions")) for f in files],
               "its files to go")


def test_function_that_fails_to_start(own_host):
    host = own_host()
    broken = host.put("f", h.zip_bytes({"app.py": b"raise RuntimeError('broken at import')\n"}),
                      runtime="python3", handler="app.handler")
    assert broken.status in (400, 422), broken
    assert "broken at import" in broken.body.decode()
    assert host.invoke("f", {}).status == 404
    assert not host.vmms()


def test_large_answers_by_url(host):
    """JSON that is taken apart beside the host's loop: the same answers as small ones."""
    code = h.zip_bytes({"app.py": b"""
import base64, json
def handler(event, context):
    do = json.loads(event["body"])
    if do["as"] == "parts":
        return {"statusCode": 201, "headers": {"x-large": "yes"}, "cookies": ["a=b"], "body": "y" * do["n"]}
    if do["as"] == "bytes":
        return {"isBase64Encoded": True, "statusCode": 200, "body": base64.b64encode(bytes(range(256)) * do["n"]).decode()}
    if do["as"] == "wrong":
        return {"statusCode": "many", "body": "y" * do["n"]}
    return ["z"] * do["n"]
"""})
    assert host.put("large", code, runtime="python3", handler="app.handler", timeout=30).status == 201
    try:
        def ask(how, n):
            return host.call("large", "POST", body=json.dumps({"as": how, "n": n}),
                             headers={"Content-Type": "application/json"})
        got = ask("parts", 2000000)
        assert (got.status, got.headers["x-large"], got.headers["Set-Cookie"]) == (201, "yes", "a=b")
        assert got.body == b"y" * 2000000
        got = ask("bytes", 4000)
        assert (got.status, got.body) == (200, bytes(range(256)) * 4000)
        got = ask("wrong", 1000000)
        assert (got.status, got.error()) == (502, "BadFunctionAnswer")
        assert ask("list", 300000).json() == ["z"] * 300000
    finally:
        host.cli("delete", "large")
