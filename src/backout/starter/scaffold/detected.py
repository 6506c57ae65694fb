"""What a directory says of how its application is run and where its code comes from."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SIGNS: Mapping[str, tuple[str, ...]] = {
    "docker-compose": ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"),
    "pm2": ("ecosystem.config.js", "ecosystem.config.cjs", "ecosystem.config.json"),
    "supervisor": ("supervisord.conf", "supervisor.conf"),
    "docker": ("Dockerfile",),
    "systemd": ("*.service",),
    "heroku": ("Procfile",),
}
"""Backend -> the files that tell of it; the first that is found counts."""


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found, and what stands in for what was not."""

    name: str
    backend: str = "systemd"
    by: str = ""
    """The file that tells the backend."""
    remote: str = "origin"
    branch: str = "main"


def detect(directory: Path) -> Detected:
    """Look at a directory and its git repository; nothing is changed, nothing is asked for."""
    backend, by = next(_backends(directory), ("systemd", ""))
    remotes = _git(directory, "remote").split()
    return Detected(
        name=_name(directory.name),
        backend=backend,
        by=by,
        remote="origin" if "origin" in remotes or not remotes else remotes[0],
        branch=_git(directory, "symbolic-ref", "--quiet", "--short", "HEAD") or "main",
    )


def _backends(directory: Path) -> Iterator[tuple[str, str]]:
    for backend, patterns in SIGNS.items():
        for pattern in patterns:
            yield from ((backend, path.name) for path in sorted(directory.glob(pattern)))


def _name(folder: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", folder).strip("-.") or "my-app"


def _git(directory: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
