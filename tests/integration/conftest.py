import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import host as h  # noqa: E402

def pytest_configure(config):
    # Without KVM nothing here can run: say so once instead of failing everywhere.
    done = subprocess.run([h.program("stoker-vmm"), "--preflight"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.exit(f"no usable KVM: {done.stdout}{done.stderr}", 3)


EXAMPLES = ("hello", "wordcount", "primes")
FUNCTIONS = ("probe", "echo")


@pytest.fixture(scope="session")
def deployed():
    """deployed(names...): the state folder of a stopped host with these functions, to be copied. Each is deployed once, when
    it is first asked for, which takes a while; the rest is copying and deleting."""
    folders = {name: os.path.join(h.EXAMPLES, name) for name in EXAMPLES}
    folders.update({name: os.path.join(h.FUNCTIONS, name) for name in FUNCTIONS})
    folders[h.SHORT] = folders["probe"]
    made, there, kept = {}, set(), h.new_state("deployed")

    def live(state, work):
        one = h.Host(state, pool_floor=0).start()
        work(one)
        one.stop()
        sanitizer_reports(one)

    def deploy(one, names):
        for name in names:  # the usual limit is a generous one: this machine may be busy
            one.deploy(name, folders[name], "--timeout", str(h.SHORT_S) if name == h.SHORT else "30")

    def get(*names):
        names = set(names)
        if not names <= there:
            live(kept, lambda one: deploy(one, sorted(names - there)))
            there.update(names)
        if names == there:
            return kept
        if frozenset(names) not in made:
            state = h.new_state("deployed")
            h.copy_state(kept, state)
            live(state, lambda one: [one.cli("delete", name) for name in there - names])
            made[frozenset(names)] = state
        return made[frozenset(names)]
    get.everything = tuple(folders)
    yield get
    for state in (kept, *made.values()):
        h.remove_state(state)


@pytest.fixture(scope="session")
def host(deployed):
    """A host with the examples and the tests' functions. Tests leave it as they find it."""
    state = h.new_state("host")
    h.copy_state(deployed(*deployed.everything), state)
    the_host = h.Host(state).start()
    yield the_host
    the_host.stop()
    sanitizer_reports(the_host)
    h.remove_state(state)


@pytest.fixture
def own_host(deployed):
    """Makes hosts that a test may kill or damage: own_host("hello", pool_floor=0, ...)."""
    made = []

    def make(*names, **options):
        state = h.new_state("own")
        if names:
            h.copy_state(deployed(*names), state)
        if h.SLOW > 1:
            options.setdefault("queue_timeout", int(30000 * h.SLOW))    # a rebuild is slower, too
        one = h.Host(state, **options).start()
        made.append(one)
        return one
    yield make
    for one in made:
        one.stop(expect=None)
        sanitizer_reports(one)
        h.remove_state(one.state)


def sanitizer_reports(one):
    text = one.log()
    for mark in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:"):
        assert mark not in text, text[max(0, text.find(mark) - 500):][:6000]
