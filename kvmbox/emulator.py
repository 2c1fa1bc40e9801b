"""A copy of the installed QEMU without a defect that microVMs in the box trip over.

VMRUN with an interrupt to inject (helper_vmrun, event type INTR) leaves the vector behind as a "pending exception",
although it has delivered the interrupt already. Should the emulated processor be asked to leave its loop before the
next exit of the microVM, it finds the vector and delivers the interrupt a second time, whatever the microVM is doing:
with interrupts disabled, on half a stack, under a lock. About one microVM in three hundred died or hung of it.
The store of that vector has no other use. The copy, in the cache, has it replaced by a no-op; where the code is not
found exactly once, as in a version of QEMU that is built differently, the installed program is run as it is.
"""
import fcntl
import hashlib
import os
import re
import shutil
import tempfile

# mov %vector,exception_index; movl $0,exception_is_int; movq $-1,exception_next_eip; then, perhaps after a test for
# logging, do_interrupt_x86_hardirq(env, vector, 1).
DEFECT = re.compile(rb"(\x89[\x80-\xbf].{4})\xc7[\x80-\x87].{4}\0\0\0\0\x48\xc7[\x80-\x87].{4}\xff\xff\xff\xff"
                    rb".{0,24}?\xba\x01\0\0\0\x48\x89.\xe8", re.DOTALL)
NO_OP = bytes.fromhex("660f1f440000")
VERSION = "1"           # of this repair; a part of the name of the copy


def repaired(program, cache):
    """The program to run instead of `program` and, when that is the same, why."""
    program = os.path.realpath(program)
    info = os.stat(program)
    key = hashlib.sha256(repr((VERSION, program, info.st_size, info.st_mtime_ns)).encode()).hexdigest()[:16]
    final = os.path.join(cache, "qemu-" + key)
    copy = os.path.join(final, "bin", os.path.basename(program))
    with open(os.path.join(cache, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(final):
            make(program, cache, final)
    if os.path.exists(copy):
        os.utime(final)             # in use: see the removal of old folders in kvmbox
        return copy, None
    return program, "this QEMU is not one that is known: microVMs may see a spurious interrupt now and then"


def make(program, cache, final):
    """Makes the folder `final`: with the repaired copy, or empty when there is nothing to repair."""
    with open(program, "rb") as f:
        code = bytearray(f.read())
    found = [match.span(1) for match in DEFECT.finditer(code)]
    with tempfile.TemporaryDirectory(dir=cache) as tmp:
        made = os.path.join(tmp, "made")
        os.mkdir(made)
        if len(found) == 1:
            code[slice(*found[0])] = NO_OP
            os.mkdir(os.path.join(made, "bin"))
            path = os.path.join(made, "bin", os.path.basename(program))
            with open(path, "wb") as f:
                f.write(code)
            shutil.copymode(program, path)
            # QEMU looks for its modules and firmware in folders beside that of the program.
            prefix = os.path.dirname(os.path.dirname(program))
            for name in ("lib", "share"):
                os.symlink(os.path.join(prefix, name), os.path.join(made, name))
        os.rename(made, final)
