"""Each runtime with everything that can become of a function: the same answers, whichever client serves it."""
import base64
import json
import os

import pytest

import host as h
from test_streaming import events

MATRIX = os.path.join(h.FUNCTIONS, "matrix")
LIMIT = 6 * 1024 * 1024 + 100   # of an answer

# folder, runtime, handler, the runtime's name in AWS_EXECUTION_ENV, type of the handler's error
CLIENTS = {
    "python": ("python3.11", "app.handler", "AWS_Lambda_python3.11", "ValueError"),
    "nodejs": ("nodejs18.x", "index.handler", "AWS_Lambda_nodejs18.x", "TypeError"),
    "sh": ("provided.al2023", "bootstrap", None, "Shell.Error"),
    "cpp": ("provided.al2023", "bootstrap", None, "Cpp.Error"),
    "nodejs-ric": ("nodejs18.x", "index.handler", "AWS_Lambda_nodejs18.x", "TypeError"),
}


def there(client):
    """Some clients are only made where their source can be had: why not, or None."""
    why = os.path.join(MATRIX, client + ".skipped")
    if os.path.exists(why):
        with open(why) as f:
            return f.read().strip()
    return None


def runtime_of(client):
    """The name with the version that the image has, if it is another one here."""
    runtime, handler, execution_env, error = CLIENTS[client]
    family = {"python3.11": "python3", "nodejs18.x": "nodejs"}.get(runtime)
    if family:
        with open(os.path.join(h.IMAGES, family + ".version")) as f:
            version = f.read().strip()
        name = f"python{version}" if family == "python3" else f"nodejs{version}.x"
        runtime, execution_env = name, "AWS_Lambda_" + name
    return runtime, handler, execution_env, error


@pytest.fixture(scope="module")
def host():
    """One host for the module; functions are deployed by the tests that first use them."""
    state = h.new_state("runtimes")
    one = h.Host(state, pool_floor=0, pool_ceiling=3).start()
    yield one
    one.stop()
    h.remove_state(state)


def deploy(host, client, name, *arguments, handler=None, check=True):
    runtime, usual, _, _ = runtime_of(client)
    return host.cli("deploy", name, os.path.join(MATRIX, client), "--runtime", runtime, "--handler", handler or usual,
                    "--memory", "256", "--timeout", "120", *arguments, check=check)


deployed = set()


@pytest.fixture(params=CLIENTS)
def client(request, host):
    """A client whose function is deployed under its name."""
    name = request.param
    if there(name):
        pytest.skip(there(name))
    if name not in deployed:
        deploy(host, name, name)
        deployed.add(name)
    return name


def works(host, client):
    answer = host.invoke(client, {"do": "ok"})
    assert (answer.status, answer.json()["ok"]) == (200, True), answer


def failed(answer, status=502):
    assert answer.status == status, answer
    assert answer.headers["X-Stoker-Error"] == "Unhandled"
    return answer.json()


def test_ok(host, client):
    answer = host.invoke(client, {"do": "ok"})
    assert (answer.status, answer.json()) == (200, {"ok": True, "id": 36, "name": client,
                                                    "execution_env": runtime_of(client)[2]})


def test_error_of_the_handler(host, client):
    error = failed(host.invoke(client, {"do": "error"}))
    assert (error["errorType"], error["errorMessage"]) == (CLIENTS[client][3], "told to fail")
    works(host, client)


def test_exit(host, client):
    error = failed(host.invoke(client, {"do": "exit", "status": 0}))
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Error: Runtime exited without providing a reason")
    error = failed(host.invoke(client, {"do": "exit", "status": 1}))
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: exit status 1")


def test_signal(host, client):
    error = failed(host.invoke(client, {"do": "signal"}))
    assert error["errorType"] == "Runtime.ExitError"
    assert "Runtime exited with error: signal: segmentation fault" in error["errorMessage"]
    works(host, client)


