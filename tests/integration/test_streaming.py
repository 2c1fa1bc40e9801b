"""Answers that are streamed, from the function to the client; what a runtime and its extensions are offered in the guest.
The functions bring the runtime client of the source tree along, so that an older image has the same one."""
import hashlib
import json
import os
import re
import socket
import struct
import time
import zlib

import pytest

import host as h

CLIENT = os.path.join(h.SRC, "images/python3/stoker_runtime.py")
BOOTSTRAP = b"#!/bin/sh\nexec /usr/bin/python3 /var/task/stoker_runtime.py\n"

APP = b'''
import json, os, threading, time, urllib.request
import stoker_runtime

def query(event):
    return dict(event.get("queryStringParameters") or {}) if "requestContext" in event else event

def pieces(q):
    yield b"first"
    time.sleep(float(q.get("seconds", 1)))
    yield "last"

def head(q):
    yield {"statusCode": 203, "headers": {"x-from": "function"}, "cookies": ["a=b"]}
    yield "the body"

def much(q):
    piece = bytes(range(256)) * 256
    for i in range(320):
        if i % 16 == 0:
            print("at MiB", i // 16)
        yield piece

def fails(q):
    yield b"some"
    raise ValueError("in mid-stream")

def late(q):
    time.sleep(float(q["seconds"]))
    yield "late"

ACTIONS = {"late": late, "pieces": pieces, "head": head, "much": much, "fails": fails}
after_restore = []
stoker_runtime.register_after_restore(lambda: after_restore.append(time.time()))

def handler(event, context):
    q = query(event)
    if q["do"] == "plain":
        print("plain output")
        return {"after_restore": len(after_restore), "seen": seen, "env": dict(os.environ)}
    if q["do"] == "extension":
        end = time.time() + 20
        while not seen and time.time() < end:
            time.sleep(0.01)
        return {"seen": seen, "id": context.aws_request_id}
    return ACTIONS[q["do"]](q)

seen = []
BASE = "http://%s/2020-01-01/extension/" % os.environ["AWS_LAMBDA_RUNTIME_API"]

def extension(identifier):
    while True:
        request = urllib.request.Request(BASE + "event/next", headers={"Lambda-Extension-Identifier": identifier})
        seen.append(json.load(urllib.request.urlopen(request)))

if os.environ.get("EXTENSION"):
    request = urllib.request.Request(BASE + "register", json.dumps({"events": ["INVOKE"]}).encode(),
                                     {"Lambda-Extension-Name": "inner"})
    with urllib.request.urlopen(request) as answer:
        identifier = answer.headers["Lambda-Extension-Identifier"]
    threading.Thread(target=extension, args=(identifier,), daemon=True).start()
'''


@pytest.fixture(scope="module")
def streams(request):
    """A host with the function under three names: as it is, with an extension, with hooks that run at the restore."""
    state = h.new_state("streams")
    one = h.Host(state).start()
    with open(CLIENT, "rb") as f:
        data = h.zip_bytes({"app.py": APP, "stoker_runtime.py": f.read(), "bootstrap": (BOOTSTRAP, 0o755)})
    for name, env in (("s", []), ("ext", ["EXTENSION=1"]), ("hooks", ["AWS_LAMBDA_INITIALIZATION_TYPE=snap-start"])):
        answer = one.put(name, data, runtime="python3", handler="app.handler", timeout=60, memory=256, env=env)
        assert answer.status in (200, 201), answer
    yield one
    one.stop()
    h.remove_state(state)


def open_stream(host, path, method="GET", body=None, headers=None, receive_buffer=None):
    connection = host.connect()
    if receive_buffer:  # else the kernel's grows to some MiB
        connection.sock = socket.socket()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.sock.settimeout(h.DEADLINE)
        connection.sock.connect(("127.0.0.1", host.port))
    connection.request(method, path, body=body, headers=headers or {})
    return connection, connection.getresponse()


def test_first_piece_comes_while_the_function_runs(streams):
    connection, response = open_stream(streams, "/function/s?do=pieces&seconds=3")
    assert response.status == 200
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert response.read(5) == b"first"
    first = time.monotonic()
    assert response.read() == b"last"
    assert time.monotonic() - first > 1.5
    connection.close()


def test_head_of_a_function_url(streams):
    answer = streams.call("s", path="?do=head")
    assert (answer.status, answer.body) == (203, b"the body")
    assert answer.headers["x-from"] == "function"
    assert answer.headers["Set-Cookie"] == "a=b"


