"""`exec`: a command on hosts, which is said to change nothing or is a run of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from backout.adapters.local_lock import owner
from backout.checks import evidence
from backout.commands.chosen import chosen, hide_secrets
from backout.commands.deploy import Operation
from backout.commands.options import Exec, Run
from backout.commands.planning import new_run, refuse_example
from backout.errors import BackoutError, ExitCode, Interrupted, Mistakes
from backout.model import (
    Command,
    Event,
    Host,
    Outcome,
    Param,
    Result,
    Runbook,
    RunRow,
    State,
    Step,
    Target,
    seconds,
)
from backout.ports import Screen
from backout.project.machines import Machines
from backout.project.project import TABLES, Workplace
from backout.reports.answer import Answer
from backout.reports.data import run_report
from backout.reports.objects import HostOutput, Looked
from backout.runs.ended import Ended
from backout.runs.parts import side_by_side

USUAL = "60s"
STEP = "Run the command"
TRUSTED = (
    "taken at its word that it changes nothing: no lock, no way back;"
    " --changes WHY is for a command that does"
)


class Executing:
    """One command, for one operator at one screen."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def exec(self, options: Exec) -> Answer:
        target = self.workplace.target(options.target)
        refuse_example(target)
        hosts = chosen(target, options.hosts)
        limit = _limit(options.timeout)
        if options.changes is not None:
            return self._run(target, options, limit)
        self.screen.listen(Event(datetime.now(UTC), "note", TRUSTED))
        hide_secrets(self.workplace, target, self.screen)
        return _Look(self.workplace, target, options.command, limit).on(hosts)

    def _run(self, target: Target, options: Exec, limit: float) -> Answer:
        """Through the engine: the lock, the confirmation, batch by batch, and the last proof."""
        words = Run(
            target=options.target,
            hosts=options.hosts,
            yes=options.yes,
            break_freeze=options.break_freeze,
            wait=options.wait,
        )
        runbook = _runbook(options.changes or "", limit)
        operation = Operation(self.workplace, self.screen)
        return operation.start("exec", target, runbook, {"command": options.command}, words)


def _runbook(why: str, limit: float) -> Runbook:
    """A runbook of one step that cannot be undone."""
    step = Step(
        name=STEP,
        kind="run",
        options=TABLES.steps["run"].Options(script="{{ params.command | raw }}"),
        on="all",
        timeout=limit,
        irreversible=why,
    )
    told = Param(required=True, help="What runs on every host.")
    return Runbook(name="exec", summary="One command.", params={"command": told}, steps=(step,))


def _limit(words: str | None) -> float:
    try:
        return seconds(words or USUAL)
    except ValueError as error:
        raise Mistakes(
            f"--timeout {words}: {error}", where="command line", next="invoke --help exec"
        ) from error


class _Look:
    """A command that is said to change nothing, side by side on hosts. It is in the journal when
    it is over, also when somebody stopped it."""

    def __init__(self, workplace: Workplace, target: Target, command: str, limit: float) -> None:
        self.workplace = workplace
        self.target = target
        self.command = command
        self.limit = limit
        self.run = new_run()
        self.started = datetime.now(UTC)
        self.results: dict[str, Result] = {}

    def on(self, hosts: Sequence[Host]) -> Answer:
        machines = self.workplace.machines(self.target)
        try:
            side_by_side(partial(self._ask, machines), hosts)
        except KeyboardInterrupt:
            self._journal(Outcome.INTERRUPTED, Interrupted.exit_code)
            raise
        outputs = [self._output(host.name) for host in hosts]
        code = _code(self.results.values())
        self._journal(Outcome.FAILED if code else Outcome.SUCCEEDED, code)
        following = f"invoke doctor --target {self.target.name}" if code == 3 else ""
        told = Looked(self.run, self.target.name, self.command, code, tuple(outputs), following)
        return Answer("looked", told, code)

    def _ask(self, machines: Machines, host: Host) -> None:
        try:
            command = Command(self.command, timeout=self.limit, title=STEP)
            result = machines.reach(host.name).run(command)
        except BackoutError as error:
            result = Result(State.UNREACHABLE, reason=error.what)
        redact = self.workplace.vault(self.target).redact
        self.results[host.name] = replace(
            result,
            stdout=evidence.cleared(result.stdout, redact),
            stderr=evidence.cleared(result.stderr, redact),
        )

    def _output(self, host: str) -> HostOutput:
        result = self.results[host]
        return HostOutput(
            host=host,
            state=str(result.state),
            exit_code=result.exit_code,
            seconds=round(result.seconds, 3),
            stdout=result.stdout,
            stderr=result.stderr,
            reason=result.reason,
        )

    def _journal(self, outcome: Outcome, code: int) -> None:
        journal = self.workplace.journal_of(self.target)
        ended = datetime.now(UTC)
        ends = [
            (f"exec@{host}", self._record(host, result)) for host, result in self.results.items()
        ]
        first = next((_why(h, r) for h, r in self.results.items() if r.state is not State.DONE), "")
        report = run_report(
            run=self.run,
            verb="exec",
            target=self.target.name,
            runbook="exec",
            started=self.started,
            ended=ended,
            previous=None,
            made=None,
            outcome=Ended(outcome, code, first),
            records=(),
        )
        row = RunRow(
            id=self.run,
            target=self.target.name,
            verb="exec",
            runbook="exec",
            plan={"command": self.command},
            owner=owner(),
            started=self.started,
            options={"argv": sys.argv[1:]},
            ended=ended,
            outcome=str(outcome),
            exit_code=code,
            report=report.to_data(),
        )
        journal.look_back(row, ends)

    def _record(self, host: str, result: Result) -> Mapping[str, Any]:
        return {
            "step": self.command,
            "host": host,
            "phase": "do",
            "state": str(result.state),
            "seconds": result.seconds,
            "exit_code": result.exit_code,
            "stdout": result.stdout,
            "stderr": result.stderr,
            "reason": result.reason,
        }


def _why(host: str, result: Result) -> str:
    words = result.reason or f"exit code {result.exit_code}"
    return f"{host}: {words}"


def _code(results: Iterable[Result]) -> int:
    states = {result.state for result in results}
    if State.UNKNOWN in states:
        return ExitCode.INCONCLUSIVE
    if State.UNREACHABLE in states:
        return ExitCode.REFUSED
    return ExitCode.UNHEALTHY if State.FAILED in states else ExitCode.DONE
