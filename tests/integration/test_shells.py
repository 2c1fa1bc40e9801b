"""Shells: processes with a VM made, which wait for what a request without a warm VM needs."""
import concurrent.futures
import os
import signal
import time

import pytest

import host as h
from test_isolation import many


@pytest.fixture(scope="module")
def shell_host(deployed):
    """No VM of a function waits: what is not forced is served by shells, as long as there are any."""
    state = h.new_state("shells")
    h.copy_state(deployed("hello", "probe", "echo"), state)
    one = h.Host(state, pool_floor=0, pool_idle=1, shells=2).start()
    yield one
    one.stop()
    h.remove_state(state)


def waiting(host, count=2):
    h.wait_for(lambda: host.metrics_total("stoker_shells") == count and len(host.shells()) == count,
               f"{count} shells to wait")


@pytest.mark.smoke
def test_a_request_is_served_by_a_shell(shell_host):
    waiting(shell_host)
    for name, event, expected in (("echo", {"i": 1}, {"i": 1}), ("hello", {}, {"greeting": "Hello, world!"})):
        answer = shell_host.invoke(name, event, start="shell")
        assert (answer.status, answer.headers["X-Stoker-Start"]) == (200, "shell"), answer
        assert answer.json() == expected
        assert "start;dur=" in answer.headers["Server-Timing"]
    assert shell_host.metrics_total("stoker_vm_start_seconds_count", start="shell") >= 2
    assert shell_host.metrics_total("stoker_invocation_seconds_count", start="shell", stage="total") >= 2


def test_unforced_when_no_vm_is_warm(own_host):
    host = own_host("echo", pool_floor=0, pool_idle=1)
    waiting(host)
    answer = host.invoke("echo", {"first": True})
    assert (answer.status, answer.headers["X-Stoker-Start"]) == (200, "shell"), answer


def test_pristine_every_time(shell_host):
    count = 20 if h.SLOW == 1 else 10
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: shell_host.invoke("probe", {"do": "count"}, start="shell"), range(count)))
    for answer in answers:
        assert answer.status == 200, answer
        assert answer.json() == {"memory": 1, "disk": 1}


def test_vms_are_unique_and_on_time(shell_host):
    told = []
    for _ in range(8):
        before = time.time()
        answer = shell_host.invoke("probe", {"do": "unique"}, start="shell").json()
        assert before - 0.05 * h.SLOW <= answer["time"] <= time.time() + 0.05 * h.SLOW
        told.append(answer)
    for what in ("urandom", "uuid4", "random", "boot_id"):
        assert len({a[what] for a in told}) == len(told), what


def test_vms_of_shells_can_do_what_others_can(shell_host):
    text = "x" * (5 << 20)
    assert shell_host.invoke("probe", {"do": "size", "value": text}, start="shell").json() == {"length": len(text)}
    assert len(shell_host.invoke("probe", {"do": "big", "size": 5 << 20}, start="shell").body) == 5 << 20
    assert shell_host.invoke("probe", {"do": "fill", "mib": 20}, start="shell").json() == {"mib": 20, "errno": None}
    facts = shell_host.invoke("probe", {"do": "machine"}, start="shell").json()
    assert all(facts["denied"].values()), facts["denied"]


def test_each_serves_once(shell_host):
    """A VM that was made from a shell ends with its call, and no process or descriptor stays."""
    waiting(shell_host)
    h.wait_for(lambda: not shell_host.vmms(), "other tests' VMs to end")
    fds = len(os.listdir(f"/proc/{shell_host.pid}/fd"))
    before = set(shell_host.shells())
    for i in range(6):
        assert shell_host.invoke("echo", {"i": i}, start="shell").json() == {"i": i}
    waiting(shell_host)
    h.wait_for(lambda: not shell_host.vmms(), "all VMs to end")
    assert not before & set(shell_host.shells())
    h.wait_for(lambda: len(os.listdir(f"/proc/{shell_host.pid}/fd")) <= fds, "descriptors to be closed")
    h.wait_for(lambda: shell_host.metrics_total("stoker_memory_charged_bytes") == 4 << 20, "only shells to be counted")


def test_a_shell_that_is_killed_is_replaced(shell_host):
    waiting(shell_host)
    for round in range(4):
        lost = shell_host.shells()
        for pid in lost:
            os.kill(pid, signal.SIGKILL)
        if round % 2:  # at once: it may not have been noticed yet
            assert shell_host.invoke("echo", {"round": round}).json() == {"round": round}
        h.wait_for(lambda: not set(lost) & set(shell_host.shells()), "their end")
        waiting(shell_host)
    assert shell_host.invoke("echo", {"a": 1}, start="shell").headers["X-Stoker-Start"] == "shell"


def test_more_requests_than_shells(shell_host):
    for answer in many(shell_host, "echo", {"b": 2}, 20, 10):
        assert (answer.status, answer.json()) == (200, {"b": 2}), answer
    waiting(shell_host)


def test_they_follow_the_memory_size(own_host):
    host = own_host(pool_floor=0, pool_idle=1, shells=1)
    host.deploy("small", os.path.join(h.FUNCTIONS, "echo"), "--memory", "128")
    host.deploy("large", os.path.join(h.FUNCTIONS, "echo"), "--memory", "256")
    for name in ("small", "large", "small"):
        answer = host.invoke(name, {"name": name}, start="shell")
        assert (answer.status, answer.headers["X-Stoker-Start"]) == (200, "shell"), answer
        assert answer.json() == {"name": name}


def test_none_is_left_behind(own_host):
    host = own_host("echo", pool_floor=1)
    waiting(host)
    pids = host.shells() + host.vmms()
    host.stop()
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    host.start()
    waiting(host)
    pids = host.shells()
    host.kill()
    h.wait_for(lambda: not [pid for pid in pids if pid in h.processes("stoker-vmm")], "shells to die with stokerd")


def test_a_host_without_shells(own_host):
    host = own_host("echo", shells=0)
    assert host.invoke("echo", {}, start="shell").status == 400
    assert host.invoke("echo", {}).status == 200
    assert not host.shells()
