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


EXAMPLES = ("hello", "wordcount", "thumbnail", "primes")
FUNCTIONS = ("probe", "echo")


@pytest.fixture(scope="session")
def deployed():
    """deployed(names...): the state folder of a stopped host with these functions. All of them are
    deployed once, which takes a while; the rest is copying and deleting."""
    made = {}

    def stopped(names, prepare, source=None):
        state = h.new_state("deployed")
        if source:
            h.copy_state(source, state)
        one = h.Host(state, pool_floor=0).start()
        prepare(one)
        one.stop()
        sanitizer_reports(one)
        made[frozenset(names)] = state
        return state

    def deploy_all(one):
        for name in EXAMPLES:
            one.deploy(name, os.path.join(h.EXAMPLES, name), "--timeout", "30")  # this machine may be a busy one
        for name in FUNCTIONS:
            one.deploy(name, os.path.join(h.FUNCTIONS, name), "--timeout", "30")
        one.deploy(h.SHORT, os.path.join(h.FUNCTIONS, "probe"), "--timeout", str(h.SHORT_S))

    everything = EXAMPLES + FUNCTIONS + (h.SHORT,)

    def get(*names):
        full = made.get(frozenset(everything)) or stopped(everything, deploy_all)
        if frozenset(names) in made:
            return made[frozenset(names)]

        def delete_others(one):
            for name in everything:
                if name not in names:
                    one.cli("delete", name)
        return stopped(names, delete_others, full)
    get.everything = everything
    yield get
    for state in made.values():
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
