"""What sites add to Markdown -> the plain Markdown that says the same, line for line.

Tabs and admonitions of MkDocs and Docusaurus, `<pre>`, Jekyll's and Hugo's `highlight`, AsciiDoc's
and reStructuredText's listings. The number of lines stays, so that each keeps its own.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable

_FENCE = re.compile(r"^[ \t>]*(?:[-*+]\s+|\d+[.)]\s+)?(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
_TITLED = re.compile(
    r"^(?P<in> *)(?:===[!+]?|!!!|\?\?\?\+?)\s+(?P<words>[\w -]*?)\s*(?:\"(?P<title>[^\"]*)\")?\s*$"
)
_TAB = re.compile(r"^\s*<TabItem\b[^>]*?\b(?:label|value)=[\"'{]+(?P<title>[^\"'}]+)[^>]*>\s*$")
_TABS = re.compile(r"^\s*</?Tab(?:s|Item)\b[^>]*>\s*$")
_PRE = re.compile(r"^\s*<pre\b", re.IGNORECASE)
_PRE_END = re.compile(r"</pre\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?(?:pre|code|span)\b[^>]*>", re.IGNORECASE)
_LIQUID = re.compile(r"^\s*\{[{%][-<%]?\s*(?:highlight|code)\s*(?P<language>[\w-]*)[^}]*\}\s*$")
_LIQUID_END = re.compile(r"^\s*\{[{%][-<%]?\s*(?:/|end)(?:highlight|code)\b[^}]*\}\s*$")
_SOURCE = re.compile(r"^\[(?:source|listing|,)[%\w]*,?\s*(?P<language>[\w-]*)[^\]]*\]\s*$")
_LISTING = re.compile(r"^-{4,}\s*$")
_SECTION = re.compile(r"^(?P<level>={1,6}) (?P<title>\S.*)$")
_DIRECTIVE = re.compile(
    r"^(?P<in> *)\.\. (?:code-block|code|sourcecode|prompt)::\s*(?P<language>[\w-]*)"
)

Lines = list[str]


class _Ends:
    """Where listings and `<pre>` end: asked for each that opens, and looked for once."""

    def __init__(self, lines: Lines) -> None:
        self.places: dict[str, list[int]] = {}
        for number, line in enumerate(lines):
            end = "</pre>" if _PRE_END.search(line) else line if _LISTING.match(line) else ""
            if end:
                self.places.setdefault(end, []).append(number)

    def behind(self, end: str, at: int) -> int:
        """The first such end behind a line, or -1."""
        places = self.places.get(end, [])
        found = bisect_right(places, at)
        return places[found] if found < len(places) else -1


def plain(lines: Lines) -> Lines:
    """The same lines in plain Markdown; what stands in fences already is left alone."""
    made, at = list(lines), 0
    ends = _Ends(lines)
    asciidoc = any(map(_SOURCE.match, lines))
    unclosed = set[str]()
    while at < len(made):
        if fence := _FENCE.match(made[at]):
            at = _behind(made, at, fence["mark"], unclosed)
            continue
        for form in _FORMS:
            if end := form(made, at, ends):
                at = end - 1
                break
        else:
            if asciidoc:
                at = _asciidoc(made, at, ends) - 1
        at += 1
    return made


def _behind(lines: Lines, at: int, mark: str, unclosed: set[str]) -> int:
    """The line behind a fence; the next one where nobody closed it."""
    for number in range(at + 1, len(lines)) if mark not in unclosed else ():
        found = _FENCE.match(lines[number])
        if found and found["mark"].startswith(mark) and not found["info"].strip():
            return number + 1
    unclosed.add(mark)
    return at + 1


def _outdented(lines: Lines, at: int, margin: int, width: int) -> int:
    """Takes `width` columns from what is indented below a line, and says where that ends."""
    end, lead = at, " " * (margin + width)
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith(lead)):
        lines[end] = lines[end][:margin] + lines[end][margin + width :]
        end += 1
    return end


def _titled(lines: Lines, at: int, _: _Ends) -> int:
    if not (found := _TITLED.match(lines[at])):
        return 0
    tab = lines[at].lstrip().startswith("===")
    if tab and found["title"] is None:
        return 0
    title = (found["title"] or "").strip()
    lines[at] = f"{found['in']}**{title}**" if tab and title else ""
    _outdented(lines, at + 1, len(found["in"]), 4)
    return at + 1


def _tab_item(lines: Lines, at: int, _: _Ends) -> int:
    if found := _TAB.match(lines[at]):
        lines[at] = f"**{found['title'].strip()}**"
    elif _TABS.match(lines[at]):
        lines[at] = ""
    else:
        return 0
    return at + 1


def _pre(lines: Lines, at: int, ends: _Ends) -> int:
    if not _PRE.match(lines[at]):
        return 0
    end = ends.behind("</pre>", at - 1)
    if end < 0:
        return 0
    for number in range(at, end + 1):
        text = html.unescape(_TAG.sub("", lines[number]))
        lines[number] = f"    {text}" if text.strip() and "\n" not in text else ""
    return end + 1


def _liquid(lines: Lines, at: int, _: _Ends) -> int:
    if found := _LIQUID.match(lines[at]):
        lines[at] = f"```{found['language']}"
    elif _LIQUID_END.match(lines[at]):
        lines[at] = "```"
    else:
        return 0
    return at + 1


def _directive(lines: Lines, at: int, _: _Ends) -> int:
    if not (found := _DIRECTIVE.match(lines[at])):
        return 0
    first = at + 1
    while first < len(lines) and not lines[first].strip():
        first += 1
    if first == len(lines):
        return 0
    margin, text = len(found["in"]), lines[first]
    width = len(text) - len(text.lstrip()) - margin
    if width <= 0:
        return 0
    end = _outdented(lines, first, margin, width)
    lines[at] = f"{found['in']}```{found['language']}"
    if end < len(lines) and not lines[end - 1].strip():
        lines[end - 1] = f"{found['in']}```"
    return end


def _asciidoc(lines: Lines, at: int, ends: _Ends) -> int:
    if section := _SECTION.match(lines[at]):
        lines[at] = f"{'#' * len(section['level'])} {section['title']}"
    elif _LISTING.match(lines[at]):
        end = ends.behind(lines[at], at)
        if end < 0:
            return at + 1
        source = _SOURCE.match(lines[at - 1]) if at else None
        lines[at], lines[end] = f"```{source['language'] if source else ''}", "```"
        if source:
            lines[at - 1] = ""
        return end + 1
    return at + 1


_FORMS: tuple[Callable[[Lines, int, _Ends], int], ...] = (
    _titled,
    _tab_item,
    _pre,
    _liquid,
    _directive,
)
