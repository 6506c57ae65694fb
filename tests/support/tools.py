"""Where the programs that beds run are found. A missing one fails the test, never skips it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class MissingTool(AssertionError):
    """A program that the tests need is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed; run tests/setup as root")


def program(name: str) -> str:
    """Find a program of the operating system, ignoring strays in /usr/local and the user's PATH."""
    found = shutil.which(name, path=SYSTEM_PATH) or shutil.which(name)
    if found is None:
        raise MissingTool(name)
    return found


def venv_program(name: str) -> str:
    """Find a program that was installed beside the running interpreter."""
    found = Path(sys.executable).parent / name
    if not found.exists():
        raise MissingTool(name)
    return str(found)


def system_python() -> str:
    """The operating system's Python, which starts faster than one in a virtual environment."""
    return shutil.which("python3", path=SYSTEM_PATH) or sys.executable


def cache() -> Path:
    """The folder where tests/setup keeps what is costly to fetch."""
    default = Path.home() / ".cache" / "backout-tests"
    return Path(os.environ.get("BACKOUT_TEST_CACHE") or default)


def node_modules() -> Path:
    """The folder of the npm packages that tests/setup installed."""
    found = cache() / "npm" / "node_modules"
    if not found.is_dir():
        raise MissingTool("the npm part of the tests")
    return found


def node_program(name: str) -> str:
    """Find a program that an npm package brought."""
    found = node_modules() / ".bin" / name
    if not found.exists():
        raise MissingTool(name)
    return str(found)


def postgres_program(name: str) -> str:
    """Find a PostgreSQL server program: the newest packaged version."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_major_version)
    if versions:
        return str(versions[-1])
    return program(name)


def _major_version(path: Path) -> float:
    try:
        return float(path.parents[1].name)
    except ValueError:
        return 0.0
