"""`--detach`: a run that was begun here, and is driven by workers.

What only whoever asked for it can do is done here: it is planned, confirmed, agreed to and opened
in the ledger. What is left any worker has to find in a checkout of its own, or it is not handed
over at all: what it reads from this working copy goes along by its digests.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backout.adapters.person import person
from backout.adapters.storage.postgres.hands import Hands
from backout.commands.follow import Following
from backout.commands.options import Follow, Holding, Starting
from backout.commands.shipment import shipment
from backout.errors import Refused
from backout.model import Event, RunRow, Target
from backout.ports import CONFIRMED, HANDED
from backout.project.project import TABLES, Workplace
from backout.reports.answer import Answer
from backout.reports.handed import HandedOver
from backout.runs import confirming, picture
from backout.runs.plan import Plan

if TYPE_CHECKING:
    from backout.commands.deploy import Operation


def wanted(workplace: Workplace, options: Starting, *, attended: bool) -> bool:
    """Whether workers are to drive the run: it was said, or the project says so for what nobody
    starts at a terminal. Raises Mistakes."""
    if not isinstance(options, Holding):
        return False
    return options.detach or (not attended and workplace.shared.file.runs == "workers")


@dataclass(frozen=True, slots=True)
class HandOver:
    """One run on its way to the workers of a zone."""

    operation: Operation
    options: Starting
    hands: Hands
    zone: str

    @classmethod
    def of(cls, operation: Operation, options: Starting, target: Target) -> HandOver:
        """Raises Refused where there is no ledger that workers share."""
        workplace = operation.workplace
        hands = workplace.shared.hands(workplace.journal)
        return cls(operation, options, hands, target.zone or workplace.shared.workers.zone)

    def look(self, made: Plan) -> picture.Part:
        """The digests of what goes along. Raises Refused for a plan that needs this working copy,
        or somebody at a terminal."""
        target = made.target
        if published := _publishing(made):
            raise Refused(
                f"{', '.join(published)}: only this working copy can do that, and no worker has it",
                where=target.name,
                next=f"commit and push, then: {_with_detach(self.options, target.name)} --ref HEAD",
            )
        if asked := [] if self._yes else _asking(made):
            raise Refused(
                f"{', '.join(asked)}: somebody is asked at the terminal, and a worker has none",
                where=target.name,
                next="approve: {by: another}, who says so by invoke approve; or without --detach",
            )
        parts = self.operation.parts(target, made.run)
        changed = [] if self.options.ref else _uncommitted(made, self.operation.workplace)
        if changed:
            raise Refused(
                f"not committed: {', '.join(changed)}; a worker has what is committed",
                where=target.name,
                next=f"commit and push, then: {_with_detach(self.options, target.name)}",
            )
        return picture.files(made, parts)

    def confirmed(self, row: RunRow, made: Plan) -> None:
        """A person says yes here, durably, where the run asks for it. Raises Refused."""
        screen = self.operation.screen

        def warn(lines: Iterable[str]) -> None:
            for line in lines:
                screen.listen(Event(datetime.now(UTC), "warning", line))

        journal = self.operation.workplace.journal_of(made.target)
        if question := confirming.asked(made, made.release, screen.operator, warn):
            by = person(os.environ).name
            journal.note(row.id, CONFIRMED, {"question": question, "by": by})

    def done(self, row: RunRow, files: picture.Part) -> Answer:
        """It is theirs from now on. It is followed to its end, unless that was said."""
        workers = self.operation.workplace.shared.workers
        record = {
            "zone": self.zone,
            "rescue": workers.rescue,
            "who": person(os.environ).to_data(),
            "yes": self._yes,
            "files": dict(files),
        }
        self.hands.hand_over(row.id, self.zone, record)
        if isinstance(self.options, Holding) and self.options.detach:
            following = f"invoke follow {row.id}"
            return Answer("handed", HandedOver(row.id, row.target, row.verb, self.zone, following))
        words = f"handed over to the workers of zone {self.zone}: invoke follow {row.id}"
        screen = self.operation.screen
        screen.listen(Event(datetime.now(UTC), "note", words))
        return Following(self.operation.workplace, screen).follow(Follow(run=row.id))

    @property
    def _yes(self) -> bool:
        return self.options.yes


def _publishing(made: Plan) -> Sequence[str]:
    steps = (action.step for action in made.actions if TABLES.steps[action.step.kind].publishes)
    return list(dict.fromkeys(step.name for step in steps))


def _asking(made: Plan) -> Sequence[str]:
    """The steps whose question is answered at the run's own terminal."""
    actions = (*made.preflight, *made.actions, *made.settling, *made.finals)
    steps = (each.step for each in actions)
    asking = (s.name for s in steps if TABLES.steps[s.kind]().asks(s.options))
    return list(dict.fromkeys(asking))


def _uncommitted(made: Plan, workplace: Workplace) -> Sequence[str]:
    here = workplace.machines(made.target).reach("")
    return shipment(made.target, here, made.previous).uncommitted


def _with_detach(options: Starting, target: str) -> str:
    return f"invoke {options.name} --target {target} --detach"


def handed(workplace: Workplace, run: str) -> Mapping[str, Any]:
    """How a run was handed over. Raises Refused where it was not."""
    records = workplace.journal.recall(run)
    found = next((each.body for each in reversed(records) if each.kind == HANDED), None)
    if found is None:
        raise Refused(f"run {run} was not handed over", next="invoke workers")
    return found


def moved(target: Target, then: picture.Part, now: picture.Part) -> Refused | None:
    """What a worker has not as whoever asked had it."""
    words = picture.Picture({"files": then}).moved(picture.Picture({"files": now}))
    if not words:
        return None
    return Refused(
        "\n".join(("what a worker has is not what was handed over:", *words)),
        where=target.name,
        next="commit and push what the steps read, then the same command again",
    )
