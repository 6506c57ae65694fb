"""Lines of shell -> whole statements. Nothing is evaluated, and no input raises.

A statement goes on while a quote, a bracket, a here-document, a loop or a branch is open, or its
line ends in a backslash or an operator. What never closes is taken line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backout.documents import placeholders

LONGEST = 200
"""Lines that one statement may have."""
BRIEF = 4
"""Lines that are looked at where one statement after the other never closes."""
_PROMPT = re.compile(
    r"^\s*(?:\([\w.-]+\)\s*)?(?:(?:\[?[\w.-]+@[\w.-]+[:\s]?[^\]$#%>]*\]?)\s*[$#%>]|"
    r"[\w./~-]{0,60}(?: \([\w./-]+\))?\s?[$%❯]|➜\s+(?:[\w.~-]+\s+git:\([^)]*\)\s*[✗✔]?)?|"
    r"PS [^>]*>|[A-Za-z]:\\[^>]*>)\s+(?=\S)"
)
_AT = re.compile(
    r"^\s*(?:\([\w.-]+\)\s*)?\[?(?P<who>[\w.-]+@[\w.-]+)[:\s]?\s*(?P<place>[^\]\s$#%>]*)"
)
_ROOT = re.compile(r"^\s*#\s+(?=\S)")
_MORE = re.compile(r"^\s*>\s?")
_HEREDOC = re.compile(r"<<(?P<dash>-?)\s*(?P<quote>['\"\\]?)(?P<word>[A-Za-z_]\w*)['\"]?")
_WORDS = re.compile(r"(?:^|[;&|(){\s])(if|for|while|until|case|select|fi|done|esac)(?=$|[\s;&|)])")
_OPENS, _CLOSES = (
    frozenset(["if", "for", "while", "until", "case", "select"]),
    frozenset(("fi", "done", "esac")),
)
_GOES_ON = re.compile(r"(?:&&|\|\|?|\|&)\s*$")


@dataclass(frozen=True, slots=True)
class Statement:
    """One whole command. `text` is as written, without its prompt and its trailing comment."""

    line: int
    text: str
    comment: str = ""
    """The comment before it, and the one behind it."""
    last: int = 0
    prompted: bool = False
    who: str = ""
    """The user and the machine that the prompt before it names, and the directory."""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """A line of comment."""

    line: int
    text: str

    @property
    def last(self) -> int:
        return self.line


@dataclass(frozen=True, slots=True)
class Output:
    """A line that a session printed."""

    line: int
    text: str

    @property
    def last(self) -> int:
        return self.line


Piece = Statement | Remark | Output


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    text: str
    prompted: bool
    who: str = ""
    place: str = ""


_BASH = re.compile(
    r"(?:^|[\s;&|(!])(?:\[\[\s|(?:source|shopt|pushd|popd|declare|mapfile|readarray|function)\s|\(\()|"
    r"[<>]\(|<<<|&>|\|&|\{\w+\.\.\w+\}|(?:^|[\s;&|])\w+\+?=\(|-o pipefail"
)
_EXPANDS = re.compile(r"\$\{\w+(?:\[|\^|,|:\d|/|@)|\$'")


def bash_only(text: str) -> bool:
    """Whether a text is bash's own: another shell would refuse it, or read it as something else."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", '""', text)
    return bool(_BASH.search(bare) or _EXPANDS.search(re.sub(r"(?<!\$)'[^']*'", "''", text)))


def segment(
    lines: Sequence[str], first: int, *, console: bool = False, loose: bool = False
) -> tuple[Piece, ...]:
    """The statements, comments and outputs of a block whose first line has the number `first`.
    A `console` is a session; a `loose` block may begin with other words before its first prompt."""
    rows, printed = _rows(lines, first, console, loose)
    return tuple(sorted((*_statements(rows), *printed), key=lambda piece: piece.line))


def _rows(
    lines: Sequence[str], first: int, console: bool, loose: bool
) -> tuple[list[_Row], list[Piece]]:
    """Without prompts. Where there are some, other lines are what the machine said."""
    said = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    asked = said if console or loose else said[:1]
    session = any(_PROMPT.match(line) for line in asked)
    root = console and not session and any(_ROOT.match(line) for line in lines)
    sign = _ROOT if root else _PROMPT
    rows: list[_Row] = []
    printed: list[Piece] = []
    going_on, scan = False, _Scan()
    for number, line in enumerate(lines, first):
        found = sign.match(line) if session or root else None
        if found:
            scan = _Scan()
            at = _AT.match(found.group())
            named = (at["who"], at["place"]) if at else ()
            rows.append(_Row(number, line[found.end() :], True, *named))
        elif not (session or root) or going_on or line.lstrip().startswith("#"):
            text = _MORE.sub("", line) if going_on and line.lstrip().startswith(">") else line
            rows.append(_Row(number, text, False))
        elif line.strip():
            printed.append(Output(number, line.strip()))
            continue
        going_on = bool(rows) and (session or root) and not scan.whole_after(rows[-1].text)
    return rows, printed