def test_invoke_mode_of_a_function_url(streams):
    url = "/2021-10-31/functions/s/url"
    assert streams.request("POST", url, b'{"AuthType": "NONE"}').status == 201
    try:
        answer = streams.call("s", path="?do=head")
        assert (answer.status, answer.body, answer.headers["x-from"]) == (203, b"the body", "function")
        assert answer.headers["Content-Length"] == "8"
        answer = streams.call("s", path="?do=pieces&seconds=0")
        assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"firstlast", "9")
        for failing in ("much", "fails"):  # 20 MiB, and an error in mid-stream
            answer = streams.call("s", path=f"?do={failing}")
            assert (answer.status, answer.body) == (502, b"Internal Server Error")
        assert streams.request("PUT", url, b'{"InvokeMode": "RESPONSE_STREAM"}').status == 200
        connection, response = open_stream(streams, "/function/s?do=pieces&seconds=0")
        assert (response.headers["Transfer-Encoding"], response.read()) == ("chunked", b"firstlast")
        connection.close()
    finally:
        assert streams.request("DELETE", url).status == 204


def test_collected_for_others(streams):
    answer = streams.invoke("s", {"do": "pieces", "seconds": 0})
    assert (answer.status, answer.body) == (200, b"firstlast")


def events(data):
    """(headers, payload) of each frame, checksums compared."""
    start = 0
    while start < len(data):
        total, size, crc = struct.unpack(">III", data[start:start + 12])
        frame = data[start:start + total]
        assert zlib.crc32(frame[:8]) == crc
        assert zlib.crc32(frame[:-4]) == struct.unpack(">I", frame[-4:])[0]
        headers, at = {}, 12
        while at < 12 + size:
            name = frame[at + 1:at + 1 + frame[at]].decode()
            at += 1 + frame[at]
            length = struct.unpack(">H", frame[at + 1:at + 3])[0]
            headers[name] = frame[at + 3:at + 3 + length].decode()
            at += 3 + length
        yield headers, frame[at:-4]
        start += total


STREAMING = "/2021-11-15/functions/{}/response-streaming-invocations"


def test_event_stream(streams):
    answer = streams.request("POST", STREAMING.format("s"), json.dumps({"do": "pieces", "seconds": 0}).encode())
    assert answer.headers["Content-Type"] == "application/vnd.amazon.eventstream"
    got = list(events(answer.body))
    assert b"".join(p for f, p in got if f[":event-type"] == "PayloadChunk") == b"firstlast"
    assert (got[-1][0][":event-type"], json.loads(got[-1][1])) == ("InvokeComplete", {})
    answer = streams.request("POST", STREAMING.format("s"), json.dumps({"do": "fails"}).encode(),
                             {"X-Amz-Log-Type": "Tail"})
    got = list(events(answer.body))
    assert got[0][1] == b"some"
    end = json.loads(got[-1][1])
    assert end["ErrorCode"] == "Unhandled"
    assert json.loads(end["ErrorDetails"])["errorMessage"] == "in mid-stream"
    assert end["LogResult"]


def test_a_retry_gets_the_stream_of_the_call_that_runs(streams):
    tries = {"amz-sdk-invocation-id": f"test-{time.time()}"}
    event = json.dumps({"do": "late", "seconds": 3}).encode()
    before = streams.metrics_total("stoker_invocations_total", function="s")
    with pytest.raises(OSError):
        streams.request("POST", STREAMING.format("s"), event, tries, timeout=0.5)
    got = list(events(streams.request("POST", STREAMING.format("s"), event, tries).body))
    assert [p for f, p in got if f[":event-type"] == "PayloadChunk"] == [b"late"]
    assert got[-1][0][":event-type"] == "InvokeComplete"
    h.wait_for(lambda: streams.metrics_total("stoker_invocations_total", function="s") > before, "the call to be counted")
    assert streams.metrics_total("stoker_invocations_total", function="s") == before + 1


