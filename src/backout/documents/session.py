"""What a session's shell has in mind when it comes to a command: its directory, and what it was
told that no other shell knows. A note's lines are typed into one; each step of a runbook has a
shell of its own, and is told again.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from backout.documents import variables
from backout.documents.words import Simple, tokens

_GOES, _MOVES = frozenset(("cd", "pushd")), frozenset(("cd", "pushd", "popd"))
_WITH_IT = frozenset(("", ":", "true", "echo", "exit", "return"))
"""What may stand beside a `cd` that does nothing else: `cd /srv/app || exit 1`."""
_APART = frozenset(
    ("(", ")", "{", "}", "|", "|&", "&", "for", "while", "until", "if", "case", "select")
)
"""What makes another shell, or does not say whether a `cd` comes about."""
_TOLD = re.compile(
    r"^(?:(?:source|\.) \S|(?:nvm|fnm|rvm) use\b|(?:conda|mamba|micromamba|pyenv) activate\b|"
    r"(?:rbenv|pyenv|nodenv) shell\b|workon \S|module load\b|"
    r"(?:set|shopt|umask|ulimit|alias|unalias|eval)(?: |$))"
)
_STRICT = re.compile(r"^set(?: [-+][euxo]+| [-+][a-z]*o (?:pipefail|errexit|nounset|xtrace))+$")
"""How strict a script is with itself: a step ends at its first failure anyway."""
_FORGETS = frozenset(("deactivate",))
_SCRIPT = re.compile(r"^(?:source|\.) (?P<path>[^\s;&|]+)", re.MULTILINE)

_OWN = re.compile(
    r"(?:^|[-_.])(?:\w*(?:laptop|macbook|desktop|workstation|thinkpad|imac)\w*|local(?:host)?|mbp|pc|dev|home)"
    r"(?:[-_.]|$)",
    re.IGNORECASE,
)
"""Names of the machine that somebody sits at."""


def ones_own(who: str) -> bool:
    """Whether a prompt is that of the machine that one deploys from."""
    return bool(_OWN.search(who.rpartition("@")[2]))


LEAVING = frozenset(("exit", "logout"))
"""What ends a session on another machine."""


@dataclass(frozen=True, slots=True)
class Mind:
    """What a shell has in mind as it comes to a statement, and what that statement is to it."""

    cwd: str
    told: str
    flags: tuple[str, ...]
    sets: tuple[str, ...]
    """The variables that the statement sets, and does nothing else, of which a shell alone can
    tell what they are."""


@dataclass(slots=True)
class Session:
    """The shell that a note's statements are typed into, one after the other."""

    asked_for: frozenset[str]
    """The variables that the note itself uses."""
    cwd: str = ""
    host: str = ""
    told: str = ""
    known: dict[str, str] = field(default_factory=dict)
    """The variables that are set by now, and what they are."""
    _trail: tuple[str, ...] | None = None
    _anew: bool = True

    def enters(self, trail: tuple[str, ...], *, anew: bool) -> None:
        """The headings that it is under by now. `anew`: in another fence than before."""
        if self._trail is not None and not self.host and is_another(self._trail, trail):
            self.told = ""
        self._trail, self._anew = trail, anew

    def prompted(self, who: str, place: str) -> None:
        """A prompt says whose shell it is, and where that stands."""
        host = "" if ones_own(who) else who
        if who and host != self.host:
            self._goes_to(host)
        if place.startswith("/"):
            self.cwd = place

    def comes_to(
        self, script: str, commands: Sequence[Simple], flags: tuple[str, ...], *, back: bool
    ) -> Mind:
        """What it has in mind before a statement; from here on it is as that leaves it. `back`:
        the statement is of the way back, which asks for values as it goes."""
        cwd, before, sets = self.cwd, self.told, self._sets(script)
        self.cwd = directory(cwd, script, commands, anew=self._anew)
        if tells(script, commands):
            self.told, flags = told(before, script, commands, cwd), (*flags, "setting")
        if commands and commands[0].head == "ssh" and "interactive" in flags:
            self._goes_to(next((c.host for c in commands if c.host), ""))
            before = ""
        if script in LEAVING and (self.host or cwd):
            self._goes_to("")
            flags = (*flags, "cwd")
        if sets is not None and ((sets and back) or self._is_for_programs(script)):
            self.told, sets = more(before, script), ()
        if sets == ():
            flags = (*flags, "setting")
        return Mind(self.cwd if "cwd" in flags else cwd, before, flags, sets or ())

    def _goes_to(self, host: str) -> None:
        self.host, self.cwd, self.told = host, "", ""

    def _is_for_programs(self, script: str) -> bool:
        """Whether it exports what the note itself never asks for."""
        return (
            script.startswith("export ") and not {*variables.assignments(script)} <= self.asked_for
        )

    def _sets(self, script: str) -> tuple[str, ...] | None:
        """See `Mind.sets`; what can be read is known from here on. None where it does more."""
        made = variables.assignments(script)
        for name, value in made.items():
            said = variables.literal(value)
            if said is None:
                self.known.pop(name, None)
            else:
                self.known[name] = said
        return tuple(name for name in made if name not in self.known) if made else None


