"""Fences: what a child may use, and what it may not do. Put up once, before the first call; nothing takes them down.

What holds where:

memory     Linux: RLIMIT_DATA, above what the child has at its birth, and RLIMIT_AS at twice that for mappings that are
           shared. A native library that is refused memory mostly crashes; that is its call's end too.
CPU        everywhere: RLIMIT_CPU, set anew for each call. The wall clock is the caller's.
network    Linux: a network namespace without interfaces, where one may be made (root, or user namespaces); and on
           x86-64 and ARM64 no socket at all, by a system call filter (seccomp). Elsewhere Python is refused sockets
           by an audit hook; native code is not.
processes  Linux on x86-64 and ARM64: none may be made, none signalled (the filter); threads may. Elsewhere the audit
           hook refuses Python, and RLIMIT_NPROC everybody but root.
files      everywhere: nothing can be written into one (RLIMIT_FSIZE 0). With the filter nothing can be made, renamed,
           removed or opened for writing either. Reading is not fenced: a child reads what its user may read.

So this holds accidents, and files made to do harm through a reader's defect. It is no prison for somebody who already
runs code of their own in it: there is no change of user, and the file system can be looked at.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from typing import Any

LINUX = sys.platform == "linux"
CLONE_NEWUSER, CLONE_NEWNET, CLONE_THREAD = 0x10000000, 0x40000000, 0x10000
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 1, 22, 38, 2
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def leave_network() -> bool:
    """Move this process, and all it will fork, into a network namespace without interfaces; whether that was allowed.

    Needs a process without threads.
    """
    if not LINUX:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.unshare(CLONE_NEWNET) == 0:
        return True
    return bool(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def die_with(parent: int) -> None:
    """End this process when *parent* ends; at once if it has already."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def put_up(memory_max_bytes: int) -> tuple[str, ...]:
    """Put up every fence that there is here. Returns the names of those that hold: files, memory, processes, sockets,
    writes.

    Args:
        memory_max_bytes: beyond what this process has now; 0: no limit.
    """
    held = ["files"]
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    if memory_max_bytes and LINUX:
        whole, data = _sizes()
        _limit(resource.RLIMIT_DATA, data + memory_max_bytes)
        _limit(resource.RLIMIT_AS, whole + 2 * memory_max_bytes)
        held.append("memory")
    if _filter():
        held += ["processes", "sockets", "writes"]
    else:
        with contextlib.suppress(AttributeError, OSError):
            _limit(resource.RLIMIT_NPROC, 0)  # threads too; the filter is finer
            if os.geteuid() != 0:
                held.append("processes")
    sys.dont_write_bytecode = True
    sys.addaudithook(_audit)
    return tuple(held)


def limit_cpu(seconds: float) -> None:
    """End this process when it has used *seconds* more of CPU time (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft, hard = int(used.ru_utime + used.ru_stime + seconds) + 1, resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _limit(which: int, most: int) -> None:
    hard = resource.getrlimit(which)[1]
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (wanted, wanted))


def _sizes() -> tuple[int, int]:
    """Bytes of this process's address space, and of its own writable pages."""
    with open("/proc/self/statm", "rb") as file:
        pages = file.read().split()
    return int(pages[0]) * resource.getpagesize(), int(pages[5]) * resource.getpagesize()


# -- what Python is refused, in words ---------------------------------------------------------------------------------

_REFUSED = {
    "socket.__new__": "open a socket",
    "subprocess.Popen": "start a process",
    "os.fork": "start a process",
    "os.forkpty": "start a process",
    "os.posix_spawn": "start a process",
    "os.exec": "start a process",
    "os.system": "start a process",
    "os.kill": "send signals",
    "os.killpg": "send signals",
    "os.remove": "remove a file",
    "os.rename": "rename a file",
    "os.rmdir": "remove a folder",
    "os.mkdir": "make a folder",
    "os.link": "make a link",
    "os.symlink": "make a link",
    "os.truncate": "write a file",
    "os.chmod": "change a file",
    "os.chown": "change a file",
    "os.utime": "change a file",
}


def _audit(event: str, args: tuple[Any, ...]) -> None:
    what = _REFUSED.get(event)
    if what is None and event == "open" and len(args) == 3 and isinstance(args[2], int) and args[2] & WRITES:
        what = "write a file"
    if what is not None:
        raise PermissionError(errno.EPERM, f"a reader may not {what}")


# -- what the kernel refuses everybody --------------------------------------------------------------------------------

_NUMBERS = {
    # name: (x86-64, ARM64); -1 where the machine has no such call
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221),
    "execveat": (322, 281), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "creat": (85, -1), "truncate": (76, 45), "rename": (82, -1),
    "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, -1), "mkdirat": (258, 34), "rmdir": (84, -1),
    "link": (86, -1), "linkat": (265, 37), "unlink": (87, -1), "unlinkat": (263, 35), "symlink": (88, -1),
    "symlinkat": (266, 36), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "mknod": (133, -1),
    "mknodat": (259, 33), "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
}  # fmt: skip
"""Refused whatever their arguments. io_uring would go past the filter."""
_UNKNOWN = {"clone3": (435, 435), "openat2": (437, 437)}
"""Their arguments lie where a filter cannot look; a C library that hears ENOSYS takes the older call."""
_ARGUED = {"clone": (56, 220), "open": (2, -1), "openat": (257, 56), "kill": (62, 129), "tgkill": (234, 131),
           "prlimit64": (302, 261)}  # fmt: skip
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARGS = 0, 4, 16
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000

Step = tuple[int, int, int, int]


def _filter() -> bool:
    """Install the system call filter for good; whether the kernel and the machine have one."""
    machine = _MACHINES.get(platform.machine())
    if not LINUX or machine is None or struct.calcsize("P") != 8:
        return False
    program = _program(*machine, os.getpid())
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    given = struct.pack("@HP", len(program), ctypes.addressof(packed))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(given), 0, 0) == 0)


def _program(column: int, architecture: int, pid: int) -> list[Step]:
    """The filter in the kernel's own little language: each rule is a test of the call's number and, where it is not
    met, a jump over the rule's verdict."""
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    made: list[Step] = [
        (_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR), (_AT_LEAST, 0, 1, X32), refuse,
    ]  # fmt: skip
    for numbers, verdict in ((_NUMBERS, refuse), (_UNKNOWN, (_RETURN, 0, 0, _ERRNO | errno.ENOSYS))):
        for number in (pair[column] for pair in numbers.values()):
            if number >= 0:
                made += [(_EQUAL, 0, 1, number), verdict]
    number_of = {name: pair[column] for name, pair in _ARGUED.items()}
    allow = (_RETURN, 0, 0, _ALLOW)
    for name, argument, test in (
        ("clone", 0, [(_ANY_OF, 1, 0, CLONE_THREAD), refuse]),
        ("open", 1, [(_ANY_OF, 0, 1, WRITES), refuse]),
        ("openat", 2, [(_ANY_OF, 0, 1, WRITES), refuse]),
        ("kill", 0, [(_EQUAL, 1, 0, pid), refuse]),
        ("tgkill", 0, [(_EQUAL, 1, 0, pid), refuse]),
        ("prlimit64", 0, [(_EQUAL, 1, 0, 0), refuse]),
    ):
        if number_of[name] >= 0:
            rule = [(_LOAD, 0, 0, _ARGS + 8 * argument), *test, allow]
            made += [(_EQUAL, 0, len(rule), number_of[name]), *rule]
    return [*made, allow]
