"""`workers`: zones, who works there, what they drive, and what is stalled."""

from __future__ import annotations

from collections.abc import Sequence

from backout.adapters.storage.postgres.hands import Hand, InHand
from backout.commands.options import Workers
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import stamp
from backout.reports.handed import DrivenRun, WorkerLine, ZoneLine, Zones

BEAT = 15.0
"""After so many seconds without a sign of life a worker is silent."""


class Looking:
    """What stands in the ledger of workers."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def workers(self, _: Workers) -> Answer:
        """Raises Refused where there is no ledger of the team."""
        hands = self.workplace.shared.hands(self.workplace.journal)
        workers, runs = hands.all(), hands.open()
        names = sorted({each.zone for each in workers} | {each.zone for each in runs})
        zones = tuple(
            ZoneLine(
                name,
                tuple(_worker(each) for each in workers if each.zone == name),
                tuple(_run(each, workers) for each in runs if each.zone == name),
            )
            for name in names
        )
        return Answer("zones", Zones(zones, _next(zones)))


def _worker(hand: Hand) -> WorkerLine:
    state = "silent" if hand.silent > BEAT else "stopping" if hand.stopping else "works"
    return WorkerLine(
        hand.by, stamp(hand.since), hand.width, hand.runs, state, round(max(hand.silent, 0.0), 1)
    )


def _run(run: InHand, workers: Sequence[Hand]) -> DrivenRun:
    driven = any(run.run in each.runs and each.silent <= BEAT for each in workers)
    state = "waits" if run.waits else "asks" if run.asks else "driven" if driven else "stalled"
    return DrivenRun(run.run, run.target, run.verb, state, "" if run.waits else run.by)


def _next(zones: Sequence[ZoneLine]) -> str:
    """What helps: a worker where runs wait and none is there, else a person's decision."""
    lines = [
        f"invoke worker --zone {zone.zone}"
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
