"""What the verbs of watching answer, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backout.model import duration
from backout.reports.checks_text import verify_text

Report = Mapping[str, Any]


def watch_text(report: Report) -> str:
    """`{"targets": [{"target", "verdict", "checks"}]}` after one look; nothing after many."""
    broken = report.get("broken", {}).items()
    return "\n\n".join(
        [
            *(_looked(each) for each in report.get("targets", ())),
            *(f"{name} was not looked at: its inventory is broken.\n{why}" for name, why in broken),
        ]
    )


def _looked(target: Report) -> str:
    if target.get("held"):
        return f"{target['target']} was not looked at: {target['held']} holds it."
    return verify_text(target)


def alert_text(report: Report) -> str:
    """`{"acknowledged": […], "by"}` or `{"silenced", "check", "until"}`."""
    if "acknowledged" in report:
        return "\n".join(f"acknowledged by {report['by']}: {s}" for s in report["acknowledged"])
    what = f"{report['silenced']}/{report['check']}" if report["check"] else report["silenced"]
    return f"{what} is silent until {report['until']}."


def alerts_text(report: Report) -> str:
    """`{"alerts": [{"title", "since", "seconds", "acknowledged"}], "silences": […]}`."""
    lines = []
    for each in report["alerts"]:
        known = each["acknowledged"]
        lines.append(f"{each['title']}, since {each['since']} ({duration(each['seconds'])})")
        lines.append(f"  known to {known}" if known else f"  acknowledge: {each['acknowledge']}")
    for each in report["silences"]:
        what = f"{each['target']}/{each['check']}" if each["check"] else each["target"]
        lines.append(f"{what} is silent until {each['until']} by {each['by']}")
    return "\n".join(lines) or "Nothing is open."


def schedule_text(report: Report) -> str:
    """`{"did", "entries": [{"name", "state"}]}`."""
    lines = [f"{each['state']}: {each['name']}" for each in report["entries"]]
    return "\n".join(lines) or "Nothing is installed for this directory."
