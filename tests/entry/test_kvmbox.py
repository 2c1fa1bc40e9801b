"""kvmbox itself: the emulator that it runs."""
import os
import subprocess
import sys
import time

import pytest

SRC = os.environ.get("STOKER_SRC") or os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(SRC, "kvmbox"))
import emulator  # noqa: E402

STORE = bytes.fromhex("89b354efffff")       # mov %esi,-0x10ac(%rbx)
AROUND = (bytes.fromhex("410fb6f44489ab80330000"),
          bytes.fromhex("c7838433000000000000" "48c78388330000ffffffff" "f605ba45b600020f856c010000"
                        "ba010000004889dfe8a74f0500"))
# A loop over the processors, and the jump around it.
LOOP = (bytes.fromhex("0d00000400" "4189442414") + bytes(200) + bytes.fromhex("84db0f85de000000" "488b1d879d6000" "4885db"),
        b"\x74",
        bytes.fromhex("16" "6690" "4889df" "e838610000" "488b9b48020000" "4885db" "75e6"
                      "31f6" "4c89e7" "e832fdffff" "be01000000" "4c89e7" "e825fdffff"))


def program(folder, code):
    os.makedirs(folder / "bin")
    path = folder / "bin" / "qemu"
    path.write_bytes(code)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("loops", [0, 1, 2])
def test_the_defects_are_taken_out_of_a_copy(tmp_path, loops):
    cache = tmp_path / "cache"
    cache.mkdir()
    before = b"\x7fELF" + bytes(500) + AROUND[0] + STORE + AROUND[1] + bytes(500) + b"".join(LOOP) * loops
    original = program(tmp_path / "usr", before)
    copy, note = emulator.repaired(original, str(cache))
    assert note is None and copy != original and os.access(copy, os.X_OK)
    with open(copy, "rb") as f:
        after = f.read()
    expected = before.replace(STORE, emulator.NO_OP)
    if loops == 1:
        expected = expected.replace(b"".join(LOOP), LOOP[0] + b"\xeb" + LOOP[2])
    assert after == expected
    with open(original, "rb") as f:
        assert f.read() == before
    # modules and firmware are found from where the copy is
    assert os.path.realpath(os.path.join(copy, "../../share")) == str(tmp_path / "usr" / "share")
    assert emulator.repaired(original, str(cache)) == (copy, None)


@pytest.mark.parametrize("times", [0, 2])
def test_an_unknown_emulator_is_run_as_it_is(tmp_path, times):
    cache = tmp_path / "cache"
    cache.mkdir()
    original = program(tmp_path / "usr", b"\x7fELF" + (AROUND[0] + STORE + AROUND[1]) * times)
    for _ in range(2):
        path, note = emulator.repaired(original, str(cache))
        assert path == original and "spurious interrupt" in note


def test_the_installed_emulator_is_repaired_and_runs():
    done = subprocess.run([os.path.join(SRC, "kvmbox/kvmbox"), "--verbose", "--", "sh", "-c", "test -c /dev/kvm && exit 7"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 7, done.stderr
    if "not one that is known" in done.stderr:
        pytest.skip("the installed QEMU is not one that kvmbox can repair")


def test_the_clock_goes_right():
    """Its rate is not left to what a busy machine lets the emulated one measure."""
    box = subprocess.Popen([os.path.join(SRC, "kvmbox/kvmbox"), "--", "sh", "-c",
                            "grep -o 'tsc_early_khz=[0-9]*' /proc/cmdline; for n in 1 2; do cat /proc/uptime; read line; done"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert int(box.stdout.readline().partition("=")[2]) > 100000

    def reading():
        inside = float(box.stdout.readline().split()[0])
        return inside, time.monotonic()
    first = reading()
    time.sleep(3)  # the length of what is measured
    box.stdin.write("\n")
    box.stdin.flush()
    second = reading()
    box.communicate("\n", timeout=60)
    assert box.returncode == 0
    assert second[0] - first[0] == pytest.approx(second[1] - first[1], abs=0.5)


def test_a_shared_folder_and_a_disk_in_an_instruction_counted_run(tmp_path):
    (tmp_path / "question").write_text("6 x 7\n")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "two").write_text("2\n")
    disk = tmp_path / "an, odd:name"
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", str(tmp_path / "files"), str(disk), "1M"],
                   check=True, stdin=subprocess.DEVNULL)
    done = subprocess.run([os.path.join(SRC, "kvmbox/kvmbox"), "--icount", "--share", str(tmp_path), "--disk",
                           f"{disk}:/var/lib/files", "--", "sh", "-c",
                           f"cat {tmp_path}/question && echo 4$(cat /var/lib/files/two) >{tmp_path}/answer; echo >/var/lib/files/x"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (1, "6 x 7\n"), done.stderr
    assert "Read-only file system" in done.stderr
    assert (tmp_path / "answer").read_text() == "42\n"


@pytest.mark.parametrize("disk", ["no-such-image:/mnt", f"{__file__}:mnt", __file__])
def test_a_wrong_disk_is_told(disk):
    done = subprocess.run([os.path.join(SRC, "kvmbox/kvmbox"), "--disk", disk, "--", "true"], capture_output=True, text=True)
    assert done.returncode == 2 and "--disk" in done.stderr and "IMAGE:DIR" in done.stderr