def _statements(rows: Sequence[_Row]) -> Iterator[Piece]:
    at, remark, window = 0, "", LONGEST
    while at < len(rows):
        row = rows[at]
        bare = row.text.strip()
        if not bare:
            at += 1
            continue
        if bare.startswith("#"):
            yield Remark(row.line, bare)
            said = "" if bare.startswith("#!") else bare.lstrip("# ").strip()
            remark, at = said, at + 1
            continue
        size = _size([each.text for each in rows[at : at + window]])
        if size == 0:  # what never closes is looked at ever more briefly
            size, window = _unclosed([row.text for row in rows[at:]]), max(BRIEF, window // 2)
        yield _statement(rows[at : at + size], remark)
        at += size


def _statement(rows: Sequence[_Row], remark: str) -> Statement:
    texts = [row.text.rstrip() for row in rows]
    margin = len(texts[0]) - len(texts[0].lstrip())
    text = "\n".join([texts[0].strip(), *(_dedented(each, margin) for each in texts[1:])])
    behind = ""
    if _HEREDOC.search(text) is None:
        text, behind = _without_comment(text)
    said = " ".join(each for each in (remark, behind) if each)
    row = rows[0]
    return Statement(row.line, text, said, rows[-1].line, row.prompted, row.who, row.place)


def _dedented(line: str, margin: int) -> str:
    return line[margin:] if not line[:margin].strip() else line


def _size(lines: Sequence[str]) -> int:
    """How many lines the statement at the front has; none where it never closes."""
    scan = _Scan()
    for size, line in enumerate(lines, 1):
        if size > 1 and not scan.document and line.lstrip().startswith("```"):
            break
        if scan.whole_after(line):
            return size
    return 0


def _unclosed(lines: Sequence[str]) -> int:
    """Of a statement that never closes: the lines that its backslashes join."""
    size = 1
    while size < len(lines) and lines[size - 1].rstrip().endswith("\\"):
        size += 1
    return size


@dataclass(slots=True)
class _Scan:
    """What is open after the lines that were read so far, each read once."""

    quote: str = ""
    depth: int = 0
    words: int = 0
    """Loops and branches that are open."""
    document: str = ""
    """The word that ends the here-document."""

    def whole_after(self, line: str) -> bool:
        """Whether the statement is whole with this line."""
        if self.document:
            ends = line.strip() == self.document
            self.document = "" if ends else self.document
            return ends and not (self.depth > 0 or self.words > 0)
        self.document = _heredoc(line)
        quoted = self.quote
        bare = self._read(placeholders.masked(line).text)
        found = _WORDS.findall(bare)
        self.words += sum(word in _OPENS for word in found)
        self.words -= sum(word in _CLOSES for word in found)
        if self.document:
            return False
        last = _without_comment(line, quoted)[0].rstrip()
        if last.endswith("\\") and not last.endswith("\\\\"):
            return False
        return not (self.quote or self.depth > 0 or _GOES_ON.search(last) or self.words > 0)

    def _read(self, line: str) -> str:
        """The line without what is quoted or commented."""
        bare, at, depth = list[str](), 0, self.depth
        while at < len(line):
            sign = line[at]
            if sign == "\\" and self.quote != "'":
                bare.append("_")
                at += 2
                continue
            if self.quote:
                self.quote = "" if sign == self.quote else self.quote
            elif sign in "'\"`":
                self.quote = sign
            elif sign == "#" and (at == 0 or line[at - 1] in " \t;"):
                break
            else:
                depth = max(0, depth + (sign in "({") - (sign in ")}"))
                bare.append(sign)
            at += 1
        self.depth = depth
        return "".join(bare)


def _heredoc(line: str) -> str:
    """The word that ends the here-document which begins in a line, if one does."""
    found = _HEREDOC.search(line)
    if not found or "<<<" in line:
        return ""
    before = _Scan()
    before._read(line[: found.start()])
    return "" if before.quote else found["word"]


def _without_comment(text: str, quote: str = "") -> tuple[str, str]:
    """A text and the comment behind its last line; `quote` is what is open before it."""
    at = 0
    while at < len(text):
        sign = text[at]
        if sign == "\\" and quote != "'":
            at += 2
            continue
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"`":
            quote = sign
        elif sign == "#" and at and text[at - 1] in " \t" and "\n" not in text[at:]:
            return text[:at].rstrip(), text[at:].lstrip("# ").strip()
        at += 1
    return text.rstrip(), ""
