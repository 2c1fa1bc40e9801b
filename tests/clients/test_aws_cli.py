"""Debian's AWS command line, version 2: a function's whole life, step by step. Each call checks the exit status, and
the JSON on stdout or the error's name on stderr."""
import base64
import json
import os
import re
import subprocess

import pytest

import forked_cli
import service as s

AWS = "/usr/bin/aws"
NAME, SMALL, BAD = "cli-function", "cli-echo", "cli-broken"
ARN = f"arn:aws:lambda:{s.REGION}:[0-9]{{12}}:function:"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
OTHER_REVISION = "11111111-2222-4333-8444-555555555555"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"

pytestmark = pytest.mark.skipif(not os.path.exists(AWS), reason="the package awscli is not installed")


class Cli:
    def __init__(self, host, folder, program):
        self.host, self.folder, self.program = host, folder, program
        self.seen = {}  # what a later step compares with

    def run(self, *arguments):
        return self.program.run(["--endpoint-url", self.host.url, "--cli-read-timeout", "120", "--output", "json", "lambda",
                                 *arguments], self.host.environment(), self.folder, 170)

    def __call__(self, *arguments):
        """A step that succeeds: its JSON, {} when it prints none."""
        done = self.run(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr, self.host.log()[-1500:])
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def refused(self, error, *arguments):
        """A step that the service refuses with this error: its message."""
        done = self.run(*arguments)
        assert done.returncode == 254, (arguments, done.returncode, done.stdout, done.stderr)
        assert f"({error})" in done.stderr, (arguments, done.stderr)
        return done.stderr

    def invoke(self, name, payload, *options):
        """(what is printed, what the function answered)"""
        with open(os.path.join(self.folder, "event"), "wb") as f:
            f.write(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        out = os.path.join(self.folder, "answer")
        if os.path.exists(out):
            os.unlink(out)
        printed = self("invoke", "--function-name", name, "--payload", "fileb://event", *options, out)
        with open(out, "rb") as f:
            body = f.read()
        return printed, json.loads(body) if body else None

    def configuration(self, *options):
        return self("get-function-configuration", "--function-name", NAME, *options)


@pytest.fixture(scope="module")
def aws(host, tmp_path_factory):
    program = forked_cli.Loaded()
    yield Cli(host, str(tmp_path_factory.mktemp("cli")), program)
    program.stop()


# --- create --------------------------------------------------------------------------------------------

def test_nothing_is_there_at_first(aws):
    got = aws("get-account-settings")
    assert got["AccountLimit"]["CodeSizeZipped"] == 52428800
    assert got["AccountLimit"]["CodeSizeUnzipped"] == 262144000
    assert got["AccountLimit"]["ConcurrentExecutions"] > 0
    assert got["AccountUsage"]["FunctionCount"] == 0
    assert aws("list-functions") == {"Functions": []}
    aws.refused("ResourceNotFoundException", "get-function", "--function-name", NAME)
    aws.refused("ResourceNotFoundException", "get-function-configuration", "--function-name", NAME)
    aws.refused("ResourceNotFoundException", "invoke", "--function-name", NAME, "x")
    aws.refused("ResourceNotFoundException", "delete-function", "--function-name", NAME)


def test_wrong_keys(aws):
    """Not signed, and signed with another secret."""
    status, headers, body = aws.host.get("/2015-03-31/functions")
    assert status == 403, body
    assert headers["x-amzn-ErrorType"].split(":")[0] == "MissingAuthenticationTokenException"
    for name, value, error in (("AWS_SECRET_ACCESS_KEY", "another", "InvalidSignatureException"),
                               ("AWS_ACCESS_KEY_ID", "AKIDUNKNOWN", "UnrecognizedClientException")):
        done = subprocess.run([AWS, "--endpoint-url", aws.host.url, "lambda", "list-functions"], capture_output=True,
                              text=True, env={**aws.host.environment(), name: value}, timeout=60)
        assert done.returncode == 254 and f"({error})" in done.stderr, done.stderr


def create(name, path, runtime, handler, *more):
    return ("create-function", "--function-name", name, "--runtime", runtime, "--role", s.ROLE, "--handler", handler,
            "--zip-file", f"fileb://{path}", "--timeout", s.TIMEOUT, *more)


def test_what_is_wrong_with_a_function_is_said(aws, app_zip):
    def refused(error, *arguments):
        return aws.refused(error, *create(NAME, app_zip, aws.host.python, "app.handler"), *arguments)
    said = refused("ValidationException", "--timeout", "901")
    assert "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to" in said
    said = refused("ValidationException", "--memory-size", "10241", "--role", "me")
    assert "2 validation errors detected" in said
    said = refused("InvalidParameterValueException", "--runtime", "cobol85")
    assert "at 'runtime' failed to satisfy constraint" in said
    said = refused("InvalidParameterValueException", "--environment", "Variables={AWS_REGION=x}")
    assert "Reserved keys used in this request: AWS_REGION" in said
    said = refused("InvalidParameterValueException", "--environment", "Variables={BIG=" + "x" * 4100 + "}")
    assert "exceeded the 4KB limit" in said
    refused("InvalidParameterValueException", "--architectures", "arm64")
    refused("InvalidParameterValueException", "--tags", "aws:x=y")
    said = refused("InvalidParameterValueException", "--dead-letter-config", f"TargetArn=arn:aws:sqs:{s.REGION}:1:queue")
    assert "not to the service 'sqs'" in said
    aws.refused("InvalidParameterValueException", "create-function", "--function-name", NAME, "--role", s.ROLE,
                "--handler", "a.b", "--runtime", aws.host.python, "--code", "S3Bucket=bucket,S3Key=key")
    assert aws("list-functions") == {"Functions": []}


def test_create(aws, app_zip):
    got = aws(*create(NAME, app_zip, aws.host.python, "app.handler", "--memory-size", "256", "--description", "a test",
                      "--environment", "Variables={COLOUR=red,OTHER=1}", "--tags", "team=one,stage=test",
                      "--tracing-config", "Mode=Active", "--ephemeral-storage", "Size=1024"))
    code = s.app("first")
    assert re.fullmatch(ARN + NAME, got["FunctionArn"])
    assert re.fullmatch(UUID, got["RevisionId"])
    assert re.fullmatch(TIME, got["LastModified"])
    expected = {"FunctionName": NAME, "Runtime": aws.host.python, "Role": s.ROLE, "Handler": "app.handler",
                "CodeSize": len(code), "CodeSha256": s.sha256(code), "Description": "a test", "Timeout": int(s.TIMEOUT),
                "MemorySize": 256, "Version": "$LATEST", "TracingConfig": {"Mode": "Active"}, "State": "Pending",
                "StateReasonCode": "Creating", "PackageType": "Zip", "Architectures": ["x86_64"],
                "Environment": {"Variables": {"COLOUR": "red", "OTHER": "1"}}, "EphemeralStorage": {"Size": 1024},
                "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"}}
    assert {k: got.get(k) for k in expected} == expected
    assert "LastUpdateStatus" not in got
    aws.seen.update(created=got, arn=got["FunctionArn"])
    aws.refused("ResourceConflictException", *create(NAME, app_zip, aws.host.python, "app.handler"))
    # what scripts do without waiting
    aws("add-permission", "--function-name", NAME, "--statement-id", "early", "--action", "lambda:InvokeFunction",
        "--principal", "123456789012")
    aws("remove-permission", "--function-name", NAME, "--statement-id", "early")


