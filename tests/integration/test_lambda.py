"""The Lambda API, by plain HTTP: deploys that are pending, fail, or are interrupted; versions and aliases; who is refused."""
import base64
import concurrent.futures
import json
import os
import re
import signal
import socket
import threading
import time

import pytest

import host as h
from test_streaming import events

FUNCTIONS = "/2015-03-31/functions"
ROLE = "arn:aws:iam::000000000000:role/any"


def python(text):
    return base64.b64encode(h.zip_bytes({"app.py": text.encode()})).decode()


def answering(what):
    return python(f"def handler(event, context):\n    return [{what!r}, context.function_version]\n")


class Api:
    def __init__(self, host):
        self.host = host

    def call(self, method, path, body=None, headers=None):
        data = None if body is None else json.dumps(body).encode()
        return self.host.request(method, path, data, headers, timeout=h.DEADLINE * 2)

    def create(self, name, code, **more):
        return self.call("POST", FUNCTIONS, {"FunctionName": name, "Runtime": "python3", "Handler": "app.handler",
                                             "Role": ROLE, "Timeout": 30, "Code": {"ZipFile": code}, **more})

    def settled(self, name):
        """The configuration, once nothing is under way any more."""
        def look():
            got = self.call("GET", f"{FUNCTIONS}/{name}/configuration").json()
            busy = got["State"] == "Pending" or got.get("LastUpdateStatus") == "InProgress"
            return None if busy else got
        return h.wait_for(look, f"{name} to be ready", h.DEADLINE * 2)

    def invoke(self, name, event=None, **headers):
        path = f"{FUNCTIONS}/{name}/invocations"
        return self.call("POST", path, event or {}, {key.replace("_", "-"): v for key, v in headers.items()})


@pytest.fixture
def api(own_host):
    return Api(own_host("echo", pool_floor=0, queue_timeout=int(h.DEADLINE * 2000)))


def error(answer):
    body = answer.json()
    return answer.status, answer.headers["x-amzn-ErrorType"], body.get("message") or body.get("Message")


