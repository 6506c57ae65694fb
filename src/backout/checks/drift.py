"""What changed between two snapshots, path by path. Pure.

Any kind of check may hand over a fact named `snapshot`: JSON that ought to stay as it was when the
release was proved good, such as a database's schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from backout.model import Finding, Verdict

FACT = "snapshot"
SHOWN = 40
"""No more lines of a difference than this are shown."""


def judged(finding: Finding, release: int, reference: tuple[int, Any] | None) -> Finding:
    """The finding, or the same one failed when its snapshot differs from the one that was taken
    at `release`."""
    if reference is None or reference[0] != release or finding.verdict is not Verdict.PASS:
        return finding
    lines = list(diff(reference[1], finding.facts[FACT]))
    if not lines:
        return finding
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    return replace(
        finding,
        verdict=Verdict.FAIL,
        failed=(f"as it was at release {release}",),
        reason=f"drifted since release {release}: {lines[0]}{more}",
        excerpt="\n".join(lines[:SHOWN]),
    )


def diff(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """`+ UserConcert.notes: "String"`, `- …`, `~ UserConcert.user: "Pointer" -> "String"`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}, key=str):
            inner = f"{path}.{key}" if path else str(key)
            if key not in now:
                yield f"- {inner}: {_text(before[key])}"
            elif key not in before:
                yield f"+ {inner}: {_text(now[key])}"
            else:
                yield from diff(before[key], now[key], inner)
    elif isinstance(before, list) and isinstance(now, list):
        yield from _lists(before, now, path)
    elif before != now or isinstance(before, bool) != isinstance(now, bool):
        yield f"~ {path}: {_text(before)} -> {_text(now)}"


def _lists(before: list[Any], now: list[Any], path: str) -> Iterator[str]:
    """Lists as sets of lines, when order is all that differs it is said once."""
    old, new = [_text(each) for each in before], [_text(each) for each in now]
    gone = [each for each in old if each not in new]
    come = [each for each in new if each not in old]
    at = f"{path}: " if path else ""
    yield from (f"- {at}{each}" for each in gone)
    yield from (f"+ {at}{each}" for each in come)
    if old != new and not (gone or come):
        yield f"~ {at}another order, or another count"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
