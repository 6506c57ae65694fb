"""Every way Backout says no, as one tree.

::

    BackoutError            what, where, state, next; exit code 1
    ├── Mistakes            bad arguments, YAML or templates: nothing was touched (2)
    ├── Refused             refused before any change (3)
    │   ├── Unreachable     a host could not be reached (3)
    │   │   └── HostKeyRefused  a host's key is unknown or has changed (3)
    │   ├── NotYet          a step needs what an earlier one may make (3)
    │   ├── TakenOver       another machine goes on with the run (3)
    │   ├── Outdated        a host knows more of the run than this journal (3)
    │   ├── Foreign         another version of Backout wrote it (3)
    │   ├── Unwritten       the history of checks cannot be written now (3)
    │   │   └── Unsettled   whether it was written is not known yet (3)
    │   └── Damaged         a file of Backout's own cannot be read any more (3)
    ├── BackedOut           failed, backed out, the old release is healthy (4)
    ├── Incomplete          backing out is incomplete: a person is needed (5)
    ├── Unhealthy           verify: at least one check failed (6)
    ├── Held                another run holds the target (7)
    ├── Interrupted         interrupted; `resume` or `abort` continue the run (8)
    └── Inconclusive        verify: could not tell (9)

An error is three lines for a person at 3 a.m.: what failed and where; the state that
things are in now; the next command to type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How a command leaves; the same everywhere."""

    DONE = 0
    BUG = 1
    MISTAKE = 2
    REFUSED = 3
    BACKED_OUT = 4
    INCOMPLETE = 5
    UNHEALTHY = 6
    HELD = 7
    INTERRUPTED = 8
    INCONCLUSIVE = 9


class BackoutError(Exception):
    """What failed and where, the state things are in, and the next command to type."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, what: str, *, where: str = "", state: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.state = state
        self.next = next

    def __str__(self) -> str:
        first = f"{self.what} ({self.where})" if self.where else self.what
        state = f"state: {self.state}" if self.state else ""
        following = f"next:  {self.next}" if self.next else ""
        return "\n".join(line for line in (first, state, following) if line)


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in one file: `runbooks/x.yaml:12 steps[3].undo: …`."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place} {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class Mistakes(BackoutError):
    """Bad arguments, YAML or templates; every mistake of every file at once."""

    exit_code = ExitCode.MISTAKE

    def __init__(
        self,
        what: str = "",
        *,
        mistakes: Sequence[Mistake] = (),
        where: str = "",
        state: str = "nothing was touched",
        next: str = "",
    ) -> None:
        """Where nothing better is known: lint shows what is wrong in files, and in them only."""
        self.mistakes = tuple(sorted(set(mistakes)))
        next = next or ("invoke lint" if any(each.line for each in self.mistakes) else "")
        text = what or "\n".join(str(mistake) for mistake in self.mistakes)
        super().__init__(text, where=where, state=state, next=next)


class Refused(BackoutError):
    """Refused before any change: preflight, baseline, reachability, confirmation."""

    exit_code = ExitCode.REFUSED

    def __init__(
        self, what: str, *, where: str = "", state: str = "nothing was changed", next: str = ""
    ) -> None:
        super().__init__(what, where=where, state=state, next=next)


class Unreachable(Refused):
    """A host could not be reached. During a run the engine turns it into an outcome."""


class HostKeyRefused(Unreachable):
    """A host's key is unknown, or is not the one on record. No command ran there."""


class NotYet(Refused):
    """A step needs a place or a file that is not there, and that an earlier step may be to make."""


class Outdated(Refused):
    """A host knows more of the run than this journal, which is an older copy: what became of the
    run is not known here, so it is not over."""


class Foreign(Refused):
    """Another version of Backout wrote it, and it says what this one does not know."""


class Unwritten(Refused):
    """The history of checks cannot be written: the disk is full, or the file is not writable.
    Nothing of it was; it can be tried again."""


class Unsettled(Unwritten):
    """Whether it was written is not known yet: the answer of the database was lost, and it cannot
    be asked for now."""

    token = ""
    """By which it can be asked for later."""


class Damaged(Refused):
    """A file of Backout's own is not what it was: what is in it cannot be read any more."""


class BackedOut(BackoutError):
    """The run failed and was backed out; the old release proved healthy."""

    exit_code = ExitCode.BACKED_OUT


class Incomplete(BackoutError):
    """Backing out is incomplete; the message says what state each host is in."""

    exit_code = ExitCode.INCOMPLETE


class Unhealthy(BackoutError):
    """At least one check failed."""

    exit_code = ExitCode.UNHEALTHY


class Held(BackoutError):
    """Another run holds the target."""

    exit_code = ExitCode.HELD


class TakenOver(Refused):
    """Another machine goes on with the run."""


class Interrupted(BackoutError):
    """Interrupted; the run is journaled, and `resume` or `abort` continue it."""

    exit_code = ExitCode.INTERRUPTED


class Inconclusive(BackoutError):
    """Verification could not tell; never called healthy."""

    exit_code = ExitCode.INCONCLUSIVE
