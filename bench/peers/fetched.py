"""The peers, pinned, fetched when they are missing: Python's into an environment of their own in
the tests' cache, Debian's where this program may install.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import venv

from support.tools import MissingTool, cache

PYTHON = ("ansible-core==2.19.14", "pyinfra==3.10")
DEBIAN = {"cap": "capistrano=3.17.2*"}


def program(name: str) -> str:
    """Where a peer's program is. Raises MissingTool where it cannot be had."""
    if name in DEBIAN:
        return _debian(name)
    return _python(name)


def _python(name: str) -> str:
    home = cache() / "peers"
    found = home / "bin" / name
    stamp = home / ".fetched"
    if not stamp.exists() or stamp.read_text() != str(PYTHON):
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", *PYTHON], check=True)
        stamp.write_text(str(PYTHON))
    return str(found)


def _debian(name: str) -> str:
    if not shutil.which(name):
        words = ["apt-get", "install", "-y", "-q", "--no-install-recommends", DEBIAN[name]]
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(words, check=False, env=env, stdout=subprocess.DEVNULL)
    found = shutil.which(name)
    if found is None:
        raise MissingTool(name)
    return found
