"""What several zones found -> one finding. Pure.

A zone that says nothing, or cannot tell, is unknown: it is never counted as well, and it can still
turn out to be either. So a check fails when as many zones as have to agree saw that; it passes when
that can no longer come about, whatever the silent ones would say, and as many as have to agree did
say something; else nobody can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from backout.model import Finding, Verdict, ZoneFinding

_RED = (Verdict.FAIL, Verdict.ERROR)


def verdict(said: Sequence[Verdict | None], agree: int) -> Verdict:
    """Of zones, each with its verdict or None where it says nothing, so many of which have to agree
    that it is red."""
    failed, red = said.count(Verdict.FAIL), sum(each in _RED for each in said)
    told = red + said.count(Verdict.PASS)
    if failed >= agree:
        return Verdict.FAIL
    if red >= agree:
        return Verdict.ERROR
    if told >= agree and red + len(said) - told < agree:
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


def agreed(
    check: str, host: str | None, seen: Sequence[tuple[ZoneFinding, Finding | None]], agree: int
) -> Finding:
    """One finding of what each zone says, with the evidence of the first one that said the same."""
    zones = tuple(zone for zone, _ in seen)
    found = verdict([zone.verdict for zone in zones], agree)
    there = [each for _, each in seen if each is not None]
    shown = next((each for each in there if each.verdict is found), None)
    shown = shown or next((each for each in there if each.verdict in _RED), None)
    base = shown or Finding(check, host, found)
    return replace(
        base,
        verdict=found,
        elapsed_ms=max((zone.elapsed_ms for zone in zones), default=0.0),
        reason=words(zones, agree, found),
        zones=zones,
    )


def words(zones: Sequence[ZoneFinding], agree: int, found: Verdict) -> str:
    """What each of them says, by whom and when; before it, why nobody can tell."""
    told = "; ".join(map(_words, zones))
    if found is not Verdict.INCONCLUSIVE:
        return told
    return f"{agree} of {len(zones)} zones have to agree: {told}"


def _words(zone: ZoneFinding) -> str:
    when = f"{datetime.fromtimestamp(zone.at, UTC):%Y-%m-%d %H:%M:%S}Z" if zone.at else ""
    if zone.verdict is None:
        since = f"nothing since {when} ({zone.by})" if when else "nothing, ever"
        return f"{zone.zone} said {since}: {zone.reason}"
    why = f": {zone.reason}" if zone.reason else ""
    return f"{zone.zone} {_SAID[zone.verdict]} ({zone.by}, {when}){why}"


_SAID = {
    Verdict.PASS: "passes",
    Verdict.FAIL: "fails",
    Verdict.ERROR: "cannot tell",
    Verdict.INCONCLUSIVE: "cannot tell",
}
