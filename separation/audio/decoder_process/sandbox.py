"""What the kernel takes from a decoder process: files, network, programs, and every other process.

A flaw in a decoder gives the author of a file control over the process. Landlock then lets it open nothing,
and reach no other process's memory or environment; seccomp leaves it the system calls that decoding takes.
Both need no privileges. What is open already, the socket and the file that it is given, stays usable.

Called by ctypes, since neither has a Python library that is kept up. The numbers are those of Linux's headers
linux/landlock.h, linux/seccomp.h and linux/filter.h.
"""

import ctypes
import os
import platform
import struct
import sys
from dataclasses import dataclass

LANDLOCK, SECCOMP = "Landlock", "seccomp"

PR_SET_NO_NEW_PRIVS = 38  # neither is allowed without it
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446  # the same numbers on all processors
LANDLOCK_VERSION = 1  # a flag: returns the kernel's version of Landlock
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # version -> how many rights on files it knows: the lowest bits
NETWORK_SINCE, NETWORK_RIGHTS = 4, 0b11  # TCP: bind, connect
SCOPES_SINCE, SCOPES = 6, 0b11  # abstract Unix sockets, signals to others

SET_MODE_FILTER, FILTER_ALL_THREADS = 1, 1
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000, 0x80000000  # what a filter returns; FAIL with an error's number
NO_SUCH_CALL = 38  # ENOSYS: C libraries do without a call, where they know another way
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06  # a filter's instructions
CALL, PROCESSOR, ARGUMENT = 0, 4, 16  # offsets in what a filter sees; the low half of the first argument
NEW_THREAD = 0x10000  # CLONE_THREAD, a flag of `clone`


@dataclass(frozen=True, slots=True)
class Processor:
    """Linux's number of a kind of processor, and of its system calls in `CALLS`."""

    audit: int
    seccomp: int
    column: int


PROCESSORS = {"x86_64": Processor(0xC000003E, 317, 0), "aarch64": Processor(0xC00000B7, 277, 1)}
# What decoding, numpy and Python's memory, threads, clocks and signals take: number on x86_64, on aarch64.
CALLS = {
    "read": (0, 63),
    "lseek": (8, 62),
    "sendto": (44, 206),
    "recvmsg": (47, 212),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "pread64": (17, 67),
    "readv": (19, 65),
    "write": (1, 64),  # its last words, to the file for them
    "writev": (20, 66),
    "poll": (7, 73),  # there is only ppoll on aarch64
    "ppoll": (271, 73),
    "close": (3, 57),
    "dup": (32, 23),
    "fcntl": (72, 25),
    "ioctl": (16, 29),  # of its socket: not to wait
    "fstat": (5, 80),
    "newfstatat": (262, 79),  # how C libraries do fstat
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "gettid": (186, 178),
    "getpid": (39, 172),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "setrlimit": (160, 164),
    "sysinfo": (99, 179),
    "getrandom": (318, 278),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
PRLIMIT = (302, 261)  # of itself
TGKILL = (234, 131)  # to itself, as abort() does
CLONE = (56, 220)  # a thread, no process


def enter() -> list[str]:
    """Closes the sandbox around this process, for good; returns those of its parts that the kernel lacks."""
    if sys.platform != "linux":
        return [LANDLOCK, SECCOMP]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    return [name for name, close in ((LANDLOCK, _landlock), (SECCOMP, _seccomp)) if not close(libc)]


def _landlock(libc: ctypes.CDLL) -> bool:
    """Forbids all that this kernel's Landlock knows; whether it did."""
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION)
    if version < 1:
        return False
    rights = landlock_rights(version)
    forbidden = struct.pack(f"={len(rights)}Q", *rights)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, forbidden, ctypes.c_size_t(len(forbidden)), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def landlock_rights(version: int) -> list[int]:
    """All that this version can forbid, as masks of rights: on files, on the network, beyond the process."""
    rights = [(1 << FILE_RIGHTS[max(known for known in FILE_RIGHTS if known <= version)]) - 1]
    if version >= NETWORK_SINCE:
        rights.append(NETWORK_RIGHTS)
    if version >= SCOPES_SINCE:
        rights.append(SCOPES)
    return rights


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _seccomp(libc: ctypes.CDLL) -> bool:
    """Makes every system call fail that is not one of CALLS; whether it did."""
    processor = PROCESSORS.get(platform.machine())
    if processor is None or sys.maxsize < 2**32:  # a 32-bit Python has other numbers
        return False
    instructions = seccomp_filter(processor, os.getpid())
    program = _Program(len(instructions) // 8, instructions)
    call = ctypes.c_long(processor.seccomp)
    done = libc.syscall(call, SET_MODE_FILTER, FILTER_ALL_THREADS, ctypes.byref(program))
    return bool(done == 0)


def seccomp_filter(processor: Processor, pid: int) -> bytes:
    """The filter's program: 8 bytes an instruction, (code, lines to skip if true, if false, value)."""
    column = processor.column
    lines = [
        (LOAD, 0, 0, PROCESSOR),
        (EQUAL, 1, 0, processor.audit),
        (RETURN, 0, 0, KILL),  # the numbers of another processor's calls would be others
        (LOAD, 0, 0, CALL),
    ]
    for numbers in CALLS.values():
        lines += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, ALLOW)]
    for call, test, value in ((CLONE, ANY_BIT, NEW_THREAD), (PRLIMIT, EQUAL, 0), (TGKILL, EQUAL, pid)):
        lines += [
            (EQUAL, 0, 4, call[column]),
            (LOAD, 0, 0, ARGUMENT),
            (test, 0, 1, value),
            (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, FAIL | NO_SUCH_CALL),
        ]
    lines.append((RETURN, 0, 0, FAIL | NO_SUCH_CALL))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
