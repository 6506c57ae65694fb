"""The system calls by which a process changes or tells something, counted as they are about to be
made; the one with a given number meets a fault instead.

Like `strace -f -e inject=…:when=N`, but the calls of all threads have one order: strace counts each
thread's own, so that what the second thread does could never be named. A call that meets a kill is
not made. Children are followed only where that is asked for.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from ctypes import Structure, c_uint8, c_uint32, c_uint64
from dataclasses import dataclass, field
from pathlib import Path

SUPPORTED = platform.machine() == "x86_64"

FILES = {"openat": 257, "rename": 82, "renameat": 264, "renameat2": 316, "mkdir": 83}
FILES |= {"mkdirat": 258, "link": 86, "linkat": 265, "symlink": 88, "symlinkat": 266}
FREES = {"unlink": 87, "unlinkat": 263, "rmdir": 84, "ftruncate": 77, "truncate": 76}
WRITES = {"write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296, "pwritev2": 328}
WRITES |= {"fsync": 74, "fdatasync": 75, "sync_file_range": 277, "fallocate": 285}
WRITES |= {"copy_file_range": 326, "sendfile": 40}
SENDS = {"sendto": 44, "sendmsg": 46, "sendmmsg": 307}
NAMES = {number: name for name, number in (FILES | FREES | WRITES | SENDS).items()}

SEIZE, INTERRUPT, CONT, SYSCALL = 0x4206, 0x4207, 7, 24
POKE, EVENT_MESSAGE, SYSCALL_INFO = 6, 0x4201, 0x420E
GOOD, FORKS, CLONES, EXECS = 1, 1 << 1 | 1 << 2, 1 << 3, 1 << 4
EVENT_EXEC, EVENT_STOP = 4, 128
ORIG_RAX, RAX = 15 * 8, 10 * 8
ENTRY = 1
ALL, OWN = 0x40000000, 0x20000000

_ptrace = ctypes.PyDLL(None, use_errno=True).ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_ptrace.restype = ctypes.c_long


class _Info(Structure):
    """What PTRACE_GET_SYSCALL_INFO tells."""

    _fields_ = (
        ("op", c_uint8),
        ("pad", c_uint8 * 3),
        ("arch", c_uint32),
        ("ip", c_uint64),
        ("sp", c_uint64),
        ("nr", c_uint64),
        ("args", c_uint64 * 6),
        ("more", c_uint64 * 2),
    )


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to be made: by which thread, and what it is about."""

    thread: int
    name: str
    about: str

    @property
    def on_disk(self) -> bool:
        """Whether it is about a file that has a name."""
        named = self.about.startswith("/") and not self.about.endswith(" (deleted)")
        return named and not self.about.startswith(("/dev/", "/proc/"))

    @property
    def of_output(self) -> bool:
        """Whether it is about what the process says, which goes to files without a name."""
        return self.name == "write" and self.about.endswith(" (deleted)")

    def __str__(self) -> str:
        return f"{self.name} {self.about}"


Fault = Callable[[Call], int]
"""Brings the fault about; gives the errno that the call fails with, or 0 where it is made."""
Wanted = Callable[[Call], bool]


def killed(call: Call) -> int:
    """The process ends here."""
    os.kill(call.thread, signal.SIGKILL)
    return 0


def signalled(number: signal.Signals) -> Fault:
    """The process is sent a signal just then."""

    def fault(call: Call) -> int:
        os.kill(_process(call.thread), number)
        return 0

    return fault


def failing(errno: int) -> Fault:
    """The call fails with that error."""
    return lambda _: errno


def anything(_: Call) -> bool:
    return True


