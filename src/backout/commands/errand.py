"""A verb in a process of its own, for somebody who is not at this terminal: what the web view
begins outlives it.

What is to be done, and for whom, is in the journal; the process is told its name there alone, and
does it once. Beside it lie the saved plan, the one JSON object that it answers, and its exit code.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from backout.adapters.person import act_as
from backout.adapters.storage.telling import Telling, Wish
from backout.commands import main
from backout.commands.options import Abort, Deploy, Options, Plan, Resume, Rollback
from backout.commands.options.base import AsShown
from backout.errors import Mistakes
from backout.model.people import Person
from backout.project.project import Workplace

FOLDER = "serve"
NAME = re.compile(r"[0-9a-f]{16}")
KEPT = 7 * 86400.0
"""Seconds for which what was answered is kept."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Rollback(Rollback, AsShown):
    pass


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Resume(Resume, AsShown):
    pass


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Abort(Abort, AsShown):
    pass


VERBS: Mapping[str, type[Options]] = {
    each.name: each for each in (Plan, Deploy, _Rollback, _Resume, _Abort)
}
PROGRAM = "import sys; from backout.commands import errand; sys.exit(errand.run(sys.argv[1]))"


@dataclass(frozen=True, slots=True)
class Errand:
    """What somebody wants done."""

    id: str
    verb: str
    words: Mapping[str, Any]
    who: Person
    at: datetime

    @classmethod
    def of(cls, wish: Wish) -> Errand:
        data = json.loads(wish.what)
        who = Person.of(json.loads(wish.who))
        return cls(wish.id, str(data["verb"]), data["words"], who, wish.at)


@dataclass(frozen=True, slots=True)
class Came:
    """What has come of it so far."""

    code: int | None
    """None while it is at work."""
    data: Mapping[str, Any]


class Errands:
    """Those of one project."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self.folder = workplace.state / FOLDER
        self.telling = Telling(workplace.journal)
        self._waiting: SimpleQueue[str] = SimpleQueue()

    def begin(self, verb: str, words: Mapping[str, Any], who: Person, id: str = "") -> str:
        """Durably wished, to be started soon; its name."""
        id = id or self.new()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        what = json.dumps({"verb": verb, "words": dict(words)})
        told = json.dumps(who.to_data())
        self.telling.wish(Wish(id, id, what, told, datetime.now(UTC)))
        self._waiting.put(id)
        return id

    def start(self) -> None:
        """Those that wait; by the thread whose priority they are to have."""
        while not self._waiting.empty():
            self._start(self._waiting.get())

    def _start(self, id: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        out, err = (os.open(self.file(id, kind), flags, 0o600) for kind in ("out", "err"))
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, id],
                cwd=self.workplace.root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        finally:
            os.close(out)
            os.close(err)
        threading.Thread(target=process.wait, name="errand", daemon=True).start()

    def new(self) -> str:
        return secrets.token_hex(8)

    def file(self, id: str, kind: str) -> Path:
        return self.folder / f"{id}.{kind}"

    def find(self, id: str) -> Errand:
        """Raises Mistakes."""
        wishes = self.telling.wishes(id) if NAME.fullmatch(id) else ()
        if not wishes:
            raise Mistakes(f"nothing was begun under {id!r}")
        return Errand.of(wishes[0])

    def came(self, errand: Errand) -> Came:
        """What has come of it."""
        try:
            code = int(self.file(errand.id, "code").read_text())
        except (OSError, ValueError):
            lost = time.time() - errand.at.timestamp() > 10 and not self._lives(errand.id)
            return Came(1 if lost else None, {})
        with suppress(OSError, ValueError):
            data = json.loads(self.file(errand.id, "out").read_text("utf-8", "replace"))
            return Came(code, data if isinstance(data, dict) else {})
        return Came(code, {})

    def _lives(self, id: str) -> bool:
        with suppress(OSError), self.file(id, "taken").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def tidy(self) -> None:
        """Forget what is long over."""
        for path in self.folder.glob("*.*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > KEPT:
                    path.unlink()


def run(id: str) -> int:
    """In a process of its own: once."""
    workplace = Workplace(Path.cwd())
    errands = Errands(workplace)
    errand = errands.find(id)
    workplace.close()
    taken = os.open(errands.file(id, "taken"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(taken, fcntl.LOCK_EX)
    act_as(errand.who)
    options = VERBS[errand.verb](**{**errand.words, "json": True})
    sys.argv = ["invoke", errand.verb, *_typed(errand.words)]
    code = main.main(options)
    with errands.file(id, "code").open("w") as file:
        file.write(str(code))
    return code


def _typed(words: Mapping[str, Any]) -> list[str]:
    """As it would be typed."""
    said = ((f"--{name}", value) for name, value in words.items() if name != "shown")
    return [part for name, value in said for part in ([name] if value is True else [name, value])]
