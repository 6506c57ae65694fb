"""What the verbs of watching answer, in words. Pure."""

from __future__ import annotations

from dataclasses import replace

from backout.model import duration
from backout.reports.checks_text import verify_text
from backout.reports.lines import page
from backout.reports.parts import next_lines
from backout.reports.watched import (
    Acknowledged,
    Alerts,
    Installed,
    Keyring,
    KeyShown,
    Silenced,
    Stopped,
    Watched,
    WatchedOnce,
)


def watch_text(report: Watched | Stopped) -> str:
    """How it stands after one look; nothing after many."""
    if isinstance(report, Stopped):
        return ""
    broken = report.broken.items()
    return page(
        *([_looked(target)] for target in report.targets),
        *([f"{name} was not looked at: its inventory is broken.", why] for name, why in broken),
        next_lines("\n".join(target.next for target in report.targets if not target.held)),
    )


def _looked(target: WatchedOnce) -> str:
    if target.held:
        return f"{target.target} was not looked at: {target.held} holds it."
    return verify_text(replace(target, next=""))


def alert_text(report: Acknowledged | Silenced) -> str:
    """What somebody knows of now, or what is silent."""
    if isinstance(report, Acknowledged):
        return "\n".join(f"acknowledged by {report.by}: {s}" for s in report.acknowledged)
    what = f"{report.silenced}/{report.check}" if report.check else report.silenced
    return f"{what} is silent until {report.until}."


def alerts_text(report: Alerts) -> str:
    """What is open, and what is silent."""
    lines = []
    for each in report.alerts:
        known = each.acknowledged
        lines.append(f"{each.title}, since {each.since} ({duration(each.seconds)})")
        lines.append(f"  known to {known}" if known else f"  acknowledge: {each.acknowledge}")
    for silence in report.silences:
        what = f"{silence.target}/{silence.check}" if silence.check else silence.target
        lines.append(f"{what} is silent until {silence.until} by {silence.by}")
    return "\n".join(lines) or "Nothing is open."


def schedule_text(report: Installed) -> str:
    """What is installed, or was."""
    lines = [f"{each.state}: {each.name}" for each in report.entries]
    return "\n".join(lines) or "Nothing is installed for this directory."


def token_text(report: KeyShown) -> str:
    """The token, this once."""
    return f"{report.token}\n\nThe token of {report.name} ({report.role}): it is not shown again."


def tokens_text(report: Keyring) -> str:
    """Who may use the web view."""
    lines = [f"{each.name}: {each.role}, since {each.since} by {each.by}" for each in report.tokens]
    return "\n".join(lines) or "There is no token."
