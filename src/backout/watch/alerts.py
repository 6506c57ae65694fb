"""Findings -> open, worse, remind, resolve. Pure.

What is not a pass is never healthy. A check that fails and a check that cannot tell both count
towards an alert; the words say which of the two it is. Each time that an alert opens again within
the hour, it takes twice as many good looks to resolve it: a check that flaps is told of, not
about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backout.checks.streaks import Policy, needed
from backout.checks.streaks import in_doubt as in_doubt
from backout.model import (
    Check,
    CheckKey,
    Finding,
    Incident,
    Message,
    Streak,
    duration,
)
from backout.model.values import cut

if TYPE_CHECKING:
    from backout.reports.watched import OpenAlert

DIGEST_FROM = 3
"""So many messages that wait for one destination become one."""


# --- reminding ---------------------------------------------------------------------------


def due_word(
    incident: Incident, policy: Policy, now: float, *, silenced: bool, waiting: bool
) -> str:
    """What an open incident has to be told as now: `open` when it was kept quiet so far,
    `remind`, or nothing. `waiting`: a message about it is still on its way."""
    if silenced or waiting:
        return ""
    if incident.told is None:
        return "open"
    due = policy.remind is not None and now - incident.told >= policy.remind
    return "remind" if due and not incident.acked else ""


def alert_row(incident: Incident, now: float) -> OpenAlert:
    """An open incident, as `alert.list` answers it."""
    from backout.reports.watched import OpenAlert

    check_key = incident.check_key
    return OpenAlert(
        target=check_key.target,
        check=check_key.check,
        host=check_key.host or None,
        title=title(incident, "open"),
        severity=incident.evidence.get("severity", "critical"),
        since=datetime.fromtimestamp(incident.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(max(0.0, now - incident.since), 3),
        acknowledged=incident.acked or None,
        told=incident.told is not None,
        acknowledge=acknowledging(check_key),
    )


# --- words -------------------------------------------------------------------------------


def evidence(finding: Finding, check: Check, looks: int, *, asks: str = "") -> dict[str, Any]:
    """What an incident keeps of the finding that opened it."""
    return {
        "verdict": str(finding.verdict),
        "asks": asks,
        "doc": check.doc,
        "severity": check.severity,
        "expected": list(finding.failed or check.expect),
        "came": finding.reason,
        "excerpt": finding.excerpt,
        "looks": looks,
    }


def title(incident: Incident, kind: str) -> str:
    """One line: `[prod] alive@web1 fails`."""
    check_key = incident.check_key
    name = f"[{check_key.target}] {check_key.key}"
    if incident.kind == "notice":
        over = ": over" if kind == "resolve" else ""
        return f"[{check_key.target}] {incident.evidence['what'].splitlines()[0]}{over}"
    if kind == "resolve":
        return f"{name} is healthy again"
    if kind == "gone":
        return f"{name} is no longer watched"
    words = "fails" if incident.kind == "fail" else "cannot be told to be healthy"
    return f"{name} still {words}" if kind == "remind" else f"{name} {words}"


def body(
    incident: Incident,
    kind: str,
    *,
    now: float,
    last_deploy: str = "",
    flaps: str = "",
    page: str = "",
) -> str:
    """What failed, since when, what was expected and what came, the last deploy, where more is
    to be seen, how to say that one knows, and the next command."""
    over = kind in ("resolve", "gone")
    lines = _over(incident, now) if over else _wrong(incident, now)
    lines += [flaps, f"last deploy: {last_deploy}" if last_deploy else ""]
    lines += [f"page: {page}" if page else ""]
    if not over:
        lines += [
            f"acknowledge: {acknowledging(incident.check_key)}",
            f"next: {_following(incident)}",
        ]
    return "\n".join(line for line in lines if line)


def acknowledging(check_key: CheckKey) -> str:
    """What to type so that nobody is reminded any more."""
    return f"invoke alert.ack --target {check_key.target} --check {check_key.key}"


def _over(incident: Incident, now: float) -> list[str]:
    lasted = f"it was wrong for {_lasted(incident, now)}, since {_utc(incident.since)}"
    if incident.kind == "notice":
        return [lasted]
    return [f"check {incident.check_key.check}{_where(incident.check_key)}", lasted]


def _wrong(incident: Incident, now: float) -> list[str]:
    check_key, seen = incident.check_key, incident.evidence
    severity = seen.get("severity", "critical")
    matters = "" if severity == "critical" else f" ({severity})"
    return [
        seen.get("what")
        or f"check {check_key.check}{_where(check_key)}: {seen.get('verdict')}{matters}",
        f"since {_utc(incident.since)}{_so_far(incident, now)}",
        seen.get("doc", ""),
        f"checked: {seen['asks']}" if seen.get("asks") else "",
        *(f"expected: {each}" for each in seen.get("expected", ())),
        f"came: {seen['came']}" if seen.get("came") else "",
        f"evidence: {_short(seen['excerpt'])}" if seen.get("excerpt") else "",
    ]


def _so_far(incident: Incident, now: float) -> str:
    """How long, and how many looks; nothing of what has only just begun."""
    looks = incident.evidence.get("looks", 0)
    lasted = f", for {_lasted(incident, now)}" if now - incident.since >= 1 else ""
    return f"{lasted} ({looks} looks in a row)" if looks > 1 else lasted


def _where(check_key: CheckKey) -> str:
    return f" on {check_key.host}" if check_key.host else ""


def _lasted(incident: Incident, now: float) -> str:
    return duration(max(0.0, now - incident.since))


def _following(incident: Incident) -> str:
    check_key = incident.check_key
    following: str = incident.evidence.get("next", "")
    return following or f"invoke verify --target {check_key.target} --check {check_key.check}"


def flapping(streak: Streak, policy: Policy) -> str:
    """What is said of a check that comes and goes."""
    if not streak.flaps:
        return ""
    return (
        f"it is flapping: {len(streak.opened)} times within the hour; "
        f"{needed(streak, policy)} good looks in a row will resolve it"
    )


def digest(messages: Sequence[Message]) -> tuple[str, str]:
    """Title and body of one message for many."""
    target = messages[0].target
    counted = _in_words(each.kind for each in messages)
    whole = "\n\n".join(f"{each.title}\n{_indented(each.body)}" for each in messages)
    return f"[{target}] {len(messages)} alerts: {counted}", whole


_KINDS = {
    "open": "new",
    "worse": "worse",
    "remind": "still there",
    "resolve": "resolved",
    "note": "to know",
}


def _in_words(kinds: Iterable[str]) -> str:
    seen = list(kinds)
    counted = ((word, seen.count(kind)) for kind, word in _KINDS.items())
    return ", ".join(f"{count} {word}" for word, count in counted if count)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _short(text: str) -> str:
    return cut(" ".join(text.split()), 300)


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
