"""External extensions in real microVMs: a layer's programs, what they are told of a call and of its end, and what becomes of
what they print. They have no network: the log is where their words go."""
import json
import time

import pytest

import host as h

EXTENSION = b'''#!/usr/bin/python3
import json, os, sys, urllib.request

BASE = "http://%s/2020-01-01/extension/" % os.environ["AWS_LAMBDA_RUNTIME_API"]

def ask(path, data=None, **headers):
    headers = {"Lambda-Extension-" + name: value for name, value in headers.items()}
    return urllib.request.urlopen(urllib.request.Request(BASE + path, data, headers))

if os.environ.get("EXTENSION") == "broken":
    sys.exit(5)
with ask("register", b'{"events": ["INVOKE", "SHUTDOWN"]}', Name="watcher") as answer:
    me = answer.headers["Lambda-Extension-Identifier"]
    print("watcher of", json.load(answer)["functionName"], flush=True)
while True:
    event = json.load(ask("event/next", Identifier=me))
    print("watcher got", json.dumps(event), flush=True)
    if event["eventType"] == "SHUTDOWN":
        print("watcher leaves", end="", flush=True)
        sys.exit()
'''

APP = b'''
import os, time

def handler(event, context):
    if event["do"] == "exit":
        os._exit(1)
    if event["do"] == "sleep":
        time.sleep(60)
    return context.invoked_function_arn
'''


@pytest.fixture(scope="module")
def host():
    """With the function under two names: as it is, and with a time limit in which the extension surely gets its event."""
    state = h.new_state("extensions")
    one = h.Host(state, pool_floor=0).start()
    layer = h.zip_bytes({"extensions/watcher": (EXTENSION, 0o755)})
    assert one.request("PUT", "/v1/layers/watcher", layer, {"Content-Type": "application/zip"}).status == 201
    for name, limit in (("watched", 60), ("short", 5 * h.SHORT_S)):
        answer = put(one, name, timeout=limit)
        assert answer.status == 201, answer
    yield one
    one.stop()
    h.remove_state(state)


def put(host, name, **settings):
    return host.put(name, h.zip_bytes({"app.py": APP}), runtime="python3", handler="app.handler", memory=256,
                    layers="watcher:1", **settings)


def lines_of(host, name, request_id):
    text = host.request("GET", f"/v1/functions/{name}/logs?request-id={request_id}").body.decode()
    return [line.split(" ", 2)[2] for line in text.splitlines()]


def events_in(lines):
    return [json.loads(line.removeprefix("watcher got ")) for line in lines if line.startswith("watcher got ")]


def told(host, name, answer):
    """The events that the extension has got in this call, and all lines of the call, when it has left."""
    request_id = answer.headers["X-Request-Id"]
    lines = h.wait_for(lambda: "watcher leaves" in (got := lines_of(host, name, request_id)) and got,
                       "the extension's last words")
    return events_in(lines), lines


def test_registered_in_the_init_phase(host):
    assert " deploy watcher of watched\n" in host.cli("logs", "watched").stdout


@pytest.mark.parametrize("start", ["cold-restore", "cold-boot"])
def test_invoke_and_shutdown(host, start):
    answer = host.invoke("watched", {"do": "return"}, start=start)
    assert answer.status == 200, answer
    (invoke, shutdown), lines = told(host, "watched", answer)
    assert (invoke["eventType"], invoke["requestId"]) == ("INVOKE", answer.headers["X-Request-Id"])
    assert invoke["invokedFunctionArn"] == answer.json()
    assert abs(invoke["deadlineMs"] / 1000 - 60 - time.time()) < h.DEADLINE
    assert (shutdown["eventType"], shutdown["shutdownReason"]) == ("SHUTDOWN", "SPINDOWN")
    assert abs(shutdown["deadlineMs"] / 1000 - time.time()) < h.DEADLINE
    # The client's answer did not wait for it.
    report = [line.startswith("REPORT RequestId: ") for line in lines].index(True)
    assert lines.index("watcher got " + json.dumps(shutdown)) > report
    h.wait_for(lambda: host.pool("watched")["busy"] == 0, "the VM to end with its extension")


def test_the_runtime_dies(host):
    answer = host.invoke("watched", {"do": "exit"})
    assert (answer.status, answer.json()["errorType"]) == (502, "Runtime.ExitError")
    (invoke, shutdown), _ = told(host, "watched", answer)
    assert (invoke["eventType"], shutdown["eventType"], shutdown["shutdownReason"]) == ("INVOKE", "SHUTDOWN", "FAILURE")


@pytest.mark.parametrize("start", ["cold-restore", "cold-boot"])
def test_the_time_limit(host, start):
    """The client is told at the deadline; the extension has some time behind it."""
    answer = host.invoke("short", {"do": "sleep"}, start=start)
    assert answer.status == 504, answer
    (invoke, shutdown), lines = told(host, "short", answer)
    assert (invoke["eventType"], shutdown["eventType"], shutdown["shutdownReason"]) == ("INVOKE", "SHUTDOWN", "TIMEOUT")
    report = [line.startswith("REPORT RequestId: ") for line in lines].index(True)
    assert lines[report].partition("Status: ")[2].startswith("timeout")
    assert lines.index("watcher got " + json.dumps(shutdown)) > report
    h.wait_for(lambda: host.pool("short")["busy"] == 0, "the VM to end with its extension")


def test_an_extension_that_does_not_start(host):
    """It ends the init phase; the Lambda API says whose fault it was."""
    refused = put(host, "broken", timeout=60, env="EXTENSION=broken")
    assert refused.status >= 400 and "Extension.Crash" in refused.body.decode() and "exit code 5" in refused.body.decode()
    changed = host.request("PUT", "/2015-03-31/functions/watched/configuration",
                           json.dumps({"Environment": {"Variables": {"EXTENSION": "broken"}}}).encode())
    assert changed.status == 200, changed

    def settled():
        got = host.request("GET", "/2015-03-31/functions/watched/configuration").json()
        return got if got["LastUpdateStatus"] != "InProgress" else None
    got = h.wait_for(settled, "the update")
    assert (got["LastUpdateStatus"], got["LastUpdateStatusReasonCode"]) == ("Failed", "FunctionError.ExtensionInitError")
    assert host.invoke("watched", {"do": "return"}).status == 200  # what was there serves on