def test_answer_of_the_limit_and_above(host, client):
    answer = host.invoke(client, {"do": "large", "size": LIMIT})
    assert (answer.status, len(answer.body)) == (200, LIMIT), answer
    error = failed(host.invoke(client, {"do": "large", "size": LIMIT + 1}))
    assert error["errorType"] == "Function.ResponseSizeTooLarge"
    works(host, client)


def test_answer_that_is_no_json(host, client):
    answer = host.invoke(client, {"do": "not-json"})
    if client in ("python", "nodejs"):
        assert failed(answer)["errorType"] == "Runtime.MarshalError"
    elif client == "nodejs-ric":
        assert "stringify" in failed(answer)["errorMessage"]
    else:  # nobody but the caller looks into it
        assert (answer.status, answer.body) == (200, b"not: json")


def test_output(host, client):
    assert host.invoke(client, {"do": "print"}).json() is None
    h.wait_for(lambda: "a line of the function" in host.cli("logs", client).stdout, "the line in the log")


@pytest.mark.parametrize("client", ["python", "nodejs", "sh"], indirect=True)
def test_clones_differ(host, client):
    """Clients that are not ours leave generators in their memory as they were: that is the function's to see to."""
    first, second = host.invoke(client, {"do": "unique"}).json(), host.invoke(client, {"do": "unique"}).json()
    assert first.keys() == second.keys()
    assert not [key for key in first if first[key] == second[key]]


@pytest.mark.parametrize("how", ["error", "exit"])
@pytest.mark.parametrize("name", CLIENTS)
def test_init_phase_fails(host, name, how):
    if there(name):
        pytest.skip(there(name))
    if (name, how) == ("cpp", "error"):
        pytest.skip("Amazon's C++ runtime reports no errors of the init phase")
    done = deploy(host, name, "failing", "--env", "FAIL_INIT=" + how, check=False)
    assert done.returncode != 0
    assert ("told to fail at the start" if how == "error" else "exit status 1") in done.stdout + done.stderr
    assert host.request("GET", "/v1/functions/failing").status == 404


def set_timeout(host, name, seconds):
    """In place: no other snapshot is made."""
    answer = host.request("PUT", f"/2015-03-31/functions/{name}/configuration", json.dumps({"Timeout": seconds}).encode())
    assert (answer.status, answer.json()["LastUpdateStatus"]) == (200, "Successful"), answer


def test_timeout(host, client):
    set_timeout(host, client, h.SHORT_S)
    try:
        error = failed(host.invoke(client, {"do": "sleep"}), 504)
        assert f"timed out after {h.SHORT_S}.00 seconds" in error["errorMessage"]
    finally:
        set_timeout(host, client, 120)
    works(host, client)


# --- streams ----------------------------------------------------------------------------------------

# Handlers that stream; Python's are in test_streaming.
STREAMS = {"nodejs": "index.stream", "nodejs-ric": "index.stream", "sh": None, "cpp": None}
CPP_CANNOT = "Amazon's C++ runtime (aws-lambda-cpp 0.2.8) cannot stream: it posts an answer whole, with its length"


@pytest.fixture(params=STREAMS)
def streaming(request, host):
    """A function that streams: its name."""
    client = request.param
    if there(client):
        pytest.skip(there(client))
    if client == "cpp":
        pytest.skip(CPP_CANNOT)
    name = client + "-stream" if STREAMS[client] else client  # a program of its own does all
    if name not in deployed:
        deploy(host, client, name, handler=STREAMS[client])
        deployed.add(name)
    return name


def stream_of(host, name, do):
    """Payload, and what InvokeComplete says."""
    answer = host.request("POST", f"/2021-11-15/functions/{name}/response-streaming-invocations",
                          json.dumps({"do": do}).encode())
    assert answer.headers["Content-Type"] == "application/vnd.amazon.eventstream", answer
    got = list(events(answer.body))
    assert got[-1][0][":event-type"] == "InvokeComplete"
    return b"".join(payload for headers, payload in got[:-1]), json.loads(got[-1][1])


def test_stream(host, streaming):
    assert stream_of(host, streaming, "stream") == (b"first last", {})
    collected = host.invoke(streaming, {"do": "stream"})
    assert (collected.status, collected.body) == (200, b"first last")


