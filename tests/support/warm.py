"""Runs the command line in processes that need not import it first.

Four fifths of what a short command costs is Python reading Backout and its libraries. Here one
process has read them all and forks another for each command: with its own directory, environment
and output, as a shell would start it. It is a process like any other: it can be interrupted and
killed.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

ABOUT_PYTHON = ("PYTHON", "LC_", "LANG", "COVERAGE_PROCESS")
"""What begins so is read when Python starts."""
ITS_OWN_SERVER = (
    *("LC_", "LANG", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "COVERAGE_PROCESS"),
)
"""What of that a server which was started with it hands on to whatever it forks."""
_BEGINNING = threading.Lock()
BACKOUT = (sys.executable, "-m", "backout")


def run(
    words: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    program: Sequence[str] = BACKOUT,
) -> tuple[int, str, str]:
    """Run `backout WORDS`, or those words of another Python program, to its end: how it left, and
    what it said on both streams. Raises TimeoutExpired, and it is killed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = start(words, cwd, env, (out.fileno(), err.fileno()), program=program)
        try:
            code = begun.wait(timeout)
        except subprocess.TimeoutExpired:
            begun.kill()
            raise
        for file in (out, err):
            file.seek(0)
        return code, out.read().decode(), err.read().decode()


def talking(words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Started:
    """Begin `backout WORDS`; what it says can be read from `stdout` and `stderr`."""
    (out, says), (err, complains) = os.pipe(), os.pipe()
    try:
        begun = start(words, cwd, env, (says, complains))
    finally:
        os.close(says)
        os.close(complains)
    begun.stdout, begun.stderr = os.fdopen(out), os.fdopen(err)
    return begun


def start(
    words: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    output: tuple[int, int],
    *,
    session: bool = False,
    program: Sequence[str] = BACKOUT,
) -> Started:
    """Begin `backout WORDS`, which says what it has to say to two files; in a session of its own
    if told so. `program` is a script, or Python and `-c` and a text."""
    argv = [*program, *words]
    about = about_python(env)
    other = about.items() ^ about_python(os.environ).items()
    if any(not name.startswith(ITS_OWN_SERVER) for name, _ in other):
        return Cold(argv, cwd, env, output, session=session)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect(_server(frozenset(about.items())))
    request = {"argv": argv, "cwd": str(cwd), "env": dict(env), "session": session}
    socket.send_fds(link, [json.dumps(request).encode()], output)
    return Warm(argv, link)


def about_python(env: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a program which was read already can no longer follow."""
    return {name: value for name, value in env.items() if name.startswith(ABOUT_PYTHON)}


class Started(ABC):
    """A command at work in a process of its own: what `subprocess.Popen` says of one."""

    pid: int
    stdout: IO[str] | None = None
    stderr: IO[str] | None = None
    returncode: int | None = None

    def __init__(self, argv: Sequence[str]) -> None:
        self.args = tuple(argv)

    @abstractmethod
    def _ended(self, timeout: float | None) -> int | None:
        """How it left, or None when it is still at work by then."""

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._ended(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = self._ended(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it says from now on, and its end. Raises TimeoutExpired."""
        assert self.stdout is not None
        assert self.stderr is not None
        with ThreadPoolExecutor(2) as pool:
            said = pool.submit(_rest, self.stdout), pool.submit(_rest, self.stderr)
            late = wait(said, timeout).not_done
            if late:
                self.kill()
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(timeout)
        return said[0].result(), said[1].result()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _rest(stream: IO[str]) -> str:
    if stream.closed:
        return ""
    with stream:
        return stream.read()


class Warm(Started):
    """One that was forked; the link tells how it ended."""

    def __init__(self, argv: Sequence[str], link: socket.socket) -> None:
        super().__init__(argv)
        self._link = link
        self.pid = int(link.recv(64))
        weakref.finalize(self, link.close)  # which nobody closes before all have asked

    def _ended(self, timeout: float | None) -> int | None:
        """Several threads may ask at once: what tells it stays where it is."""
        heard = select.poll()
        heard.register(self._link, select.POLLIN)
        if not heard.poll(None if timeout is None else timeout * 1000):
            return None
        return int(self._link.recv(64, socket.MSG_PEEK))


class Cold(Started):
    """One that Python was started for, with settings of its own."""

    def __init__(
        self,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        output: tuple[int, int],
        *,
        session: bool,
    ) -> None:
        super().__init__(argv)
        self._popen = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output[0],
            stderr=output[1],
            start_new_session=session,
        )
        self.pid = self._popen.pid

    def _ended(self, timeout: float | None) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(timeout)
        return None


def _server(about: frozenset[tuple[str, str]]) -> str:
    """The address of this process's own server, which was started so, and ends with it."""
    with _BEGINNING:
        return _begun(about)


@cache
def _begun(about: frozenset[tuple[str, str]]) -> str:
    folder = tempfile.TemporaryDirectory(prefix="warm-", dir="/tmp")
    place = f"{folder.name}/socket"
    rest = {name: value for name, value in os.environ.items() if not name.startswith(ABOUT_PYTHON)}
    server = subprocess.Popen(
        [sys.executable, __file__, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**rest, **dict(about)},
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"

    def end() -> None:
        server.communicate()
        folder.cleanup()

    atexit.register(end)
    return place


# --- the server ----------------------------------------------------------------------------


def serve(place: str) -> None:
    """Fork for each request, until stdin ends."""
    read_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(place)
        door.listen()
        os.write(1, b"ready\n")
        while door in select.select([door, sys.stdin], [], [])[0]:
            link = door.accept()[0]
            if os.fork() == 0:
                door.close()
                break
            link.close()
        else:
            return
    _mind(link)


def read_everything() -> None:
    """Every module of Backout, and what those need, once and for all."""
    import backout

    for module in pkgutil.walk_packages(backout.__path__, "backout."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("psycopg")  # read only where there is a ledger in PostgreSQL
    gc.collect()
    gc.freeze()  # else each child would look through all of it again, and once more at its end


def _mind(link: socket.socket) -> None:
    """Start one command, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, _, _ = socket.recv_fds(link, 1 << 20, 2)
    pid = os.fork()
    if pid == 0:
        link.close()
        _become(tuple(files), **json.loads(request))
        return
    link.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    link.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(
    output: tuple[int, ...], argv: list[str], cwd: str, env: dict[str, str], session: bool
) -> None:
    if session:
        os.setsid()
    os.chdir(cwd)
    started_with = about_python(os.environ)  # Python itself may set LC_CTYPE
    os.environ.clear()
    os.environ.update(started_with | env)
    time.tzset()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((null, *output)):
        os.dup2(file, number)
        os.close(file)
    # As Python opens them at its start, for as long as the process lives.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    try:
        _act(argv)
    except SystemExit as left:
        if not isinstance(left.code, int):
            raise
        _leave(left.code)
    _leave(0)


def _act(argv: list[str]) -> None:
    """What Python would do, had it been started so."""
    sys.path[0] = str(Path.cwd())
    if argv[:3] == [*BACKOUT]:
        from backout.tasks import main

        sys.argv = ["invoke", *argv[3:]]  # as it is named in what is to be typed next
        main()
    elif argv[:2] == [sys.executable, "-c"]:
        sys.argv = ["-c", *argv[3:]]
        exec(argv[2], {"__name__": "__main__"})  # noqa: S102 - a text of the tests
    else:
        sys.path[0] = str(Path(argv[0]).parent)
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")


def _leave(code: int) -> None:
    """As Python does, but for taking apart every module that was read."""
    threading._shutdown()  # type: ignore[attr-defined] # what Python calls at its end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
