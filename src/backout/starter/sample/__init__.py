"""A small application of one's own to deploy, on a machine with nothing but Python and git.

It has a working copy, a bare origin, and a supervisord from PyPI that runs it. `inventories/
local.yaml` names the directory with `sample:`; what is missing there is made before a run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from backout.errors import Refused

HERE = Path(__file__).parent
# The kernel allows a socket's name 107 bytes; the folder, the file and the process number that
# supervisord appends to it for a moment take up to 47 of them.
LONGEST_BASE = 60
STOPPING = 15.0
"""How long, in seconds, the end of supervisord is waited for."""
_PORT = re.compile(r'PORT="(\d+)"')
AUTHOR = ("-c", "user.name=Backout sample", "-c", "user.email=sample@localhost")


def port(directory: Path) -> int | None:
    """Where the sample in `directory` listens; None when there is none."""
    try:
        found = _PORT.search((directory / "supervisord.conf").read_text("utf-8"))
    except OSError:
        return None
    return int(found[1]) if found else None


def free_port(wanted: int = 0) -> int:
    """The port `wanted`, or another that is free on this machine. Raises Refused."""
    for port in (wanted, 0):
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(free.getsockname()[1])
    raise Refused("no port of this machine is free")


def ensure(directory: Path, wanted: int) -> None:
    """Make the sample in `directory`, unless it is there. It listens on the port `wanted`, or on
    another where somebody has that one. Raises Refused without git."""
    if (directory / "work" / ".git").exists():
        return
    if shutil.which("git") is None:
        raise Refused("git is missing", next="install git, for example: apt-get install git")
    directory.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=directory, prefix="making-"))
    work = building / "work"
    _git(building, "init", "-q", "--bare", "-b", "main", str(directory / "origin.git"))
    _git(building, "init", "-q", "-b", "main", str(work))
    for name in ("app.py", "README.md"):
        shutil.copy(HERE / f"{name}.txt", work / name)
    _git(work, "remote", "add", "origin", str(directory / "origin.git"))
    _git(work, "config", "user.name", "Backout sample")
    _git(work, "config", "user.email", "sample@localhost")
    _git(work, "add", "--all")
    _git(work, *AUTHOR, "commit", "-q", "-m", "A service that answers")
    _git(work, "push", "-q", "-u", "origin", "main")
    configuration = _configuration(directory, free_port(wanted))
    (directory / "supervisord.conf").write_text(configuration, encoding="utf-8")
    work.rename(directory / "work")
    building.rmdir()


def stop(directory: Path) -> None:
    """Stop the sample's supervisord, and the service with it; nothing happens without one."""
    if not (directory / "supervisord.conf").exists():
        return
    control = [sys.executable, "-m", "supervisor.supervisorctl"]
    shutdown = ["-c", str(directory / "supervisord.conf"), "shutdown"]
    subprocess.run([*control, *shutdown], capture_output=True, check=False)
    deadline = time.monotonic() + STOPPING
    while (directory / "supervisord.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # it answers first, and then stops what it runs


def _git(where: Path, *words: str) -> None:
    done = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"the sample could not be made: git {words[0]}: {done.stderr.strip()}")


def _configuration(directory: Path, port: int) -> str:
    text = (HERE / "supervisord.conf.txt").read_text("utf-8")
    return text.format(
        socket=_socket(directory),
        python=quoted(sys.executable),
        port=port,
    )


def quoted(path: str) -> str:
    """One word of a supervisord's command: no shell's space ends it, no remark begins in it, and
    `%` stands for itself."""
    word = shlex.quote(path).replace(" #", " ''#").replace(" ;", " '';")
    return word.replace("%", "%%")


def _socket(directory: Path) -> Path:
    """The control socket: in a private place whose name is short enough for a socket's."""
    name = hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:12]
    wanted = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    base = wanted if len(os.fsencode(wanted)) <= LONGEST_BASE else "/tmp"  # noqa: S108 - the folder in it is ours
    private = Path(base) / f"backout-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid():
        raise Refused(f"{private} belongs to somebody else", next="set XDG_RUNTIME_DIR")
    return private / f"{name}.sock"
