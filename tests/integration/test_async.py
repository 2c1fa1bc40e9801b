"""Asynchronous calls in real microVMs: what was accepted runs, also when stokerd is killed; results are sent; CloudEvents.

./test --soak, or STOKER_ASYNC_EVENTS and STOKER_ASYNC_KILLS, make a long run of test_killed_again_and_again."""
import collections
import contextlib
import http.client
import http.server
import json
import os
import sqlite3
import threading
import time

import pytest

import host as h

SOAK = "STOKER_SOAK" in os.environ
EVENTS = int(os.environ.get("STOKER_ASYNC_EVENTS", "2000" if SOAK else "60" if h.SLOW == 1 else "12"))
KILLS = int(os.environ.get("STOKER_ASYNC_KILLS", "20" if SOAK else "3"))


class Receiver:
    """An HTTP server that keeps what is POSTed to it."""

    def __init__(self):
        self.got = []  # (path, headers, body)
        self.refuse = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.refuse:
                    outer.refuse -= 1
                    self.send_response(503)
                else:
                    outer.got.append((self.path, self.headers, body))
                    self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


def call_later(host, name, event, url=None, path="", headers=None):
    all_headers = {"Content-Type": "application/json", **(headers or {})}
    if url:
        all_headers["X-Callback-Url"] = url
    return host.request("POST", f"/async-function/{name}{path}", json.dumps(event).encode(), all_headers)


def queued(host):
    return host.metrics_total("stoker_async_queued")


@pytest.mark.smoke
def test_result_comes_later(host, receiver):
    receiver.refuse = 1  # tried again
    answer = call_later(host, "probe", {"do": "echo", "value": {"statusCode": 201, "headers": {"X-Made": "here"},
                                                               "body": "done"}}, receiver.url + "/back?a=b")
    assert answer.status == 202 and answer.body == b"", answer
    assert answer.headers["X-Call-Id"] == answer.headers["X-Request-Id"]
    h.wait_for(lambda: receiver.got, "the result to come")
    path, headers, body = receiver.got[0]
    assert path == "/back?a=b" and body == b"done"
    assert headers["X-Call-Id"] == answer.headers["X-Call-Id"]
    assert headers["X-Function-Name"] == "probe" and headers["X-Function-Status"] == "201"
    assert headers["X-Made"] == "here" and float(headers["X-Duration-Seconds"]) > 0
    h.wait_for(lambda: queued(host) == 0, "the queue to be empty")


def test_failed_call_is_made_again(own_host):
    host = own_host("probe", pool_floor=0)
    assert call_later(host, "probe", {"do": "raise"}).status == 202
    h.wait_for(lambda: host.metrics_total("stoker_async_retries_total", cause="function") == 1, "the first try to fail")
    assert queued(host) == 1  # in a minute, which is not waited for
    host.kill()
    host.start()
    assert queued(host) == 1
    assert host.request("DELETE", "/v1/functions/probe").status == 204


CONFIG = "/2019-09-25/functions/probe/event-invoke-config"


