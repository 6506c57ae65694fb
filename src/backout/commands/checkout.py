"""The checkout in which a worker drives one run: of the commit that ships, beside its own clone.

What a step reads here is that commit's, whatever the clone is at, and two runs do not meet.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from backout.adapters.transports.shell_text import run_name
from backout.errors import Refused
from backout.model import Target
from backout.model.operands import at_home
from backout.project.project import Workplace

FOLDER = "drives"
LOOK = 120.0
"""Seconds that git may take for one thing."""


class Checkout:
    """Of one run."""

    def __init__(self, workplace: Workplace, target: Target, run: str, commit: str) -> None:
        self._home, self._target = workplace.home, target
        self._commit = commit
        self.place = workplace.state / FOLDER / run_name(run)
        self._whole = self.place.with_name(f"{self.place.name}.whole")
        """Is there when all of the commit is: git says of half a checkout that it is one."""

    def made(self) -> Path:
        """The project's directory in it; the worker's own where the target ships no commit, or one
        of another repository. One that is there is used again: what earlier steps left in it may be
        needed. Raises Refused where the commit cannot be had."""
        source, top = self._target.source, self._top(self._home)
        if not (source and self._commit and top):
            return self._home
        if self._top(self._home / at_home(source.repository)) != top:
            return self._home
        if not self._has():
            self._git("fetch", "--quiet", "--tags", source.remote)
        if not self._has():  # on no branch and under no tag: asked for by name
            self._git("fetch", "--quiet", source.remote, self._commit)
        if not self._has():
            raise Refused(
                f"commit {self._commit[:12]} is not in the worker's repository {top}, nor at"
                f" {source.remote}",
                where=self._target.name,
                next="git push, then the same command again",
            )
        there = self._whole.exists() and self._git("rev-parse", "HEAD", at=self.place)
        if there != self._commit:
            self.remove()
            self.place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # By force twice where git has one of that place on record, locked or not. `prune` would
            # forget those of other people too, whose disk is not mounted here.
            again = ("worktree", "add", "--force", "--force", "--detach", str(self.place))
            made = self._git(*again, self._commit)
            if made is None:
                raise Refused(
                    f"the commit {self._commit[:12]} cannot be checked out",
                    where=str(self.place),
                    next="see that there is room and that git works there, then invoke workers",
                )
            self._whole.touch()
        return self.place / self._home.resolve().relative_to(top)

    def remove(self) -> None:
        """What is left of it. Git keeps one that it has only begun as locked: by force twice."""
        self._whole.unlink(missing_ok=True)
        if self.place.exists():
            self._git("worktree", "remove", "--force", "--force", str(self.place))
            shutil.rmtree(self.place, ignore_errors=True)

    def _has(self) -> bool:
        return self._git("cat-file", "-e", f"{self._commit}^{{commit}}") is not None

    def _top(self, at: Path) -> Path | None:
        found = self._git("rev-parse", "--show-toplevel", at=at) if at.is_dir() else None
        return Path(found).resolve() if found else None

    def _git(self, *words: str, at: Path | None = None) -> str | None:
        """What git says; None when it says no."""
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                ["git", "-C", str(at or self._home), *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LOOK,
                check=False,
            )
            return done.stdout.strip() if done.returncode == 0 else None
        return None
