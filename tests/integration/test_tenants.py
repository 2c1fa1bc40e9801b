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
        flood = [pool.submit(call, ACME, "f", {"s": 3}) for _ in range(6)]
        other = pool.submit(call, BOLT)
        assert sorted(f.result().status for f in flood) == [200, 200, 429, 429, 429, 429]
        assert other.result().status == 200
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



def groups(pid):
    """Control groups of the host with this pid."""
    return sorted(name for name in os.listdir("/sys/fs/cgroup") if name.startswith(f"stoker.{pid}."))


def test_cpu_time_is_shared_between_tenants(host):
    """Each tenant's VMs are in a control group of its own, all that are being restored in another, and no group outlives
    its host by more than a start."""
    for who in ACME, BOLT:
        put(host, who, "f", "x")

    def groups_of_vms():
        found = set()
        for pid in host.vmms():
            try:
                with open(f"/proc/{pid}/cgroup") as f:
                    found |= {line.rstrip().rpartition("/")[2] for line in f if line.startswith("0::")}
            except OSError:
                pass
        return found

    def runs_in(who, group):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(host.request, "POST", "/v1/functions/f/invoke", b'{"s": 3}', who)
            h.wait_for(lambda: "CPU time is" in host.log(), "the host to look for control groups")
            if "CPU time is not shared" in host.log():
                pytest.skip("no control groups that are ours here")
            h.wait_for(lambda: group in groups_of_vms(), f"a VM in {group}")
            assert call.result().status == 200
    runs_in(ACME, f"stoker.{host.pid}.acme")
    runs_in(BOLT, f"stoker.{host.pid}.bolt")
    assert groups(host.pid) == [f"stoker.{host.pid}.{name}" for name in ("+starts", "acme", "bolt")]

    def weight(name):
        with open(f"/sys/fs/cgroup/stoker.{host.pid}.{name}/cpu.weight") as f:
            return int(f.read())

    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # acme's time slices get shorter than bolt's while it uses more
        call = pool.submit(host.request, "POST", "/v1/functions/f/invoke", b'{"busy": 6}', ACME)
        h.wait_for(lambda: weight("acme") * 2 < weight("bolt"), "acme's weight to fall")
        assert call.result().status == 200
    h.wait_for(lambda: weight("acme") * 2 > weight("bolt"), "acme's weight to rise again")
    killed = host.pid
    host.kill()
    assert len(groups(killed)) == 3
    host.start()
    runs_in(BOLT, f"stoker.{host.pid}.bolt")
    assert groups(killed) == []
    pid = host.pid
    assert groups(pid) == [f"stoker.{pid}.{name}" for name in ("+starts", "bolt")]
    host.stop()
    assert groups(pid) == []
