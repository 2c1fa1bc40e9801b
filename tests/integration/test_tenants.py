"""Several tenants on one host: each has its own functions under the same names, none gets at another's."""
import concurrent.futures
import json
import os

import pytest

import host as h
from test_auth import KEY_ID, SECRET, signature

KEYS = {
    "tenants": [{"name": "acme", "account": "111122223333", "concurrency": 2}, {"name": "bolt", "account": "444455556666"}],
    "keys": [{"name": "a", "tenant": "acme", "tokens": ["token-of-acme-0123456789"], "accessKeyId": KEY_ID,
              "secretAccessKey": SECRET},
             {"name": "b", "tenant": "bolt", "tokens": ["token-of-bolt-0123456789"]},
             {"name": "o", "tokens": ["token-of-the-owner-012345"]}]}
ACME, BOLT, OWNER = ({"Authorization": f"Bearer {k['tokens'][0]}"} for k in KEYS["keys"])


def code(text):
    return h.zip_bytes({"app.py": ("import time\ndef handler(event, context):\n    time.sleep(event.get('s', 0))\n"
                                   "    end = time.monotonic() + event.get('busy', 0)\n"
                                   "    while time.monotonic() < end:\n        pass\n"
                                   f"    return [{text!r}, context.invoked_function_arn]\n").encode()})


@pytest.fixture
def host(own_host, tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(KEYS))
    os.chmod(keys, 0o600)
    return own_host(pool_floor=0, keys=str(keys))


def put(host, who, name, text):
    answer = host.request("PUT", f"/v1/functions/{name}?runtime=python3&handler=app.handler&timeout=30", code(text), who,
                          timeout=h.DEADLINE * 2)
    assert answer.status == 201, answer


def throttled(answer):
    assert answer.status == 429 and answer.headers["x-amzn-ErrorType"] == "TooManyRequestsException", answer
    assert int(answer.headers["Retry-After"]) >= 1
    return answer.json()["Reason"]


def test_tenants(host):
    put(host, ACME, "f", "acme's")
    put(host, BOLT, "f", "bolt's")

    def call(who, name="f", event=None):
        return host.request("POST", f"/v1/functions/{name}/invoke", json.dumps(event or {}).encode(), who)
    assert call(ACME).json() == ["acme's", "arn:aws:lambda:us-east-1:111122223333:function:f"]
    assert call(BOLT).json() == ["bolt's", "arn:aws:lambda:us-east-1:444455556666:function:f"]
    assert call(OWNER).status == 404
    assert (call(BOLT, "f.acme").status, call(OWNER, "f.acme").status) == (403, 403)
    assert call(ACME, "f.acme").json()[0] == "acme's"
    assert host.request("DELETE", "/v1/functions/f", headers=OWNER).status == 404
    names = [[f["name"] for f in host.request("GET", "/v1/functions", headers=who).json()["functions"]]
             for who in (ACME, BOLT, OWNER)]
    assert names == [["f"], ["f"], []]
    # acme may have two calls at the same time, exactly; bolt does not feel it.
    with concurrent.futures.ThreadPoolExecutor(7) as pool:
        flood = [pool.submit(call, ACME, "f", {"s": h.HELD_S}) for _ in range(6)]
        other = pool.submit(call, BOLT)
        assert sorted(f.result().status for f in flood) == [200, 200, 429, 429, 429, 429]
        assert other.result().status == 200
    # The same through the Lambda API, in a burst: each refusal says whose limit it was, and when to come again.
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        path, body = "/2015-03-31/functions/f/invocations", json.dumps({"s": h.HELD_S}).encode()
        burst = list(pool.map(lambda _: host.request("POST", path, body, signature(host, "POST", path, body)), range(20)))
        assert sum(a.status == 200 for a in burst) == 2, [a.status for a in burst]
        for answer in burst:
            assert answer.status == 200 or throttled(answer) == "ConcurrentInvocationLimitExceeded", answer
    # An open URL is anyone's, also from outside the tenant; its other paths are not.
    assert host.request("GET", "/function/f.acme").status == 401
    path, body = "/2021-10-31/functions/f/url", b'{"AuthType": "NONE"}'
    assert host.request("POST", path, body, signature(host, "POST", path, body)).status == 201
    assert host.request("GET", "/function/f.acme").json()[0] == "acme's"
    assert host.request("GET", "/function/f.bolt").status == 401
    assert host.request("POST", "/v1/functions/f.acme/invoke", b"{}").status == 401
    # After a restart everything is as it was.
    host.stop()
    host.start()
    assert call(ACME).json()[0] == "acme's"
    assert host.request("DELETE", "/v1/functions/f", headers=ACME).status == 204
    assert (call(ACME).status, call(BOLT).json()[0]) == (404, "bolt's")


