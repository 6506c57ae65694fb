"""Blanks that a note leaves to its reader: found, named, and masked before a shell's rules apply.

`./deploy <sha> --dry-run` is a redirection to a shell. Masked, it is a command with a blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_WORD = r"[A-Za-z][A-Za-z0-9_./|:-]*(?:[ ][A-Za-z0-9_./-]+){0,5}"
_ANGLE = re.compile(rf"<(?![<(&])(?P<name>{_WORD})>")
_SQUARE = re.compile(
    r"(?<![\w$\]])\[(?P<name>(?:your|YOUR|the|insert)[A-Za-z0-9_ -]*|"
    r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\]"
)
_MUSTACHE = re.compile(r"\{\{\s*(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
_EXPRESSION = re.compile(
    r"\$\{\{\s*(?P<name>(?:secrets|vars|env|inputs|github(?:\.event\.inputs)?)\.[A-Za-z_][\w-]*)\s*\}\}"
)
"""Of a GitHub Actions job."""
_CURLY = re.compile(r"(?<![${%@\\=])\{(?P<name>[A-Za-z][A-Za-z0-9_-]*)\}(?!\})")
_YOUR = re.compile(
    r"(?<![\w$<{-])(?P<name>(?:[A-Za-z0-9]+[_-])*(?:YOUR|your|MY|DEIN|VOTRE|TU)[_-][A-Za-z0-9]+"
    r"(?:[_-][A-Za-z0-9]+)*)(?![\w(=])"
)
_PATH = re.compile(r"(?P<name>/?(?<![\w.-])path/to(?:/[\w.-]+)+)")
_HYPHENED = re.compile(
    r"(?<![\w/.$-])(?P<name>(?:previous|last|prior|old|new|current|target|good|bad|known)"
    r"(?:-(?:known|good|working|stable|bad|release|deployed))*"
    r"-(?:commit|release|tag|version|image|sha|revision)(?:-(?:hash|sha|id|number|tag))?)(?![\w-])"
)
_NAMED = re.compile(
    r"(?<![\w$<{/.-])(?P<name>(?:[A-Z][A-Z0-9]*_)+(?:ID|IDS|TOKEN|KEY|SECRET|PASSWORD|"
    r"NAME|HASH|SHA|TAG|URL|HOST|PORT"
    r"|VERSION|COMMIT|REVISION|USER|APP|IP|ADDRESS|DOMAIN|NUMBER|REGION|ENV|BRANCH)"
    r"|COMMIT_?(?:SHA|HASH|ID)|SHA1?|HASH|COMMIT)(?![\w=(.])"
)
_DOTS = re.compile(
    r"(?<![\w.])(?P<name>x{3,}|X{3,}|x\.x\.x|X\.Y\.Z"
    r"|\.\.\.|…)(?![\w.])"
)
_DATE = re.compile(r"(?<![A-Za-z0-9])(?P<name>YYYY(?:-?MM(?:-?DD)?)?)(?![A-Za-z0-9])")
_VARIABLE = re.compile(
    r"\$(?:\{(?P<braced>[A-Za-z_]\w+)(?:[:#%?+=/^,-][^}]*)?\}|(?P<name>[A-Za-z_]\w+))"
)
FORMS = (
    _EXPRESSION,
    _MUSTACHE,
    _ANGLE,
    _SQUARE,
    _CURLY,
    _PATH,
    _YOUR,
    _HYPHENED,
    _NAMED,
    _DATE,
    _DOTS,
)
KNOWN = frozenset(
    [
        "HOME",
        "PATH",
        "PWD",
        "OLDPWD",
        "USER",
        "SHELL",
        "HOSTNAME",
        "LOGNAME",
        "TMPDIR",
        "RANDOM",
        "SECONDS",
        "LANG",
        "UID",
        "EUID",
        "PPID",
        "IFS",
        "BASH_SOURCE",
        "LINENO",
        "PIPESTATUS",
        "REPLY",
        "EDITOR",
    ]
)
_SECRET = re.compile(
    r"(?i)(?:token|secret|passw|password|_key|key_|apikey|api[-_ ]?key|app[-_]?id|"
    r"credential|session|webhook)"
)
HTML = frozenset(
    [
        "a",
        "b",
        "br",
        "p",
        "ul",
        "li",
        "ol",
        "div",
        "span",
        "table",
        "tr",
        "td",
        "th",
        "summary",
        "details",
        "code",
        "pre",
        "img",
        "h1",
        "h2",
        "h3",
        "em",
        "strong",
        "i",
        "u",
    ]
)
_ASSIGNED = re.compile(
    r"(?:^|[;&|(\s])(?:export\s+|local\s+|read\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)=|"
    r"\bfor\s+(\w+)\s+in\b|\bread\s+(?:-\w+\s+)*(\w+)"
)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A blank: where it stands, as written, and the name that it gets."""

    line: int
    text: str
    name: str

    @property
    def variable(self) -> bool:
        """Whether the shell itself puts it in."""
        return self.text.startswith("$") and not self.text.startswith("${{")

    @property
    def secret(self) -> bool:
        return "secrets." in self.text or bool(_SECRET.search(self.name))

    @property
    def recorded(self) -> bool:
        """Whether a run's own records fill it: the commit or release before it."""
        return bool(
            re.search(
                r"(?:previous|prior|last|old|good|stable|vorherig|anterior|precedent).*(?:commit|release|sha|tag|"
                r"version|revision|image|hash)",
                self.name,
            )
        ) or self.name in ("previous", "last_good")


