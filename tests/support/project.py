"""A project directory, and the command line run in it as an operator would."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backout import testing
from backout.testing import Sandbox

from . import warm
from .warm import BACKOUT, Started

__all__ = ["BACKOUT", "Project", "Said", "number"]


@dataclass(frozen=True)
class Said(testing.Said):
    """What one command said, and what a run said of releases."""

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


class Project(Sandbox):
    """A sandbox whose verbs are typed as `invoke` has them."""

    alone = False
    """Whether each verb is a process of its own, which ends with it. That costs as much again as
    most verbs; told where the process is the point: its id, its locks, its end."""

    def say(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        within: str = ".",
        alone: bool = False,
    ) -> Said:
        """Run `backout WORDS` to its end, in a directory of the project."""
        directory = self.directory / within
        whole = {**self.env, **(env or {})}
        if alone or self.alone or not _fits(whole):
            return Said(*warm.run(words, directory, whole, timeout=240))
        return Said(*testing.typed(words, directory, whole, "invoke"))

    def start(self, *words: str) -> Started:
        """Begin `backout WORDS`, for a test that interrupts it."""
        return warm.talking(words, self.directory, self.env)


def _fits(env: Mapping[str, str]) -> bool:
    """Whether a command may have this process for itself."""
    mine = threading.current_thread() is threading.main_thread()
    return mine and warm.about_python(env) == warm.about_python(os.environ)
