#!/usr/bin/env python3
"""Records what real clients send to the Lambda API, for tests/unit/scheduler/auth/test_sigv4_golden.c.

usage: record.py [--out DIR] [--sdk-js FOLDER] [CLIENT...]     CLIENT: aws-cli boto3 sdk-js sdk-go

Each client runs its list of calls against a listener on loopback that answers all of them, with keys made up for this.
The bytes of its requests go to DIR/CLIENT.http, one behind the other as in a pipelined connection. Two headers that no
client signs are changed: of User-Agent only the first word is kept, as the rest describes the machine, and Connection is
left out.

aws-cli: Debian's awscli. boto3: Debian's python3-boto3. sdk-js: node, and a FOLDER in which
`npm install @aws-sdk/client-lambda` was run. sdk-go: golang-go, golang-github-aws-aws-sdk-go-v2-dev.
"""
import argparse
import os
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.realpath(__file__))
KEY = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secretexample", "AWS_DEFAULT_REGION": "us-east-1",
       "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null",
       "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
ROLE = "arn:aws:iam::000000000000:role/r"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
ZIP = bytes.fromhex("504b0506" + "00" * 18)  # the shortest zip there is


class Handler(socketserver.StreamRequestHandler):
    """Takes one request after the other, keeps its bytes, and says yes to it."""

    def handle(self):
        while self.one():
            pass

    def one(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return False
            head += line
        length = re.search(rb"(?im)^content-length: *([0-9]+)\r$", head)
        body = self.rfile.read(int(length[1])) if length else b""
        if re.search(rb"(?im)^transfer-encoding:", head):
            raise SystemExit("a chunked request: not expected of these clients")
        head = re.sub(rb"(?im)^(user-agent: *[^ \r\n]*)[^\r\n]*", rb"\1", head)
        head = re.sub(rb"(?im)^connection:[^\r\n]*\r\n", b"", head)
        signed = re.search(rb"SignedHeaders=([^,& ]*)", head)
        assert not {b"user-agent", b"connection"} & set(re.split(b";|%3B", signed[1])), "this client signs what we change"
        self.server.requests.append(head + body)
        self.answer(head.split(b" ")[0].decode(), head.split(b" ")[1].decode())
        return True

    def answer(self, method, path):
        status, kind, body = "200 OK", "application/json", b"{}"
        if method == "DELETE" or "/tags/" in path and method == "POST":
            status, body = "204 No Content", b""
        elif re.search(r"/(versions|aliases|functions/?)(\?|$)", path) and method == "GET" and "Marker=" not in path \
                and "MaxItems=1" in path:
            body = b'{"NextMarker": "tok=//+1 \xc3\xa4"}'
        elif path.endswith("/response-streaming-invocations") or "/response-streaming-invocations?" in path:
            kind, body = "application/vnd.amazon.eventstream", b""
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nx-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n"
        if status[:3] != "204":
            head += f"Content-Length: {len(body)}\r\n"
        self.wfile.write(head.encode() + b"\r\n" + body)


class Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


def environment():
    return {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **KEY}


def aws_cli(url, folder, options):
    """Debian's CLI; each call is a process of its own."""
    with open(os.path.join(folder, "f.zip"), "wb") as f:
        f.write(ZIP)
    out = os.path.join(folder, "out")
    calls = [
        ["create-function", "--function-name", "f", "--runtime", "provided.al2", "--role", ROLE, "--handler", "bootstrap",
         "--timeout", "5", "--memory-size", "256", "--environment", "Variables={A=1,B=two words}", "--architectures",
         "x86_64", "--zip-file", f"fileb://{folder}/f.zip"],
        ["get-function", "--function-name", "f"],
        ["get-function", "--function-name", ARN + ":live"],
        ["get-function-configuration", "--function-name", "f", "--qualifier", "$LATEST"],
        ["update-function-code", "--function-name", "f", "--zip-file", f"fileb://{folder}/f.zip", "--publish"],
        ["update-function-configuration", "--function-name", "f", "--timeout", "9", "--description", "na\u00efve, \u4e16"],
        ["list-functions"],
        ["list-functions", "--max-items", "2", "--page-size", "1"],
        ["invoke", "--function-name", "f", "--cli-binary-format", "raw-in-base64-out", "--payload", '{"k":1}',
         "--log-type", "Tail", out],
        ["invoke", "--function-name", "f:live", "--invocation-type", "Event", "--cli-binary-format", "raw-in-base64-out",
         "--payload", "{}", out],
        ["invoke", "--function-name", "f", "--qualifier", "live 1", "--invocation-type", "DryRun", out],
        ["publish-version", "--function-name", "f"],
        ["list-versions-by-function", "--function-name", "f"],
        ["create-alias", "--function-name", "f", "--name", "live", "--function-version", "1"],
        ["get-alias", "--function-name", "f", "--name", "live"],
        ["update-alias", "--function-name", "f", "--name", "live", "--routing-config", "AdditionalVersionWeights={2=0.1}"],
        ["list-aliases", "--function-name", "f"],
        ["delete-alias", "--function-name", "f", "--name", "live"],
        ["put-function-concurrency", "--function-name", "f", "--reserved-concurrent-executions", "3"],
        ["get-function-concurrency", "--function-name", "f"],
        ["delete-function-concurrency", "--function-name", "f"],
        ["tag-resource", "--resource", ARN, "--tags", '{"a b": "c/d", "e": "f"}'],
        ["list-tags", "--resource", ARN],
        ["untag-resource", "--resource", ARN, "--tag-keys", "a b", "c/d"],
        ["get-account-settings"],
        ["delete-function", "--function-name", ARN, "--qualifier", "3"],
    ]
    for call in calls:
        done = subprocess.run(["/usr/bin/aws", "--endpoint-url", url, "lambda", *call], env=environment(),
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"aws {call[0]}: {done.stderr}")


BOTO3 = r'''
import sys
import urllib.request
import boto3
from botocore.config import Config

url, role, arn = sys.argv[1:4]
zip_bytes = bytes.fromhex(sys.argv[4])
c = boto3.client("lambda", endpoint_url=url, config=Config(retries={"max_attempts": 0}))
c.create_function(FunctionName="f", Runtime="provided.al2023", Role=role, Handler="bootstrap", Code={"ZipFile": zip_bytes},
                  Environment={"Variables": {"A": "1"}}, Publish=True, Tags={"t": "v"})
c.get_function(FunctionName="f", Qualifier="live")
c.get_function_configuration(FunctionName=arn)
c.update_function_code(FunctionName="f", ZipFile=zip_bytes, DryRun=True)
c.update_function_configuration(FunctionName="f:$LATEST", MemorySize=512)
list(c.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 1, "MaxItems": 2}))
list(c.get_paginator("list_versions_by_function").paginate(FunctionName="f", PaginationConfig={"PageSize": 1, "MaxItems": 2}))
list(c.get_paginator("list_aliases").paginate(FunctionName="f", FunctionVersion="7", PaginationConfig={"PageSize": 1}))
c.invoke(FunctionName="f:al", Qualifier="a b", LogType="Tail", Payload=b'{"k":1}')
c.invoke(FunctionName=arn + ":live", InvocationType="Event", ClientContext="eyJhIjogMX0=", Payload=b"[]")
c.invoke(FunctionName="f", Payload=bytes(range(256)) * 8)
c.invoke(FunctionName="f")
c.invoke_async(FunctionName="f", InvokeArgs=b"{}")
c.publish_version(FunctionName="f", Description="d")
c.create_alias(FunctionName="f", Name="b", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
c.get_alias(FunctionName="f", Name="a_b-c")
c.update_alias(FunctionName="f", Name="b", FunctionVersion="2")
c.delete_alias(FunctionName="f", Name="b")
c.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
c.get_function_concurrency(FunctionName="f")
c.delete_function_concurrency(FunctionName="f")
c.put_provisioned_concurrency_config(FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=1)
c.get_provisioned_concurrency_config(FunctionName="f", Qualifier="live")
c.list_provisioned_concurrency_configs(FunctionName="f")
c.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="live")
c.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
c.update_function_event_invoke_config(FunctionName="f", Qualifier="$LATEST", MaximumEventAgeInSeconds=60)
c.list_function_event_invoke_configs(FunctionName="f")
c.delete_function_event_invoke_config(FunctionName="f")
c.create_function_url_config(FunctionName="f", AuthType="NONE", Cors={"AllowOrigins": ["*"]})
c.get_function_url_config(FunctionName="f", Qualifier="live")
c.list_function_url_configs(FunctionName="f")
c.delete_function_url_config(FunctionName="f")
c.tag_resource(Resource=arn, Tags={"k": "v w"})
c.list_tags(Resource=arn)
c.untag_resource(Resource=arn, TagKeys=["z", "a b", "c/d", "a"])
c.get_account_settings()
c.add_permission(FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="*")
c.get_policy(FunctionName="f")
c.remove_permission(FunctionName="f", StatementId="s")
c.delete_function(FunctionName="f")
session = boto3.client("lambda", endpoint_url=url, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secretexample",
                       aws_session_token="token/of+a=session")
session.get_function(FunctionName="f")
for name, args in (("get_function", {"FunctionName": "f:a", "Qualifier": "x y"}), ("list_tags", {"Resource": arn})):
    urllib.request.urlopen(c.generate_presigned_url(name, Params=args, ExpiresIn=900)).read()
urllib.request.urlopen(session.generate_presigned_url("get_function", Params={"FunctionName": "f"})).read()
'''


def boto3(url, folder, options):
    """Debian's boto3 (for Debian's Python), and what it presigns, fetched by urllib."""
    script = os.path.join(folder, "run.py")
    with open(script, "w", encoding="utf-8") as f:
        f.write(BOTO3)
    subprocess.run(["/usr/bin/python3", script, url, ROLE, ARN, ZIP.hex()], env=environment(), check=True)


def sdk_js(url, folder, options):
    shutil.copy(os.path.join(HERE, "record.mjs"), options.sdk_js)
    script = os.path.join(options.sdk_js, "record.mjs")
    try:
        subprocess.run(["node", script, url, ROLE, ARN, ZIP.hex()], env=environment(), check=True)
    finally:
        os.unlink(script)


def sdk_go(url, folder, options):
    env = {**environment(), "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
           "GOCACHE": os.path.join(folder, "cache")}
    program = os.path.join(folder, "record")
    subprocess.run(["go", "build", "-o", program, os.path.join(HERE, "record.go")], env=env, check=True)
    subprocess.run([program, url, ROLE, ARN, ZIP.hex()], env=env, check=True)


CLIENTS = {"aws-cli": aws_cli, "boto3": boto3, "sdk-js": sdk_js, "sdk-go": sdk_go}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=HERE)
    parser.add_argument("--sdk-js", metavar="FOLDER")
    parser.add_argument("client", nargs="*", metavar="CLIENT")
    options = parser.parse_args()
    for name in options.client or CLIENTS:
        if name not in CLIENTS:
            parser.error(f"no client {name}")
        if name == "sdk-js" and not options.sdk_js:
            parser.error("sdk-js needs --sdk-js FOLDER")
        listener = Listener()
        with tempfile.TemporaryDirectory() as folder:
            CLIENTS[name](listener.url, folder, options)
        listener.shutdown()
        with open(os.path.join(options.out, name + ".http"), "wb") as f:
            f.write(b"".join(listener.requests))
        print(f"{name}: {len(listener.requests)} requests")


if __name__ == "__main__":
    main()
