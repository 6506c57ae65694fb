"""A plan as data: what would run where, and the way back of each step."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from backout.checks import judging
from backout.commands.options import Shipping
from backout.errors import BackoutError, Mistakes, Refused, Unreachable
from backout.model import Command, Finding, Host, Result, Target, Undo
from backout.ports import StepContext
from backout.reports.data import check_rows
from backout.reports.plans import PlannedAction, PlannedBatch, PlannedStage, PlanReport
from backout.reports.report import Ends
from backout.runs.beforehand import way_back
from backout.runs.parts import Parts, side_by_side
from backout.runs.plan import Action, BatchPlan, Plan
from backout.runs.wording import title
from backout.runs.worker import Worker

OFFLINE = "offline: no host was asked, and no check was run"
UNPROVED = "no check is for these hosts: nothing will prove it, and it will not be known good"
OWN = "its own, resolved from the state that the run finds"


class Unasked:
    """The transport of a plan made offline: it is there, and asked nothing."""

    def __init__(self, target: Target, name: str) -> None:
        self.host = target.hosts.get(name) or Host(name="here", connection="local")

    def run(self, command: Command) -> Result:  # noqa: ARG002 - the seam's form
        raise Refused(OFFLINE)

    def recall(self, key: str, wait: float) -> Result | None:  # noqa: ARG002 - the seam's form
        raise Refused(OFFLINE)

    def began(self, key: str) -> bool:  # noqa: ARG002 - the seam's form
        return False

    def unexplained(self, run: str, keys: Iterable[str]) -> Sequence[str]:  # noqa: ARG002
        raise Refused(OFFLINE)

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:  # noqa: ARG002
        raise Refused(OFFLINE)

    def close(self) -> None:
        """Nothing was opened."""


class Preview:
    """A plan, as it is told: what would run where, and the way back of each step."""

    def __init__(self, plan: Plan, parts: Parts, *, offline: bool) -> None:
        self.plan = plan
        self.worker = Worker(plan, parts)
        self.offline = offline
        self.refused: dict[str, None] = {}

    def report(self) -> PlanReport:
        plan = self.plan
        checks: tuple[Finding, ...] = () if self.offline else self._checks()
        stages = tuple(
            PlannedStage(here=self._rows(stage.here))
            if stage.here
            else PlannedStage(batches=tuple(map(self._batch, stage.batches)))
            for stage in plan.stages
        )
        preflight, finals = self._rows(plan.preflight), self._rows(plan.finals)
        return PlanReport(
            verb="deploy" if plan.runbook.name == "deploy" else f"run {plan.runbook.name}",
            target=plan.target.name,
            runbook=plan.runbook.name,
            ends=Ends(plan.previous, plan.release),
            hosts=tuple(plan.hosts),
            preflight=preflight,
            stages=stages,
            finals=finals,
            checks=check_rows(checks),
            refused=tuple(self.refused),
            notes=(*([OFFLINE] if self.offline else []), self._proof()),
        )

    def _proof(self) -> str:
        """What the last proof will be."""
        checks, hosts = self.plan.target.checks.values(), self.plan.target.select
        on = [check for check in checks if check.on is None or self._chosen(hosts(check.on))]
        if not on:
            return UNPROVED
        return f"at the end every check is proved once more: {', '.join(c.name for c in on)}"

    def _chosen(self, hosts: Sequence[Host]) -> bool:
        return any(host.name in self.plan.hosts for host in hosts)

    def _checks(self) -> tuple[Finding, ...]:
        findings = self.worker.look((), self.plan.hosts)
        reasons = judging.baseline_refusals(
            findings,
            self.plan.target.checks,
            self.plan.accept_red,
            first=self.plan.first,
            added=self.plan.added,
        )
        self.refused.update(dict.fromkeys(reasons))
        return findings

    def _batch(self, batch: BatchPlan) -> PlannedBatch:
        settle = [action for row in batch.settle for action in row]
        hosts = tuple(batch.hosts)
        return PlannedBatch(batch.number, hosts, self._rows(batch.actions), self._rows(settle))

    def _rows(self, actions: Sequence[Action]) -> tuple[PlannedAction, ...]:
        return tuple(side_by_side(self._row, tuple(actions)))

    def _row(self, action: Action) -> PlannedAction:
        step = action.step
        row = PlannedAction(
            name=step.name,
            host=action.host or None,
            undo=step.undo or "",
            irreversible=step.irreversible or "",
            net=step.net,
            readonly=step.readonly or not self.worker.kind(action).changes,
            when=step.when or "",
        )
        try:
            work = self.worker.work(action, strict=False)
            kind = self.worker.kind(action)
            row = replace(row, does=kind.describe(work))
            if self.offline:
                row = replace(row, undo=work.step.undo or (OWN if kind.undoes else ""))
            elif action.phase in ("do", "settle"):
                undo = _way_back(self.worker, action, work)
                row = replace(row, undo=undo.text, undo_summary=undo.summary)
                self.worker.ready(action)
        except Mistakes as error:
            return replace(row, does=row.does or f"(known only in the run: {error.what})")
        except Unreachable as error:
            self.refused[f"{action.host + ': ' if action.host else ''}{error.what}"] = None
        except BackoutError as error:
            self.refused[f"{title(action)}: {error.what}"] = None
        return row


def _way_back(worker: Worker, action: Action, work: StepContext) -> Undo:
    """The undo as it is now. A preflight asks those that a kind brings, and what these refuse is
    refused; of the others an earlier step may bring what they miss (the directory they run in).
    Raises BackoutError."""
    try:
        return way_back(worker, action, work)
    except Refused:
        if worker.kind(action).undoes:
            raise
        return Undo(work.step.undo or "")


def command_line(verb: str, runbook: str, options: Shipping, target: str) -> str:
    """The command line for a runbook on a target, with the words that were given."""
    typed = ["invoke", verb, "--target", options.target or target]
    typed += [] if runbook == "deploy" else ["--runbook", runbook]
    typed += ["--hosts", options.hosts] if options.hosts else []
    message = f"message={options.message}" if options.message else ""
    for given in (*options.param, *([message] if message else [])):
        typed += ["--param", given]
    return shlex.join(typed)
