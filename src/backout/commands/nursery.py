"""Where the processes of a worker's drives come from: one that has read all of Backout, and forks.

It is forked itself before the worker has threads or links. Its end is the end of what it began, and
the worker's end is its own: the kernel sees to it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from backout.commands.signals import heard

BEGIN, KILL, ENDED = "begin", "kill", "ended"
PAUSE = 0.05
"""Seconds between two looks whether a drive has ended."""
LOST = 1
"""What a drive is said to have left with that nobody saw end."""
_DIES_WITH_PARENT = 1
"""Of Linux's prctl."""


class Nursery:
    """The worker's side of it."""

    def __init__(self, drive: Callable[[str], int]) -> None:
        """Forks: to be made before anything else. `drive` is done in each process."""
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        worker = os.getpid()
        with heard() as signals:  # what is raised while Python forks is lost
            self._pid = os.fork()
            if self._pid == 0:
                self._link.close()
                _serve(theirs, drive, worker)
        theirs.close()
        for name in signals:
            signal.raise_signal(signal.Signals[name])
        self._link.setblocking(False)
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self.lost = False
        """Whether it has ended, which it never should."""

    @property
    def at_work(self) -> tuple[str, ...]:
        """The runs that are driven."""
        return tuple(self._waiting)

    async def drive(self, run: str) -> int:
        """Drive it in a process of its own, to its end: how that left."""
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[run] = ended
        self._say(BEGIN, run)
        try:
            return await ended
        finally:
            self._waiting.pop(run, None)

    def kill(self, run: str) -> None:
        """End the process at once; the journal and the hosts have what it did."""
        self._say(KILL, run)

    async def listen(self) -> None:
        """What it tells, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while said := await loop.sock_recv(self._link, 4096):
            _, run, code = said.decode().split()
            self._end(run, int(code))
        self.lost = True
        for run in self.at_work:
            self._end(run, LOST)

    def close(self) -> None:
        """It ends, and with it whatever it began."""
        self._link.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _end(self, run: str, code: int) -> None:
        future = self._waiting.get(run)
        if future and not future.done():
            future.set_result(code)

    def _say(self, word: str, run: str) -> None:
        try:
            self._link.send(f"{word} {run}".encode())
        except OSError:
            self._end(run, LOST)


# --- in the process itself -------------------------------------------------------------------


def _serve(link: socket.socket, drive: Callable[[str], int], worker: int) -> NoReturn:
    """Until the worker is there no more."""
    try:
        _die_with(worker)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the worker decides what becomes of its drives
        gc.freeze()
        _forking(link, drive)
    finally:
        os._exit(0)


def _forking(link: socket.socket, drive: Callable[[str], int]) -> None:
    runs: dict[int, str] = {}
    while True:
        if select.select([link], [], [], PAUSE if runs else None)[0]:
            said = link.recv(4096)
            if not said:
                for pid in runs:
                    os.kill(pid, signal.SIGKILL)
                return
            word, run = said.decode().split()
            if word == BEGIN:
                runs[_begun(link, drive, run)] = run
            else:
                for pid in [pid for pid, each in runs.items() if each == run]:
                    os.kill(pid, signal.SIGKILL)
        while runs and (found := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = found
            code = os.waitstatus_to_exitcode(status)
            with suppress(OSError):
                link.send(f"{ENDED} {runs.pop(pid)} {code}".encode())


def _begun(link: socket.socket, drive: Callable[[str], int], run: str) -> int:
    nursery = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = LOST
    try:
        link.close()
        os.setsid()
        _die_with(nursery)
        os.dup2(2, 1)  # what the worker answers on its own output is another thing
        code = drive(run)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    """From now on this process ends when its parent does; at once, where it has ended already."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(LOST)
