"""reuse = reset: a VM goes back to its snapshot after an answer, and nothing of the life before is left."""
import os
import signal
import time

import pytest

import host as h
from test_isolation import many


# As many more in ./test --soak.
MANY = 1000 if "STOKER_SOAK" in os.environ else 250 if h.SLOW == 1 else 60


@pytest.fixture(scope="module")
def reset_host():
    """A host whose functions are all reset after use."""
    state = h.new_state("reset")
    one = h.Host(state).start()
    one.deploy("echo", os.path.join(h.FUNCTIONS, "echo"), "--reuse", "reset", "--timeout", "30")
    one.deploy("probe", os.path.join(h.FUNCTIONS, "probe"), "--reuse", "reset", "--timeout", "30")
    yield one
    one.stop()
    h.remove_state(state)


def settled(host, name):
    """The function's one VM, warm."""
    h.wait_for(lambda: host.pool(name)["resetting"] == 0 and host.warm(name) >= 1, f"{name} is warm")


def learned(host, name, event):
    """Past the calls that run in clones of their own."""
    for _ in range(6):
        settled(host, name)
        assert host.invoke(name, event).status == 200
    settled(host, name)


@pytest.mark.smoke
def test_one_vm_serves_many(reset_host):
    learned(reset_host, "echo", {"a": 1})
    starts = []
    for i in range(20):
        answer = reset_host.invoke("echo", {"i": i})
        assert answer.status == 200, answer
        assert answer.json() == {"i": i}
        starts.append(answer.headers["X-Stoker-Start"])
    assert starts.count("reset") >= 10, starts      # others: a VM that came to the pool meanwhile
    assert reset_host.metrics_total("stoker_vm_resets_total") >= 20


@pytest.mark.parametrize("count", [200 if h.SLOW == 1 else 60])
def test_pristine_every_time(reset_host, count):
    for answer in many(reset_host, "probe", {"do": "count"}, count, 8):
        assert answer.status == 200, answer
        assert answer.json() == {"memory": 1, "disk": 1}
    assert reset_host.metrics_total("stoker_vm_resets_total") > count / 2


def test_lives_are_unique(reset_host):
    learned(reset_host, "probe", {"do": "unique"})
    before = time.time()
    answers = [reset_host.invoke("probe", {"do": "unique"}) for _ in range(24)]
    after = time.time()
    assert sum(a.headers["X-Stoker-Start"] == "reset" for a in answers) > 12
    told = [a.json() for a in answers]
    for what in ("urandom", "uuid4", "random", "boot_id"):
        assert len({a[what] for a in told}) == len(told), what
    for a in told:
        assert before - 0.05 <= a["time"] <= after + 0.05


def test_wall_clock(reset_host):
    learned(reset_host, "probe", {"do": "unique"})
    worst = 0
    for pause in (0, 0, 2, 0.5):
        time.sleep(pause)
        before = time.time()
        told = reset_host.invoke("probe", {"do": "unique"}).json()["time"]
        worst = max(worst, before - told, told - time.time())
    assert worst < 0.05 * h.SLOW


def test_scratch_disk_is_pristine(reset_host):
    for _ in range(4):
        settled(reset_host, "probe")
        assert reset_host.invoke("probe", {"do": "fill", "mib": 20}).json() == {"mib": 20, "errno": None}
        settled(reset_host, "probe")
        assert reset_host.invoke("probe", {"do": "count"}).json() == {"memory": 1, "disk": 1}


@pytest.mark.parametrize("left", ["threads", "timer", "reads", "children"])
def test_what_still_runs_is_gone(reset_host, left):
    """The function answers while it is busy with something else."""
    for i in range(5):
        settled(reset_host, "probe")
        answer = reset_host.invoke("probe", {"do": "leave", "what": left})
        assert answer.json() == {"left": left}, (i, answer)
        settled(reset_host, "probe")
        answer = reset_host.invoke("probe", {"do": "traces"})
        assert answer.status == 200, answer
        assert answer.json() == {"threads": 1, "children": 0, "file": False, "alarm": 0}


@pytest.mark.parametrize("event, status", [({"do": "exit", "status": 3}, 502), ({"do": "signal", "signal": "SIGSEGV"}, 502),
                                           ({"do": "oom"}, 502), ({"do": "raise"}, 502)])
