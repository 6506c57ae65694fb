"""What a command of the shell is made of: text, values, and the output of other commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proof.worlds.process import Process

_PLAIN = re.compile(r"[^\s;&|()<>'\"$`\\]+")
_QUOTED = re.compile(r"[^\"$`\\]+")
_VALUE = re.compile(
    r"\{(#?)([A-Za-z_]\w*|\d+|[#@*?$!-])(:?[-+=?]|%%|%|##|#)?|([A-Za-z_]\w*|[0-9#@*?$!-])"
)
_GLOB = re.compile(r"[*?\[]")
_MEANT = re.compile(r"[*?]|\[.+\]")


class NotTold(AssertionError):
    """Something that this shell does not know, or a program that these machines do not have."""


Value = Callable[["Process"], str]


class Word:
    """Parts that stand together: (value, quoted, whether it is text as it stands)."""

    __slots__ = ("all", "constant", "glob", "one", "parts", "single")

    def __init__(self, parts: list[tuple[Any, bool, bool]]) -> None:
        self.parts = parts
        literal = all(fixed for _, _, fixed in parts)
        self.glob = any(fixed and not q and _MEANT.search(v) for v, q, fixed in parts)
        self.all = len(parts) == 1 and parts[0][0] is everything
        self.one = not self.glob and not self.all and all(q or fixed for _, q, fixed in parts)
        """Whether it is one word, whatever its values are."""
        self.single: Value = _joined([value for value, _, _ in parts])
        """As one text."""
        whole = "".join(v for v, _, _ in parts) if literal else None
        self.constant = whole if not self.glob else None

    def fields(self, process: Process) -> list[str]:
        """As words: split where it was not quoted, and the files that it means."""
        if self.one:
            return [self.single(process)]
        if self.all:
            return list(process.args)
        if self.glob:
            return process.globbed(self._pattern(process)) or [self.single(process)]
        found: list[str] = []
        current: str | None = None
        for value, quoted, fixed in self.parts:
            text = value if fixed else value(process)
            if fixed or quoted:
                current = (current or "") + text
                continue
            current = _split(text, current, found)
        return found if current is None else [*found, current]

    def _pattern(self, process: Process) -> str:
        return "".join(
            v if fixed and not q else escaped(v if fixed else v(process))
            for v, q, fixed in self.parts
        )

    def matches(self, process: Process, text: str) -> bool:
        """Whether a text is as this pattern says."""
        if self.constant is not None:
            return self.constant == text
        return _matching(self.pattern(process)).match(text) is not None

    def pattern(self, process: Process) -> str:
        """As a pattern: what was quoted means itself."""
        return "".join(
            (v if fixed else v(process)) if not q else escaped(v if fixed else v(process))
            for v, q, fixed in self.parts
        )


def _joined(values: list[Any]) -> Value:
    """Texts, and what is to be asked for one, as one text."""
    said = [value for value in values if value != ""]
    if all(isinstance(value, str) for value in said):
        text = "".join(said)
        return lambda _: text
    if len(said) == 1:
        get: Value = said[0]
        return get
    return lambda process: "".join(
        [value if isinstance(value, str) else value(process) for value in said]
    )


def _split(text: str, current: str | None, found: list[str]) -> str | None:
    pieces = text.split()
    if current is not None and text[:1].isspace():
        found.append(current)
        current = None
    if not pieces:
        return current
    pieces[0] = (current or "") + pieces[0]
    last = None if text[-1:].isspace() else pieces.pop()
    found += pieces
    return last


@lru_cache(2000)
def _matching(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def escaped(text: str) -> str:
    """A text as a pattern that means only itself."""
    return _GLOB.sub(lambda found: f"[{found[0]}]", text)


def everything(process: Process) -> str:
    """`"$@"` in a text."""
    return " ".join(process.args)


Inner = Callable[[str, int], tuple[Callable[["Process"], int], int]]


def read_word(text: str, at: int, inner: Inner, stop: str = "") -> tuple[Word, int]:
    """The word that begins there, and where it ends; `stop` ends it too."""
    parts: list[tuple[Any, bool, bool]] = []
    while at < len(text) and not (stop and text[at] in stop):
        mark = text[at]
        if mark == "'":
            end = text.index("'", at + 1)
            parts.append((text[at + 1 : end], True, True))
            at = end + 1
        elif mark == '"':
            more, at = _quoted(text, at + 1, inner)
            parts += more
        elif mark == "\\":
            parts.append((text[at + 1], True, True))
            at += 2
        elif mark == "$":
            value, at = _value(text, at + 1, inner)
            parts.append((value, False, isinstance(value, str)))
        elif found := (_IN_BRACES if stop else _PLAIN).match(text, at):
            parts.append((found[0], False, True))
            at = found.end()
        else:
            break
    return Word(parts), at


_IN_BRACES = re.compile(r"[^'\"$`\\}]+")


def _quoted(text: str, at: int, inner: Inner) -> tuple[list[tuple[Any, bool, bool]], int]:
    parts: list[tuple[Any, bool, bool]] = [("", True, True)]
    while text[at] != '"':
        if text[at] == "$":
            value, at = _value(text, at + 1, inner)
            parts.append((value, True, isinstance(value, str)))
        elif text[at] == "\\":
            known = text[at + 1] in '"$`\\'
            parts.append((text[at + 1] if known else text[at : at + 2], True, True))
            at += 2
        else:
            found = _QUOTED.match(text, at)
            if not found:
                raise NotTold(f"{text[at : at + 40]!r}")
            parts.append((found[0], True, True))
            at = found.end()
    if len(parts) == 2 and parts[1][0] is everything:
        return [parts[1]], at + 1
    return parts, at + 1


def _value(text: str, at: int, inner: Inner) -> tuple[Any, int]:
    """What stands behind a `$`."""
    if text.startswith("((", at):
        end = _closing(text, at + 2)
        return read_arithmetic(text[at + 2 : end]), end + 2
    if text.startswith("(", at):
        run, at = inner(text, at + 1)
        return (lambda process: process.output(run)), at
    found = _VALUE.match(text, at)
    if not found:
        return "$", at
    at = found.end()
    if found[4]:
        return _named(found[4]), at
    if found[1]:
        get = _named(found[2])
        return (lambda process: str(len(get(process)))), at + 1
    if not found[3]:
        return _named(found[2]), at + 1
    word, at = read_word(text, at, inner, stop="}")
    return _changed(found[2], found[3], word), at + 1


def _closing(text: str, at: int) -> int:
    depth = 0
    while True:
        if text[at] == "(":
            depth += 1
        elif text[at] == ")":
            if not depth and text.startswith("))", at):
                return at
            depth -= 1
        at += 1


_SUM = re.compile(r"[\s\d()+*/%&|<>=!xa-f-]*")


def read_arithmetic(text: str) -> Value:
    """`$((…))`: names and numbers, and what Python calculates alike."""
    pieces = re.split(
        r"(0x\$[A-Za-z_]\w*|0x[0-9a-f]+|\$\{[A-Za-z_]\w*:-\d+\}|\$?[A-Za-z_]\w*)", text
    )

    def calculate(process: Process) -> str:
        said = "".join(_number(piece, process) for piece in pieces)
        return calculated(said)

    return calculate


@lru_cache(4096)
def calculated(text: str) -> str:
    """What digits and signs come to. Raises NotTold."""
    if not _SUM.fullmatch(text):
        raise NotTold(f"$(({text}))")
    return str(int(eval(text, {"__builtins__": {}})))  # noqa: S307 - digits and signs


def _number(piece: str, process: Process) -> str:
    if piece.startswith("0x$"):
        return str(int(process.vars.get(piece[3:], "0") or "0", 16))
    if piece.startswith("${"):
        name, _, other = piece[2:-1].partition(":-")
        return process.vars.get(name) or other
    if (
        piece.startswith("$")
        or (piece[:1].isalpha() and not piece.startswith("0x"))
        or piece[:1] == "_"
    ):
        return process.vars.get(piece.lstrip("$"), "") or "0"
    return piece


def _named(name: str) -> Value:
    if name in ("@", "*"):
        return everything
    if name == "#":
        return lambda process: str(len(process.args))
    if name == "$":
        return lambda process: str(process.pid)
    if name == "?":
        return lambda process: str(process.code)
    if name.isdecimal():
        number = int(name) - 1
        if number < 0:
            return lambda _: "sh"
        return lambda process: process.args[number] if number < len(process.args) else ""
    return lambda process: process.vars.get(name, "")


def _changed(name: str, how: str, word: Word) -> Value:
    get = _named(name)
    if how in (":-", "-"):
        return lambda process: get(process) or word.single(process)
    if how in ("%", "%%", "#", "##"):
        return lambda process: cut(get(process), how, word.pattern(process))
    raise NotTold(f"${{{name}{how}…}}")


def cut(text: str, how: str, pattern: str) -> str:
    """A text without the end, or the beginning, that is as the pattern says: the shortest one, or
    (doubled) the longest."""
    mark = pattern.strip("*")
    if not _GLOB.search(mark):
        if pattern == mark:
            return text.removesuffix(mark) if how[0] == "%" else text.removeprefix(mark)
        if pattern == (f"{mark}*" if how[0] == "%" else f"*{mark}"):
            return _cut_at(text, how, mark)
    match, size = _matching(pattern).match, len(text)
    if how[0] == "%":
        ends = range(size, -1, -1) if how == "%" else range(size + 1)
        return next((text[:end] for end in ends if match(text[end:])), text)
    ends = range(size + 1) if how == "#" else range(size, -1, -1)
    return next((text[end:] for end in ends if match(text[:end])), text)


def _cut_at(text: str, how: str, mark: str) -> str:
    """Without all from, or to, a mark: the last one from that side, or (doubled) the first."""
    at = text.find(mark) if how in ("%%", "#") else text.rfind(mark)
    if at < 0:
        return text
    return text[:at] if how[0] == "%" else text[at + len(mark) :]
