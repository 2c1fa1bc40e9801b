"""boto3: exceptions by class, waiters, paginators, streaming bodies, many calls at once."""
import collections
import concurrent.futures
import json

import pytest

import service as s

boto3 = pytest.importorskip("boto3", reason="the package python3-boto3 is not installed")
from botocore.auth import SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.client import Config  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402
from botocore.exceptions import ClientError, WaiterError  # noqa: E402

NAME = "boto-function"


@pytest.fixture(scope="module")
def client(host):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in host.environment().items():
            patch.setenv(name, value)
        yield boto3.session.Session().client("lambda", endpoint_url=host.url, region_name=s.REGION, config=Config(
            retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20))


@pytest.fixture(scope="module")
def function(client, host):
    """Made with Publish; ends with its tests."""
    code = s.app("boto")
    got = client.create_function(FunctionName=NAME, Runtime=host.python, Role=s.ROLE, Handler="app.handler",
                                 Code={"ZipFile": code}, Timeout=int(s.TIMEOUT), Publish=True,
                                 Environment={"Variables": {"COLOUR": "green"}})
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert got["Version"] == "1" and got["FunctionArn"].endswith(f":{NAME}:1")
    client.get_waiter("function_exists").wait(FunctionName=NAME)
    client.get_waiter("function_active_v2").wait(FunctionName=NAME)
    client.get_waiter("published_version_active").wait(FunctionName=NAME, Qualifier="1")
    yield NAME
    client.delete_function(FunctionName=NAME)


def invoke(client, event, **more):
    got = client.invoke(FunctionName=NAME, Payload=json.dumps(event), **more)
    return got, json.loads(got["Payload"].read())


