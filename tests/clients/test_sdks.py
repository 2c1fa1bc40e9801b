"""The SDKs for JavaScript (from npm) and Go (from Debian): one program each, which goes through a function's life and
prints a line for every step that was right."""
import os
import shutil
import subprocess

import pytest

import service as s

HERE = os.path.dirname(os.path.realpath(__file__))
GOPATH = "/usr/share/gocode"
GO_SDK = "src/github.com/aws/aws-sdk-go-v2/service/lambda"
CACHE = os.path.join(s.SRC, "build/clients")
# Outside the tree: a minute for the SDK, once. Go keys and trims it itself.
GOCACHE = os.path.join(os.environ["STOKER_CACHE"], "go")
NODE_MODULES = os.path.join(CACHE, "js/node_modules")


def run(command, host, steps, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=170,
                          env={**host.environment(), **more})
    assert done.returncode == 0, (done.stdout, done.stderr, host.log()[-1500:])
    assert done.stdout.split() == steps, (done.stdout, done.stderr)


STEPS = ["create", "conflict", "active", "invoke", "error-class", "precondition", "tail", "update", "updated",
         "publish", "alias", "failures", "list", "throttled", "delete", "gone"]


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """@aws-sdk/client-lambda as package.json pins it, fetched once into the build folder."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    folder = os.path.dirname(NODE_MODULES)
    if not os.path.isdir(os.path.join(NODE_MODULES, "@aws-sdk/client-lambda")):
        os.makedirs(folder, exist_ok=True)
        shutil.copy(os.path.join(HERE, "js/package.json"), folder)
        try:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"],
                                  cwd=folder, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            pytest.skip("npm does not answer")
        if done.returncode != 0:
            shutil.rmtree(NODE_MODULES, ignore_errors=True)
            pytest.skip(f"npm cannot fetch the SDK: {done.stderr.strip()[-100:]}")
    return folder


def test_javascript_sdk(host, echo_zip, failing_zip, node_modules):
    shutil.copy(os.path.join(HERE, "js/life.mjs"), node_modules)
    run(["node", os.path.join(node_modules, "life.mjs"), host.url, echo_zip, s.ROLE, failing_zip], host, STEPS + ["stream"])


def test_go_sdk(host, echo_zip, failing_zip, tmp_path):
    go = shutil.which("go") or ("/usr/lib/go/bin/go" if os.path.exists("/usr/lib/go/bin/go") else None)
    if not go:
        pytest.skip("go is not installed")
    if not os.path.isdir(os.path.join(GOPATH, GO_SDK)):
        pytest.skip("the package golang-github-aws-aws-sdk-go-v2-dev is not installed")
    program = str(tmp_path / "life")
    built = subprocess.run([go, "build", "-o", program, os.path.join(HERE, "go/life.go")], capture_output=True,
                           text=True, timeout=170, env={**os.environ, "GO111MODULE": "off", "GOPATH": GOPATH,
                                             "GOCACHE": GOCACHE, "GOFLAGS": ""})
    assert built.returncode == 0, built.stderr
    run([program, host.url, echo_zip, s.ROLE, failing_zip], host, STEPS)