def in_memory(pid):
    """What the process itself has written; not the blocks of memory that it shares out, and looks at now and then."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1]) << 10


def payload_of(data):
    """Of the frames of an event stream that ended well."""
    got = list(events(data))
    assert (got[-1][0][":event-type"], json.loads(got[-1][1])) == ("InvokeComplete", {})
    assert {headers[":event-type"] for headers, _ in got[:-1]} == {"PayloadChunk"}
    return b"".join(payload for _, payload in got[:-1])


@pytest.mark.parametrize("path, method, event", [
    ("/function/s?do=much", "GET", None), (STREAMING.format("s"), "POST", {"do": "much"})], ids=["url", "event-stream"])
def test_large_stream_in_little_memory(streams, path, method, event):
    """Nobody reads for a while: the function waits, and neither the host nor its VM fills memory. Nothing is lost."""
    before = in_memory(streams.pid)
    connection, response = open_stream(streams, path, method, event and json.dumps(event), receive_buffer=65536)
    request_id = response.headers["X-Request-Id"] or response.headers["x-amzn-RequestId"]
    got = bytearray(response.read(1 << 20))
    vm = h.wait_for(lambda: max(streams.vmms(), key=in_memory, default=0), "a VM")
    time.sleep(3 * h.SLOW)
    waiting = in_memory(vm)
    lines = streams.request("GET", "/v1/functions/s/logs?lines=200").body.decode().count(f" {request_id} at MiB")
    assert 1 <= lines < 10, "the function runs ahead of its client"
    assert in_memory(streams.pid) - before < 8 << 20
    most = waiting
    while True:
        piece = response.read(1 << 20)
        if not piece:
            break
        got += piece
        if os.path.exists(f"/proc/{vm}"):
            try:
                most = max(most, in_memory(vm))
            except (OSError, TypeError):
                pass
    body = payload_of(bytes(got)) if event else got
    assert len(body) == 320 << 16
    assert hashlib.sha256(body).digest() == hashlib.sha256(bytes(range(256)) * (320 << 8)).digest()
    assert in_memory(streams.pid) - before < 8 << 20
    assert most - waiting < 24 << 20
    connection.close()


def test_client_that_leaves_ends_the_vm(streams):
    connection, response = open_stream(streams, "/function/s?do=pieces&seconds=50")
    assert response.read(5) == b"first"
    response.close()
    connection.close()
    h.wait_for(lambda: streams.pool("s")["busy"] == 0, "the VM of a client that has left ends", 30 * h.SLOW)


def test_streams_of_a_vm_that_is_reset(streams):
    """A slow client's stream does not keep the VM from serving the next call."""
    with open(CLIENT, "rb") as f:
        data = h.zip_bytes({"app.py": APP, "stoker_runtime.py": f.read(), "bootstrap": (BOOTSTRAP, 0o755)})
    answer = streams.put("again", data, runtime="python3", handler="app.handler", timeout=60, memory=256, reuse="reset")
    assert answer.status == 201, answer
    for _ in range(3):
        connection, response = open_stream(streams, "/function/again?do=much", receive_buffer=65536)
        size = 0
        while size < 320 << 16:
            piece = response.read(1 << 20)
            assert piece
            size += len(piece)
            time.sleep(0.05)
        assert response.read() == b""
        connection.close()
        assert streams.invoke("again", {"do": "plain"}).status == 200


def test_log_lines(streams):
    request_id = streams.invoke("s", {"do": "plain"}).headers["X-Request-Id"]

    def lines():
        text = streams.request("GET", "/v1/functions/s/logs?lines=200").body.decode()
        mine = [line.split(" ", 2)[2] for line in text.splitlines() if f" {request_id} " in line]
        return mine if any("REPORT" in line for line in mine) else None
    got = h.wait_for(lines, "the call's lines are in the log")
    assert got[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert got[1] == "plain output"
    assert got[2] == f"END RequestId: {request_id}"
    report = re.match(rf"REPORT RequestId: {request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
                      r"Memory Size: 256 MB\tMax Memory Used: (\d+) MB\t", got[3])
    assert report, got[3]
    assert 5 < int(report[1]) < 256


def test_extension(streams):
    """It is told of the invocation, and the VM ends all the same."""
    answer = streams.invoke("ext", {"do": "extension"})
    assert answer.status == 200, answer
    assert answer.json()["seen"][0]["eventType"] == "INVOKE"
    assert answer.json()["seen"][0]["requestId"] == answer.json()["id"]
    h.wait_for(lambda: streams.pool("ext")["busy"] == 0, "the VM ends when its extension has had its time", 30 * h.SLOW)


def test_hooks_run_at_the_restore(streams):
    for start in (None, "cold-restore", "cold-boot"):
        answer = streams.invoke("hooks", {"do": "plain"}, start=start)
        assert answer.status == 200, answer
        assert answer.json()["after_restore"] == 1
        assert answer.json()["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start"
        assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[.*\][0-9a-f]{32}", answer.json()["env"]["AWS_LAMBDA_LOG_STREAM_NAME"])


SERVER = b'''#!/usr/bin/python3
import http.server, os, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/healthz":
            self.send_response(200)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("X-Host", self.headers["Host"])
        self.end_headers()
        for piece in (self.path.encode(), b"later"):
            self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(piece), piece))
            time.sleep(2)
        self.wfile.write(b"0\\r\\n\\r\\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''


def test_web_server(streams):
    """Handler http: the function is a web server, one request to it is one call."""
    answer = streams.put("web", h.zip_bytes({"bootstrap": (SERVER, 0o755)}), runtime="python3",
                         handler="http:8000/healthz", timeout=60, memory=256)
    assert answer.status in (200, 201), answer
    for start in ("any", "cold-boot"):
        connection, response = open_stream(streams, "/function/web/a/b?c=d", headers={"X-Stoker-Start": start})
        assert response.status == 206
        assert response.headers["X-Host"] == f"127.0.0.1:{streams.port}"
        assert response.read(8) == b"/a/b?c=d"
        first = time.monotonic()
        assert response.read() == b"later"
        assert time.monotonic() - first > 1
        connection.close()
    body = bytes(range(256)) * 2000
    answer = streams.call("web", "POST", body=body, headers={"Content-Type": "application/octet-stream"})
    assert (answer.status, answer.body) == (200, body[::-1])
    assert streams.invoke("web", {"k": 1}).body == json.dumps({"k": 1}).encode()[::-1]