def test_error_before_and_in_a_stream(host, streaming):
    kind = CLIENTS[streaming.removesuffix("-stream")][3]
    error = failed(host.invoke(streaming, {"do": "early"}))
    assert (error["errorType"], error["errorMessage"]) == (kind, "told to fail")
    body, end = stream_of(host, streaming, "middle")
    assert body == b"first "
    assert end["ErrorCode"] == "Unhandled"
    assert (json.loads(end["ErrorDetails"])["errorType"], json.loads(end["ErrorDetails"])["errorMessage"]) == (
        kind, "told to fail")
    assert stream_of(host, streaming, "stream") == (b"first last", {})  # the next call is not touched by it


def test_whole_answer_to_a_caller_of_streams(host, client):
    """Whoever cannot stream, or does not: the caller gets the answer, or the error, all the same."""
    body, end = stream_of(host, client, "ok")
    assert (json.loads(body)["name"], end) == (client, {})
    body, end = stream_of(host, client, "error")
    assert (body, end["ErrorCode"]) == (b"", "Unhandled")
    assert json.loads(end["ErrorDetails"])["errorMessage"] == "told to fail"


# --- names ------------------------------------------------------------------------------------------

def test_names_of_runtimes(host):
    listed = {one["image"]: one for one in host.request("GET", "/v1/runtimes").json()["runtimes"]}
    assert listed["provided"]["names"] == ["provided", "provided.al2", "provided.al2023"]
    version = listed["python3"]["version"]
    assert listed["python3"]["names"] == ["python3", "python" + version]
    code = h.zip_bytes({"app.py": b"def handler(event, context): pass\n"})
    refused = host.put("f", code, runtime="python3.0", handler="app.handler")
    assert refused.status == 400
    assert f'use "python{version}"' in refused.json()["error"]["message"]
    refused = host.put("f", code, runtime="cobol", handler="app.handler")
    assert "nodejs" in refused.json()["error"]["message"]


def test_a_function_keeps_the_name_that_was_typed(host, client):
    assert host.request("GET", "/v1/functions/" + client).json()["runtime"] == runtime_of(client)[0]


# --- Node.js ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def node(host):
    if "nodejs" not in deployed:
        deploy(host, "nodejs", "nodejs")
        deployed.add("nodejs")
    return "nodejs"


@pytest.mark.parametrize("do, error, text", [
    ("uncaught", "Error", "caught by nobody"),
    ("unhandled", "Runtime.UnhandledPromiseRejection", "Error: handled by nobody"),
    ("unsettled", "Runtime.NodeJsExit", "never settled")])
def test_node_errors_outside_the_handler(host, node, do, error, text):
    got = failed(host.invoke(node, {"do": do}))
    assert got["errorType"] == error
    assert text in got["errorMessage"]
    assert isinstance(got["trace"], list)


def test_node_log_lines(host, node):
    answer = host.invoke(node, {"do": "print"})
    request_id = answer.headers["X-Request-Id"]
    h.wait_for(lambda: f"\t{request_id}\tWARN\tof 2" in host.cli("logs", node).stdout, "the line in the log")
    assert f"\t{request_id}\tINFO\ta line of the function" in host.cli("logs", node).stdout


def test_node_time_that_is_left(host, node):
    assert 0 < host.invoke(node, {"do": "remaining"}).json() <= 120000


def test_node_callbacks(host):
    deploy(host, "nodejs", "callback", handler="index.callback")
    assert host.invoke("callback", {"wait": False}).json() == {"called": "back"}
    answer = host.invoke("callback", {"wait": True})
    assert answer.json() == {"called": "back"}
    h.wait_for(lambda: f"{answer.headers['X-Request-Id']}\tINFO\tafter the callback" in host.cli("logs", "callback").stdout,
               "what the function had still to do")
    assert failed(host.invoke("callback", {"fail": True}))["errorType"] == "RangeError"


