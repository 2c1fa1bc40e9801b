"""Queue, ceiling and memory budget hold."""
import concurrent.futures
import time

import pytest

import host as h


@pytest.mark.smoke
def test_queue_overflow(own_host):
    """One VM at a time, two may wait: of ten at once most get 429, with Retry-After."""
    host = own_host("probe", pool_ceiling=1, pool_floor=1, queue=2)
    host.wait_warm("probe")
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: host.invoke("probe", {"do": "sleep", "seconds": 1.5}), range(10)))
    statuses = [a.status for a in answers]
    assert set(statuses) <= {200, 429}, statuses
    assert 1 <= statuses.count(200) <= 3
    for answer in answers:
        if answer.status == 429:
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.error() == "TooManyRequests"
            assert answer.seconds < 1.5 * h.SLOW
    host.wait_warm("probe")
    assert host.invoke("probe", {"do": "echo", "value": 1}).status == 200


def test_ceiling(own_host):
    host = own_host("probe", pool_ceiling=2, pool_floor=1)
    most = 0
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(host.invoke, "probe", {"do": "sleep", "seconds": 0.5}) for _ in range(6)]
        while not all(c.done() for c in calls):
            pool_now = host.pool("probe")
            most = max(most, pool_now["busy"] + pool_now["warm"] + pool_now.get("starting", 0))
            time.sleep(0.1)
    assert [c.result().status for c in calls] == [200] * 6
    assert most <= 2


def test_memory_budget(own_host):
    """Room for few VMs only: functions take turns, and everyone is answered."""
    names = ("hello", "wordcount", "probe", "primes")
    host = own_host(*names, memory_budget=300, pool_floor=1)
    for _ in range(2):
        for name in names:
            answer = host.invoke(name, {"n": 10})
            assert answer.status == 200, answer
        metrics = host.metrics()
        assert metrics["stoker_memory_budget_bytes"] == 300 << 20
        assert metrics["stoker_memory_charged_bytes"] <= 300 << 20


def test_function_larger_than_the_budget(own_host):
    host = own_host("hello", memory_budget=100)
    answer = host.put("f", h.zip_bytes({"app.py": h.PYTHON_ONE}), runtime="python3", handler="app.handler",
                      memory=2048)
    if answer.status < 300:
        answer = host.invoke("f", {})
    assert answer.status in (400, 429, 503), answer
    assert "memory" in answer.body.decode().lower()
    assert host.invoke("hello", {}).status == 200


def peak_mib(pid):
    """The most memory that the process has had."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) // 1024 for line in f if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def test_deploy_of_much_memory_takes_what_is_used(own_host):
    """What the function may have, and has not used in its init phase, the host need not have for the snapshot, either."""
    host = own_host(pool_floor=0)
    code = h.zip_bytes({"app.py": h.PYTHON_ONE})
    peak = 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        made = pool.submit(host.put, "large", code, runtime="python3", handler="app.handler", memory=3008)
        while not made.done():
            peak = max([peak, *map(peak_mib, h.processes("stoker-vmm"))])
            time.sleep(0.02)
    assert made.result().status == 201, made.result()
    assert h.TSAN or 50 < peak < 1024  # ThreadSanitizer's memory would be counted as well
    assert host.invoke("large", {}).status == 200
