"""Runs the command line in processes that need not import it first.

Four fifths of what a short command costs is Python reading Backout and its libraries. Here one
process has read them all and forks another for each command: with its own directory, environment
and output, as a shell would start it. What a test interrupts or kills is started in earnest.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

ABOUT_PYTHON = ("PYTHON", "LC_", "LANG")
"""What begins so is read when Python starts."""


def run(
    words: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Run `backout WORDS` to its end: how it left, and what it said on both streams. Raises
    TimeoutExpired, and it is killed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if _about_python(env) == _about_python(os.environ):
            code = _forked(words, cwd, env, timeout, (out.fileno(), err.fileno()))
        else:
            argv = [sys.executable, "-m", "backout", *words]
            code = subprocess.run(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=timeout,
            ).returncode
        for file in (out, err):
            file.seek(0)
        return code, out.read().decode(), err.read().decode()


def _about_python(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(ABOUT_PYTHON)}


def _forked(
    words: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    output: tuple[int, int],
) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.connect(_server())
        request = json.dumps({"words": words, "cwd": str(cwd), "env": dict(env)})
        socket.send_fds(link, [request.encode()], output)
        pid = int(link.recv(64))
        link.settimeout(timeout)
        try:
            return int(link.recv(64))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(words), timeout) from None


@cache
def _server() -> str:
    """The address of this process's own server, which ends with it."""
    folder = tempfile.TemporaryDirectory(prefix="warm-", dir="/tmp")
    place = f"{folder.name}/socket"
    server = subprocess.Popen(
        [sys.executable, __file__, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
    _read_everything()
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


def _read_everything() -> None:
    import backout

    for module in pkgutil.walk_packages(backout.__path__, "backout."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
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


def _become(output: tuple[int, ...], words: list[str], cwd: str, env: dict[str, str]) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((null, *output)):
        os.dup2(file, number)
        os.close(file)
    # As Python opens them at its start, for as long as the process lives.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    sys.path[0] = str(Path.cwd())
    from backout.tasks import main

    sys.argv = ["invoke", *words]  # as it is named in what is to be typed next
    try:
        main()
    except SystemExit as left:
        if not isinstance(left.code, int):
            raise
        _leave(left.code)
    _leave(0)


def _leave(code: int) -> None:
    """As Python does, but for taking apart every module that was read."""
    threading._shutdown()  # type: ignore[attr-defined] # what Python calls at its end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