def test_waiters_after_create(aws, echo_zip):
    aws(*create(SMALL, echo_zip, "provided.al2023", "bootstrap"))
    for waiter in ("function-exists", "function-active", "function-active-v2", "function-updated",
                   "function-updated-v2"):
        assert aws("wait", waiter, "--function-name", NAME) == {}
    assert aws("wait", "function-active-v2", "--function-name", SMALL) == {}
    got = aws.configuration()
    created = aws.seen["created"]
    assert (got["State"], got["LastUpdateStatus"]) == ("Active", "Successful")
    assert got["CodeSha256"] == created["CodeSha256"]
    assert got["RevisionId"] != created["RevisionId"]


def test_get_function(aws):
    got = aws("get-function", "--function-name", NAME)
    assert got["Configuration"] == aws.configuration()
    assert got["Tags"] == {"team": "one", "stage": "test"}
    assert got["Code"]["RepositoryType"] == "S3"
    place = got["Code"]["Location"]
    assert place.startswith(aws.host.url + "/")
    status, headers, body = aws.host.get(place[len(aws.host.url):])  # without a key
    assert (status, headers["Content-Type"]) == (200, "application/zip"), body
    assert s.sha256(body) == got["Configuration"]["CodeSha256"]
    assert aws.host.get(place[len(aws.host.url):].replace(NAME, SMALL))[0] == 403
    assert "Concurrency" not in got
    assert aws("get-function", "--function-name", aws.seen["arn"])["Configuration"] == got["Configuration"]
    latest = aws("get-function", "--function-name", NAME, "--qualifier", "$LATEST")["Configuration"]
    assert latest["FunctionArn"] == aws.seen["arn"] + ":$LATEST"
    aws.refused("ResourceNotFoundException", "get-function", "--function-name", NAME, "--qualifier", "7")
    aws.refused("ResourceNotFoundException", "get-function", "--function-name", f"{NAME}:nobody")
    aws.refused("InvalidParameterValueException", "get-function", "--function-name", f"{NAME}:a", "--qualifier", "b")
    aws.refused("ResourceNotFoundException", "get-function", "--function-name",
                aws.seen["arn"].replace(s.REGION, "eu-west-1"))