def test_failures_replace_the_vm(reset_host, event, status):
    learned(reset_host, "probe", {"do": "count"})
    before = set(reset_host.vmms())
    assert reset_host.invoke("probe", event).status == status
    h.wait_for(lambda: before - set(reset_host.vmms()), "the end of that VM")
    settled(reset_host, "probe")
    assert reset_host.invoke("probe", {"do": "count"}).json() == {"memory": 1, "disk": 1}


def test_timeout_replaces_the_vm(reset_host):
    reset_host.deploy("short", os.path.join(h.FUNCTIONS, "probe"), "--reuse", "reset", "--timeout", str(h.SHORT_S))
    settled(reset_host, "short")
    assert reset_host.invoke("short", {"do": "sleep", "seconds": 60}).status == 504
    reset_host.configure("short", Timeout=30)   # an emulated machine may be slow
    assert reset_host.invoke("short", {"do": "count"}).json() == {"memory": 1, "disk": 1}
    reset_host.cli("delete", "short")


def test_a_killed_monitor_is_replaced(reset_host):
    learned(reset_host, "echo", {})
    started = reset_host.metrics_total("stoker_vm_starts_total", result="ok")
    for pid in reset_host.vmms():
        os.kill(pid, signal.SIGKILL)
    h.wait_for(lambda: reset_host.metrics_total("stoker_vm_starts_total", result="ok") > started, "another VM")
    settled(reset_host, "echo")
    assert reset_host.invoke("echo", {"i": 1}).json() == {"i": 1}


def sizes(pids):
    """Descriptors and anonymous KiB of each of these processes that is still there: a pool that has too many VMs ends
    one."""
    found = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                memory = next(int(line.split()[1]) for line in f if line.startswith("Anonymous:"))
            found[pid] = (len(os.listdir(f"/proc/{pid}/fd")), memory)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def test_much_memory_does_not_stay(reset_host):
    learned(reset_host, "probe", {"do": "count"})

    def anonymous():
        """MiB of the VM that has most: how many there are may change."""
        return max(memory for _, memory in sizes(reset_host.vmms()).values()) // 1024
    before = anonymous()
    for _ in range(3):
        assert reset_host.invoke("probe", {"do": "big", "size": 4 << 20}).status == 200
        settled(reset_host, "probe")
    assert anonymous() < before + 40 * h.SLOW


def test_shown_and_refused(reset_host):
    assert reset_host.request("GET", "/v1/functions/echo").json()["reuse"] == "reset"
    refused = reset_host.put("echo", b"", runtime="provided", reuse="sometimes")
    assert refused.status == 400 and "reuse" in refused.json()["error"]["message"]


def test_reuse_by_tag(own_host):
    """The tag is in effect at once, both ways, and no VM that has served a call serves another one then."""
    host = own_host(pool_floor=1)
    tags = "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:echo"
    host.deploy("echo", os.path.join(h.FUNCTIONS, "echo"), "--timeout", "30")
    learned(host, "echo", {"a": 1})

    def start():
        settled(host, "echo")
        answer = host.invoke("echo", {"a": 1})
        assert answer.status == 200, answer
        return answer.headers["X-Stoker-Start"]
    assert "reset" not in [start() for _ in range(3)]
    assert host.request("POST", tags, b'{"Tags": {"stoker:reuse": "reset"}}').status == 204
    h.wait_for(lambda: start() == "reset", "a VM serves a second call")
    assert host.request("DELETE", tags + "?tagKeys=stoker:reuse").status == 204
    assert "reset" not in [start() for _ in range(4)]


def test_max_resets(own_host):
    host = own_host(max_resets=5, pool_floor=1)
    host.deploy("echo", os.path.join(h.FUNCTIONS, "echo"), "--reuse", "reset")
    for i in range(40):
        assert host.invoke("echo", {"i": i}).json() == {"i": i}
    assert host.metrics_total("stoker_vm_starts_total", result="ok") >= 5


@pytest.mark.soak
def test_many_resets_leave_nothing(reset_host):
    """One VM, the same descriptors, the same memory."""
    learned(reset_host, "echo", {})
    for i in range(50):
        reset_host.invoke("echo", {"i": i})

    def settled_sizes():
        settled(reset_host, "echo")
        return sizes(reset_host.vmms())
    before = settled_sizes()
    for i in range(MANY):
        answer = reset_host.invoke("echo", {"i": i})
        assert answer.status == 200 and answer.json() == {"i": i}, answer
    after = settled_sizes()
    same = set(before) & set(after)
    assert same
    for pid in same:
        assert after[pid][0] <= before[pid][0]
        assert h.TSAN or after[pid][1] <= before[pid][1] + 512