def test_node_modules_and_hooks(host):
    deploy(host, "nodejs", "module", handler="module.handler")
    first, second = host.invoke("module", {}).json(), host.invoke("module", {}).json()
    assert first["said"] == second["said"] == ["before the snapshot", "after the restore"]
    assert first["int"] == second["int"]    # drawn before the snapshot
    assert first["next"] != second["next"]


# --- layers -----------------------------------------------------------------------------------------

LAYERED = b"""import glob, os, sys
sys.path.insert(0, "/opt/python")
import common

def handler(event, context):
    def read(path):
        with open(path) as f:
            return f.read()
    return {"files": {p: read(p) for p in sorted(glob.glob("/opt/**", recursive=True)) if os.path.isfile(p)},
            "common": common.NAME, "task": sorted(os.listdir("/var/task")), "stat": os.access("/opt", os.W_OK)}
"""


def put_layer(host, name, files):
    return host.request("PUT", "/v1/layers/" + name, h.zip_bytes(files), {"Content-Type": "application/zip"})


@pytest.mark.smoke
def test_layers(host):
    made = put_layer(host, "first", {"python/common.py": b"NAME = 'first'", "data/a": b"1", "data/b": b"1"})
    assert (made.status, made.json()["name"], made.json()["version"]) == (201, "first", 1), made
    assert put_layer(host, "second", {"data/b": b"2", "bin/c": b"2"}).json()["version"] == 1
    assert put_layer(host, "second", {"bin/d": b"3"}).json()["version"] == 2
    assert put_layer(host, "second", {"../x": b""}).status == 400
    listed = host.request("GET", "/v1/layers").json()["layers"]
    assert [(one["name"], one["version"]) for one in listed] == [("first", 1), ("second", 1), ("second", 2)]
    code = h.zip_bytes({"app.py": LAYERED})
    settings = {"runtime": "python3", "handler": "app.handler", "timeout": 120}
    refused = host.put("layered", code, layers="first:1,second:3", **settings)
    assert (refused.status, "no version 3 of" in refused.json()["error"]["message"]) == (400, True), refused
    assert host.put("layered", code, layers="first:1,first:1", **settings).status == 400
    done = host.put("layered", code, layers="first:1,arn:aws:lambda:us-east-1:000000000000:layer:second:1", **settings)
    assert (done.status, done.json()["layers"]) == (201, ["first:1", "second:1"]), done
    assert host.request("DELETE", "/v1/layers/second/1").status == 204
    assert host.request("DELETE", "/v1/layers/second/1").status == 404
    answer = host.invoke("layered", {})
    assert (answer.status, answer.json()) == (200, {
        "files": {"/opt/bin/c": "2", "/opt/data/a": "1", "/opt/data/b": "2", "/opt/python/common.py": "NAME = 'first'"},
        "common": "first", "task": ["app.py"], "stat": False})


def lambda_api(host, method, path, body=None, status=200):
    answer = host.request(method, path, json.dumps(body).encode() if body is not None else None)
    assert answer.status == status, answer
    return answer.json() if answer.body else None


