"""What goes wrong inside a function, its VM or its client is answered clearly, and the next call works."""
import os
import signal
import socket
import threading
import time

import pytest

import host as h


def works(host, name="probe"):
    def answered():
        answer = host.invoke(name, {"do": "echo", "value": "fine"})
        # A loaded emulated machine may let a call run into a short limit.
        return None if name == h.SHORT and answer.status == 504 else answer
    answer = h.wait_for(answered, "a call within its limit")
    assert (answer.status, answer.json()) == (200, "fine"), answer


@pytest.fixture
def short():
    """probe with a time limit of SHORT_S."""
    return h.SHORT


@pytest.mark.smoke
@pytest.mark.parametrize("action", ["loop", "sleep"])
def test_timeout(host, short, action):
    host.wait_warm(short)
    answer = host.invoke(short, {"do": action, "seconds": 30})
    assert answer.status == 504
    assert f"timed out after {h.SHORT_S}.00 seconds" in answer.json()["errorMessage"]
    assert h.SHORT_S <= answer.seconds < 15 * h.SLOW  # it would have slept for 30
    works(host, short)


@pytest.mark.smoke
@pytest.mark.parametrize("event", [
    {"do": "exit", "status": 3}, {"do": "sysexit", "status": 1}, {"do": "signal", "signal": "SIGSEGV"},
    {"do": "signal", "signal": "SIGKILL"}], ids=lambda e: str(e.get("signal", e["do"])))
def test_crash(host, event):
    answer = host.invoke("probe", event)
    assert answer.status == 502
    assert answer.headers["X-Stoker-Error"] == "Unhandled"
    error = answer.json()
    assert error["errorType"].startswith("Runtime.") or error["errorType"] == "SystemExit"
    if "signal" in event:
        assert "signal" in error["errorMessage"].lower() or event["signal"][3:].lower() in error["errorMessage"].lower()
    works(host)


@pytest.mark.smoke
def test_exception(host):
    answer = host.invoke("probe", {"do": "raise", "message": "a very special text"})
    assert answer.status == 502
    assert answer.headers["X-Stoker-Error"] == "Unhandled"
    assert answer.json()["errorType"] == "ValueError"
    assert answer.json()["errorMessage"] == "a very special text"
    assert any("raise_" in line for line in answer.json()["stackTrace"])
    answer = host.call("probe", "POST", body=b'{"do": "raise", "message": "by URL"}')
    assert answer.status == 502
    assert "by URL" in answer.body.decode()


def test_answer_that_is_no_json(host):
    answer = host.invoke("probe", {"do": "unserialisable"})
    assert answer.status == 502
    assert answer.json()["errorType"] == "Runtime.MarshalError"


@pytest.mark.smoke
def test_out_of_memory(host):
    answer = host.invoke("probe", {"do": "oom"})
    assert answer.status == 502, answer
    assert answer.json()["errorType"] in ("Runtime.OutOfMemory", "MemoryError")
    works(host)


def test_client_disconnects(host, short):
    """The VM of a client that went away ends at once, long before its function would."""
    host.wait_warm(short)
    gone = host.metrics_total("stoker_invocations_total", function=short)
    body = b'{"do": "loop"}'
    with socket.create_connection(("127.0.0.1", host.port)) as s:
        s.sendall(b"POST /v1/functions/%s/invoke HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                  % (short.encode(), len(body)) + body)
        h.wait_for(lambda: host.pool(short)["busy"] == 1, "a busy VM")
        start = time.monotonic()
    h.wait_for(lambda: host.pool(short)["busy"] == 0, "the abandoned VM to end")
    assert time.monotonic() - start < 0.9 * h.SLOW
    h.wait_for(lambda: host.metrics_total("stoker_invocations_total", function=short) == gone + 1,
               "the abandoned invocation to be counted")
    works(host, short)


@pytest.mark.smoke
def test_vm_killed_in_mid_invocation(own_host):
    host = own_host("probe", pool_floor=1, pool_ceiling=2)
    host.wait_warm("probe")
    answers = []
    call = threading.Thread(target=lambda: answers.append(
        host.invoke("probe", {"do": "sleep", "seconds": 2.5})))
    call.start()
    # all of them: one is busy with our call, a second may be the refill
    h.wait_for(lambda: host.pool("probe")["busy"] == 1, "a busy VM")
    for pid in host.vmms():
        os.kill(pid, signal.SIGKILL)
    call.join(h.DEADLINE)
    assert answers[0].status == 502, answers
    assert answers[0].json()["errorType"] == "Sandbox.Died"
    assert "killed by signal 9" in answers[0].json()["errorMessage"], answers
    host.wait_warm("probe")
    works(host)


def test_warm_vm_killed_in_the_pool(own_host):
    """A warm VM that dies unused leaves the pool; the next call does not meet the corpse."""
    host = own_host("probe", pool_floor=1)
    host.wait_warm("probe")
    dead = host.vmms()
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    h.wait_for(lambda: host.vmms() and not set(host.vmms()) & set(dead) and host.warm("probe"), "fresh VMs")
    works(host)
