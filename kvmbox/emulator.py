"""A copy of the installed QEMU without two defects that microVMs in the box trip over.

Interrupts twice: VMRUN with an interrupt to inject (helper_vmrun, event type INTR) leaves the vector behind as a "pending
exception", although it has delivered the interrupt already. Should the emulated processor be asked to leave its loop before
the next exit of the microVM, it finds the vector and delivers the interrupt a second time, whatever the microVM is doing:
with interrupts disabled, on half a stack, under a lock. About one microVM in three hundred died or hung of it. The store of
that vector has no other use: it is replaced by a no-op.

Jump caches cleared for nothing: memory of a microVM that has ended is full of code. When it is used again, each translated
block in it is dropped by itself (do_tb_phys_invalidate), and each time all of the table of recent jump targets is cleared,
64 KiB for each processor, and then filled again by searching. Whoever looks into that table sees by the block's flags
(CF_INVALID, set before) that it is gone, and what frees blocks (tb_flush) clears the table itself, so this loop is jumped over.

The copy lies in the cache. Code that is not found exactly once, as in a version of QEMU that is built differently, is left as
it is.
"""
import fcntl
import hashlib
import os
import re
import shutil
import tempfile

# mov %vector,exception_index; movl $0,exception_is_int; movq $-1,exception_next_eip; then, perhaps after a test for
# logging, do_interrupt_x86_hardirq(env, vector, 1).
TWICE = re.compile(rb"(\x89[\x80-\xbf].{4})\xc7[\x80-\x87].{4}\0\0\0\0\x48\xc7[\x80-\x87].{4}\xff\xff\xff\xff"
                   rb".{0,24}?\xba\x01\0\0\0\x48\x89.\xe8", re.DOTALL)
# or $CF_INVALID,%eax; the block leaves the hash table; mov cpus,%cpu; test; je out; loop: tcg_flush_jmp_cache(cpu); cpu =
# cpu->next; test; jne loop; out: remove_from_jmp_list(block, 0); remove_from_jmp_list(block, 1).
CLEARED = re.compile(rb"\x0d\0\0\x04\0.{0,300}?\x48\x8b[\x05-\x3d].{4}\x48\x85.(\x74).(?:\x66\x90|\x66?\x0f\x1f.{1,6}?|\x90)?"
                     rb"\x48\x89.\xe8.{4}\x48\x8b.{5}\x48\x85.\x75.\x31\xf6[\x48-\x4f]\x89.\xe8.{4}"
                     rb"\xbe\x01\0\0\0[\x48-\x4f]\x89.\xe8", re.DOTALL)
NO_OP = bytes.fromhex("660f1f440000")
JMP = b"\xeb"
VERSION = "2"           # of these repairs; a part of the name of the copy


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


def replace(code, pattern, new):
    """Puts `new` where the pattern's group is, if it is found once. Whether it was."""
    found = [match.span(1) for match in pattern.finditer(code)]
    if len(found) == 1:
        code[slice(*found[0])] = new
    return len(found) == 1


def make(program, cache, final):
    """Makes the folder `final`: with the repaired copy, or empty when there is nothing to repair."""
    with open(program, "rb") as f:
        code = bytearray(f.read())
    known = replace(code, TWICE, NO_OP)
    if known:
        replace(code, CLEARED, JMP)     # else only slower
    with tempfile.TemporaryDirectory(dir=cache) as tmp:
        made = os.path.join(tmp, "made")
        os.mkdir(made)
        if known:
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