def groups(pid, base="/sys/fs/cgroup"):
    """Control groups of the host with this pid."""
    top = f"{base}/stoker.{pid}"
    return sorted(entry.name for entry in os.scandir(top) if entry.is_dir()) if os.path.isdir(top) else []


def test_cpu_time_is_shared_between_tenants(host):
    """Each tenant's VMs are in a control group of its own, all that are being restored in another, and no group outlives
    its host by more than a start."""
    try:  # what a host that was killed leaves, of which this one has got the number
        os.makedirs(f"/sys/fs/cgroup/stoker.{host.pid}/acme")
    except OSError:
        pass
    for who in ACME, BOLT:
        put(host, who, "f", "x")

    def groups_of_vms():
        found = set()
        for pid in host.vmms():
            try:
                with open(f"/proc/{pid}/cgroup") as f:
                    found |= {line.rstrip()[3:] for line in f if line.startswith("0::")}
            except OSError:
                pass
        return found

    def runs_in(who, name):
        group = f"/stoker.{host.pid}/{name}"
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(host.request, "POST", "/v1/functions/f/invoke", b'{"s": 3}', who)
            h.wait_for(lambda: "CPU time is" in host.log(), "the host to look for control groups")
            if "CPU time is not shared" in host.log():
                pytest.skip("no control groups that are ours here")
            h.wait_for(lambda: group in groups_of_vms(), f"a VM in {group}")
            assert call.result().status == 200
    runs_in(ACME, "acme")
    runs_in(BOLT, "bolt")
    assert groups(host.pid) == ["+starts", "acme", "bolt"]

    def goes_last(name):
        with open(f"/sys/fs/cgroup/stoker.{host.pid}/{name}/cpu.idle") as f:
            return f.read().strip() == "1"

    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = [pool.submit(host.request, "POST", "/v1/functions/f/invoke", b'{"busy": 6}', BOLT)
                 for _ in range(os.cpu_count())]
        h.wait_for(lambda: goes_last("bolt"), "bolt to go last while it computes on all processors")
        assert not goes_last("acme")
        assert {call.result().status for call in calls} == {200}
    h.wait_for(lambda: not goes_last("bolt"), "bolt to be as good as any again")
    killed = host.pid
    host.kill()
    assert len(groups(killed)) == 3
    host.start()
    runs_in(BOLT, "bolt")
    assert not os.path.exists(f"/sys/fs/cgroup/stoker.{killed}")
    pid = host.pid
    assert groups(pid) == ["+starts", "bolt"]
    host.stop()
    assert not os.path.exists(f"/sys/fs/cgroup/stoker.{pid}")


def test_cpu_time_is_shared_in_a_group_that_was_delegated(host):
    """The host makes room in the group that it was started in, which may then have no processes of its own."""
    host.stop()
    host.group = "/sys/fs/cgroup/given"
    try:
        os.mkdir(host.group)
    except OSError:
        pytest.skip("no control groups that are ours here")
    try:
        host.start()
        put(host, ACME, "f", "x")
        assert {"+host", "acme"} <= set(groups(host.pid, host.group))
        with open(f"{host.group}/stoker.{host.pid}/+host/cgroup.procs") as f:
            assert str(host.pid) in f.read().split()
        host.stop()
        assert [entry.name for entry in os.scandir(host.group) if entry.is_dir()] == []
    finally:
        host.stop(expect=None)
        os.rmdir(host.group)
