import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import service as s  # noqa: E402


@pytest.fixture(scope="session")
def host():
    os.makedirs(s.OUT, exist_ok=True)
    one = s.Service(s.OUT)
    try:
        yield one.start()
    finally:
        one.stop()
        shutil.rmtree(os.path.join(s.OUT, "state"), ignore_errors=True)
        shutil.rmtree(os.path.join(s.OUT, "box"), ignore_errors=True)


@pytest.fixture(scope="session")
def app_zip(tmp_path_factory):
    path = tmp_path_factory.mktemp("code") / "app.zip"
    path.write_bytes(s.app("first"))
    return str(path)


@pytest.fixture(scope="session")
def echo_zip(tmp_path_factory):
    path = tmp_path_factory.mktemp("code") / "echo.zip"
    path.write_bytes(s.echo())
    return str(path)


@pytest.fixture(scope="session")
def failing_zip(tmp_path_factory):
    path = tmp_path_factory.mktemp("code") / "failing.zip"
    path.write_bytes(s.failing())
    return str(path)
