"""Asynchronous calls in real microVMs: what was accepted runs, also when stokerd is killed; results are sent; CloudEvents.

./test --soak, or STOKER_ASYNC_EVENTS and STOKER_ASYNC_KILLS, make a long run of test_killed_again_and_again."""
import collections
import http.server
import json
import os
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
