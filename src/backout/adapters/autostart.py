"""Where a machine keeps what it is to run by itself: systemd units, and a person's crontab.

Everything of ours begins with a mark that names the directory it was written for; nothing that
does not is ever touched.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backout.errors import Refused

TIMEOUT = 60.0
MARK = "# backout: "


@dataclass(frozen=True, slots=True)
class Entry:
    """A unit file, or one line of a crontab."""

    name: str
    text: str
    owner: str
    """Whose it is: the directory and the target that it was written for."""


class Systemd:
    """Unit files of the machine, or of this user."""

    def __init__(self, *, user: bool = False) -> None:
        own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"
        self.user = user or os.geteuid() != 0
        self.directory = own if self.user else Path("/etc/systemd/system")
        self._systemctl = ("systemctl", "--user") if self.user else ("systemctl",)

    def entries(self) -> tuple[Entry, ...]:
        """Those that are ours."""
        found = []
        for path in sorted(self.directory.glob("backout-*")):
            text = path.read_text(encoding="utf-8", errors="replace")
            if text.startswith(MARK):
                owner = text.splitlines()[0].removeprefix(MARK)
                found.append(Entry(path.name, text, owner))
        return tuple(found)

    def place(self, entry: Entry) -> str:
        return str(self.directory / entry.name)

    def write(self, entries: Sequence[Entry]) -> None:
        """Write units and start the last one, now and at every start. Raises Refused."""
        for entry in entries:
            path = self.directory / entry.name
            if path.exists() and not path.read_text(errors="replace").startswith(MARK):
                raise Refused(f"{path} is not ours", next=f"look at it, then: rm {path}")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for entry in entries:
                (self.directory / entry.name).write_text(entry.text, encoding="utf-8")
        except OSError as error:
            raise Refused(f"{error.filename} cannot be written: {error.strerror}") from error
        self._do("daemon-reload")
        self._do("enable", entries[-1].name)
        self._do("restart", entries[-1].name)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Stop units and remove their files. Raises Refused."""
        for entry in entries:
            if "[Install]" in entry.text:
                self._do("disable", "--now", entry.name)
        for entry in entries:
            (self.directory / entry.name).unlink(missing_ok=True)
        self._do("daemon-reload")

    def _do(self, *words: str) -> None:
        _run((*self._systemctl, *words))


class Crontab:
    """This user's crontab."""

    def __init__(self, crontab: Sequence[str] = ("crontab",)) -> None:
        self._crontab = tuple(crontab)

    def entries(self) -> tuple[Entry, ...]:
        """The lines that are ours; each is followed by our mark. None where no crontab is to be
        had."""
        try:
            lines = self._lines()
        except Refused:
            return ()
        found = []
        for line in lines:
            _, mark, owner = line.rpartition(MARK)
            if mark:
                found.append(Entry(_named(owner), line, owner))
        return tuple(found)

    def place(self, entry: Entry) -> str:
        return f"crontab line for {entry.owner}"

    def write(self, entries: Sequence[Entry]) -> None:
        """Add lines, each instead of the one it had before. Raises Refused."""
        owners = {entry.owner for entry in entries}
        kept = [line for line in self._lines() if line.rpartition(MARK)[2] not in owners]
        self._save([*kept, *(entry.text for entry in entries)])

    def remove(self, entries: Sequence[Entry]) -> None:
        """Take these lines out, and leave the others as they are. Raises Refused."""
        gone = {entry.text for entry in entries}
        self._save([line for line in self._lines() if line not in gone])

    def _lines(self) -> list[str]:
        """The whole crontab, for the whole of it is written anew; nothing only where there is none
        by its own word. Raises Refused."""
        try:
            text = _run((*self._crontab, "-l"))
        except Refused as error:
            if _NO_CRONTAB.search(error.what):
                return []
            raise
        return text.removesuffix("\n").split("\n") if text else []

    def _save(self, lines: Sequence[str]) -> None:
        _run((*self._crontab, "-"), "".join(f"{line}\n" for line in lines))


_NO_CRONTAB = re.compile(r"no crontab|can't open .*: No such file")
"""What crontabs say, and busybox's."""


def _named(owner: str) -> str:
    return f"crontab:{owner}"


def _run(argv: Sequence[str], text: str = "") -> str:
    """What it prints. Whatever bytes there are in it come back as they were. Raises Refused."""
    try:
        done = subprocess.run(
            argv,
            input=os.fsencode(text),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except OSError as error:
        raise Refused(
            f"{argv[0]} cannot be run: {error.strerror}", next="choose another --as"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Refused(f"{' '.join(argv)} did not end within {TIMEOUT:g} s") from error
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")
        said = told or f"exit code {done.returncode}"
        raise Refused(f"{' '.join(argv)}: {said}", next=f"try it by hand: {' '.join(argv)}")
    return os.fsdecode(done.stdout)