_NUMBERED = re.compile(r"\W*(?:step|schritt|[eé]tape|paso|passo)?\s*#?\d", re.IGNORECASE)


def is_another(before: Sequence[str], trail: Sequence[str]) -> bool:
    """Whether another section begins, which is no further step: its lines are typed into another
    shell, that was told nothing (to work on one's own machine is not how one deploys)."""
    section, now = before[1:2] or before[:1], trail[1:2] or trail[:1]
    return section != now and not any(map(_NUMBERED.match, now))


def only_goes(commands: Sequence[Simple]) -> bool:
    """Whether a statement does nothing but go to another directory."""
    heads = {command.head for command in commands}
    return bool(heads & _MOVES) and heads <= _MOVES | _WITH_IT


def directory(cwd: str, script: str, commands: Sequence[Simple], *, anew: bool = False) -> str:
    """Where a shell is that was in `cwd` after a statement. `anew`: it may be another shell, so
    that a relative directory need not be below `cwd`."""
    if _APART & {*tokens(script)} or any(command.host for command in commands):
        return cwd
    for command in commands:
        if command.head in _GOES:
            cwd = _within("" if anew and not cwd.startswith("/") else cwd, command.words[1:])
            anew = False
        elif command.head == "popd":
            cwd = ""
    return cwd


def _within(cwd: str, words: Sequence[str]) -> str:
    to = next((word for word in words if not word.startswith("-") or word == "-"), "")
    if to in ("", "-") or not cwd or re.match(r"[/~$<{]", to):
        return "" if to == "-" else to
    there = posixpath.normpath(posixpath.join(cwd, to))
    return "" if there == "." else there


def tells(script: str, commands: Sequence[Simple]) -> bool:
    """Whether a statement does nothing but change the shell that reads it."""
    own = [command for command in commands if command.head not in _WITH_IT]
    return (
        bool(own)
        and "|" not in tokens(script)
        and all(command.head in _FORGETS or _TOLD.match(command.text) for command in own)
        and not any(command.host for command in commands)
    )


def told(before: str, script: str, commands: Sequence[Simple], cwd: str) -> str:
    """What a shell was told after a statement that does nothing else; a file that it reads by the
    path that it has from anywhere."""
    if any(command.head in _FORGETS for command in commands):
        return ""
    if _STRICT.match(script):
        return before
    said = _SCRIPT.sub(lambda found: f". {_path(found['path'], cwd)}", script)
    return more(before, said)


MOST = 2000
"""Characters that a shell is told at most: what is more was never meant for each of the steps."""


def more(before: str, said: str) -> str:
    """What a shell was told, and this, if it is new."""
    if said in before.split("\n") or len(before) + len(said) > MOST:
        return before
    return f"{before}\n{said}".lstrip("\n")


def _path(path: str, cwd: str) -> str:
    if path[0] in "/~$<{\"'":
        return path
    return (
        posixpath.normpath(posixpath.join(cwd, path)) if cwd[:1] == "/" else _of_its_directory(path)
    )


def _of_its_directory(path: str) -> str:
    """A word that a shell reads as a file of its directory, and does not look for elsewhere."""
    return path if "/" in path else f"./{path}"
