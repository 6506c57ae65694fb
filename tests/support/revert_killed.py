"""An automatic revert that is killed before its n-th commit, to whichever file, and the watcher
that starts after it; forked from one process, on copies of one project.

Arguments: the project, a directory for the copies, the numbers of the commits. Prints a line of
JSON for each: whether there was something to kill, what the application is on, and what was told.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backout.adapters.storage.health_store import HealthStore
from backout.adapters.terminal import ui
from backout.commands.main import Console
from backout.commands.watch import take_back
from backout.model import CheckKey
from backout.project.project import Workplace
from backout.watch import rollups
from backout.watch.process import Process
from backout.watch.reverting import Reverting

from .watch_killed import forked

LONGEST = 30.0


def process() -> Process:
    screen = Console(ui.choose(sys.stderr, False, os.environ), yes=True)
    return Process(Workplace(Path.cwd()), screen, [], take_back)


def revert(count: Callable[[str], None]) -> None:
    """The watcher has seen it go bad, and takes it back."""
    with process() as watch:
        watched = watch.watcher.targets["shop"]
        watched.news = watch.loader.news(watched.target)
        assert watched.news.deployed
        traced(count)
        assert isinstance(watch.store, HealthStore)
        watch.store._db.set_trace_callback(count)
        Reverting(watch, take_back).revert(
            watched, watched.news.deployed, [CheckKey("shop", "alive")]
        )


def traced(count: Callable[[str], None]) -> None:
    """Every connection that is opened from now on counts what it does."""
    connect = sqlite3.connect

    def counting(*args: Any, **how: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **how)
        db.set_trace_callback(count)
        return db

    sqlite3.connect = counting  # type: ignore[assignment]


def settle() -> None:
    """The next watcher, until there is nothing left to finish."""
    with process() as watch:
        end = time.monotonic() + LONGEST
        while time.monotonic() < end and (settling(watch) or not watch.store.reverts()):
            watch.watcher.wait(watch.watcher.turn())
        watch.watcher.baking.join()


def settling(watch: Process) -> bool:
    return any(each.ended is None for each in watch.store.reverts())


def killer(number: int) -> Callable[[str], None]:
    """Kills this process before its `number`th commit."""
    left = [number]

    def count(statement: str) -> None:
        left[0] -= statement.startswith("COMMIT")
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def trial(project: Path, number: int) -> dict[str, Any]:
    os.chdir(project)
    code = forked(lambda: revert(killer(number)))
    assert code in (0, -signal.SIGKILL), code
    before = (project / "version").read_text()
    assert forked(settle) == 0
    with HealthStore(project / ".backout" / "health.db", str, rollups.fold) as store:
        told = [message.title for message, _, _ in store.messages()]
    return {
        "killed": code != 0,
        "before": before,
        "on": (project / "version").read_text(),
        "told": told,
    }


def main(project: Path, copies: Path, numbers: list[int]) -> None:
    for number in numbers:
        own = copies / str(number)
        shutil.copytree(project, own, symlinks=True)
        print(json.dumps(trial(own, number)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(each) for each in sys.argv[3:]])
