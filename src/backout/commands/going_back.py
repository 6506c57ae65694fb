"""Where a rollback goes back to, and which runs it undoes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from backout.commands.ledger import below, brought, refuse_renamed, same_code
from backout.commands.old_code import final_steps, proof_of, seen
from backout.errors import Refused
from backout.model import LedgerRow, Release, RunRow, Target
from backout.ports import Screen
from backout.project.freezing import thaw
from backout.project.project import Workplace, aimed_at
from backout.reports.report import ends_of
from backout.runs.destination import Return


class GoingBack:
    """What the journal knows of the way back of a target."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def target(self, name: str | None) -> Target:
        """Named, or the one deployed last: then it is confirmed by name."""
        if aimed_at(name):
            return self.workplace.target(name)
        last = next((row for row in self.workplace.journal.runs() if _led_somewhere(row)), None)
        if last is None:
            raise Refused("nothing was deployed from here yet", next="invoke history")
        target = self.workplace.target(last.target)
        if not self.screen.operator.confirm(f"roll {target.name} back? It was deployed last."):
            raise Refused("not confirmed", next=f"invoke rollback --target {target.name}")
        return target

    def to(self, target: Target, run: str, wanted: str | None, only: str) -> Return:
        """To the release that is `wanted`, or the last good one. With `only`, that run and no other
        is undone. Raises Refused, and Mistakes for a release that there is not."""
        journal, name = self.workplace.journal, target.name
        current = journal.current(name)
        if wanted:
            row = journal.release(name, wanted)
        else:
            number = current.number if current else 0
            good = journal.known_good(name, before=number)
            if good is None:
                raise Refused(
                    f"{name} has no known-good release before this one",
                    next=f"invoke history --target {name}",
                )
            row = good
        if not row.known_good or row.undone_by:
            raise Refused(
                f"release {row.release} of {name} never proved good on every host",
                next=f"invoke history --target {name}",
            )
        to, runs = row.release, journal.since(name, row.number)
        if not runs:
            raise Refused(
                f"{name} is on release {row.release} already",
                next=f"invoke status --target {name}",
            )
        if only and [row.id for row in runs] != [only]:
            raise Refused(
                f"run {only} is not the only one since release {to} of {name}",
                next=f"invoke history --target {name}",
            )
        return self._return(run, runs, to, None if only else current)

    def again(self, row: RunRow) -> Return:
        """The rollback that the journal keeps."""
        journal = self.workplace.journal
        runs = tuple(journal.run(run) for run in row.plan["undoing"])
        back = self._return(row.id, runs, Release(**row.plan["to"]))
        return replace(back, crossing=tuple(row.plan.get("crossing", ())))

    def _return(
        self, run: str, runs: Sequence[RunRow], to: Release, current: LedgerRow | None = None
    ) -> Return:
        plans = tuple(thaw(self.workplace, row) for row in runs)
        target = plans[0].target
        journal = self.workplace.journal_of(target)
        refuse_renamed(plans, to)
        remark = same_code(journal, to, target.name)
        under = below(journal, plans)
        back = Return(run, plans, to, brought(journal, plans, under), under, remark)
        return self._crossing(back, current) if current else back

    def _crossing(self, back: Return, current: LedgerRow) -> Return:
        """The same, past what cannot be undone where a rehearsal has seen the code it goes back
        to healthy beside it. What older runs did was not what that rehearsal saw."""
        plan, journal = back.undoing[0], self.workplace.journal_of(back.target)
        steps = final_steps(journal, plan)
        if not steps or current.run != plan.run:
            return back
        here = self.workplace.machines(back.target).reach("")
        wanted = seen(back.target, here, back.to.commit, current.commit, steps, plan.params)
        if not (proof := proof_of(journal, wanted, datetime.now(UTC))):
            return back
        names = tuple(step.name for step in steps)
        words = f"{', '.join(names)} stays as it is: release {back.to} was {proof} beside it"
        return replace(back, crossing=names, remark="; ".join(filter(None, (back.remark, words))))


def _led_somewhere(row: RunRow) -> bool:
    """Whether it brought a release, or came back to one."""
    return row.outcome == "succeeded" and bool(ends_of(row).to)
