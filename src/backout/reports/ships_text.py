"""What would ship, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from backout.reports.lines import one_line, page
from backout.reports.plans import Difference, ShippedCommit, Ships

SHOWN = 12
"""Commits and files that are named; `diff --json` has them all."""


def diff_text(report: Difference) -> str:
    """What would ship."""
    lines = ships_lines(report, shown=500)
    if not lines:
        return f"{report.target}: nothing would ship."
    return page([f"{one_line(report.target)} runs {_ends(report)}."], lines)


def _ends(ships: Ships) -> str:
    now, then = (commit[:7] if commit else "" for commit in (ships.start, ships.to))
    if now and now == then:
        return f"{now}, the last commit there is"
    return f"{now or 'nothing that is known'}, and {then or 'nobody knows what'} would ship"


def ships_lines(ships: Ships, shown: int = SHOWN) -> list[str]:
    """The commits that would come and go, and the files that differ."""
    lines = commit_lines(ships, shown)
    lines += _files("Files", [f"{f.status[:1]} {f.path}" for f in ships.files], shown)
    lines += _files("Not committed yet", ships.uncommitted, shown)
    return lines + ([f"What ships is not known: {ships.unknown}."] if ships.unknown else [])


def commit_lines(ships: Ships, shown: int = SHOWN) -> list[str]:
    """The commits that would come and go."""
    lines = _commits("Ships", ships.commits, shown)
    return lines + _commits("Takes back", ships.withdrawn, shown)


def _commits(title: str, commits: Sequence[ShippedCommit], shown: int) -> list[str]:
    if not commits:
        return []
    rows = [
        f"  {each.commit[:7]} {_line(each.subject)} ({_line(each.author)})"
        for each in commits[:shown]
    ]
    many = "1 commit" if len(commits) == 1 else f"{len(commits)} commits"
    return [f"{title} {many}:", *rows, *_more(len(commits) - shown)]


def _files(title: str, names: Sequence[str], shown: int) -> list[str]:
    if not names:
        return []
    rows = (f"  {_line(name)}" for name in names[:shown])
    return [f"{title} ({len(names)}):", *rows, *_more(len(names) - shown)]


def _more(count: int) -> list[str]:
    return [f"  … and {count} more"] if count > 0 else []


def _line(text: str) -> str:
    return " ".join(str(text).split())