def test_destinations(own_host, receiver):
    """Set with Lambda's own client; what is told when calls have ended well, and when they have failed for good."""
    boto3 = pytest.importorskip("boto3")
    host = own_host("probe", "hello", pool_floor=0)
    client = boto3.client("lambda", endpoint_url=f"http://127.0.0.1:{host.port}", region_name="us-east-1",
                          aws_access_key_id="a", aws_secret_access_key="b")
    # The client's own check takes nothing but ARNs: the addresses come by plain HTTP.
    made = client.put_function_event_invoke_config(FunctionName="probe", MaximumRetryAttempts=0, DestinationConfig={
        "OnSuccess": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:hello"}})
    assert made["FunctionArn"].endswith(":function:probe:$LATEST") and made["MaximumEventAgeInSeconds"] == 21600
    assert abs(made["LastModified"].timestamp() - time.time()) < 600
    assert client.list_function_event_invoke_configs(FunctionName="probe")["FunctionEventInvokeConfigs"][0][
        "MaximumRetryAttempts"] == 0
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_event_invoke_config(FunctionName="hello")
    assert call_later(host, "probe", {"do": "echo", "value": 1}).status == 202
    h.wait_for(lambda: host.metrics_total("stoker_async_done_total") == 2, "the call, and that of the destination")

    config = {"DestinationConfig": {"OnSuccess": {"Destination": receiver.url + "/ok"},
                                    "OnFailure": {"Destination": receiver.url + "/bad"}}}
    assert host.request("POST", CONFIG, json.dumps(config).encode()).status == 200
    host.kill()
    host.start()
    good = call_later(host, "probe", {"do": "echo", "value": [1]}).headers["X-Request-Id"]
    h.wait_for(lambda: len(receiver.got) == 1, "the first record")
    bad = call_later(host, "probe", {"do": "raise", "message": "not today"}).headers["X-Request-Id"]
    h.wait_for(lambda: len(receiver.got) == 2, "the second record")
    records = {path: json.loads(body) for path, _, body in receiver.got}
    assert set(records) == {"/ok", "/bad"}
    assert records["/ok"]["requestContext"] == {"requestId": good, "functionArn": made["FunctionArn"],
                                                "condition": "Success", "approximateInvokeCount": 1}
    assert records["/ok"]["responsePayload"] == [1]
    assert json.loads(records["/ok"]["requestPayload"]["body"]) == {"do": "echo", "value": [1]}
    failed = records["/bad"]
    assert failed["requestContext"]["requestId"] == bad
    assert failed["requestContext"]["condition"] == "RetriesExhausted"
    assert failed["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert failed["responsePayload"]["errorMessage"] == "not today"
    client.delete_function_event_invoke_config(FunctionName="probe")
    assert host.request("GET", CONFIG).status == 404


def call_id(answer):
    assert answer.status == 202, answer
    return answer.headers["X-Call-Id"]


def grow_older(host, seconds):
    """As if the host, which does not run, had been off for so long: what waits on disk has become that much older."""
    with contextlib.closing(sqlite3.connect(os.path.join(host.state, "events.db"))) as db, db:
        db.execute("UPDATE events SET next_ms = next_ms - ?1, accepted_ms = accepted_ms - ?1", (seconds * 1000,))


def pass_time(host, seconds):
    host.stop()
    grow_older(host, seconds)
    host.start()


def waits_for(host, request_id):
    """Seconds from now until the event's next try."""
    with contextlib.closing(sqlite3.connect(os.path.join(host.state, "events.db"))) as db:
        return db.execute("SELECT next_ms FROM events WHERE id = ?", (request_id,)).fetchone()[0] / 1000 - time.time()


def retries(host):
    return host.metrics_total("stoker_async_retries_total", cause="function")


def picky(code):
    """Fails always when it is asked to, else as long as it is broken."""
    return h.zip_bytes({"app.py": f"""import json
def handler(event, context):
    if {code == "broken"} or json.loads(event["body"])["do"] == "fail":
        raise ValueError("not yet")
    return "mended"
""".encode()})


def test_retries_after_their_back_off(own_host, receiver):
    """A minute, then two. A function that was mended meanwhile gets its events still; who fails three times is given up."""
    host = own_host("hello", pool_floor=0)
    settings = {"runtime": "python3", "handler": "app.handler", "timeout": 30}
    assert host.put("picky", picky("broken"), **settings).status == 201
    config = {"DestinationConfig": {"OnSuccess": {"Destination": receiver.url + "/ok"},
                                    "OnFailure": {"Destination": receiver.url + "/bad"}}}
    assert host.request("PUT", CONFIG.replace("probe", "picky"), json.dumps(config).encode()).status == 200
    good = call_id(call_later(host, "picky", {"do": "work"}))
    bad = call_id(call_later(host, "picky", {"do": "fail"}))
    h.wait_for(lambda: retries(host) == 2 and all(0 < waits_for(host, each) <= 60 for each in (good, bad)),
               "both to fail, and wait for a minute")
    assert host.put("picky", picky("mended"), **settings).status in (200, 201)
    assert queued(host) == 2 and not receiver.got  # not before their time
    pass_time(host, 61)
    # It is counted before it is on disk.
    h.wait_for(lambda: receiver.got and retries(host) == 1 and 60 < waits_for(host, bad) <= 120,
               "the one to succeed, the other to fail again, and wait for two minutes")
    pass_time(host, 121)
    h.wait_for(lambda: len(receiver.got) == 2 and queued(host) == 0, "the other to be given up")
    (ok, _, first), (failed, _, second) = receiver.got
    assert (ok, failed) == ("/ok", "/bad")
    first, second = json.loads(first), json.loads(second)
    for record, request_id, condition, count in (first, good, "Success", 2), (second, bad, "RetriesExhausted", 3):
        context = record["requestContext"]
        assert (context["requestId"], context["condition"], context["approximateInvokeCount"]) == (
            request_id, condition, count)
    assert (first["responsePayload"], second["responsePayload"]["errorMessage"]) == ("mended", "not yet")


def hold(host):
    with contextlib.suppress(OSError, http.client.HTTPException):  # the host is killed meanwhile
        host.invoke("probe", {"do": "sleep", "seconds": 25})


def check_too_old(receiver, request_id, event, tries, message):
    (path, _, record), (dead_path, headers, letter) = sorted(receiver.got, key=lambda each: each[0], reverse=True)
    record = json.loads(record)
    assert (path, dead_path) == ("/late", "/dead")
    context = record["requestContext"]
    assert (context["requestId"], context["condition"], context["approximateInvokeCount"]) == (
        request_id, "EventAgeExceeded", tries)
    assert json.loads(record["requestPayload"]["body"]) == json.loads(json.loads(letter)["body"]) == event
    assert ("responsePayload" in record) == (tries > 0)
    if tries:
        assert record["responsePayload"]["errorMessage"] == message
    assert headers["RequestID"] == request_id and message in headers["ErrorMessage"]


def test_events_that_become_too_old(own_host, receiver):
    """MaximumEventAge: what could only be tried again too late, and what could not be run in time. Both go to the destination
    with the reason, and to the function's dead letters."""
    host = own_host("probe", pool_floor=0)
    config = {"MaximumEventAgeInSeconds": 60, "DestinationConfig": {"OnFailure": {"Destination": receiver.url + "/late"}}}
    assert host.request("PUT", CONFIG, json.dumps(config).encode()).status == 200
    host.configure("probe", DeadLetterConfig={"TargetArn": receiver.url + "/dead"})
    tried = call_id(call_later(host, "probe", {"do": "raise", "message": "once"}))
    h.wait_for(lambda: len(receiver.got) == 2, "record and dead letter of the first event")
    check_too_old(receiver, tried, {"do": "raise", "message": "once"}, tries=1, message="once")

    receiver.got.clear()
    concurrency = "/2017-10-31/functions/probe/concurrency"
    assert host.request("PUT", concurrency, b'{"ReservedConcurrentExecutions": 1}').status == 200
    holder = threading.Thread(target=hold, args=(host,))
    holder.start()
    h.wait_for(lambda: host.pool("probe")["busy"] == 1, "the only call there may be")
    never = call_id(call_later(host, "probe", {"do": "echo", "value": "unheard"}))
    assert (queued(host), host.pool("probe")["busy"]) == (1, 1)
    host.kill()
    holder.join()
    grow_older(host, 61)
    host.start()
    h.wait_for(lambda: len(receiver.got) == 2 and queued(host) == 0, "record and dead letter of the second event")
    check_too_old(receiver, never, {"do": "echo", "value": "unheard"}, tries=0, message="the event became too old")


def test_refusals(own_host):
    host = own_host("hello", pool_floor=0, async_events=1)
    assert host.request("POST", "/async-function/none", b"{}").status == 404
    assert call_later(host, "hello", {}, "file:///etc/passwd").status == 400
    assert host.request("POST", "/async-function/hello", b"x" * (1 << 20)).status == 413
    host.stop()
    assert queued_after_restart(host) == 0


def queued_after_restart(host):
    host.start()
    return queued(host)


@pytest.mark.soak
@pytest.mark.smoke
def test_killed_again_and_again(own_host, receiver):
    host = own_host("probe", pool_floor=0, pool_ceiling=4)
    accepted = {}
    next_kill = EVENTS // (KILLS + 1)
    kills = 0
    for n in range(EVENTS):
        answer = call_later(host, "probe", {"do": "echo", "value": n}, receiver.url)
        assert answer.status == 202, answer
        accepted[answer.headers["X-Call-Id"]] = n
        if kills < KILLS and n >= next_kill * (kills + 1):
            if kills % 2:  # in the middle of the calls, too
                h.wait_for(lambda: host.metrics_total("stoker_async_in_flight") > 0 or queued(host) == 0, "calls to run")
            host.kill()
            host.start()
            kills += 1
    h.wait_for(lambda: queued(host) == 0, "all to be done", h.DEADLINE + EVENTS * 2 * h.SLOW)
    results = collections.Counter()
    for _, headers, body in receiver.got:
        assert json.loads(body) == accepted.get(headers["X-Call-Id"]), (headers, body)
        results[headers["X-Call-Id"]] += 1
    assert set(results) == set(accepted), "accepted, and no result came"
    twice = sum(count > 1 for count in results.values())
    print(f"{EVENTS} events, {kills} kills, {sum(results.values())} results, {twice} came more than once")
    assert twice <= kills * (32 + 8)  # what was under way


def test_clients_come_first(own_host):
    """A long queue of asynchronous calls does not keep a client waiting for more than the call before it."""
    host = own_host("probe", "hello", pool_floor=1, pool_ceiling=2)
    host.wait_warm("hello")
    for n in range(10):
        assert call_later(host, "probe", {"do": "sleep", "seconds": 0.2}).status == 202
    start = time.monotonic()
    assert host.invoke("hello", {}).status == 200
    assert host.invoke("probe", {"do": "echo", "value": 1}).status == 200
    took = time.monotonic() - start
    h.wait_for(lambda: queued(host) == 0, "the queue to be empty", h.DEADLINE + 60 * h.SLOW)
    assert took < 20 * h.SLOW, took


def test_cloud_events(host, receiver):
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/tests", "ce-type": "t"}
    answer = host.call("probe", "POST", body=b'{"a": 1}', headers={**attributes, "ce-value": "caf%C3%A9",
                                                                   "Content-Type": "application/json"})
    assert answer.status == 200 and answer.json() == "caf\u00e9", answer
    event = {"specversion": "1.0", "id": "2", "source": "/tests", "type": "t"}
    event["value"] = dict(event, id="3", data=[1])  # the function answers with an event
    structured = {"Content-Type": "application/cloudevents+json"}
    answer = host.call("probe", "POST", body=json.dumps(event).encode(), headers=structured)
    assert answer.status == 200 and answer.json() == event["value"], answer
    assert answer.headers["Content-Type"].startswith("application/cloudevents+json")
    assert host.call("probe", "POST", body=b"{}", headers=structured).status == 400
    assert host.call("probe", "POST", body=b"[]",
                     headers={"Content-Type": "application/cloudevents-batch+json"}).status == 415
    assert call_later(host, "probe", event, receiver.url, headers=structured).status == 202
    h.wait_for(lambda: receiver.got, "the answering event to come")
    _, headers, body = receiver.got[0]
    assert headers["Content-Type"] == "application/cloudevents+json" and json.loads(body) == event["value"]
