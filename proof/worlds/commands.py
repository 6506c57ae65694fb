"""Functions that the commands of a shell become: each runs on the process that it is given.

What is known when the text is read is decided then, once; a function runs often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from proof.worlds.brackets import holding
from proof.worlds.words import Word

if TYPE_CHECKING:
    from proof.worlds.process import Process

Run = Callable[["Process"], int]


class Leave(Exception):
    """`exit`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Return(Exception):
    """`return`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Loop(Exception):
    """`break` (False) and `continue` (True)."""

    def __init__(self, *, again: bool) -> None:
        super().__init__()
        self.again = again


# --- lists ---------------------------------------------------------------------------------------


def nothing(_: Process) -> int:
    return 0


def in_turn(runs: list[Run]) -> Run:
    """One after the other; functions that stand together are defined at once."""
    joined: list[Run] = []
    for each in runs:
        if isinstance(each, Definitions) and joined and isinstance(joined[-1], Definitions):
            joined[-1] = Definitions({**joined[-1].bodies, **each.bodies})
        else:
            joined.append(each)
    if len(joined) == 1:
        return joined[0]

    def run(process: Process) -> int:
        code = 0
        for each in joined:
            code = each(process)
        return code

    return run


class Definitions:
    """Functions that are known from here on."""

    def __init__(self, bodies: dict[str, Run]) -> None:
        self.bodies = bodies

    def __call__(self, process: Process) -> int:
        process.functions.update(self.bodies)
        return 0


def defining(name: str, body: Run) -> Run:
    return Definitions({name: body})


def if_so(first: Run, second: Run, *, wanted: bool) -> Run:
    def run(process: Process) -> int:
        process.asking += 1
        try:
            code = first(process)
        finally:
            process.asking -= 1
        return second(process) if (code == 0) is wanted else code

    return run


def negated(inside: Run) -> Run:
    def run(process: Process) -> int:
        process.asking += 1
        try:
            process.code = 0 if inside(process) else 1
        finally:
            process.asking -= 1
        return process.code

    return run


def piped(runs: list[Run]) -> Run:
    """One after the other: what ours read, they read to its end."""
    *firsts, last = runs

    def run(process: Process) -> int:
        text: str | None = None
        for each in firsts:
            _, text = process.apart(each, reads=text, gathers=True)
        return process.ended(process.apart(last, reads=text, gathers=False)[0])

    return run


def beneath(body: Run) -> Run:
    return lambda process: process.ended(process.beneath(body))


# --- what is chosen, and what is done again ------------------------------------------------------


def choosing(when: Run, then: Run, other: Run) -> Run:
    def run(process: Process) -> int:
        process.asking += 1
        try:
            code = when(process)
        finally:
            process.asking -= 1
        return other(process) if code else then(process)

    return run


def looping(when: Run, body: Run) -> Run:
    def run(process: Process) -> int:
        code = 0
        while True:
            process.asking += 1
            try:
                if when(process):
                    return code
            finally:
                process.asking -= 1
            try:
                code = body(process)
            except Loop as loop:
                if not loop.again:
                    return 0

    return run


def each_of(name: str, words: list[Word], body: Run) -> Run:
    def run(process: Process) -> int:
        code = 0
        for value in [value for word in words for value in word.fields(process)]:
            process.vars[name] = value
            try:
                code = body(process)
            except Loop as loop:
                if not loop.again:
                    return 0
        return code

    return run


def matching(subject: Word, rows: list[tuple[list[Word], Run]]) -> Run:
    def run(process: Process) -> int:
        value = subject.single(process)
        for patterns, body in rows:
            for pattern in patterns:
                if pattern.matches(process, value):
                    return body(process)
        return 0

    return run


# --- one command ---------------------------------------------------------------------------------


def setting(values: list[tuple[str, Word]]) -> Run:
    given = [(name, word.single) for name, word in values]

    def run(process: Process) -> int:
        process.asked = False
        for name, value in given:
            process.vars[name] = value(process)
        return process.ended(process.code if process.asked else 0)

    return run


def simple(values: list[tuple[str, Word]], words: list[Word]) -> Run:
    """A function, or a program, with its words."""
    name, fields = words[0].constant, _fields(words[1:])
    if values or name is None:
        all_fields = _fields(words)
        return lambda process: process.command(all_fields(process), values)
    holds = holding(words[1:]) if name == "[" else None
    if holds is not None:
        return _bracket(holds)
    return lambda process: process.ended(process.called(name, fields(process)))


def _bracket(holds: Callable[[Process], bool]) -> Run:
    return lambda process: process.ended(0 if holds(process) else 1)


def _fields(words: list[Word]) -> Callable[[Process], list[str]]:
    if all(word.constant is not None for word in words):
        fixed = [word.constant or "" for word in words]
        return lambda _: [*fixed]
    if all(word.one for word in words):
        singles = [word.single for word in words]
        return lambda process: [single(process) for single in singles]

    def fields(process: Process) -> list[str]:
        found: list[str] = []
        for word in words:
            found += word.fields(process)
        return found

    return fields


def redirecting(inside: Run, redirects: list[tuple[int, str, Word]], *, whole: bool) -> Run:
    to = [(number, mark, word.single) for number, mark, word in redirects]

    def run(process: Process) -> int:
        before = process.descriptors
        process.descriptors = dict(before)
        try:
            for number, mark, single in to:
                if not process.redirect(number, mark, single(process)):
                    process.descriptors = before
                    return process.unopened(whole=whole)
            return inside(process)
        finally:
            process.descriptors = before

    return run
