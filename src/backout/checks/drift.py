"""What changed between two snapshots, path by path. Pure.

Any kind of check may hand over a fact named `snapshot`: JSON that ought to stay as it was when the
release was proved good, such as a database's schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backout.model import Finding, Release, Verdict
from backout.ports import Recorded

FACT = "snapshot"
STANDING = "standing"
"""The fact that says what is on a host, as lines `LABEL: TEXT`: it is held against the ledger."""
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


def held(finding: Finding, recorded: Recorded) -> Finding:
    """The finding, or the same one failed when what is on the host is not what the last run left
    there. While a run is under way, and where nothing is on record, nobody can tell."""
    if recorded.under_way:
        return _untold(finding, f"a run is under way: {recorded.under_way}")
    if finding.verdict is Verdict.ERROR:
        return finding
    if recorded.release is None:
        return _untold(finding, "the ledger has no release on this host: deploy there first")
    now = finding.facts[STANDING]
    lines = [*_ledger(recorded, str(finding.facts.get("commit", ""))), *_lines(recorded, now)]
    if lines:
        return _drifted(finding, recorded.release, lines)
    new = _labels(now) - _labels(recorded.standing or ())
    if finding.verdict is Verdict.PASS and new:
        words = f"no run has recorded {', '.join(sorted(new))} on this host: the next deploy does"
        return _untold(finding, words)
    return finding


def _untold(finding: Finding, reason: str) -> Finding:
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=reason, failed=())


def _drifted(finding: Finding, release: Release, lines: Sequence[str]) -> Finding:
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    shown = [*lines[:SHOWN], *([f"… and {len(lines) - SHOWN} more"] if lines[SHOWN:] else [])]
    return replace(
        finding,
        verdict=Verdict.FAIL,
        failed=(f"as release {release} left it",),
        reason=f"not as release {release} left it: {lines[0]}{more}",
        excerpt="\n".join((*shown, finding.excerpt)).strip(),
    )


def _ledger(recorded: Recorded, commit: str) -> Iterator[str]:
    """What the host's own record and its disk say, against the ledger."""
    if recorded.missed:
        yield f"it missed release {recorded.missed}, and is on release {recorded.release}"
    if recorded.says is None:
        yield f"no release is on record there, the ledger has release {recorded.release}"
    elif recorded.says != recorded.release or not recorded.same_run:
        yield (
            f"its own record says release {recorded.says} of another run, the ledger release"
            f" {recorded.release}"
        )
    if commit and recorded.code and not _same(commit, recorded.code):
        yield f"~ commit: {recorded.code[:10]} -> {commit[:10]}"


def _same(commit: str, other: str) -> bool:
    """Either may be the beginning of the other."""
    return commit.startswith(other) or other.startswith(commit)


def _lines(recorded: Recorded, now: Sequence[str]) -> Iterator[str]:
    """What has come and gone, of all that was recorded and is looked at still. Tracked files that
    differ are a change though nothing is on record."""
    before = recorded.standing if recorded.standing is not None else (CLEAN,)
    both = _labels(before) & _labels(now)
    old, new = ([each for each in some if _label(each) in both] for some in (before, now))
    yield from (f"- {each}" for each in old if each not in new)
    yield from (f"+ {each}" for each in new if each not in old)
    if sorted(old) == sorted(new) and old != new:
        yield "~ the order of lines is another one"


CLEAN = "changed: (empty)"
"""A checkout whose tracked files are those of its commit."""


def _labels(lines: Sequence[str]) -> set[str]:
    return {_label(line) for line in lines}


def _label(line: str) -> str:
    return line.partition(": ")[0]


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
