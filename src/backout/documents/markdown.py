"""A note's text -> its blocks: fences, indented code and prose, each with its lines.

The note is only read. A fence that its author forgot to close would swallow the rest: it ends at
the next fence that opens, or at the heading before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from backout.documents import dialects

LARGEST = 2_000_000
"""Characters of a note; what is longer is no note that a person follows."""
NESTED = 3
_BREAK = re.compile(r"\r\n?|\n")
_FENCE = re.compile(
    r"^(?P<in>[ \t>]*)(?:[-*+]\s+|\d+[.)]\s+)?(?P<mark>`{3,}|~{3,})\s*(?P<info>[^`]*)$"
)
_HEADING = re.compile(r"^#{2,6}\s+\S")
_BOLD = re.compile(r"^\s*(?:\*\*|__)(?P<title>[^*_]+?):?(?:\*\*|__):?\s*$")
_FRONT = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a note. `kind` is `code` (fenced or indented), `prose`, or `left`: what another
    form has that is no command, with the reason in `attributes`."""

    kind: str
    first: int
    """The number of its first line, from 1."""
    lines: tuple[str, ...]
    language: str = ""
    attributes: str = ""
    """What stands in a fence's info string behind the language."""
    trail: tuple[str, ...] = ()
    """The headings above it, the outermost first."""
    lead: str = ""
    """The paragraph or list item that it follows or stands in."""
    name: str = ""
    """What the note itself calls it, where its form has names."""
    cwd: str = ""
    host: str = ""
    flags: tuple[str, ...] = ()
    """What its form says of its commands: `interactive`, `blocking`."""


def left(
    lines: Sequence[str], made: Sequence[Block], reasons: Mapping[int, str], otherwise: str
) -> tuple[Block, ...]:
    """The blocks that were made of lines, in the order of what they do, and each other line that
    says something, with why not."""
    taken = {n for block in made for n in range(block.first, block.first + len(block.lines))}
    rest = (
        Block("left", number, (line,), attributes=reasons.get(number, otherwise))
        for number, line in enumerate(lines, 1)
        if number not in taken and line.strip(" \t-") and not line.lstrip().startswith("#")
    )
    return (*made, *rest)


def lines_of(text: str) -> tuple[str, ...]:
    """The lines as Markdown counts them: of a note with CRLF too."""
    return tuple(_BREAK.split(text))


def blocks(text: str) -> tuple[Block, ...]:
    """Every block of a note, in its order."""
    text = _BREAK.sub("\n", text[:LARGEST]).replace("\0", "\ufffd")
    if front := _FRONT.match(text):
        blank = "\n" * front.group().count("\n")
        text = blank + text[front.end() :]
    text = "\n".join(dialects.plain(text.split("\n")))
    return tuple(_blocks(text, 0, (), NESTED))


def _blocks(text: str, offset: int, trail: tuple[str, ...], depth: int) -> Iterator[Block]:
    reader = _Reader(offset, trail, depth)
    for start, part in _mended(text.split("\n")):
        yield from reader.read(part, start)


def _mended(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The parts of a text between which a forgotten end of a fence is assumed."""
    start, opened = 0, -1
    mark = ""
    for number, line in enumerate(lines):
        found = _FENCE.match(line)
        if not found or (opened >= 0 and found["mark"][0] != mark[0]):
            continue
        if opened < 0:
            opened, mark = number, found["mark"]
        elif not found["info"].strip() and len(found["mark"]) >= len(mark):
            opened = -1
        elif len(found["mark"]) == len(mark) and found["info"].strip():
            cut = _end(lines, opened + 1, number)
            yield start, "\n".join(lines[start:cut])
            start, opened = cut, number
    if opened >= 0:
        cut = _end(lines, opened + 1, len(lines))
        yield start, "\n".join(lines[start:cut])
        start = cut
    yield start, "\n".join(lines[start:])


def _end(lines: Sequence[str], first: int, limit: int) -> int:
    """Where a fence that nobody closed ends: before a heading that follows a blank line."""
    for number in range(first + 1, limit):
        if _HEADING.match(lines[number]) and not lines[number - 1].strip():
            return number
    return limit


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table").disable("inline")  # read here, not by it


class _Reader:
    """Walks the tokens of one text, and remembers what was last said."""

    def __init__(self, offset: int, trail: tuple[str, ...], depth: int) -> None:
        self.offset = offset
        self.base = trail
        self.depth = depth
        self.headings: list[tuple[int, str]] = []
        self.lead: list[tuple[int, str]] = []
        self.row: list[int] | None = None
        """The lines of the row of a table that was last yielded, whole."""

    @property
    def trail(self) -> tuple[str, ...]:
        return (*self.base, *(title for _, title in self.headings))

    def read(self, text: str, start: int) -> Iterator[Block]:
        self.lines = text.split("\n")
        self.start = self.offset + start
        tokens = _parser().parse(text)
        for index, token in enumerate(tokens):
            if token.type == "inline":
                yield from self._said(token, tokens[index - 1])
            elif token.type in ("fence", "code_block"):
                yield from self._code(token)
            elif token.type == "html_block":
                self._html(token)

    def _said(self, token: Token, opening: Token) -> Iterator[Block]:
        title = token.content.strip()
        if opening.type == "heading_open":
            self._heading(int(opening.tag[1:]), _plain(title))
            return
        bold = _BOLD.match(title)
        if bold and token.level <= 1:
            self._heading(7, _plain(bold["title"]))
            return
        if opening.type in ("td_open", "th_open"):
            if token.map == self.row:
                return
            self.row = token.map
        level = token.level
        self.lead = [each for each in self.lead if each[0] < level]
        self.lead.append((level, _plain(title)))
        yield self._prose(token)

    def _heading(self, level: int, title: str) -> None:
        self.headings = [each for each in self.headings if each[0] < level]
        self.headings.append((level, title))
        self.lead = []

    def _html(self, token: Token) -> None:
        _, opened, rest = token.content.partition("<summary")
        title, closed, _ = rest.partition("</summary>")
        if opened and closed:
            self._heading(7, _plain(re.sub(r"<[^<>]*>", "", title.partition(">")[2])))

    def _prose(self, token: Token) -> Block:
        first, last = token.map or [0, 0]
        lines = tuple(self.lines[first:last])
        above = " ".join(text for _, text in self.lead[:-1])
        return Block("prose", self.start + first + 1, lines, trail=self.trail, lead=above)

    @property
    def said(self) -> str:
        return " ".join(text for _, text in self.lead)

    def _code(self, token: Token) -> Iterator[Block]:
        first = (token.map or [0, 0])[0]
        first += 1 if token.type == "fence" else 0
        language, _, attributes = token.info.strip().partition(" ")
        language, brace, more = language.partition("{")
        name = re.split(r"[^a-z0-9+#-]", language.lower().strip("."))[0]
        if name in ("markdown", "md") and self.depth:
            yield from _blocks(token.content, self.start + first, self.trail, self.depth - 1)
            return
        lines = tuple(token.content.removesuffix("\n").split("\n"))
        rest = f"{brace}{more} {attributes}".strip()
        yield Block("code", self.start + first + 1, lines, name, rest, self.trail, self.said)


def _plain(text: str) -> str:
    """Without emphasis and links, in one line."""
    text = re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", text)
    return re.sub(r"\s+", " ", re.sub(r"[*`#]+|__", "", text)).strip()
