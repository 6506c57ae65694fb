"""The verbs that tell what would be done: plan and diff."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any

from backout.commands import freezes, planning, rehearsals, saved_plan, whose_ledger
from backout.commands.chosen import hide_secrets
from backout.commands.options import Diff
from backout.commands.options import Plan as PlanOptions
from backout.commands.pictured import picture_of
from backout.commands.preview import Preview, Unasked, command_line
from backout.commands.shipment import shipment
from backout.errors import Mistakes
from backout.model import Target
from backout.model.freezing import Frozen
from backout.model.operands import at_home
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.plans import Difference, PlanReport, Ships
from backout.runs.decisions import Stop
from backout.runs.parts import Parts
from backout.runs.plan import Plan

NO_SAMPLE = "the sample application is not there yet: the first deploy makes it"
WORDS = "command line"


class Foretelling:
    """What would be done; nothing is."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def plan(self, options: PlanOptions) -> Answer:
        name = options.runbook or "deploy"
        target, runbook, params = planning.load_pair(self.workplace, options, name)
        target = self.workplace.on_its_port(target)
        lacks_sample = self.workplace.lacks_sample(target)
        offline = options.offline or lacks_sample
        if not offline:
            planning.refuse_example(target)
        number = self.workplace.journal.peek_number(target.name)
        made = planning.build(
            self.workplace,
            options,
            "plan",
            target,
            runbook,
            params,
            number,
            planning.new_run(),
        )
        parts = self.workplace.parts(
            target, made.run, self.screen.listen, self.screen.operator, Stop()
        )
        parts = replace(parts, reach=lambda name: Unasked(target, name)) if offline else parts
        told = Preview(made, parts, offline=offline).report()
        found = rehearsals.newest(self.workplace.journal, runbook)
        notes = ([NO_SAMPLE] if lacks_sample else []) + ([rehearsals.words(found)] if found else [])
        digest, saved = self._saved(options, made, parts, refused=bool(told.refused))
        line = partial(command_line, options=options, target=target.name)
        told = replace(
            told,
            ships=self._ships(target, options.ref),
            notes=(*told.notes, *notes),
            rehearsed=found,
            approvals=target.protection.approvals,
            digest=digest,
            saved=saved,
            next=f"invoke deploy --plan {shlex.quote(saved)}"
            if saved
            else f"mend what is refused above, then {line('plan', name)}"
            if told.refused
            else planning.out_of_the_example(target)
            if target.example
            else line("deploy" if name == "deploy" else "run", name),
        )
        if strange := whose_ledger.strange(self.workplace, target):
            told = replace(told, refused=(*told.refused, strange), next=whose_ledger.NEXT)
        told = _if_frozen(told, freezes.now(self.workplace, target))
        lacking = rehearsals.missing(self.workplace.journal, target, runbook)
        if lacking:
            first = rehearsals.rehearse_command(runbook)
            told = replace(
                told, refused=(*told.refused, lacking), next=f"{first}; then {told.next}"
            )
        return Answer("plan whole" if options.verbose else "plan", told, 3 if told.refused else 0)

    def _saved(
        self, options: PlanOptions, plan: Plan, parts: Parts, *, refused: bool
    ) -> tuple[str, str]:
        """The plan's digest and the file that it is saved in, where that is wanted. Raises
        Mistakes, and Refused for a plan that cannot be had whole."""
        needed = bool(plan.target.protection.approvals) and not options.offline
        if not (options.out or needed):
            return "", ""
        if options.offline:
            raise Mistakes("--out needs an answer of every host: without --offline", where=WORDS)
        if refused:
            return "", ""
        hide_secrets(self.workplace, plan.target, self.screen)
        picture = picture_of(self.workplace, plan, parts)
        if not options.out:
            return picture.digest, ""
        words = saved_plan.Words.of(options, plan.target.name, plan.runbook.name)
        hidden = json.loads(self.workplace.journal_of(plan.target).text_of(asdict(words)))
        saved_plan.write(self.workplace.started_in / at_home(options.out), hidden, picture)
        return picture.digest, options.out

    def diff(self, options: Diff) -> Answer:
        target = self.workplace.target(options.target)
        ships = self._ships(target, options.ref)
        return Answer("diff", Difference(target=target.name, **_parts(ships)))

    def _ships(self, target: Target, ref: str | None) -> Ships:
        current = self.workplace.journal.current(target.name)
        here = self.workplace.machines(target).reach("")
        return shipment(target, here, current.release if current else None, ref)


def _if_frozen(told: PlanReport, frozen: Frozen | None) -> PlanReport:
    """The plan of a target to which nothing is deployed now."""
    if frozen is None:
        return told
    words = f"{told.target} is frozen {frozen.words}"
    following = told.next if told.refused else f"wait for its end, then {told.next}"
    return replace(told, frozen=frozen.words, refused=(*told.refused, words), next=following)


def _parts(ships: Ships) -> dict[str, Any]:
    return {each.name: getattr(ships, each.name) for each in fields(ships)}