_MASK = re.compile("\ue010\\d+\ue011")


@dataclass(frozen=True, slots=True)
class Masked:
    """A text whose blanks are plain words: each `mask` stands for one `text`."""

    text: str
    blanks: Mapping[str, str] = field(default_factory=dict)

    def restored(self, text: str) -> str:
        """The blanks as written, in a piece of the masked text."""
        if not self.blanks:
            return text
        return _MASK.sub(lambda found: self.blanks.get(found.group(), found.group()), text)


def name_of(text: str) -> str:
    """`<previous commit>` -> `previous_commit`."""
    bare = text.strip("<>[]{}$ ").partition("|")[0]
    name = re.sub(r"[^A-Za-z0-9]+", "_", bare).strip("_").lower()
    name = re.sub(r"^(?:secrets|vars|env|inputs|github(?:_event_inputs)?)_(?=.)", "", name)
    name = re.sub(r"^(?:your|my|the|insert|dein|votre|tu)_", "", name) or "blank"
    return name if name[0].isalpha() else f"blank_{name}"


def masked(text: str) -> Masked:
    """The same text, as long in lines, with a word for each blank in angle brackets and braces."""
    blanks: dict[str, str] = {}

    def word(found: re.Match[str]) -> str:
        if found["name"].lower() in HTML or "\n" in found.group():
            return found.group()
        mask = f"\ue010{len(blanks)}\ue011"
        blanks[mask] = found.group()
        return mask

    for form in (_EXPRESSION, _MUSTACHE, _ANGLE, _SQUARE):
        text = form.sub(word, text)
    return Masked(text, blanks)


def found(text: str, line: int, *, defined: frozenset[str] = frozenset()) -> Iterator[Placeholder]:
    """The blanks of one command that begins on `line`; variables that it or the note sets are
    none."""
    taken = bytearray(len(text))
    hits: list[tuple[int, str]] = []
    quiet = _without_heredoc_marks(text)
    for form in FORMS:
        for match in form.finditer(quiet):
            if any(taken[match.start() : match.end()]):
                continue
            if match["name"].lower() in HTML and form is _ANGLE:
                continue
            taken[match.start() : match.end()] = b"\1" * len(match.group())
            hits.append((match.start(), match.group()))
    hits += [(start, shown) for start, shown in _variables(text, taken, defined)]
    before = 0
    for start, shown in sorted(hits):
        line, before = line + text.count("\n", before, start), start
        yield Placeholder(line, shown, name_of(shown))


def _without_heredoc_marks(text: str) -> str:
    return re.sub(r"<<-?\s*['\"]?\w+['\"]?", lambda m: " " * len(m.group()), text)


def _variables(text: str, taken: bytearray, defined: frozenset[str]) -> Iterator[tuple[int, str]]:
    own = assigned(text) | KNOWN
    quote, at = "", 0
    for match in _VARIABLE.finditer(text):
        quote, at = open_quote(text[at : match.start()], match.start() - at, quote), match.start()
        name = match["name"] or match["braced"]
        if name not in own and name not in defined and not taken[match.start()] and quote != "'":
            yield match.start(), match.group()


def open_quote(text: str, place: int, opened: str = "") -> str:
    """The quote that is open at a place, if any; `opened` is one that is open before."""
    for sign in text[:place]:
        if sign == opened:
            opened = ""
        elif not opened and sign in "'\"":
            opened = sign
    return opened


def assigned(text: str) -> frozenset[str]:
    """The variables that a command sets."""
    return frozenset(name for match in _ASSIGNED.finditer(text) for name in match.groups() if name)
