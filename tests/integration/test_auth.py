"""A host with keys: who is let in, and who is not."""
import datetime
import hashlib
import hmac
import json
import os
import signal
import subprocess

import pytest

import host as h

TOKEN = "tokentokentoken1"
KEY_ID, SECRET = "AKIDEXAMPLE", "secretexample"
KEYS = {"keys": [{"accessKeyId": KEY_ID, "secretAccessKey": SECRET}, {"name": "ci", "tokens": [TOKEN]}]}


def write_keys(path, content, mode=0o600):
    text = content if isinstance(content, str) else json.dumps(content)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return str(path)


def bearer(token=TOKEN):
    return {"Authorization": f"Bearer {token}"}


def signature(host, method, path, body=b"", secret=SECRET, with_hash=False, skew=0):
    """Headers of a request signed for it; the path is one that encoding does not change."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=skew)
    stamp, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
    body_hash = hashlib.sha256(body).hexdigest()
    headers = {"host": f"127.0.0.1:{host.port}", "x-amz-date": stamp}
    if with_hash:
        headers["x-amz-content-sha256"] = body_hash
    path, _, query = path.partition("?")
    names = ";".join(sorted(headers))
    canonical = "\n".join([method, path, query, *(f"{k}:{headers[k]}" for k in sorted(headers)), "", names, body_hash])
    scope = f"{day}/us-east-1/lambda/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + secret).encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope}, SignedHeaders={names}, "
                                        f"Signature={key.hex()}"}


@pytest.fixture
def keyed(own_host, tmp_path):
    """A host with functions, and KEYS."""
    return own_host("hello", "probe", "echo", keys=write_keys(tmp_path / "keys.json", KEYS))


@pytest.mark.smoke
def test_tokens(keyed):
    host = keyed
    for method, path in [("GET", "/"), ("GET", "/metrics"), ("GET", "/v1/functions"), ("GET", "/v1/functions/hello"),
                         ("PUT", "/v1/functions/new?runtime=python3"), ("DELETE", "/v1/functions/hello"),
                         ("POST", "/v1/functions/hello/invoke"), ("GET", "/function/hello"), ("GET", "/no/such/path")]:
        for headers in ({}, bearer("tokentokentoken2"), {"Authorization": "Basic eDp5"}):
            answer = host.request(method, path, b"{}" if method in ("PUT", "POST") else None, headers)
            assert answer.status == 401, (method, path, headers, answer)
            assert answer.error() == "Unauthorized"
            assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert host.request("GET", "/healthz").status == 200
    assert host.request("GET", "/v1/functions", headers=bearer()).status == 200
    assert host.request("GET", "/no/such/path", headers=bearer()).status == 404
    answer = host.request("POST", "/v1/functions/probe/invoke", b'{"do": "echo", "value": 7}', bearer())
    assert (answer.status, answer.json()) == (200, 7)
    # The function does not get to see the token; other headers it does.
    answer = host.request("GET", "/function/echo", headers={**bearer(), "X-Mine": "1"})
    assert answer.status == 200, answer
    seen = answer.json()["headers"]
    assert seen["x-mine"] == "1" and "authorization" not in seen
    text = host.request("GET", "/metrics", headers=bearer()).body.decode()
    counts = {line.split('"')[1]: float(line.split()[-1]) for line in text.splitlines()
              if line.startswith("stoker_auth_failures_total{")}
    assert counts["missing"] == 9 and counts["token"] == 18 and counts["signature"] == 0
    assert "not let in" in host.log()
    assert TOKEN not in host.log() and "tokentokentoken2" not in host.log()


def test_command(keyed, tmp_path):
    def stoker(*arguments, token=None):
        env = {**os.environ, "STOKER_HOST": f"http://127.0.0.1:{keyed.port}"}
        env.pop("STOKER_TOKEN", None)
        if token:
            env["STOKER_TOKEN"] = token
        return subprocess.run([h.program("stoker"), *arguments], capture_output=True, text=True, env=env,
                              stdin=subprocess.DEVNULL, timeout=h.DEADLINE)
    done = stoker("list")
    assert done.returncode == 1 and "token" in done.stderr and "401" in done.stderr
    done = stoker("list", token="wrong-wrong-wrong")
    assert done.returncode == 1 and "401" in done.stderr and "wrong-wrong" not in done.stderr
    assert "hello" in stoker("list", token=TOKEN).stdout
    assert "hello" in stoker("--key", TOKEN, "list", token="overridden-token").stdout
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert "hello" in stoker(f"--key=@{tmp_path}/token", "list").stdout
    done = stoker("--key", "@/no/such/file", "list")
    assert done.returncode == 1 and "/no/such/file" in done.stderr
    assert stoker("--key", "a\r\nX: y", "list").returncode == 2
    assert stoker("invoke", "probe", "--data", '{"do": "echo", "value": 5}', token=TOKEN).stdout == "5\n"


def test_signatures(keyed):
    host = keyed
    body = b'{"do": "echo", "value": 7}'
    path = "/v1/functions/probe/invoke"
    for with_hash in (False, True):
        answer = host.request("POST", path, body, signature(host, "POST", path, body, with_hash=with_hash))
        assert (answer.status, answer.json()) == (200, 7)
        changed = host.request("POST", path, body.replace(b"7", b"8"),
                               signature(host, "POST", path, body, with_hash=with_hash))
        assert changed.status == 403 and changed.error() == "InvalidSignatureException"
    assert host.request("GET", "/v1/functions", headers=signature(host, "GET", "/v1/functions")).status == 200
    answer = host.request("GET", "/v1/functions", headers=signature(host, "GET", "/v1/functions", secret="another-one"))
    assert answer.status == 403
    # Lambda's API takes signatures only, and says so in its way.
    path = "/2015-03-31/functions"
    for headers, status, kind in [
            ({}, 403, "MissingAuthenticationTokenException"), (bearer(), 403, "MissingAuthenticationTokenException"),
            ({"Authorization": "AWS4-HMAC-SHA256 x"}, 400, "IncompleteSignatureException"),
            (signature(host, "GET", path, secret="another-one"), 403, "InvalidSignatureException"),
            (signature(host, "GET", path, skew=-1000), 403, "InvalidSignatureException")]:
        answer = host.request("GET", path, headers=headers)
        assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (status, kind), answer
        assert answer.headers["x-amzn-RequestId"] and answer.json()["Type"] == "User" and answer.json()["Message"]
    assert "expired" in host.request("GET", path, headers=signature(host, "GET", path, skew=-1000)).json()["Message"]
    assert host.request("GET", path, headers=signature(host, "GET", path)).status != 403
    assert SECRET not in host.log() and "Signature=" not in host.log()


def test_signed_deploy(keyed):
    host = keyed
    path = "/v1/functions/new?handler=app.handler&runtime=python3"
    one = h.zip_bytes({"app.py": h.PYTHON_ONE})
    answer = host.request("PUT", path, one, signature(host, "PUT", path, one))
    assert answer.status == 403 and "X-Amz-Content-Sha256" in answer.json()["error"]["message"]
    answer = host.request("PUT", path, one + b"x", signature(host, "PUT", path, one, with_hash=True))
    assert answer.status == 403, answer
    assert host.request("GET", "/v1/functions/new", headers=bearer()).status == 404
    h.wait_for(lambda: not os.listdir(os.path.join(host.state, "tmp")), "what was sent to be removed")
    answer = host.request("PUT", path, one, signature(host, "PUT", path, one, with_hash=True), timeout=h.DEADLINE * 2)
    assert answer.status == 201, answer
    answer = host.request("POST", "/v1/functions/new/invoke", b"{}", bearer())
    assert (answer.status, answer.json()) == (200, 1)


def test_reload(keyed):
    host = keyed
    path = host.options["keys"]

    def list_as(token):
        return host.request("GET", "/v1/functions", headers=bearer(token)).status
    write_keys(path, '{"keys": [\n{"name": "ci"}]}')
    host.process.send_signal(signal.SIGHUP)
    h.wait_for(lambda: "the keys stay as they were" in host.log(), "the bad file to be refused")
    assert "line 2: keys[0]: " in host.log()
    assert list_as(TOKEN) == 200
    write_keys(path, {"anonymousInvoke": True, "keys": [{"name": "ci", "tokens": ["another-token-now"]}]})
    host.process.send_signal(signal.SIGHUP)
    h.wait_for(lambda: list_as(TOKEN) == 401, "the new file to be read")
    assert list_as("another-token-now") == 200
    # Calls are free now, and an Authorization of other kinds is the function's.
    answer = host.request("GET", "/function/echo", headers={"Authorization": "Bearer mine"})
    assert answer.status == 200 and answer.json()["headers"]["authorization"] == "Bearer mine"
    assert host.request("GET", "/function/echo.acme").status == 403  # another tenant's is not free
    assert host.request("GET", "/v1/functions").status == 401
    assert host.process.poll() is None


@pytest.mark.smoke
def test_exposed_without_keys(own_host, tmp_path):
    """Refused before anything else, with what to do about it; with keys, or when told to, it is done."""
    def stokerd(*arguments):
        return subprocess.run([h.program("stokerd"), "--state", str(tmp_path / "s"), "--images", h.IMAGES, "--bin",
                               h.BUILD, *arguments], capture_output=True, text=True, timeout=h.DEADLINE,
                              stdin=subprocess.DEVNULL)
    for address in ("0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"):
        done = stokerd("--listen", address)
        assert done.returncode == 2
        assert "--keys FILE" in done.stderr and "--insecure-no-auth" in done.stderr
    path = write_keys(tmp_path / "k", KEYS, mode=0o644)
    done = stokerd("--listen", "0.0.0.0:0", "--keys", path)
    assert done.returncode == 1 and "chmod" in done.stderr and path in done.stderr
    done = stokerd("--keys", write_keys(tmp_path / "k", '{\n"keys": [\n}'))
    assert done.returncode == 1 and f"{path}: line 3: " in done.stderr
    for options in ({"keys": write_keys(path, KEYS)}, {"insecure_no_auth": None}):
        port = h.free_port()
        host = own_host(port=port, listen=f"0.0.0.0:{port}", **options)
        assert host.request("GET", "/v1/functions").status == (401 if "keys" in options else 200)