@dataclass
class Tracer:
    """Counts what is `wanted` among the calls of a process and its threads; number `at` meets the
    `fault`, and with `lasting` every one after it as well. With `programs`, names of executables,
    it is instead the calls of those, among all that the process starts."""

    fault: Fault = killed
    at: int = 0
    wanted: Wanted = anything
    lasting: bool = False
    programs: frozenset[str] = frozenset()
    count: int = 0
    met: str = ""
    """What met the fault first."""
    code: int | None = None
    """How it left, once it has."""
    _failing: dict[int, int] = field(default_factory=dict)
    _mine: dict[int, bool] = field(default_factory=dict)
    _ready: threading.Event = field(default_factory=threading.Event)
    _error: list[BaseException] = field(default_factory=list)

    def follow(self, pid: int) -> threading.Thread:
        """Trace a process that is stopped, and let it go on. The thread ends when all of it has."""
        thread = threading.Thread(target=self._follow, args=(pid,), daemon=True)
        thread.start()
        self._ready.wait(10)
        if self._error:
            raise self._error[0]
        return thread

    def _follow(self, pid: int) -> None:
        try:
            options = GOOD | CLONES | (FORKS | EXECS if self.programs else 0)
            for task in _threads(pid):
                _call(SEIZE, task, 0, options)
                self._mine[task] = self._is_mine(task)
                _call(INTERRUPT, task)
            os.kill(pid, signal.SIGCONT)
        except BaseException as error:
            self._error.append(error)
            raise
        finally:
            self._ready.set()
        with suppress(ChildProcessError):
            while True:
                self._step(*os.waitpid(-1, ALL | OWN))

    def _is_mine(self, task: int) -> bool:
        if not self.programs:
            return True
        with suppress(OSError):
            return Path(f"/proc/{task}/exe").readlink().name in self.programs
        return False

    def _step(self, task: int, status: int) -> None:
        """One thread has stopped: look why, and let it go on."""
        if not os.WIFSTOPPED(status):
            self._mine.pop(task, None)
            self.code = os.waitstatus_to_exitcode(status)
            return
        number, event = os.WSTOPSIG(status), status >> 16
        deliver = 0
        if number == signal.SIGTRAP | 0x80:
            self._at_a_call(task)
        elif event == EVENT_EXEC or task not in self._mine:
            self._mine[task] = self._is_mine(task)
        elif not event:
            deliver = number
        with suppress(ProcessLookupError):
            _call(SYSCALL if self._mine.get(task) else CONT, task, 0, deliver)

    def _at_a_call(self, task: int) -> None:
        info = _Info()
        with suppress(ProcessLookupError):
            _call(SYSCALL_INFO, task, ctypes.sizeof(info), ctypes.addressof(info))
            if info.op == ENTRY:
                self._enter(task, info)
            elif errno := self._failing.pop(task, 0):
                _call(POKE, task, RAX, -errno)

    def _enter(self, task: int, info: _Info) -> None:
        name = NAMES.get(info.nr, "")
        if not name or (name == "openat" and not info.args[2] & os.O_CREAT):
            return
        call = Call(task, name, _about(task, name, info.args))
        if not self.wanted(call):
            return
        self.count += 1
        if self.count == self.at or (self.lasting and self.at and self.count > self.at):
            self.met = self.met or str(call)
            if errno := self.fault(call):
                self._failing[task] = errno
                _call(POKE, task, ORIG_RAX, -1)


def _call(request: int, task: int, address: int = 0, data: int = 0) -> None:
    """Raises ProcessLookupError for a thread that was killed meanwhile."""
    if _ptrace(request, task, address, data & (1 << 64) - 1) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request} of {task}")


def _threads(pid: int) -> list[int]:
    return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]


def _process(task: int) -> int:
    """The process that a thread is of."""
    for line in Path(f"/proc/{task}/status").read_text().splitlines():
        if line.startswith("Tgid:"):
            return int(line.split()[1])
    raise ProcessLookupError(task)


BY_PATH = {"openat": 1, "rename": 1, "renameat": 3, "renameat2": 3, "mkdir": 0, "mkdirat": 1}
BY_PATH |= {"link": 1, "linkat": 3, "symlink": 1, "symlinkat": 2}
BY_PATH |= {"unlink": 0, "unlinkat": 1, "rmdir": 0, "truncate": 0}
"""Where a call has the name that it makes or takes away."""


def _about(task: int, name: str, args: ctypes.Array[c_uint64]) -> str:
    with suppress(OSError):
        if name in BY_PATH:
            return _text(task, args[BY_PATH[name]])
        return str(Path(f"/proc/{task}/fd/{args[0]}").readlink())
    return "?"


def _text(task: int, address: int) -> str:
    """A path as the process has it in its memory, made whole by its directory."""
    with Path(f"/proc/{task}/mem").open("rb", 0) as memory:
        memory.seek(address)
        text = memory.read(512).partition(b"\0")[0].decode(errors="replace")
    return text if text.startswith("/") else f"{Path(f'/proc/{task}/cwd').readlink()}/{text}"
