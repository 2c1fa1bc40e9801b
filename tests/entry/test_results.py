"""How ./test deals with an emulated machine whose microVMs hang: the rest is left after two such failures, and is run in a second
one together with these. What failed otherwise has failed."""
import os
import subprocess

SRC = os.environ["STOKER_SRC"]

TESTS = """
import os, pytest
SICK = "SICK" in os.environ
def test_before(): pass
def test_wrong(): assert not SICK, "something else"
def test_left_out(): pytest.skip("for a reason: it is so")
@pytest.mark.parametrize("how", ["a (b): c", "other"])
def test_hangs(how):
    assert not SICK, "giving back free memory: no answer in time"
def test_after(): pass
"""


def run(folder, results, **variables):
    environment = {**os.environ, "STOKER_RESULTS": str(results), "STOKER_PREFIX": "box/", "PYTHONPATH": SRC + "/tests/lib", **variables}
    subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "stoker_results", "--rootdir", folder,
                    folder], env=environment, stdout=subprocess.DEVNULL, check=False)
    with open(results) as f:
        return [line.rstrip("\n") for line in f]


def kinds(lines):
    return [line.partition(" ")[0] for line in lines]


def test_second_machine(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    first = run(tmp_path, tmp_path / "first", SICK="1", STOKER_HANGS="2")
    assert kinds(first) == ["PASS", "DONE", "FAIL", "DONE", "SKIP", "DONE", "FAIL", "HUNG", "FAIL", "HUNG", "END"], first
    kept = subprocess.run(["bash", "-c", '. "$1/.ci/pytests.sh"; without_hung "$2"', "-", SRC, tmp_path / "first"],
                          env={**os.environ, "memory": "8388608"}, capture_output=True, text=True, check=True).stdout.splitlines()
    assert kinds(kept) == ["PASS", "FAIL", "SKIP"] and "test_wrong" in kept[1], kept
    second = run(tmp_path, tmp_path / "second", STOKER_DONE=str(tmp_path / "first"))
    assert [line.rpartition(" (")[0] for line in second if line.startswith("PASS")] == [
        "PASS box/test_it.py::test_hangs[a (b): c]", "PASS box/test_it.py::test_hangs[other]", "PASS box/test_it.py::test_after"], second
    # On a machine with KVM of its own: to the end.
    third = run(tmp_path, tmp_path / "third", SICK="1", STOKER_HANGS="0")
    assert [k for k in kinds(third) if k not in ("DONE", "HUNG")] == ["PASS", "FAIL", "SKIP", "FAIL", "FAIL", "PASS", "END"], third
