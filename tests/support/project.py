"""A project directory, and the command line run in it as an operator would."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import warm
from .warm import BACKOUT, Started

__all__ = ["BACKOUT", "Project", "Said", "number"]


@dataclass(frozen=True)
class Said:
    """What one command said, and how it left."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded

    @property
    def releases(self) -> dict[str, int | None]:
        """The numbers of the releases that a run went from and to."""
        return {end: number(release) for end, release in self.data["release"].items()}

    @property
    def on(self) -> dict[str, int | None]:
        """The number of the release that each host says it is on."""
        return {name: number(host["release"]) for name, host in self.data["hosts"].items()}


def number(release: Mapping[str, Any] | None) -> int | None:
    return int(release["number"]) if release else None


class Project:
    """Inventories, runbooks and state in one directory."""

    def __init__(self, directory: Path, env: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.env = {**os.environ, "NO_COLOR": "1", **(env or {})}
        self.env.pop("BACKOUT_TARGET", None)
        for folder in ("inventories", "runbooks"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        (directory / "tasks.py").write_text("from backout.tasks import ns\n")

    @property
    def state(self) -> Path:
        return self.directory / ".backout"

    def inventory(self, name: str, data: Mapping[str, Any]) -> Path:
        return self._write("inventories", name, data)

    def runbook(self, name: str, data: Mapping[str, Any]) -> Path:
        return self._write("runbooks", name, data)

    def say(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
        within: str = ".",
    ) -> Said:
        """Run `backout WORDS` to its end, in a directory of the project."""
        directory = self.directory / within
        return Said(*warm.run(words, directory, {**self.env, **(env or {})}, timeout))

    def start(self, *words: str) -> Started:
        """Begin `backout WORDS`, for a test that interrupts it."""
        return warm.talking(words, self.directory, self.env)

    def _write(self, folder: str, name: str, data: Mapping[str, Any]) -> Path:
        path = self.directory / folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(dict(data), sort_keys=False))
        return path
