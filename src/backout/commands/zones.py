"""`workers`: zones, who works there, what they drive, and what is stalled."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from backout.commands.options import Workers
from backout.ports import HERE, Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.handed import ZoneLine, Zones, zone_lines


class Looking:
    """What stands in the ledger of workers."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def workers(self, _: Workers) -> Answer:
        """Raises Refused where there is no ledger of the team."""
        hands = self.workplace.shared.hands(self.workplace.journal)
        zones = zone_lines(hands.all(), hands.open())
        return Answer("zones", Zones(zones, _next(zones)))


def _worker_of(zone: str) -> str:
    """What starts a worker of it."""
    if not zone.startswith(HERE):
        return f"invoke worker --zone {zone}"
    machine, _, directory = zone.removeprefix(HERE).partition(":")
    return f"on {machine}: cd {shlex.quote(directory)} && invoke worker"


def _next(zones: Sequence[ZoneLine]) -> str:
    """What helps: a worker where runs wait and none is there, else a person's decision."""
    lines = [
        _worker_of(zone.zone)
        for zone in zones
        if any(run.state in ("waits", "stalled") for run in zone.runs)
        and not any(worker.state == "works" for worker in zone.workers)
    ]
    lines += [
        f"invoke resume --target {run.target}, or invoke abort --target {run.target}"
        for zone in zones
        for run in zone.runs
        if run.state == "asks"
    ]
    return "\n".join(dict.fromkeys(lines))
