"""The status for machines and for other pages: JSON, badges, and a feed of incidents. Pure; what
is shown is redacted by whoever writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from backout.model import Incident
from backout.status_page.facts import Watched
from backout.status_page.views import StatusView
from backout.watch import alerts

COLOURS = {"pass": "#2e7d32", "fail": "#c62828", "unknown": "#b26a00", "idle": "#5f6368"}
WORDS = {"pass": "healthy", "fail": "failing", "unknown": "cannot tell", "idle": "not looked at"}
STALE = "stale"
FED = 50
"""So many incidents are in the feed."""


def status_data(view: StatusView, watched: Sequence[Watched], now: float) -> dict[str, Any]:
    """`status.json`: what the page says, for programs."""
    return {
        "format": 1,
        "at": _rfc3339(now),
        "state": view.state,
        "unwell": list(view.unwell),
        "targets": [
            {
                "target": target.name,
                "state": target.state,
                "release": target.release,
                "checks": [
                    {"name": each.name, "host": each.host or None, "state": each.state}
                    for each in target.checks
                ],
            }
            for target in view.targets
        ],
        "incidents": [_incident(one) for each in watched for one in each.incidents],
    }


def _incident(one: Incident) -> dict[str, Any]:
    return {
        "id": one.id,
        "target": one.check_key.target,
        "check": one.check_key.check,
        "host": one.check_key.host or None,
        "kind": one.kind,
        "severity": one.evidence.get("severity", "critical"),
        "since": _rfc3339(one.since),
        "resolved": None if one.resolved is None else _rfc3339(one.resolved),
        "acknowledged": one.acked or None,
    }


def badge_name(target: str) -> str:
    """`badge-prod.svg`; `badge-eu+api.svg`."""
    return f"badge-{target.replace('/', '+')}.svg"


def badge(target: str, state: str) -> str:
    """A small picture with the state of a target."""
    said, colour = WORDS.get(state, state), COLOURS.get(state, COLOURS["idle"])
    left, right = 12 + 7 * len(target), 12 + 7 * len(said)
    style = 'font-family="Verdana,sans-serif" font-size="11" fill="#fff"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img">'
        f"<title>{escape(target)}: {escape(said)}</title>"
        f'<rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        f'<text x="6" y="14" {style}>{escape(target)}</text>'
        f'<text x="{left + 6}" y="14" {style}>{escape(said)}</text></svg>\n'
    )


def stale(name: str, content: bytes) -> bytes:
    """A file as it is served when it was not written anew for too long: nothing in it is green."""
    if name.endswith(".svg"):
        target = name.removeprefix("badge-").removesuffix(".svg").replace("+", "/")
        return badge(target, STALE).encode()
    if name != "status.json":
        return content
    data = json.loads(content)
    for each in (data, *data["targets"], *(c for t in data["targets"] for c in t["checks"])):
        each["state"] = STALE
    return f"{json.dumps(data, indent=1)}\n".encode()


def feed(watched: Sequence[Watched], now: float, *, page: str = "") -> str:
    """An Atom feed: every incident, the newest change first."""
    incidents = [one for each in watched for one in each.incidents]
    incidents.sort(key=lambda one: one.resolved or one.opened, reverse=True)
    updated = max((one.resolved or one.opened for one in incidents), default=now)
    link = f'<link href="{escape(page, {chr(34): "&quot;"})}"/>' if page else ""
    entries = "".join(_entry(one, link) for one in incidents[:FED])
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<title>Incidents</title><id>urn:backout:incidents</id>{link}"
        f"<updated>{_rfc3339(updated)}</updated><author><name>Backout</name></author>"
        f"{entries}</feed>\n"
    )


def _entry(one: Incident, link: str) -> str:
    kind = "open" if one.resolved is None else "resolve"
    at = one.opened if one.resolved is None else one.resolved
    body = alerts.body(one, kind, now=at, last_deploy=str(one.evidence.get("deploy", "")))
    return (
        f"<entry><title>{escape(alerts.title(one, kind))}</title>"
        f"<id>urn:backout:incident:{one.id}:{one.opened:.0f}</id>{link}"
        f"<published>{_rfc3339(one.opened)}</published><updated>{_rfc3339(at)}</updated>"
        f'<content type="text">{escape(body)}</content></entry>'
    )


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
