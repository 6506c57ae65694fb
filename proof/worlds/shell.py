"""A POSIX shell, as much of it as our programs use; what it was not told of it refuses.

A text becomes a function once, and runs on many machines. `words` is what stands in a command,
`commands` what it becomes, `programs` are those that there are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from proof.worlds.commands import (
    Run,
    beneath,
    choosing,
    defining,
    each_of,
    if_so,
    in_turn,
    looping,
    matching,
    negated,
    nothing,
    piped,
    redirecting,
    setting,
    simple,
)
from proof.worlds.words import NotTold, Word, read_word

if TYPE_CHECKING:
    from proof.worlds.process import Process

_BLANK = re.compile(r"(?:[ \t]|\\\n)*(?:#[^\n]*)?")
_GAP = re.compile(r"(?:\s|\\\n|#[^\n]*)*")
_NAME = re.compile(r"[A-Za-z_]\w*")
_TOKEN = re.compile(r"[^\s;&|()<>'\"$`]+")
_ASSIGN = re.compile(r"([A-Za-z_]\w*)=")
_HOME = r"\"\$\{HOME:-/\}\""
_VALUE = re.compile(rf"([A-Za-z_]\w*)=(?:'([^']*)'|({_HOME})?([\w./:@%+,-]*))(?=[ \n])")
"""An assignment that means what stands there, and may begin at home."""
_FUNCTION = re.compile(r"([A-Za-z_]\w*)\(\)\s*")
_REDIRECT = re.compile(r"(\d*)(>>|>\||>&|<&|<>|>|<)[ \t]*")
_EVAL = "\neval "
_QUOTE = "'\"'\"'"
"""How `'` is written within quotes."""
_WHOLE = ("{ ", "\nexit; } </dev/null\n")
_RESERVED = {"then", "fi", "else", "elif", "do", "done", "esac", "}"}


def said(text: str, process: Process) -> Run:
    """A whole text as it is sent to a machine: what differs each time, its values and its script,
    is taken out, so that the rest is read once."""
    if text.startswith(_WHOLE[0]) and text.endswith(_WHOLE[1]):
        text = text[len(_WHOLE[0]) : -len(_WHOLE[1])] + "\nexit\n"
    return compiled(_without_script(text[_values(text, process) :], process))


def _without_script(text: str, process: Process) -> str:
    """Its script is a value, too."""
    begin = text.find(_EVAL)
    if begin < 0:
        return text
    begin += len(_EVAL)
    end = text.index("\n", begin)
    if text[begin] == "'":
        end = text.index("'\n", begin + 1)
        while text.endswith(_QUOTE[:-1], begin + 1, end):  # one that stands in the script
            end = text.index("'\n", end + 1)
        end += 1
    quoted = text[begin:end]
    process.vars["__script"] = quoted[1:-1].replace(_QUOTE, "'") if quoted[0] == "'" else quoted
    return f'{text[:begin]}"$__script"{text[end:]}'


def _values(text: str, process: Process) -> int:
    """Do the assignments that a text begins with; where they end."""
    at = 0
    reader = Reader(text, at)
    while True:
        line: list[tuple[str, str | Word]] = []
        while found := _VALUE.match(text, reader.at) or _ASSIGN.match(text, reader.at):
            reader.at = found.end()
            plain = found.re is _VALUE
            line.append((found[1], _meant(found, process) if plain else reader.word()))
            reader.blank()
        if not line or not text.startswith("\n", reader.at):
            return at
        for name, value in line:
            process.vars[name] = value if isinstance(value, str) else value.single(process)
        at = reader.at = reader.at + 1


def _meant(value: re.Match[str], process: Process) -> str:
    _, quoted, home, text = value.groups()
    if home:
        return (process.vars.get("HOME") or "/") + text
    return text if quoted is None else quoted


@lru_cache(2000)
def compiled(text: str) -> Run:
    """A text as a function. Raises NotTold."""
    reader = Reader(text, 0)
    run = reader.commands()
    if reader.at < len(text):
        raise NotTold(f"{text[reader.at : reader.at + 60]!r}")
    return run


class Reader:
    """Reads commands, from `at` on."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def blank(self) -> None:
        self.at = _skip(_BLANK, self.text, self.at)

    def gap(self) -> None:
        self.at = _skip(_GAP, self.text, self.at)

    def word(self) -> Word:
        word, self.at = read_word(self.text, self.at, inner)
        return word

    def sees(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def token(self) -> str:
        found = _TOKEN.match(self.text, self.at)
        return found[0] if found else ""

    def expect(self, mark: str) -> None:
        self.gap()
        if not self.sees(mark):
            raise NotTold(f"no {mark!r} at {self.text[self.at : self.at + 60]!r}")
        self.at += len(mark)

    # --- lists ---------------------------------------------------------------------------------

    def commands(self) -> Run:
        """Commands, one after the other, to whatever closes them."""
        runs: list[Run] = []
        while True:
            self.gap()
            if self.at >= len(self.text) or self.sees(")") or self.sees(";;"):
                break
            if self.token() in _RESERVED:
                break
            runs.append(self.and_or())
            self.blank()
            if self.sees(";") and not self.sees(";;"):
                self.at += 1
            elif not self.closed():
                raise NotTold(f"{self.text[self.at : self.at + 60]!r}")
        return in_turn(runs)

    def closed(self) -> bool:
        """Whether a command may end here."""
        if self.at >= len(self.text) or self.text[self.at] in "\n);":
            return True
        return self.token() in _RESERVED

    def and_or(self) -> Run:
        run = self.pipeline()
        while True:
            self.blank()
            mark = self.text[self.at : self.at + 2]
            if mark not in ("&&", "||"):
                return run
            self.at += 2
            self.gap()
            run = if_so(run, self.pipeline(), wanted=mark == "&&")

    def pipeline(self) -> Run:
        turned = self.token() == "!"
        if turned:
            self.at += 1
            self.blank()
        runs = [self.command()]
        while True:
            self.blank()
            if not self.sees("|") or self.sees("||"):
                break
            self.at += 1
            self.gap()
            runs.append(self.command())
        run = runs[0] if len(runs) == 1 else piped(runs)
        return negated(run) if turned else run

    # --- commands ------------------------------------------------------------------------------

    def command(self) -> Run:
        if self.sees("("):
            self.at += 1
            body = self.commands()
            self.expect(")")
            return self.redirected(beneath(body), whole=True)
        if found := _FUNCTION.match(self.text, self.at):
            self.at = found.end()
            return defining(found[1], self.command())
        token = self.token()
        reader = {
            "{": self.group,
            "if": self.condition,
            "while": self.loop,
            "for": self.each,
            "case": self.choice,
        }.get(token)
        if reader is None:
            return self.simple()
        self.at += len(token)
        return self.redirected(reader())

    def group(self) -> Run:
        body = self.commands()
        self.expect("}")
        return body

    def condition(self) -> Run:
        when = self.commands()
        self.expect("then")
        then = self.commands()
        self.gap()
        word = self.token()
        self.at += len(word)
        other: Run = nothing
        if word == "elif":
            other = self.condition()
        elif word == "else":
            other = self.commands()
            self.expect("fi")
        return choosing(when, then, other)

    def loop(self) -> Run:
        when = self.commands()
        self.expect("do")
        body = self.commands()
        self.expect("done")
        return looping(when, body)

    def each(self) -> Run:
        self.gap()
        name = self.token()
        self.at += len(name)
        self.expect("in")
        words = []
        self.blank()
        while self.text[self.at] not in ";\n":
            words.append(self.word())
            self.blank()
        self.at += 1
        self.expect("do")
        body = self.commands()
        self.expect("done")
        return each_of(name, words, body)

    def choice(self) -> Run:
        self.blank()
        subject = self.word()
        self.expect("in")
        rows: list[tuple[list[Word], Run]] = []
        self.gap()
        while self.token() != "esac":
            if self.sees("("):
                self.at += 1
            patterns = [self.word()]
            self.blank()
            while self.sees("|"):
                self.at += 1
                self.blank()
                patterns.append(self.word())
                self.blank()
            self.expect(")")
            rows.append((patterns, self.commands()))
            self.gap()
            if self.sees(";;"):
                self.at += 2
            self.gap()
        self.at += len("esac")
        return matching(subject, rows)

    def simple(self) -> Run:
        values: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[tuple[int, str, Word]] = []
        while True:
            self.blank()
            if self.at >= len(self.text) or self.text[self.at] in "\n;&|)":
                break
            if self.redirect(redirects):
                continue
            found = None if words else _ASSIGN.match(self.text, self.at)
            if found:
                self.at = found.end()
                values.append((found[1], self.word()))
            else:
                words.append(self.word())
        run = simple(values, words) if words else setting(values)
        return redirecting(run, redirects, whole=False) if redirects else run

    def redirect(self, into: list[tuple[int, str, Word]]) -> bool:
        found = _REDIRECT.match(self.text, self.at)
        if not found:
            return False
        self.at = found.end()
        into.append((int(found[1] or (0 if found[2][0] == "<" else 1)), found[2], self.word()))
        return True

    def redirected(self, run: Run, *, whole: bool = True) -> Run:
        redirects: list[tuple[int, str, Word]] = []
        while True:
            self.blank()
            if not self.redirect(redirects):
                break
        return redirecting(run, redirects, whole=whole) if redirects else run


def inner(text: str, at: int) -> tuple[Run, int]:
    """What stands in `$(…)`, from behind the bracket on."""
    reader = Reader(text, at)
    run = reader.commands()
    reader.expect(")")
    return run, reader.at


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
