"""A check that several zones look at: what each of them found, made into what the check says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from backout.checks import agreement
from backout.errors import Refused, TakenOver
from backout.model import (
    Answered,
    Check,
    CheckKey,
    Finding,
    Inventory,
    Release,
    Target,
    Verdict,
    ZoneFinding,
)
from backout.watch.asking import TAKEN_WITHIN, Asking
from backout.watch.bake import Deployed
from backout.watch.watched import blocked

LEEWAY = 5.0
"""Seconds that a look in a zone may take longer than the check's own time: to be taken, and to be
told."""
ALONE = "there is no ledger of a team, and so there are no workers: see docs/workers.md"


@dataclass(frozen=True, slots=True)
class Zoned:
    """The checks of one target that zones look at."""

    target: Target
    inventory: Inventory
    asking: Asking | None

    @classmethod
    def of(cls, target: Target, body: str, asking: Asking | None) -> Zoned:
        """`body` is the target as JSON, without secrets."""
        return cls(target, Inventory(sha256(body.encode()).hexdigest(), body), asking)

    def look(self, check_key: CheckKey, deployed: Deployed | None) -> tuple[Finding, ...]:
        """What its zones find at a check and at all that it leads to. Raises TakenOver."""
        check = self.target.checks[check_key.check]
        answers, why = self._asked(check_key, check, deployed)
        seen = {zone: self._seen(zone, answers.get(zone), why) for zone in check.from_}
        first = (check_key.check, check_key.host or None)
        places = dict.fromkeys((first, *((f.check, f.host) for fs in seen.values() for f in fs[1])))
        return tuple(
            agreement.agreed(*place, [_of(place, *each) for each in seen.values()], check.agreeing)
            for place in places
        )

    def _asked(
        self, check_key: CheckKey, check: Check, deployed: Deployed | None
    ) -> tuple[Mapping[str, Answered], str]:
        """What each zone answers; why none could be asked."""
        if self.asking is None:
            return {}, ALONE
        release = deployed.release if deployed else None
        about = {"release": release.to_data() if release else None}
        patience = _longest(self.target, check) + LEEWAY
        try:
            return self.asking.ask(check_key, check.from_, self.inventory, about, patience), ""
        except TakenOver:
            raise
        except Refused as error:
            return {}, error.what

    def _seen(
        self, zone: str, answered: Answered | None, why: str
    ) -> tuple[ZoneFinding, tuple[Finding, ...]]:
        """What a zone has to say of the whole, and each of its findings."""
        if answered is None or not answered.answered:
            return _silent(zone, answered, why), ()
        findings = tuple(map(Finding.of, answered.findings))
        out = blocked(self.target, findings)
        # What could not be reached there is not well there: the zone has not said nothing.
        told = tuple(replace(f, verdict=Verdict.ERROR) if f.check in out else f for f in findings)
        return ZoneFinding(zone, None, answered.by, answered.at), told


def _of(
    place: tuple[str, str | None], zone: ZoneFinding, findings: Sequence[Finding]
) -> tuple[ZoneFinding, Finding | None]:
    """The same of one of the checks that were looked at."""
    mine = next((each for each in findings if (each.check, each.host) == place), None)
    if mine is None:
        return (zone if zone.reason else replace(zone, reason="it did not look at it")), None
    return replace(zone, verdict=mine.verdict, elapsed_ms=mine.elapsed_ms, reason=mine.reason), mine


def _silent(zone: str, answered: Answered | None, why: str) -> ZoneFinding:
    if answered is None:
        return ZoneFinding(zone, reason=why)
    taken = "a worker began to look, and was not heard of again"
    nobody = f"no worker of the zone took it up within {TAKEN_WITHIN:.0f} s, see invoke workers"
    return ZoneFinding(
        zone, None, answered.by, answered.at, reason=taken if answered.taken else nobody
    )


def _longest(target: Target, check: Check) -> float:
    """Seconds that a look at a check and at all that it leads to may take."""
    total, ahead, known = 0.0, [check.name], set[str]()
    while ahead:
        each = target.checks[ahead.pop()]
        if each.name not in known:
            known.add(each.name)
            total += each.timeout * (2 if each.cleanup else 1) * _times(target, check, each)
            ahead += each.then
    return total


def _times(target: Target, root: Check, check: Check) -> int:
    """How often it is looked at, one after the other."""
    if root.on is not None or check.on is None:
        return 1
    return max(1, len(target.select(check.on)))


# --- what goes through the ledger ------------------------------------------------------------


def record(finding: Finding) -> dict[str, Any]:
    """A finding as a worker hands it on, with what it saw."""
    return {**finding.record(), "excerpt": finding.excerpt}


def release_of(about: Mapping[str, Any]) -> Release | None:
    """What was deployed, as whoever asked knew it."""
    said = about.get("release")
    return Release(said["number"], said["commit"]) if said else None