def test_life_of_a_function(api):
    made = api.create("life", answering("one"), Description="d", Environment={"Variables": {"AB": "c"}})
    assert made.status == 201, made
    assert (made.json()["State"], made.json()["StateReasonCode"], made.json()["Version"]) == ("Pending", "Creating", "$LATEST")
    assert made.headers["x-amzn-RequestId"]
    # A call that comes before the snapshot is there waits for it.
    assert api.invoke("life").json() == ["one", "$LATEST"]
    done = api.settled("life")
    assert (done["State"], done["LastUpdateStatus"]) == ("Active", "Successful")
    assert done["RevisionId"] != made.json()["RevisionId"]
    assert error(api.create("life", answering("two")))[:2] == (409, "ResourceConflictException")

    first = api.call("POST", f"{FUNCTIONS}/life/versions", {"Description": "first"})
    assert (first.status, first.json()["Version"], first.json()["State"]) == (201, "1", "Active")
    assert api.call("POST", f"{FUNCTIONS}/life/versions", {}).json()["Version"] == "1"
    assert api.call("POST", f"{FUNCTIONS}/life/aliases", {"Name": "live", "FunctionVersion": "1"}).status == 201

    changed = api.call("PUT", f"{FUNCTIONS}/life/code", {"ZipFile": answering("two")})
    assert (changed.json()["State"], changed.json()["LastUpdateStatus"]) == ("Active", "InProgress")
    assert error(api.call("PUT", f"{FUNCTIONS}/life/code", {"ZipFile": answering("x")}))[1] == "ResourceConflictException"
    assert api.invoke("life").json() == ["one", "$LATEST"]      # the old one serves meanwhile
    api.settled("life")
    assert api.invoke("life").json() == ["two", "$LATEST"]
    # What was published does not change.
    assert api.invoke("life:1").json() == ["one", "1"]
    got = api.invoke("life:live", X_Amz_Log_Type="Tail")
    assert (got.json(), got.headers["X-Amz-Executed-Version"]) == (["one", "1"], "1")
    assert b"REPORT RequestId: " in base64.b64decode(got.headers["X-Amz-Log-Result"])

    assert api.call("POST", f"{FUNCTIONS}/life/versions", {}).json()["Version"] == "2"
    alias = {"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}}
    assert api.call("PUT", f"{FUNCTIONS}/life/aliases/live", alias).status == 200
    seen = {tuple(api.invoke("life:live").json()) for _ in range(20)}
    assert seen == {("one", "1"), ("two", "2")}                 # 1 in 500,000 that one of them is missing
    assert error(api.call("DELETE", f"{FUNCTIONS}/life?Qualifier=2"))[1] == "ResourceConflictException"
    assert api.call("PUT", f"{FUNCTIONS}/life/aliases/live", {"FunctionVersion": "2", "RoutingConfig": {}}).status == 200
    assert api.invoke("life:live").json() == ["two", "2"]
    assert api.host.request("POST", "/v1/functions/life:1/invoke", b"{}").json() == ["one", "1"]
    assert api.host.call("life:live").json() == ["two", "2"]
    assert api.host.call("life:gone").status == 404
    assert api.call("DELETE", f"{FUNCTIONS}/life").status == 204
    assert error(api.invoke("life:1"))[:2] == (404, "ResourceNotFoundException")
    folder = os.path.join(api.host.state, "functions", "life")
    h.wait_for(lambda: not os.path.exists(folder) or not os.listdir(folder), "the function's files to go")


def test_an_init_phase_that_fails(api):
    bad = python("raise RuntimeError('no start')\n")
    assert api.create("bad", bad).status == 201
    got = api.settled("bad")
    assert (got["State"], got["StateReasonCode"]) == ("Failed", "FunctionError.RuntimeInitError")
    answer = api.invoke("bad")
    assert (answer.status, answer.headers["X-Amz-Function-Error"]) == (200, "Unhandled")
    assert "no start" in answer.json()["errorMessage"]
    report = re.compile(r"Z deploy INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: \w")
    h.wait_for(lambda: report.search(api.host.cli("logs", "bad").stdout), "the report of the init phase in the log")
    assert "Z deploy INIT_START Runtime Version: python3" in api.host.cli("logs", "bad").stdout
    # Mended by other code, and broken again: then the good one serves, with the reason beside it.
    api.call("PUT", f"{FUNCTIONS}/bad/code", {"ZipFile": answering("good")})
    assert api.settled("bad")["LastUpdateStatus"] == "Successful"
    api.call("PUT", f"{FUNCTIONS}/bad/code", {"ZipFile": bad})
    got = api.settled("bad")
    assert (got["State"], got["LastUpdateStatus"]) == ("Active", "Failed")
    assert "no start" in got["LastUpdateStatusReason"]
    assert api.invoke("bad").json() == ["good", "$LATEST"]
    api.host.stop()
    api.host.start()
    assert api.settled("bad")["LastUpdateStatus"] == "Failed"
    assert api.invoke("bad").json() == ["good", "$LATEST"]


@pytest.mark.parametrize("files, runtime, handler, code, kind, text", [
    # The program that is to be started: it is not there, or cannot be executed, or its interpreter is not there.
    ({"other": b"x"}, "provided.al2023", "x", "InvalidEntryPoint", "Runtime.InvalidEntrypoint",
     "needs an executable file"),
    ({"bootstrap": (b"#!/bin/sh\n", 0o644)}, "provided.al2023", "x", "InvalidEntryPoint", "Runtime.InvalidEntrypoint",
     "not executable"),
    ({"bootstrap": (b"#!/no/such\n", 0o755)}, "provided.al2023", "x", "InvalidEntryPoint", "Runtime.InvalidEntrypoint",
     "No such file"),
    # A runtime that runs and does not find the handler: that is its own report.
    ({"app.py": b"x = 1\n"}, "python3", "missing.handler", "RuntimeInitError", "Runtime.ImportModuleError",
     "Unable to import module 'missing'"),
    ({"app.py": b"x = 1\n"}, "python3", "app.missing", "RuntimeInitError", "Runtime.HandlerNotFound",
     "Handler 'missing' missing on module 'app'"),
], ids=["no-bootstrap", "not-executable", "no-interpreter", "no-module", "no-handler"])
def test_nothing_to_start(api, files, runtime, handler, code, kind, text):
    made = api.create("none", base64.b64encode(h.zip_bytes(files)).decode(), Runtime=runtime, Handler=handler)
    assert made.status == 201, made
    got = api.settled("none")
    assert (got["State"], got["StateReasonCode"]) == ("Failed", "FunctionError." + code)
    assert text in got["StateReason"], got
    answer = api.invoke("none")
    assert (answer.status, answer.headers["X-Amz-Function-Error"]) == (200, "Unhandled")
    assert (answer.json()["errorType"], text in answer.json()["errorMessage"]) == (kind, True), answer


class Held:
    """A call whose client reads so slowly that it does not end before it is told to."""

    def __init__(self, api, name):
        body = json.dumps({"held": True})
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.settimeout(h.DEADLINE * 2)
        self.socket.connect(("127.0.0.1", api.host.port))
        self.socket.sendall(f"POST /2021-11-15/functions/{name}/response-streaming-invocations HTTP/1.0\r\n"
                            f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        self.got = bytearray(self.socket.recv(4096))
        self.release = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while piece := self.socket.recv(1 << 20 if self.release.is_set() else 4096):
            self.got += piece
            self.release.wait(0.2)

    def end(self):
        """The version that the call began on, and the one that it ended on."""
        assert self.reader.is_alive(), "it was not held"
        self.release.set()
        self.reader.join(h.DEADLINE * 2)
        assert not self.reader.is_alive()
        self.socket.close()
        head, _, body = bytes(self.got).partition(b"\r\n\r\n")
        assert b" 200 " in head.partition(b"\r\n")[0], head
        words = b"".join(payload for headers, payload in events(body)
                         if headers[":event-type"] == "PayloadChunk").decode().split()
        return words[0], words[-1]


def test_calls_across_activations(api):
    """A call ends on the version that it began on, whatever is activated meanwhile; those behind get the new one."""
    def code(what):
        return python(f"""
def held(version):
    yield "{what}/" + version + " "
    for _ in range(160):
        yield "." * 65536
    yield " {what}/" + version

def handler(event, context):
    return held(context.function_version) if event.get("held") else ["{what}", context.function_version]
""")

    def update(what):
        assert api.call("PUT", f"{FUNCTIONS}/turn/code", {"ZipFile": code(what)}).status == 200
        assert api.settled("turn")["LastUpdateStatus"] == "Successful"

    assert api.create("turn", code("one"), Timeout=900).status == 201
    assert api.settled("turn")["State"] == "Active"
    first = Held(api, "turn")
    folder = api.host.version_dir("turn")
    update("two")
    assert api.invoke("turn").json() == ["two", "$LATEST"]
    assert os.path.exists(folder)  # the VM's memory is there
    assert api.call("POST", f"{FUNCTIONS}/turn/versions", {}).json()["Version"] == "1"
    assert api.call("POST", f"{FUNCTIONS}/turn/aliases", {"Name": "live", "FunctionVersion": "1"}).status == 201
    second = Held(api, "turn:live")
    update("three")
    assert api.call("POST", f"{FUNCTIONS}/turn/versions", {}).json()["Version"] == "2"
    assert api.invoke("turn:live").json() == ["two", "1"]
    assert api.call("PUT", f"{FUNCTIONS}/turn/aliases/live", {"FunctionVersion": "2"}).status == 200
    assert api.invoke("turn:live").json() == ["three", "2"]
    third = Held(api, "turn:live")
    assert api.call("PUT", f"{FUNCTIONS}/turn/aliases/live", {"FunctionVersion": "1"}).status == 200  # back
    assert api.invoke("turn:live").json() == ["two", "1"]
    assert first.end() == ("one/$LATEST", "one/$LATEST")
    assert second.end() == ("two/1", "two/1")
    assert third.end() == ("three/2", "three/2")
    h.wait_for(lambda: not os.path.exists(folder), "the files of the version that nobody uses to go")


def test_killed_while_pending(api):
    assert api.create("early", answering("still here"), Publish=True).json()["Version"] == "1"
    api.host.kill()
    api.host.start()
    assert api.invoke("early").json() == ["still here", "$LATEST"]
    assert api.invoke("early:1").json() == ["still here", "1"]
    assert api.settled("early")["State"] == "Active"


def test_built_meanwhile(api):
    """What is beside the versions changes while one is built; helper programs that somebody ends are run again; and a
    delete gives up the build."""
    slow = python("import time\ntime.sleep(5)\ndef handler(event, context):\n    return 'slow'\n")
    api.create("meanwhile", answering("one"))
    api.settled("meanwhile")
    assert api.call("POST", f"{FUNCTIONS}/meanwhile/versions", {}).status == 201
    assert api.call("PUT", f"{FUNCTIONS}/meanwhile/code", {"ZipFile": slow}).json()["LastUpdateStatus"] == "InProgress"
    assert api.call("POST", f"{FUNCTIONS}/meanwhile/aliases", {"Name": "live", "FunctionVersion": "1"}).status == 201
    assert api.call("PUT", "/2017-10-31/functions/meanwhile/concurrency", {"ReservedConcurrentExecutions": 3}).status == 200
    tools = h.wait_for(lambda: h.processes("stoker-snapshot", api.host.process.pid), "the snapshot is being made")
    os.kill(tools[0], signal.SIGINT)
    assert api.settled("meanwhile")["LastUpdateStatus"] == "Successful"
    assert api.invoke("meanwhile").json() == "slow"
    assert api.invoke("meanwhile:live").json() == ["one", "1"]
    assert api.call("GET", "/2019-09-30/functions/meanwhile/concurrency").json() == {"ReservedConcurrentExecutions": 3}

    assert api.call("PUT", f"{FUNCTIONS}/meanwhile/configuration", {"MemorySize": 256}).status == 200
    h.wait_for(lambda: h.processes("stoker-snapshot", api.host.process.pid), "the snapshot is being made")
    assert api.call("DELETE", f"{FUNCTIONS}/meanwhile").status == 204
    h.wait_for(lambda: not h.processes("stoker-snapshot", api.host.process.pid), "the build is given up")
    folder = os.path.join(api.host.state, "functions", "meanwhile")
    h.wait_for(lambda: not os.path.exists(folder) or not os.listdir(folder), "the function's files to go")
    assert api.create("meanwhile", answering("two")).status == 201
    assert api.invoke("meanwhile").json() == ["two", "$LATEST"]


def test_region(own_host):
    host = own_host(region="eu-west-1", pool_floor=0, queue_timeout=int(h.DEADLINE * 2000))
    host.deploy("probe", os.path.join(h.FUNCTIONS, "probe"), "--timeout", "30")
    for start in ("cold-restore", "cold-boot"):
        got = host.invoke("probe", {"do": "environment"}, start=start).json()
        assert (got["env"]["AWS_REGION"], got["env"]["AWS_DEFAULT_REGION"]) == ("eu-west-1", "eu-west-1")
        assert got["context"]["invoked_function_arn"] == "arn:aws:lambda:eu-west-1:000000000000:function:probe"


def test_a_timeout_alone_needs_no_new_snapshot(api):
    api.create("fast", answering("x"))
    before = api.settled("fast")
    folder = api.host.version_dir("fast")
    got = api.call("PUT", f"{FUNCTIONS}/fast/configuration", {"Timeout": 7, "Description": "new"}).json()
    assert (got["Timeout"], got["Description"], got["LastUpdateStatus"]) == (7, "new", "Successful")
    assert got["RevisionId"] != before["RevisionId"]
    assert api.host.version_dir("fast") == folder
    stale = api.call("PUT", f"{FUNCTIONS}/fast/configuration", {"Timeout": 8, "RevisionId": before["RevisionId"]})
    assert error(stale)[:2] == (412, "PreconditionFailedException")


@pytest.mark.smoke
def test_retries_join_the_call_that_runs(host):
    api = Api(host)
    tries = {"amz-sdk-invocation-id": f"test-{time.time()}"}
    event = {"do": "sleep", "seconds": 3}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        before = host.metrics_total("stoker_invocations_total", function="probe")
        path = f"{FUNCTIONS}/probe/invocations"
        # One client gives up at once, two wait.
        with pytest.raises(OSError):
            host.request("POST", path, json.dumps(event).encode(), tries, timeout=0.5)
        waiting = [pool.submit(api.call, "POST", path, event, tries) for _ in range(2)]
        answers = [w.result() for w in waiting]
        assert [a.status for a in answers] == [200, 200]
        h.wait_for(lambda: host.metrics_total("stoker_invocations_total", function="probe") > before, "the call to be counted")
        assert host.metrics_total("stoker_invocations_total", function="probe") == before + 1
    assert error(api.call("POST", path, {"do": "other"}, tries))[0] in (200, 400)


def test_reserved_concurrency_is_exact(host):
    api = Api(host)
    path = "/2017-10-31/functions/probe/concurrency"
    assert api.call("PUT", path, {"ReservedConcurrentExecutions": 3}).json() == {"ReservedConcurrentExecutions": 3}
    try:
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(lambda _: api.invoke("probe", {"do": "sleep", "seconds": h.HELD_S}), range(30)))
        refused = [a for a in answers if a.status == 429]
        assert len(refused) == 27, [a.status for a in answers]
        for answer in refused:
            assert answer.headers["x-amzn-ErrorType"] == "TooManyRequestsException"
            assert answer.json()["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
            assert int(answer.headers["Retry-After"]) >= 1
        api.call("PUT", path, {"ReservedConcurrentExecutions": 0})
        assert api.invoke("probe", {"do": "echo"}).status == 429
    finally:
        assert api.call("DELETE", path).status == 204
    assert api.invoke("probe", {"do": "echo", "value": 5}).json() == 5


def test_refusals(host):
    api = Api(host)
    bad_zip = base64.b64encode(b"no zip").decode()
    assert error(api.create("x1", bad_zip))[:2] == (400, "InvalidParameterValueException")
    assert error(api.create("x1", answering("x"), Runtime="cobol85"))[0] == 400
    assert error(api.create("x 1", answering("x")))[:2] == (400, "ValidationException")
    assert error(api.create("x1", "%%%"))[0] == 400
    assert host.request("GET", f"{FUNCTIONS}/x1").status == 404
    not_json = host.request("POST", f"{FUNCTIONS}/echo/invocations", b"{not json")
    assert error(not_json)[:2] == (400, "InvalidRequestContentException")
    large = host.raw(f"POST {FUNCTIONS}/echo/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 7000000\r\n\r\n".encode())
    assert large.startswith(b"HTTP/1.1 413 ") and b"x-amzn-ErrorType: Request" in large, large
    assert error(host.request("GET", "/2015-03-31/nothing"))[:2] == (404, "UnknownOperationException")
    assert error(api.invoke("echo", X_Amz_Invocation_Type="Later"))[:2] == (400, "ValidationException")
    assert error(api.invoke("echo", X_Amz_Client_Context="bm8ganNvbg=="))[0] == 400
    assert api.invoke("echo", X_Amz_Invocation_Type="DryRun").status == 204
    big = json.dumps("y" * 300000)  # checked on a worker thread
    assert host.request("POST", f"{FUNCTIONS}/echo/invocations", big.encode()).json() == json.loads(big)


def test_failures_behind_a_url(api):
    assert api.create("fails", python("def handler(event, context):\n    raise ValueError('müde')\n")).status == 201
    api.settled("fails")
    answer = api.host.call("fails")
    assert (answer.status, answer.error()) == (502, "ValueError") and "müde" in answer.body.decode()
    assert api.call("POST", "/2021-10-31/functions/fails/url", {"AuthType": "NONE"}).status == 201
    answer = api.host.call("fails")
    assert (answer.status, answer.body) == (502, b"Internal Server Error")
    h.wait_for(lambda: "müde" in api.host.cli("logs", "fails", "--request-id", answer.headers["X-Request-Id"]).stdout,
               "the reason in the log")


SNAPSTART = """
import os
from snapshot_restore_py import register_after_restore
restored = []
register_after_restore(lambda: restored.append(1))
def handler(event, context):
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], restored
"""


def test_snapstart_of_published_versions(api):
    made = api.create("snaps", python(SNAPSTART), SnapStart={"ApplyOn": "PublishedVersions"}, Publish=True)
    assert made.status == 201, made
    api.settled("snaps")
    version = api.settled("snaps:1")
    assert version["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert api.invoke("snaps").json() == ["on-demand", [1]]
    assert api.invoke("snaps:1").json() == ["snap-start", [1]]  # in its VM before the call; once


LOGGERS = {
    "python3": ("app.handler", "app.py", """
import logging, os
def handler(event, context):
    print("as it is")
    logging.debug("too little")
    logging.info("said in %s", os.environ["AWS_LAMBDA_LOG_GROUP_NAME"])
"""),
    "nodejs": ("index.handler", "index.js", """
exports.handler = async () => {
	process.stdout.write('as it is\\n');
	console.debug('too little');
	console.log('said in %s', process.env.AWS_LAMBDA_LOG_GROUP_NAME);
};
"""),
}


@pytest.mark.parametrize("runtime", LOGGERS)
def test_logs_that_are_json(api, runtime):
    handler, file, text = LOGGERS[runtime]
    code = base64.b64encode(h.zip_bytes({file: text.encode()})).decode()

    def lines():
        answer = api.invoke("logs", X_Amz_Log_Type="Tail")
        assert (answer.status, answer.json()) == (200, None), answer
        return answer.headers["x-amzn-RequestId"], base64.b64decode(answer.headers["X-Amz-Log-Result"]).decode().splitlines()

    made = api.create("logs", code, Runtime=runtime, Handler=handler,
                      LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG", "LogGroup": "/my/group"})
    assert made.status == 201, made
    assert api.settled("logs")["LoggingConfig"] == {"LogFormat": "JSON", "ApplicationLogLevel": "INFO",
                                                    "SystemLogLevel": "DEBUG", "LogGroup": "/my/group"}
    request, (start, plain, said, *end) = lines()
    assert plain == "as it is"
    said = json.loads(said)
    assert said.pop("timestamp") and said.pop("logger", "root") == "root"
    assert said == {"level": "INFO", "message": "said in /my/group", "requestId": request}
    start, done, report = (json.loads(line) for line in (start, *end))
    assert [o["type"] for o in (start, done, report)] == ["platform.start", "platform.runtimeDone", "platform.report"]
    assert {o["record"]["requestId"] for o in (start, done, report)} == {request}
    assert done["record"]["metrics"]["producedBytes"] == 4
    assert report["record"]["metrics"]["maxMemoryUsedMB"] > 0
    h.wait_for(lambda: f"Z {request} {end[-1]}\n" in api.host.cli("logs", "logs").stdout, "the report in the log")
    if runtime != "python3":
        return
    # Another level is another environment: another snapshot. The host's lines follow a level of their own.
    assert api.call("PUT", f"{FUNCTIONS}/logs/configuration",
                    {"LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "WARN"}}).status == 200
    api.settled("logs")
    _, (plain, *said) = lines()
    assert [json.loads(line)["message"] for line in said] == ["too little", "said in /aws/lambda/logs"]


def test_function_urls(host):
    api = Api(host)
    own_name = {"Host": "j6pszk2hzv4kwx4yjbjd3jn3qdueglmw.lambda-url.here.example"}  # ids of names never change
    path = "/2021-10-31/functions/hello/url"
    cors = {"AllowOrigins": ["https://one.example", "https://*.two.example"], "AllowMethods": ["GET", "POST"],
            "AllowHeaders": ["x-custom"], "ExposeHeaders": ["x-shown"], "MaxAge": 60, "AllowCredentials": True}
    made = api.call("POST", path, {"AuthType": "NONE", "Cors": cors})
    assert made.status == 201, made
    try:
        url = made.json()["FunctionUrl"]
        assert url == f"http://127.0.0.1:{host.port}/function/hello/"

        def ask(method, origin, **headers):
            return host.request(method, "/function/hello/?name=Ada", headers={"Origin": origin, **headers})
        got = ask("GET", "https://one.example")
        assert (got.status, got.body) == (200, b"Hello, Ada!\n")
        assert got.headers["Access-Control-Allow-Origin"] == "https://one.example"
        assert got.headers["Access-Control-Expose-Headers"] == "x-shown"
        assert ask("GET", "https://a.two.example").headers["Access-Control-Allow-Origin"] == "https://a.two.example"
        assert ask("GET", "https://one.example.evil").headers["Access-Control-Allow-Origin"] is None
        got = host.request("GET", "/any/path?name=Ada", headers={**own_name, "Origin": "https://one.example"})
        assert (got.status, got.body) == (200, b"Hello, Ada!\n")
        assert got.headers["Access-Control-Allow-Origin"] == "https://one.example"
        before = host.metrics_total("stoker_invocations_total", function="hello")
        pre = ask("OPTIONS", "https://one.example", **{"Access-Control-Request-Method": "POST"})
        assert (pre.status, pre.body) == (200, b"")
        assert pre.headers["Access-Control-Allow-Methods"] == "GET,POST"
        assert pre.headers["Access-Control-Allow-Headers"] == "x-custom"
        assert pre.headers["Access-Control-Max-Age"] == "60"
        assert host.metrics_total("stoker_invocations_total", function="hello") == before
        assert api.call("PUT", path, {"AuthType": "AWS_IAM"}).json()["AuthType"] == "AWS_IAM"
        assert error(api.call("POST", path, {"AuthType": "NONE"}))[:2] == (409, "ResourceConflictException")
    finally:
        assert api.call("DELETE", path).status == 204
    assert error(api.call("GET", path))[:2] == (404, "ResourceNotFoundException")
    assert host.request("GET", "/function/hello/", headers={"Origin": "https://one.example"}).headers[
        "Access-Control-Allow-Origin"] is None
    assert host.request("GET", "/function/hello", headers=own_name).status == 404
