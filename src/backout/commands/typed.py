"""The commands that are named to a person, as this person can type them.

Everywhere else they are written `invoke VERB`, `backout VERB` and `pip install 'backout[EXTRA]'`.
Where an answer or an error is shown, they become what was typed to get here: `backout VERB`,
`.venv/bin/invoke VERB`, `python3 -m backout VERB`; and the install line of this installation.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from backout.adapters import extras
from backout.commands.options import VERBS
from backout.errors import BackoutError, Interrupted, Mistakes, Refused
from backout.reports.told import Told

Said = TypeVar("Said", bound=Told)

PROGRAMS = ("invoke", "inv", "backout")
NAMING = frozenset({"next", "fix", "advice"})
"""The fields, anywhere in an answer, whose text names commands."""
_VERBS = "|".join(sorted((re.escape(each.name) for each in VERBS), key=len, reverse=True))
_TYPED = re.compile(rf"(?<![\w./-])(invoke|backout)(?= (?:{_VERBS}|--help|--list)(?![\w.-]))")


@dataclass(frozen=True, slots=True)
class Program:
    """How `invoke` and `backout` are typed here."""

    invoke: str
    backout: str

    @classmethod
    def called(cls, path: str, words: Sequence[str]) -> Program:
        """From the program's path and the words that its interpreter was started with."""
        program = Path(path)
        if program.name == "__main__.py" and "-m" in words:
            start = words[: words.index("-m") + 1]
            return cls(shlex.join([*start, program.parent.name]), shlex.join([*start, "backout"]))
        if program.name not in PROGRAMS:
            return cls("invoke", "backout")
        if "/" not in path or _is_found(program):
            return cls(program.name, "backout")
        beside = path[: -len(program.name)] + "backout"
        return cls(shlex.quote(path), shlex.quote(beside))

    def spell(self, text: str) -> str:
        """`text`, with every command as it is typed here."""
        spelled = _TYPED.sub(lambda found: getattr(self, found[1]), text)
        return extras.spelled(spelled)


def _is_found(program: Path) -> bool:
    """Whether its name alone starts it."""
    found = shutil.which(program.name)
    return bool(found) and program.exists() and Path(str(found)).samefile(program)


@cache
def program() -> Program:
    """How this process was called. To be asked first before the directory changes."""
    return Program.called(sys.argv[0], sys.orig_argv)


def spell(text: str) -> str:
    return program().spell(text)


def page(text: str) -> str:
    """A report in which only the line that names the rest of it is a command of ours; what hosts
    said stays as they said it."""
    return re.sub(r"(?m)^all of it: .*", lambda found: spell(found[0]), text)


def told(answer: Said) -> Said:
    """What a verb answers, with the commands that it names as they are typed here."""
    spelled: Said = _spelled(answer)
    return spelled


def _spelled(value: Any) -> Any:
    if isinstance(value, Told):
        known: Any = value  # every heir is a dataclass
        names = (each.name for each in fields(known))
        return replace(known, **{name: _named(name, getattr(known, name)) for name in names})
    if isinstance(value, Mapping):
        return {key: _named(key, each) for key, each in value.items()}
    return type(value)(map(_spelled, value)) if isinstance(value, list | tuple) else value


def _named(name: str, value: Any) -> Any:
    return spell(value) if name in NAMING and isinstance(value, str) else _spelled(value)


def error(said: BackoutError, verb: str = "") -> BackoutError:
    """The same error, whose next line can be typed. A mistake in the words of a verb for which
    nobody knew a better cure leads to what can be said to that verb, a refusal to the next try."""
    following = said.next
    if not following and isinstance(said, Mistakes):
        following = f"invoke --help {verb}" if verb else "invoke --list"
    elif not following and isinstance(said, Refused | Interrupted):
        mended = "put that right, then " if isinstance(said, Refused) else ""
        following = f"{mended}the same command again"
    said.next = spell(following)
    return said