def test_lists_come_in_pages(aws):
    names = [f["FunctionName"] for f in aws("list-functions")["Functions"]]
    assert names == [SMALL, NAME]
    assert [f["FunctionName"] for f in aws("list-functions", "--page-size", "1")["Functions"]] == names
    first = aws("list-functions", "--max-items", "1")
    assert [f["FunctionName"] for f in first["Functions"]] == names[:1]
    rest = aws("list-functions", "--starting-token", first["NextToken"])
    assert [f["FunctionName"] for f in rest["Functions"]] == names[1:]
    assert "State" not in rest["Functions"][0] and "LastUpdateStatus" not in rest["Functions"][0]
    every = aws("list-functions", "--function-version", "ALL")["Functions"]
    assert [f["FunctionArn"].rpartition(":")[2] for f in every] == ["$LATEST", "$LATEST"]
    aws.refused("InvalidParameterValueException", "list-functions", "--no-paginate", "--marker", "no-marker-of-ours")


# --- invoke --------------------------------------------------------------------------------------------

def test_invoke(aws):
    printed, answer = aws.invoke(NAME, {"k": 1})
    assert printed == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert answer == {"word": "first", "version": "$LATEST", "event": {"k": 1}}
    assert aws.invoke(NAME, {"do": "env", "name": "COLOUR"})[1] == "red"
    assert aws.invoke(aws.seen["arn"], {"do": "env", "name": "COLOUR"})[1] == "red"
    account = aws.seen["arn"].split(":")[4]
    assert aws.invoke(f"{account}:function:{NAME}", {"do": "env", "name": "OTHER"})[1] == "1"
    printed, answer = aws.invoke(NAME, {"do": "context"}, "--qualifier", "$LATEST")
    assert answer["arn"] == aws.seen["arn"] + ":$LATEST"
    assert (answer["name"], answer["version"], answer["memory"]) == (NAME, "$LATEST", 256)


def test_invoke_with_the_end_of_the_log(aws):
    printed, answer = aws.invoke(NAME, {}, "--log-type", "Tail")
    tail = base64.b64decode(printed["LogResult"]).decode()
    request = re.search(f"START RequestId: ({UUID}) Version: \\$LATEST", tail)
    assert request, tail
    assert "a line of first" in tail
    assert f"END RequestId: {request[1]}" in tail
    assert re.search(rf"REPORT RequestId: {request[1]}\tDuration: [0-9.]+ ms\tBilled Duration: \d+ ms\t"
                     r"Memory Size: 256 MB\tMax Memory Used: \d+ MB", tail), tail


def test_invoke_with_a_client_context(aws):
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}, "client": {}, "env": {}}).encode()).decode()
    assert aws.invoke(NAME, {"do": "context"}, "--client-context", context)[1]["custom"] == {"k": "v"}


