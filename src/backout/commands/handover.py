"""`--detach`: a run that was begun here, and is driven by workers.

What only whoever asked for it can do is done here: it is planned, confirmed, agreed to and opened
in the ledger. What is left any worker of its zone finds in a checkout of its own: what it reads
from this working copy goes along by its digests. What needs this working copy itself is for a
worker in it, and is not handed over at all where there is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backout.adapters.person import person
from backout.commands.options import Follow, Holding, Starting
from backout.commands.shipment import shipment, unknown_to_git
from backout.errors import Refused
from backout.model import Event, RunRow, Target
from backout.ports import CONFIRMED, HANDED, Transport
from backout.project.project import TABLES, Workplace
from backout.project.shared_ledger import name_of, place_here
from backout.reports.answer import Answer
from backout.runs import confirming, picture
from backout.runs.picture import Picture
from backout.runs.plan import Plan

if TYPE_CHECKING:
    from backout.adapters.storage.postgres.hands import Hands
    from backout.commands.deploy import Operation


def wanted(workplace: Workplace, options: Starting, *, attended: bool) -> bool:
    """Whether workers are to drive the run: it was said, or the project says so for what nobody
    starts at a terminal. Raises Mistakes."""
    if not isinstance(options, Holding):
        return False
    return options.detach or (not attended and workplace.shared.file.runs == "workers")


@dataclass(frozen=True, slots=True)
class Along:
    """What goes along with a run."""

    zone: str
    files: picture.Part
    """The digests of what its steps read."""
    copy: str = ""
    """The working copy in which alone it can be driven; empty where any will do."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """One run on its way to the workers of a zone."""

    operation: Operation
    options: Starting
    hands: Hands
    usual: str
    """The zone of what any working copy can do."""

    @classmethod
    def of(cls, operation: Operation, options: Starting, target: Target) -> HandOver:
        """Raises Refused where there is no ledger that workers share."""
        workplace = operation.workplace
        hands = workplace.shared.hands(workplace.journal)
        return cls(operation, options, hands, target.zone or workplace.shared.workers.zone)

    def look(self, made: Plan) -> Along:
        """What goes along. Raises Refused for a plan that needs somebody at a terminal, or this
        working copy, where no worker is in it."""
        target, parts = made.target, self.operation.parts(made.target, made.run)
        if asked := [] if self._yes else _asking(made):
            raise Refused(
                f"{', '.join(asked)}: somebody is asked at the terminal, and a worker has none",
                where=target.name,
                next="approve: {by: another}, who says so by invoke approve; or without --detach",
            )
        place = place_here(self.operation.workplace.home)
        attended = any(hand.serves(place) for hand in self.hands.all())
        if not attended:
            self._refuse_this_copy(made)
        files = picture.files(made, parts)
        if attended and self._needs_this_copy(made, files):
            return Along(place, files, name_of(self.operation.workplace.state))
        return Along(self.usual, files)

    def _needs_this_copy(self, made: Plan, files: picture.Part) -> bool:
        """Whether it commits or pushes, or brings along what no commit has."""
        if _publishing(made):
            return True
        if self.options.ref:
            return False
        machine = self._this_machine(made)
        return bool(self._uncommitted(made) or unknown_to_git(made.target, machine, files))

    def _refuse_this_copy(self, made: Plan) -> None:
        again = f"invoke {self.options.name} --target {made.target.name} --detach"
        here = "or have a worker in this working copy, which does it here: invoke worker"
        if published := _publishing(made):
            raise Refused(
                f"{', '.join(published)}: only this working copy can do that, and no worker is in"
                " it",
                where=made.target.name,
                next=f"commit and push, then: {again} --ref HEAD\n{here}",
            )
        if changed := [] if self.options.ref else self._uncommitted(made):
            raise Refused(
                f"not committed: {', '.join(changed)}; a worker has what is committed",
                where=made.target.name,
                next=f"commit and push, then: {again}\n{here}",
            )

    def _uncommitted(self, made: Plan) -> Sequence[str]:
        return shipment(made.target, self._this_machine(made), made.previous).uncommitted

    def _this_machine(self, made: Plan) -> Transport:
        return self.operation.workplace.machines(made.target).reach("")

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

    def done(self, row: RunRow, along: Along) -> Answer:
        """It is theirs from now on. It is followed to its end, unless that was said."""
        workers = self.operation.workplace.shared.workers
        record = {
            "zone": along.zone,
            "rescue": workers.rescue,
            "who": person(os.environ).to_data(),
            "yes": self._yes,
            "files": dict(along.files),
            "copy": along.copy,
        }
        self.hands.hand_over(row.id, along.zone, record)
        if isinstance(self.options, Holding) and self.options.detach:
            from backout.reports.handed import HandedOver

            following = f"invoke follow {row.id}"
            return Answer("handed", HandedOver(row.id, row.target, row.verb, along.zone, following))
        from backout.commands.follow import Following

        words = f"handed over to the workers of zone {along.zone}: invoke follow {row.id}"
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


def handed(workplace: Workplace, run: str) -> Mapping[str, Any]:
    """How a run was handed over. Raises Refused where it was not."""
    records = workplace.journal.recall(run)
    found = next((each.body for each in reversed(records) if each.kind == HANDED), None)
    if found is None:
        raise Refused(f"run {run} was not handed over", next="invoke workers")
    return found


def moved(target: Target, then: Picture, now: Picture) -> Refused | None:
    """What a worker has not as whoever asked had it."""
    words = then.moved(now)
    if not words:
        return None
    return Refused(
        "\n".join(("what a worker has is not what was handed over:", *words)),
        where=target.name,
        next="commit and push what the steps read, then the same command again",
    )
