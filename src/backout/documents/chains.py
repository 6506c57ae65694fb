"""A statement that does several things one after the other -> its parts, each to be the step of
its kind: `git pull && npm ci && pm2 restart api`, here or behind `ssh HOST`, also in a loop over
machines.

Only where nothing is lost by it: what comes next does so because all before went well, and no
part needs what another one told the shell, but its directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby

from backout.documents import classify, phases, shell, variables, whole
from backout.documents.nouns import Found
from backout.documents.placeholders import open_quote
from backout.documents.requests import requests
from backout.documents.session import Session
from backout.documents.words import simple, tokens

_SPLIT: tuple[phases.Phase, ...] = ("build", "commit", "push", "update", "restart", "rollback")
_AND = re.compile(r"\s*(?:\\\n\s*)?&&\s*(?:\\\n\s*)?")
_BRANCHES = frozenset(("for", "while", "until", "if", "case", "select", "!", "{", "}"))
_LOGIN = re.compile(
    r"ssh\s+(?:-[tTqAnCv4]+\s+|-[pil]\s*\S+\s+)*(?P<host>[^\s'\"<>;&|-][^\s'\"<>;&|]*)\s+(?P<rest>\S.*)",
    re.DOTALL,
)
"""A login by a name, a port and a key; of what other options say a step would not know."""
_QUOTED = re.compile(r"'(?P<plain>[^']*)'|\"(?P<double>[^\"]*)\"", re.DOTALL)
_DOCUMENT = re.compile(
    r"(?:(?:ba|da|z)?sh(?:\s+-\w+)*\s+)?<<-?\s*(?P<quote>['\"\\]?)(?P<word>\w+)['\"]?[ \t]*\n"
    r"(?P<lines>.*)\n[ \t]*(?P=word)\s*",
    re.DOTALL,
)
_READ_HERE = re.compile(r"[$`\\]")
"""What this machine's shell would read in a text that is for another one."""
_COMMITTED, _BROUGHT, _STARTED = "commit", "update", "restart"


def parts(each: Found) -> tuple[Found, ...]:
    """The parts that become steps of their own; the statement itself where it is one thing, of one
    kind, or where only its own shell can tell how its parts hang together."""
    if each.phase not in _SPLIT or any(c.text.startswith("git revert") for c in each.commands):
        return (each,)
    made = tuple(_joined(_parts(each)))
    return made if len(made) > 1 and any(map(_kind, made)) and _ends_well(made) else (each,)


def _ends_well(made: Sequence[Found]) -> bool:
    """Whether what is restarted is so at the end, as it is in a run: behind it are only looks."""
    kinds = [_kind(part) for part in made]
    behind = made[kinds.index(_STARTED) + 1 :] if _STARTED in kinds else ()
    looks = (phases.of_command(part.commands, part.script) for part in behind)
    return all(phase in ("verify", "diagnose") for phase in looks)


def _parts(each: Found) -> list[Found]:
    """None where a link sets what only its own shell can tell the others."""
    here, made = Session(frozenset(), each.cwd, told=each.told), list[Found]()
    for host, scripts in _sessions(each):
        typed = Session(frozenset()) if host else here
        typed.enters(each.trail, anew=False)
        for link in scripts:
            script = variables.put_in(link, typed.known)
            commands = simple(script)
            flags = classify.flags_of(script, commands)
            at = typed.comes_to(script, commands, flags, back=False)
            if at.sets:
                return []
            acts = any(command.head not in phases.IDLE for command in commands) or ">" in script
            if acts and not {"cwd", "setting"} & {*at.flags}:
                there = replace(each, cwd=at.cwd, told=at.told, host=host or each.host)
                made.append(_part(there, script))
    return made


def _part(each: Found, script: str) -> Found:
    commands = simple(script)
    kept = tuple(flag for flag in each.flags if flag in ("inline", "commented"))
    own = None if phases.guards(commands) else phases.of_command(commands, script)
    return replace(
        each,
        text=script,
        script=script,
        commands=commands,
        phase="rollback" if each.phase == "rollback" else own or "update",
        flags=(*kept, *classify.flags_of(script, commands)),
        comment=each.comment if requests(script) else "",
        requests=requests(script),
        backend=classify.backend_of(commands),
        tail="",
    )


def _joined(made: Iterable[Found]) -> Iterator[Found]:
    """Neighbours of one kind are one: `git fetch && git reset --hard origin/main`."""

    def kind(at: tuple[int, Found]) -> tuple[object, ...]:
        number, part = at
        return _kind(part) or number, part.cwd, part.host

    for _, alike in groupby(enumerate(made), key=kind):
        same = [each for _, each in alike]
        yield _part(same[0], " && ".join(each.script for each in same)) if same[1:] else same[0]


def _kind(part: Found) -> str:
    """The kind of step that stands for all of it, if one does."""
    if whole.only(part, lambda c: whole.commits(c) or whole.pushes(c)):
        return _COMMITTED
    if whole.only(part, whole.brings):
        return _BROUGHT
    starts = part.backend and whole.only(part, lambda c: whole.restarts(c) or whole.stops(c))
    return _STARTED if starts and any(map(whole.restarts, part.commands)) else ""


def _sessions(each: Found) -> Sequence[tuple[str, Sequence[str]]]:
    """What a statement does link by link, on this machine (of no name) or where it logs in to. Of
    a loop over machines what it does on each, where that is the same."""
    turns = [[*_turn(turn)] for turn in variables.rounds(each.script)]
    first = turns[0]
    alike = all([lines for _, lines in turn] == [lines for _, lines in first] for turn in turns)
    everywhere = len(turns) == 1 or all(host for host, _ in first)
    return first if alike and everywhere else ()


def _turn(script: str) -> Iterator[tuple[str, Sequence[str]]]:
    for link in _split(script):
        host, lines = _login(link)
        yield host, [part for line in lines for part in _split(line)]


def _login(script: str) -> tuple[str, tuple[str, ...]]:
    """The machine, and the statements that are for it; none, and the text as it stands."""
    there = _LOGIN.fullmatch(script.strip())
    if there is None:
        return "", (script,)
    quoted = _QUOTED.fullmatch(there["rest"].strip())
    if quoted and not _READ_HERE.search(quoted["double"] or ""):
        return there["host"], (quoted["plain"] or quoted["double"] or "",)
    document = _DOCUMENT.fullmatch(there["rest"])
    if document and (document["quote"] or not _READ_HERE.search(document["lines"])):
        pieces = shell.segment(document["lines"].split("\n"), 1)
        told = (piece.text for piece in pieces if isinstance(piece, shell.Statement))
        return there["host"], tuple(told)
    return "", (script,)


def _split(script: str) -> Sequence[str]:
    """The links of a chain that goes on as long as all is well; anything else in one piece."""
    operators = {word for word in tokens(script) if set(word) <= set("();&|\n")}
    if operators - {"&&", "&&\n", "|"} or _BRANCHES & {*tokens(script)}:
        return [script]
    cuts = [cut for cut in _AND.finditer(script) if not open_quote(script, cut.start())]
    ends = [*(cut.start() for cut in cuts), len(script)]
    starts = [0, *(cut.end() for cut in cuts)]
    made = [script[start:end] for start, end in zip(starts, ends, strict=True)]
    return made if tuple(chain(*map(simple, made))) == simple(script) else [script]