def test_events_and_dry_runs(aws):
    printed, answer = aws.invoke(NAME, {"marker": "queued"}, "--invocation-type", "Event")
    assert (printed["StatusCode"], answer) == (202, None)
    printed, answer = aws.invoke(NAME, {}, "--invocation-type", "DryRun")
    assert (printed["StatusCode"], answer) == (204, None)


def test_failures_of_functions(aws):
    printed, answer = aws.invoke(NAME, {"do": "fail"})
    assert printed == {"StatusCode": 200, "FunctionError": "Unhandled", "ExecutedVersion": "$LATEST"}
    assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "as asked")
    printed, answer = aws.invoke(NAME, {"do": "exit"})
    assert printed["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Runtime.ExitError"
    assert re.fullmatch(f"RequestId: {UUID} Error: Runtime exited with error: exit status 3", answer["errorMessage"])


def test_big_and_bad_payloads(aws):
    big = {"text": "x" * 5000000}
    assert aws.invoke(SMALL, big)[1] == big
    assert aws.invoke(SMALL, b"17")[1] == 17
    with open(os.path.join(aws.folder, "event"), "wb") as f:
        f.write(json.dumps("x" * 6400000).encode())
    # as recorded from the real service, not RequestTooLargeException as in the API's model
    aws.refused("RequestEntityTooLargeException", "invoke", "--function-name", SMALL,
                "--payload", "fileb://event", "x")
    with open(os.path.join(aws.folder, "event"), "wb") as f:
        f.write(b"{no json")
    said = aws.refused("InvalidRequestContentException", "invoke", "--function-name", SMALL, "--payload",
                       "fileb://event", "x")
    assert "Could not parse request body into json" in said


# --- change ----------------------------------------------------------------------------------------------

def test_update_configuration(aws):
    aws.refused("PreconditionFailedException", "update-function-configuration", "--function-name", NAME, "--timeout",
                "9", "--revision-id", OTHER_REVISION)
    before = aws.configuration()
    got = aws("update-function-configuration", "--function-name", NAME, "--revision-id", before["RevisionId"],
              "--environment", "Variables={COLOUR=blue}", "--description", "", "--tracing-config", "Mode=PassThrough")
    assert (got["State"], got["LastUpdateStatus"]) == ("Active", "InProgress")
    assert got["LastUpdateStatusReasonCode"] == "Creating"
    assert got["RevisionId"] != before["RevisionId"]
    assert (got["Description"], got["Environment"]) == ("", {"Variables": {"COLOUR": "blue"}})
    assert (got["MemorySize"], got["EphemeralStorage"]) == (256, {"Size": 1024})
    assert got["TracingConfig"] == {"Mode": "PassThrough"}
    aws.refused("ResourceConflictException", "update-function-configuration", "--function-name", NAME, "--timeout", "9")
    assert aws.invoke(NAME, {"do": "env", "name": "COLOUR"})[1] in ("red", "blue")
    aws("wait", "function-updated-v2", "--function-name", NAME)
    assert aws.invoke(NAME, {"do": "env", "name": "COLOUR"})[1] == "blue"
    assert aws.invoke(NAME, {"do": "env", "name": "OTHER"})[1] is None
    aws.refused("ValidationException", "update-function-configuration", "--function-name", NAME, "--timeout", "1000")
    aws.refused("ResourceNotFoundException", "update-function-configuration", "--function-name", "nobody", "--timeout",
                "9")


def test_publish(aws):
    got = aws("publish-version", "--function-name", NAME, "--description", "the first")
    assert got["Version"] == "1"
    assert got["FunctionArn"] == aws.seen["arn"] + ":1"
    assert got["Description"] == "the first"
    aws("wait", "published-version-active", "--function-name", NAME, "--qualifier", "1")
    again = aws("publish-version", "--function-name", NAME)
    assert again["Version"] == "1"
    aws.refused("InvalidParameterValueException", "publish-version", "--function-name", NAME, "--code-sha256", "wrong")
    aws.refused("PreconditionFailedException", "publish-version", "--function-name", NAME, "--revision-id",
                OTHER_REVISION)


def test_update_code(aws, tmp_path):
    code = s.app("second")
    (tmp_path / "second.zip").write_bytes(code)
    zip_file = f"fileb://{tmp_path}/second.zip"
    before = aws.configuration()
    aws.refused("PreconditionFailedException", "update-function-code", "--function-name", NAME, "--zip-file", zip_file,
                "--revision-id", OTHER_REVISION)
    dry = aws("update-function-code", "--function-name", NAME, "--zip-file", zip_file, "--dry-run")
    assert dry["CodeSha256"] == s.sha256(code)
    assert aws.configuration() == before
    got = aws("update-function-code", "--function-name", NAME, "--zip-file", zip_file, "--revision-id",
              before["RevisionId"])
    assert (got["LastUpdateStatus"], got["CodeSha256"], got["Version"]) == ("InProgress", s.sha256(code), "$LATEST")
    aws("wait", "function-updated", "--function-name", NAME)
    assert aws.invoke(NAME, {})[1]["word"] == "second"
    printed, answer = aws.invoke(NAME, {}, "--qualifier", "1")
    assert (printed["ExecutedVersion"], answer["word"], answer["version"]) == ("1", "first", "1")


def test_versions(aws):
    assert aws("publish-version", "--function-name", NAME, "--code-sha256", s.sha256(s.app("second")))["Version"] == "2"
    aws("wait", "published-version-active", "--function-name", NAME, "--qualifier", "2")
    versions = aws("list-versions-by-function", "--function-name", NAME)["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1", "2"]
    assert [v["FunctionArn"].rpartition(":")[2] for v in versions] == ["$LATEST", "1", "2"]
    paged = aws("list-versions-by-function", "--function-name", NAME, "--page-size", "1")["Versions"]
    assert paged == versions
    of_all = aws("list-functions", "--function-version", "ALL", "--page-size", "1")["Functions"]
    assert [f["FunctionArn"].rpartition(":")[2] for f in of_all if f["FunctionName"] == NAME] == ["$LATEST", "1", "2"]
    got = aws.configuration("--qualifier", "1")
    assert (got["Version"], got["Description"], got["State"]) == ("1", "the first", "Active")
    assert got["CodeSha256"] == s.sha256(s.app("first"))


def test_aliases(aws):
    aws.refused("ResourceNotFoundException", "create-alias", "--function-name", NAME, "--name", "prod",
                "--function-version", "9")
    aws.refused("ValidationException", "create-alias", "--function-name", NAME, "--name", "12", "--function-version",
                "1")
    got = aws("create-alias", "--function-name", NAME, "--name", "prod", "--function-version", "1", "--description",
              "d")
    assert got["AliasArn"] == aws.seen["arn"] + ":prod"
    assert (got["Name"], got["FunctionVersion"], got["Description"]) == ("prod", "1", "d")
    assert re.fullmatch(UUID, got["RevisionId"]) and "RoutingConfig" not in got
    aws.refused("ResourceConflictException", "create-alias", "--function-name", NAME, "--name", "prod",
                "--function-version", "2")
    assert aws("get-alias", "--function-name", NAME, "--name", "prod") == got
    printed, answer = aws.invoke(f"{NAME}:prod", {"do": "context"})
    assert (printed["ExecutedVersion"], answer["arn"]) == ("1", aws.seen["arn"] + ":prod")
    assert aws.configuration("--qualifier", "prod")["FunctionArn"] == aws.seen["arn"] + ":prod"
    aws.refused("PreconditionFailedException", "update-alias", "--function-name", NAME, "--name", "prod",
                "--revision-id", OTHER_REVISION, "--function-version", "2")
    aws.refused("InvalidParameterValueException", "update-alias", "--function-name", NAME, "--name", "prod",
                "--routing-config", "AdditionalVersionWeights={1=0.5}")
    moved = aws("update-alias", "--function-name", NAME, "--name", "prod", "--revision-id", got["RevisionId"],
                "--routing-config", "AdditionalVersionWeights={2=1.0}")
    assert moved["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 1.0}}
    assert (moved["FunctionVersion"], moved["Description"]) == ("1", "d")
    assert aws.invoke(NAME, {}, "--qualifier", "prod")[0]["ExecutedVersion"] == "2"
    aws("update-alias", "--function-name", NAME, "--name", "prod", "--routing-config", "{}")
    assert aws.invoke(NAME, {}, "--qualifier", "prod")[0]["ExecutedVersion"] == "1"
    aws("create-alias", "--function-name", NAME, "--name", "dev", "--function-version", "$LATEST")
    assert [a["Name"] for a in aws("list-aliases", "--function-name", NAME)["Aliases"]] == ["dev", "prod"]
    paged = aws("list-aliases", "--function-name", NAME, "--page-size", "1")["Aliases"]
    assert [a["Name"] for a in paged] == ["dev", "prod"]
    one = aws("list-aliases", "--function-name", NAME, "--function-version", "1")["Aliases"]
    assert [a["Name"] for a in one] == ["prod"]
    aws("delete-alias", "--function-name", NAME, "--name", "dev")
    aws("delete-alias", "--function-name", NAME, "--name", "dev")
    aws.refused("ResourceNotFoundException", "get-alias", "--function-name", NAME, "--name", "dev")


# --- what is configured beside it -----------------------------------------------------------------------

def test_reserved_concurrency(aws):
    assert aws("get-function-concurrency", "--function-name", SMALL) == {}
    assert aws("put-function-concurrency", "--function-name", SMALL, "--reserved-concurrent-executions",
               "0") == {"ReservedConcurrentExecutions": 0}
    aws.refused("TooManyRequestsException", "invoke", "--function-name", SMALL, "x")
    assert aws("get-function-concurrency", "--function-name", SMALL) == {"ReservedConcurrentExecutions": 0}
    assert aws("get-function", "--function-name", SMALL)["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    aws("delete-function-concurrency", "--function-name", SMALL)
    assert aws("get-function-concurrency", "--function-name", SMALL) == {}
    assert aws.invoke(SMALL, {"k": 2})[1] == {"k": 2}


def test_provisioned_concurrency(aws):
    def config(operation, *more):
        return f"{operation}-provisioned-concurrency-config", "--function-name", NAME, "--qualifier", "prod", *more
    aws.refused("ProvisionedConcurrencyConfigNotFoundException", *config("get"))
    aws.refused("InvalidParameterValueException", "put-provisioned-concurrency-config", "--function-name", NAME,
                "--qualifier", "$LATEST", "--provisioned-concurrent-executions", "1")
    got = aws(*config("put", "--provisioned-concurrent-executions", "1"))
    assert got["RequestedProvisionedConcurrentExecutions"] == 1
    assert got["Status"] in ("IN_PROGRESS", "READY")
    ready = s.wait_for(lambda: (lambda c: c["Status"] == "READY" and c)(aws(*config("get"))), "provisioned", 90)
    assert ready["AvailableProvisionedConcurrentExecutions"] == 1
    assert ready["AllocatedProvisionedConcurrentExecutions"] == 1
    assert re.fullmatch(TIME, ready["LastModified"])
    listed = aws("list-provisioned-concurrency-configs", "--function-name", NAME)["ProvisionedConcurrencyConfigs"]
    assert [c["FunctionArn"] for c in listed] == [aws.seen["arn"] + ":prod"]
    aws(*config("delete"))
    aws.refused("ProvisionedConcurrencyConfigNotFoundException", *config("get"))


def test_function_urls(aws):
    def config(operation, *more):
        return f"{operation}-function-url-config", "--function-name", NAME, *more
    aws.refused("ResourceNotFoundException", *config("get"))
    got = aws(*config("create", "--auth-type", "NONE", "--cors", "AllowOrigins=*,MaxAge=60"))
    assert (got["AuthType"], got["FunctionArn"], got["Cors"]) == ("NONE", aws.seen["arn"],
                                                                {"AllowOrigins": ["*"], "MaxAge": 60})
    assert got["FunctionUrl"].endswith("/")
    aws.refused("ResourceConflictException", *config("create", "--auth-type", "NONE"))
    changed = aws(*config("update", "--auth-type", "AWS_IAM"))
    assert changed["AuthType"] == "AWS_IAM"
    assert (changed["Cors"], changed["FunctionUrl"]) == (got["Cors"], got["FunctionUrl"])
    shown = aws(*config("get"))
    assert shown["AuthType"] == "AWS_IAM" and re.fullmatch(TIME, shown["LastModifiedTime"])
    listed = aws("list-function-url-configs", "--function-name", NAME)["FunctionUrlConfigs"]
    assert [u["FunctionUrl"] for u in listed] == [got["FunctionUrl"]]
    alias = aws(*config("create", "--auth-type", "NONE", "--qualifier", "prod"))
    paged = aws("list-function-url-configs", "--function-name", NAME, "--page-size", "1")["FunctionUrlConfigs"]
    assert [u["FunctionUrl"] for u in paged] == [got["FunctionUrl"], alias["FunctionUrl"]]
    first = aws("list-function-url-configs", "--function-name", NAME, "--max-items", "1")
    assert len(first["FunctionUrlConfigs"]) == 1 and first["NextToken"]
    aws(*config("delete", "--qualifier", "prod"))
    aws(*config("delete"))
    aws.refused("ResourceNotFoundException", *config("get"))


def test_event_invoke_config(aws):
    def config(operation, *more):
        return f"{operation}-function-event-invoke-config", "--function-name", NAME, *more
    aws.refused("ResourceNotFoundException", *config("get"))
    got = aws(*config("put", "--maximum-retry-attempts", "0"))
    assert (got["MaximumRetryAttempts"], got["FunctionArn"]) == (0, aws.seen["arn"] + ":$LATEST")
    changed = aws(*config("update", "--maximum-event-age-in-seconds", "120"))
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (0, 120)
    assert aws(*config("get"))["MaximumEventAgeInSeconds"] == 120
    listed = aws("list-function-event-invoke-configs", "--function-name", NAME)["FunctionEventInvokeConfigs"]
    assert [c["FunctionArn"] for c in listed] == [got["FunctionArn"]]
    said = aws.refused("InvalidParameterValueException", *config(
        "put", "--destination-config", json.dumps({"OnFailure": {"Destination": f"arn:aws:sns:{s.REGION}:1:topic"}})))
    assert "not to the service 'sns'" in said
    aws(*config("delete"))
    aws.refused("ResourceNotFoundException", *config("get"))


def test_dead_letter_targets(aws):
    for target in "http://127.0.0.1:1/dead", SMALL, aws.seen["arn"], "":
        got = aws("update-function-configuration", "--function-name", NAME, "--dead-letter-config", f"TargetArn={target}")
        assert got.get("DeadLetterConfig", {}).get("TargetArn", "") == target
        assert got["LastUpdateStatus"] == "Successful"  # the guest is not told of it
    aws.refused("InvalidParameterValueException", "update-function-configuration", "--function-name", NAME,
                "--dead-letter-config", f"TargetArn=arn:aws:sns:{s.REGION}:1:topic")


def test_tags(aws):
    arn = aws.seen["arn"]
    assert aws("list-tags", "--resource", arn)["Tags"] == {"team": "one", "stage": "test"}
    aws("tag-resource", "--resource", arn, "--tags", json.dumps({"team": "two", "a b": "c/d"}))
    assert aws("list-tags", "--resource", arn)["Tags"] == {"team": "two", "stage": "test", "a b": "c/d"}
    aws("untag-resource", "--resource", arn, "--tag-keys", "a b", "stage")
    assert aws("list-tags", "--resource", arn)["Tags"] == {"team": "two"}
    aws.refused("InvalidParameterValueException", "list-tags", "--resource", arn + ":1")
    aws.refused("ResourceNotFoundException", "list-tags", "--resource", arn + "-not")


def test_layers(aws, tmp_path):
    def layer(operation, *more):
        return operation, "--layer-name", "shared", *more
    code = s.zipped({"python/shared.py": (b"WORD = 'shared'\n", 0o644)})
    (tmp_path / "layer.zip").write_bytes(code)
    got = aws(*layer("publish-layer-version", "--zip-file", f"fileb://{tmp_path}/layer.zip", "--description", "d"))
    assert (got["Version"], got["Description"]) == (1, "d")
    assert got["LayerArn"] == aws.seen["arn"].replace("function:" + NAME, "layer:shared")
    assert got["LayerVersionArn"] == got["LayerArn"] + ":1"
    assert (got["Content"]["CodeSize"], got["Content"]["CodeSha256"]) == (len(code), s.sha256(code))
    content = aws(*layer("get-layer-version", "--version-number", "1"))["Content"]
    assert content["CodeSha256"] == s.sha256(code)
    status, headers, body = aws.host.get(content["Location"].removeprefix(aws.host.url))  # without a key
    assert (status, headers["Content-Type"], body) == (200, "application/zip", code)
    assert [v["Version"] for v in aws(*layer("list-layer-versions"))["LayerVersions"]] == [1]
    assert [one["LayerName"] for one in aws("list-layers")["Layers"]] == ["shared"]
    aws(*layer("delete-layer-version", "--version-number", "1"))
    aws.refused("ResourceNotFoundException", *layer("get-layer-version", "--version-number", "1"))


def test_policies(aws):
    aws.refused("ResourceNotFoundException", "get-policy", "--function-name", NAME)
    add = ("add-permission", "--function-name", NAME, "--statement-id", "s3", "--action", "lambda:InvokeFunction",
           "--principal", "s3.amazonaws.com", "--source-account", "123456789012")
    statement = json.loads(aws(*add)["Statement"])
    assert statement == {"Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
                         "Action": "lambda:InvokeFunction", "Resource": aws.seen["arn"],
                         "Condition": {"StringEquals": {"AWS:SourceAccount": "123456789012"}}}
    aws.refused("ResourceConflictException", *add)
    got = aws("get-policy", "--function-name", NAME)
    assert json.loads(got["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    aws.refused("PreconditionFailedException", "remove-permission", "--function-name", NAME, "--statement-id", "s3",
                "--revision-id", OTHER_REVISION)
    aws("remove-permission", "--function-name", NAME, "--statement-id", "s3")
    aws.refused("ResourceNotFoundException", "remove-permission", "--function-name", NAME, "--statement-id", "s3")


# --- time, failure, end ------------------------------------------------------------------------------------

def test_time_limit(aws):
    aws("update-function-configuration", "--function-name", NAME, "--timeout", "2")
    aws("wait", "function-updated-v2", "--function-name", NAME)
    printed, answer = aws.invoke(NAME, {"do": "sleep", "seconds": 60})
    assert printed["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Sandbox.Timedout"
    assert re.fullmatch(f"RequestId: {UUID} Error: Task timed out after 2.00 seconds", answer["errorMessage"])


def test_a_function_that_cannot_start(aws, tmp_path):
    (tmp_path / "bad.zip").write_bytes(s.zipped({"app.py": (b"raise RuntimeError('at import')\n", 0o644)}))
    aws(*create(BAD, tmp_path / "bad.zip", aws.host.python, "app.handler"))
    done = aws.run("wait", "function-active-v2", "--function-name", BAD)
    assert done.returncode == 255 and "terminal failure state" in done.stderr, done.stderr
    got = aws("get-function-configuration", "--function-name", BAD)
    assert got["State"] == "Failed" and got["StateReasonCode"] and got["StateReason"], got
    aws("delete-function", "--function-name", BAD)


def test_delete(aws):
    # an alias refers to it
    aws.refused("ResourceConflictException", "delete-function", "--function-name", NAME, "--qualifier", "1")
    aws("delete-function", "--function-name", f"{NAME}:2")
    aws.refused("ResourceNotFoundException", "invoke", "--function-name", NAME, "--qualifier", "2", "x")
    versions = aws("list-versions-by-function", "--function-name", NAME)["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1"]
    aws("delete-function", "--function-name", aws.seen["arn"])
    aws("delete-function", "--function-name", SMALL)
    aws.refused("ResourceNotFoundException", "get-function", "--function-name", NAME)
    aws.refused("ResourceNotFoundException", "list-versions-by-function", "--function-name", NAME)
    aws.refused("ResourceNotFoundException", "list-aliases", "--function-name", NAME)
    assert aws("list-functions") == {"Functions": []}
