"""The programs of the commit before this one leave a state folder; those of this build take it over.

STOKER_PREVIOUS is the folder of those programs: ./test builds them out of the repository's history. The programs find the same
images; what a version's snapshot was made from may differ, then it is made again."""
import os

import pytest

import host as h
from test_async import Receiver, call_later, queued
from test_lambda import FUNCTIONS, Api, answering, error

PREVIOUS = os.environ.get("STOKER_PREVIOUS")
EVENTS = 20


def documents(api):
    """What the Lambda API says of the functions: {path: document}."""
    paths = [FUNCTIONS + "/", f"{FUNCTIONS}/old/versions", f"{FUNCTIONS}/old/aliases", f"{FUNCTIONS}/old:1/configuration",
             "/2019-09-30/functions/old/concurrency", "/2019-09-25/functions/old/event-invoke-config",
             "/2021-10-31/functions/old/url", "/2018-10-31/layers/tools/versions"]
    found = {}
    for path in paths:
        answer = api.call("GET", path)
        assert answer.status == 200, (path, answer)
        found[path] = answer.json()
    return found


def kept(old, new, where=""):
    """All that was said before is said now; there may be more."""
    if isinstance(old, dict):
        for key, value in old.items():
            kept(value, new[key], f"{where}/{key}")
    elif isinstance(old, list):
        assert len(old) == len(new), where
        for index, value in enumerate(old):
            kept(value, new[index], f"{where}/{index}")
    else:
        assert old == new, where


@pytest.mark.skipif(not PREVIOUS, reason="no programs of the commit before this one: its source is not in this folder's history")
def test_previous_commit(tmp_path):
    state = h.new_state("upgrade")
    host = h.Host(state, programs=PREVIOUS, pool_floor=1, queue_timeout=int(h.DEADLINE * 2000))
    api = Api(host)
    receiver = Receiver()
    try:
        host.start()
        assert api.create("old", answering("one"), Description="of old", Tags={"a": "b"}).status == 201
        api.settled("old")
        assert api.call("POST", f"{FUNCTIONS}/old/versions", {}).json()["Version"] == "1"
        assert api.call("POST", f"{FUNCTIONS}/old/aliases", {"Name": "live", "FunctionVersion": "1"}).status == 201
        assert api.call("PUT", f"{FUNCTIONS}/old/code", {"ZipFile": answering("two")}).status == 200
        api.settled("old")
        assert api.call("PUT", "/2017-10-31/functions/old/concurrency", {"ReservedConcurrentExecutions": 30}).status == 200
        assert api.call("PUT", "/2019-09-25/functions/old/event-invoke-config", {"MaximumRetryAttempts": 1}).status == 200
        assert api.call("POST", "/2021-10-31/functions/old/url", {"AuthType": "NONE"}).status == 201
        layer = tmp_path / "layer"
        layer.mkdir()
        (layer / "text").write_text("of the layer")
        host.cli("layer", "tools", str(layer))
        folder = tmp_path / "reader"
        folder.mkdir()
        (folder / "app.py").write_text("def handler(event, context):\n"
                                       "    return [open('/opt/text').read(), open('/run/secrets/WORD').read()]\n")
        host.cli("deploy", "reader", str(folder), "--runtime", "python3", "--handler", "app.handler", "--timeout", "30",
                 "--layers", "tools:1", "--secret", "WORD=hush")
        host.deploy("echo", os.path.join(h.FUNCTIONS, "echo"), "--timeout", "30")
        host.invoke_until_learned("echo", {"a": 1}, {"a": 1})
        before = documents(api)
        accepted = set()
        for n in range(EVENTS):
            answer = call_later(host, "echo", {"n": n}, receiver.url)
            assert answer.status == 202, answer
            accepted.add(answer.headers["X-Call-Id"])
        host.kill()

        host.programs = h.BUILD
        host.start()
        kept(before, documents(api))
        assert api.invoke("old").json() == ["two", "$LATEST"]
        assert api.invoke("old:live").json() == ["one", "1"]
        assert host.call("old").json() == ["two", "$LATEST"]
        assert host.invoke("reader", {}).json() == ["of the layer", "hush"]
        h.wait_for(lambda: queued(host) == 0, "the accepted events to be done")
        assert {headers["X-Call-Id"] for _, headers, _ in receiver.got} == accepted

        # It can be changed as if it had been made here, and is there after the next start.
        assert error(api.create("old", answering("x")))[1] == "ResourceConflictException"
        assert api.call("PUT", f"{FUNCTIONS}/old/code", {"ZipFile": answering("three")}).status == 200
        api.settled("old")
        assert api.call("POST", f"{FUNCTIONS}/old/versions", {}).json()["Version"] == "2"
        assert api.call("PUT", f"{FUNCTIONS}/old/aliases/live", {"FunctionVersion": "2"}).status == 200
        assert api.call("DELETE", f"{FUNCTIONS}/reader").status == 204
        host.stop()
        host.start()
        assert api.invoke("old:live").json() == ["three", "2"]
        assert api.invoke("old:1").json() == ["one", "1"]
        assert host.invoke("echo", {"a": 1}).json() == {"a": 1}
        assert host.invoke("reader", {}).status == 404
        host.stop()
    finally:
        host.stop(expect=None)
        receiver.close()
        h.remove_state(state)