def test_layers_by_the_lambda_api(host):
    zipped = lambda files: base64.b64encode(h.zip_bytes(files)).decode()  # noqa: E731
    made = lambda_api(host, "POST", "/2018-10-31/layers/third/versions", {
        "Content": {"ZipFile": zipped({"python/common.py": b"NAME = 'third'"})}, "Description": "text",
        "CompatibleRuntimes": ["python3.11"]}, 201)
    arn = made["LayerVersionArn"]
    assert (arn.endswith(":layer:third:1"), made["Version"], made["Description"]) == (True, 1, "text")
    assert lambda_api(host, "GET", "/2018-10-31/layers/third/versions/1") == made
    lambda_api(host, "POST", "/2018-10-31/layers/third/versions", {"Content": {"ZipFile": "AAAA"}}, 400)
    code = {"ZipFile": zipped({"app.py": LAYERED})}
    function = {"FunctionName": "by-api", "Runtime": runtime_of("python")[0], "Handler": "app.handler", "Timeout": 120,
                "Role": "arn:aws:iam::000000000000:role/any", "Code": code}
    lambda_api(host, "POST", "/2015-03-31/functions", {**function, "Layers": [arn[:-1] + "7"]}, 400)
    lambda_api(host, "POST", "/2015-03-31/functions", {**function, "Layers": [arn]}, 201)

    def settled():
        shown = lambda_api(host, "GET", "/2015-03-31/functions/by-api/configuration")
        assert shown["State"] != "Failed" and shown.get("LastUpdateStatus") != "Failed", shown
        return shown if (shown["State"], shown.get("LastUpdateStatus")) == ("Active", "Successful") else None

    assert h.wait_for(settled, "the function to be active")["Layers"][0]["Arn"] == arn
    assert host.invoke("by-api", {}).json()["common"] == "third"
    lambda_api(host, "DELETE", "/2018-10-31/layers/third/versions/1", status=204)
    lambda_api(host, "GET", "/2018-10-31/layers/third/versions/1", status=404)
    # what it was made from is still its own
    lambda_api(host, "PUT", "/2015-03-31/functions/by-api/configuration", {"MemorySize": 256})
    h.wait_for(settled, "the update")
    assert host.invoke("by-api", {}).json()["common"] == "third"
    assert put_layer(host, "fourth", {"python/common.py": b"NAME = 'fourth'"}).status == 201
    lambda_api(host, "PUT", "/2015-03-31/functions/by-api/configuration", {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:fourth:1"]})
    h.wait_for(settled, "the second update")
    assert host.invoke("by-api", {}).json()["common"] == "fourth"


def test_bootstrap_in_a_layer(host):
    with open(os.path.join(MATRIX, "sh", "bootstrap"), "rb") as f:
        assert put_layer(host, "shell", {"bootstrap": (f.read(), 0o755)}).status == 201
    done = host.put("by-layer", h.zip_bytes({"some": b"file"}), runtime="provided.al2023", timeout=120, layers="shell:1")
    assert done.status == 201, done
    assert host.invoke("by-layer", {"do": "ok"}).json()["ok"]


# --- secrets ----------------------------------------------------------------------------------------

SECRETIVE = b"""import os
from snapshot_restore_py import register_after_restore

at_init = os.path.exists("/run/secrets/TOKEN")
seen = []
register_after_restore(lambda: seen.append(open("/run/secrets/TOKEN").read()))

def handler(event, context):
    state = os.stat("/run/secrets/TOKEN")
    try:
        open("/run/secrets/other", "w")
        writable = True
    except OSError:
        writable = False
    return {"init": at_init, "hook": seen, "names": sorted(os.listdir("/run/secrets")), "mode": oct(state.st_mode & 0o777),
            "mine": state.st_uid == os.getuid(), "writable": writable, "env": "TOKEN" in os.environ}
"""


@pytest.mark.parametrize("start", ["cold-restore", "warm", "shell", "cold-boot"])
def test_secrets(host, start):
    value = "very%sspecial%strue" % ("-", "=")
    if "secretive" not in deployed:
        done = host.put("secretive", h.zip_bytes({"app.py": SECRETIVE}), runtime="python3", handler="app.handler",
                        timeout=120, secret=["TOKEN=" + value, "EMPTY="])
        assert done.status == 201, done
        assert done.json()["secrets"] == ["TOKEN", "EMPTY"]
        deployed.add("secretive")
    def started():
        answer = host.invoke("secretive", {}, start=None if start == "warm" else start)
        return answer if answer.headers["X-Stoker-Start"] == start else None
    answer = h.wait_for(started, "a start of this kind")
    assert (answer.status, answer.json()) == (200, {
        "init": False, "hook": [value], "names": ["EMPTY", "TOKEN"], "mode": "0o400", "mine": True, "writable": False,
        "env": False})
    for where in (host.request("GET", "/v1/functions/secretive").body.decode(), host.cli("logs", "secretive").stdout,
                  host.log()):
        assert "special" not in where
    for folder, _, names in os.walk(host.version_dir("secretive")) if start == "warm" else ():
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                while piece := f.read(1 << 24):
                    assert value.encode() not in piece, os.path.join(folder, name)