def test_exceptions_have_their_class(client, function, host):
    errors = client.exceptions
    with pytest.raises(errors.ResourceNotFoundException) as caught:
        client.get_function(FunctionName="nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert caught.value.response["Error"]["Message"].startswith("Function not found: arn:aws:lambda:")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert len(caught.value.response["ResponseMetadata"]["RequestId"]) == 36
    with pytest.raises(errors.ResourceConflictException):
        client.create_function(FunctionName=NAME, Runtime=host.python, Role=s.ROLE, Handler="app.handler",
                               Code={"ZipFile": s.app("x")})
    with pytest.raises(errors.InvalidParameterValueException):
        client.create_function(FunctionName="other", Runtime="none", Role=s.ROLE, Handler="app.handler",
                               Code={"ZipFile": s.app("x")})
    with pytest.raises(errors.InvalidParameterValueException) as caught:
        client.create_function(FunctionName="other", Runtime=host.python, Role=s.ROLE, Handler="app.handler",
                               Code={"ZipFile": b"this is no zip, but long enough to be looked at"})
    assert "unzip" in caught.value.response["Error"]["Message"]
    with pytest.raises(errors.PreconditionFailedException):
        client.update_function_configuration(FunctionName=NAME, Timeout=9, RevisionId="old")
    with pytest.raises(errors.InvalidRequestContentException):
        client.invoke(FunctionName=NAME, Payload=b"[1,")
    with pytest.raises(ClientError) as caught:
        client.invoke(FunctionName=NAME, Payload=json.dumps("x" * 6300000))
    assert caught.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    with pytest.raises(ClientError) as caught:
        client.create_function(FunctionName="other", Runtime=host.python, Role="x", Handler="app.handler",
                               Code={"ZipFile": s.app("x")})
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_invoke(client, function):
    got, answer = invoke(client, {"a": "\u00e4\U0001f525"})
    assert (got["StatusCode"], got["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in got and "LogResult" not in got
    assert answer == {"word": "boto", "version": "$LATEST", "event": {"a": "\u00e4\U0001f525"}}
    got, answer = invoke(client, {"do": "context"}, Qualifier="1")
    assert answer["id"] == got["ResponseMetadata"]["RequestId"]
    got, answer = invoke(client, {"do": "fail"})
    assert (got["FunctionError"], answer["errorType"]) == ("Unhandled", "ValueError")
    got = client.invoke(FunctionName=NAME, InvocationType="Event", Payload=b"{}")
    assert (got["StatusCode"], got["Payload"].read()) == (202, b"")
    got = client.invoke(FunctionName=NAME, InvocationType="DryRun")
    assert got["StatusCode"] == 204
    got = client.invoke_async(FunctionName=NAME, InvokeArgs=b"{}")
    assert got["Status"] == 202


def metric(host, begin, label=""):
    request = AWSRequest("GET", host.url + "/metrics")
    SigV4Auth(Credentials(s.KEY, s.SECRET), "lambda", s.REGION).add_auth(request)
    status, _, text = host.get("/metrics", dict(request.headers))
    assert status == 200, text
    return sum(float(line.rpartition(" ")[2]) for line in text.decode().splitlines()
               if line.startswith(begin) and label in line)


def invocations(host):
    return metric(host, "stoker_invocations_total{", f'function="{NAME}"')


def test_a_retry_is_the_same_call(client, function, host):
    """A client that has given up waiting asks again, by itself and with the same invocation id."""
    hasty = boto3.session.Session().client("lambda", endpoint_url=host.url, region_name=s.REGION, config=Config(
        retries={"mode": "standard", "total_max_attempts": 60}, read_timeout=1))
    # Asynchronous calls of other tests are over.
    s.wait_for(lambda: metric(host, "stoker_async_queued") + metric(host, "stoker_async_in_flight") == 0, "an empty queue")
    before = invocations(host)
    got, value = invoke(hasty, {"do": "sleep", "seconds": 4})
    assert value == "slept"
    assert got["ResponseMetadata"]["RetryAttempts"] >= 2
    s.wait_for(lambda: invocations(host) > before, "the call to be counted")
    assert invocations(host) == before + 1


def test_many_at_once(client, function):
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: invoke(client, {"n": n})[1]["event"]["n"], range(40)))
    assert answers == list(range(40))


def test_paginators(client, function):
    pages = list(client.get_paginator("list_versions_by_function").paginate(FunctionName=NAME,
                                                                           PaginationConfig={"PageSize": 1}))
    assert [[v["Version"] for v in p["Versions"]] for p in pages] == [["$LATEST"], ["1"]]
    for n in range(7):
        client.create_alias(FunctionName=NAME, Name=f"a{n}", FunctionVersion="1")
    pages = list(client.get_paginator("list_aliases").paginate(FunctionName=NAME, PaginationConfig={"PageSize": 3}))
    assert [[a["Name"] for a in p["Aliases"]] for p in pages] == [["a0", "a1", "a2"], ["a3", "a4", "a5"], ["a6"]]
    names = [f["FunctionName"] for p in client.get_paginator("list_functions").paginate() for f in p["Functions"]]
    assert NAME in names


def test_an_alias_shares_calls_out(client, function):
    client.update_function_configuration(FunctionName=NAME, Environment={"Variables": {"COLOUR": "blue"}})
    client.get_waiter("function_updated_v2").wait(FunctionName=NAME)
    assert client.publish_version(FunctionName=NAME)["Version"] == "2"
    client.get_waiter("published_version_active").wait(FunctionName=NAME, Qualifier="2")
    client.create_alias(FunctionName=NAME, Name="split", FunctionVersion="1",
                        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    seen = collections.Counter()
    for _ in range(40):
        got, colour = invoke(client, {"do": "env", "name": "COLOUR"}, Qualifier="split")
        assert colour == {"1": "green", "2": "blue"}[got["ExecutedVersion"]]
        seen[got["ExecutedVersion"]] += 1
    assert seen["1"] + seen["2"] == 40 and min(seen["1"], seen["2"]) >= 3, seen  # one in 10^8 without a fault


def test_a_throttled_call_says_why(client, function):
    client.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName=NAME)
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
    client.delete_function_concurrency(FunctionName=NAME)
    assert invoke(client, {})[1]["word"] == "boto"


def test_a_waiter_that_fails(client, function, host):
    client.update_function_code(FunctionName=NAME, ZipFile=s.zipped({"app.py": (b"import no_such_module\n", 0o644)}))
    with pytest.raises(WaiterError):
        client.get_waiter("function_updated_v2").wait(FunctionName=NAME)
    got = client.get_function_configuration(FunctionName=NAME)
    assert (got["State"], got["LastUpdateStatus"]) == ("Active", "Failed")
    assert got["LastUpdateStatusReasonCode"]
    assert invoke(client, {}, Qualifier="1")[1]["word"] == "boto"
    client.update_function_code(FunctionName=NAME, ZipFile=s.app("mended"))
    client.get_waiter("function_updated_v2").wait(FunctionName=NAME)
    assert invoke(client, {})[1]["word"] == "mended"


def test_code_near_the_limit(client, host):
    """A zip of some 20 MB in a body of 27 MB."""
    import os
    code = s.zipped({"app.py": (s.APP.replace(b"@WORD@", b"large"), 0o644), "ballast": (os.urandom(20 << 20), 0o644)})
    got = client.create_function(FunctionName="boto-large", Runtime=host.python, Role=s.ROLE, Handler="app.handler",
                                 Code={"ZipFile": code}, Timeout=int(s.TIMEOUT))
    assert (got["CodeSize"], got["CodeSha256"]) == (len(code), s.sha256(code))
    client.get_waiter("function_active_v2").wait(FunctionName="boto-large")
    client.delete_function(FunctionName="boto-large")
