"""The verbs that change nothing on a target: plan, verify, status, history, show, lint, unlock."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backout.adapters.standings import standings
from backout.adapters.storage.journal_rows import LedgerRow, RunRow
from backout.checks import judging
from backout.commands import deploy
from backout.commands.ledger import newest_on
from backout.commands.options import Diff, History, Lint, Shipping, Show, Status, Unlock, Verify
from backout.commands.options import Plan as PlanOptions
from backout.commands.shipment import Shipment, shipment
from backout.commands.subjects import commit_of, subjects
from backout.commands.unlock import Unlocking, command_row
from backout.config import loading
from backout.errors import BackoutError, Mistakes, Refused
from backout.model import Command, Finding, Host, Outcome, Release, Result, Target, Verdict
from backout.ports import Screen
from backout.project.project import TABLES, Crew, Workplace
from backout.reports.answer import Answer
from backout.reports.data import check_rows, outputs, run_report, stamp
from backout.reports.text import release_text
from backout.runs import release_file, standing
from backout.runs.decisions import Stop
from backout.runs.engine import Ended
from backout.runs.plan import Action, BatchPlan, Plan
from backout.runs.release_file import HostRecord
from backout.runs.worker import Parts, Worker, side_by_side

Words = Mapping[str, Any]
NO_SAMPLE = "the sample application is not there yet: the first deploy makes it"
OFFLINE = "offline: no host was asked, and no check was run"
UNPROVED = "no check is for these hosts: nothing will prove it, and it will not be known good"
OWN = "its own, resolved from the state that the run finds"
CODES = {Verdict.PASS: 0, Verdict.FAIL: 6, Verdict.ERROR: 9, Verdict.INCONCLUSIVE: 9}


class Inspection:
    """One verb that only looks."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    # --- plan ----------------------------------------------------------------------------

    def plan(self, options: PlanOptions) -> Answer:
        name = options.runbook or "deploy"
        target, runbook, params = deploy.load_pair(self.workplace, options, name)
        target = self.workplace.on_its_port(target)
        lacks_sample = self.workplace.lacks_sample(target)
        offline = options.offline or lacks_sample
        if not offline:
            deploy.refuse_example(target)
        number = self.workplace.journal.peek_number(target.name)
        made = deploy.build(
            self.workplace,
            options,
            "plan",
            target,
            runbook,
            params,
            number,
            deploy.new_run(),
        )
        parts = self.workplace.parts(
            target, made.run, self.screen.listen, self.screen.operator, Stop()
        )
        parts = replace(parts, reach=lambda name: _Unasked(target, name)) if offline else parts
        data = _Preview(made, parts, offline=offline).data()
        data["ships"] = self._ships(target, options.ref).to_data()
        data["notes"] += [NO_SAMPLE] if lacks_sample else []
        again = f"mend what is refused above, then {_typed('plan', name, options, target.name)}"
        verb = "deploy" if name == "deploy" else "run"
        data["next"] = again if data["refused"] else _typed(verb, name, options, target.name)
        return Answer("plan", data, 3 if data["refused"] else 0)

    # --- health --------------------------------------------------------------------------

    def diff(self, options: Diff) -> Answer:
        target = self.workplace.target(options.target)
        ships = self._ships(target, options.ref)
        return Answer("diff", {"target": target.name, **ships.to_data()})

    def _ships(self, target: Target, ref: str | None) -> Shipment:
        current = self.workplace.journal.current(target.name)
        here = self.workplace.crew(target).reach("")
        return shipment(target, here, current.release if current else None, ref)

    def verify(self, options: Verify) -> Answer:
        target = self.workplace.target(options.target)
        crew = self.workplace.crew(target)
        current = self.workplace.journal.current(target.name)
        release = current.release if current else Release(0)
        look = crew.examine("verify", self.screen.listen)
        findings = look(options.check, tuple(target.hosts), (), release)
        verdict = judging.verdict(findings)
        data = {
            "target": target.name,
            "verdict": str(verdict),
            "checks": check_rows(findings),
            "next": _after_verify(target.name, verdict),
        }
        if options.junit:
            self._write_junit(Path(options.junit), data)
        return Answer("verify", data, CODES[verdict])

    def _write_junit(self, path: Path, data: Words) -> None:
        from backout.reports.text import verify_junit

        try:
            path.write_text(self.workplace.redact(verify_junit(data)), encoding="utf-8")
        except OSError as error:
            raise Mistakes(f"--junit {path}: {error.strerror}", where="command line") from error

    # --- status --------------------------------------------------------------------------

    def status(self, options: Status) -> Answer:
        names = [options.target] if options.target else self._deployed()
        rows = [self._status(self.workplace.target(name)) for name in names]
        differs = any(row["differs"] for row in rows)
        data = rows[0] if len(rows) == 1 else {"targets": rows}
        return Answer("status", data, 6 if differs else 0)

    def _deployed(self) -> list[str]:
        """Every target that has a run here, or the one that BACKOUT_TARGET names."""
        runs = self.workplace.journal.runs(limit=1000)
        names = list(dict.fromkeys(run.target for run in runs))
        return names or [self.workplace.target(None).name]

    def _status(self, target: Target) -> dict[str, Any]:
        journal = self.workplace.journal
        current = journal.current(target.name)
        crew = self.workplace.crew(target)
        seen = side_by_side(lambda host: _look_at(crew, host), tuple(target.hosts.values()))
        hosts = dict(zip(target.hosts, seen, strict=True))
        open_run = journal.open_run_of(target.name)
        releases = journal.releases(target.name)
        code = [row for row in releases if self._brought_code(row)]
        differs = [
            words
            for name, row in hosts.items()
            for words in _differences(
                name, row, newest_on(releases, name), newest_on(code, name), open_run
            )
        ]
        return {
            "target": target.name,
            "release": current.release.to_data() if current else None,
            "known_good": bool(current and current.known_good),
            "hosts": hosts,
            "differs": differs,
            "unfinished": f"run {open_run.id} ({open_run.verb})" if open_run else None,
            "health": self._health(target),
            "next": _after_status(target.name, bool(open_run), bool(differs)),
        }

    def _brought_code(self, row: LedgerRow) -> bool:
        """Whether its run had an update: a run without one leaves the code that was there."""
        runbook = self.workplace.journal.run(row.run).plan.get("runbook", {})
        return any(step["kind"] == "update" for step in runbook.get("steps", ()))

    def _health(self, target: Target) -> list[dict[str, Any]]:
        """The last day of every check, when somebody watches here."""
        if not (self.workplace.state / "health.db").exists():
            return []
        from backout.watch import sparkline
        from backout.watch.process import open_store

        with open_store(self.workplace, self.workplace.redact) as store:
            return sparkline.rows(target, store, datetime.now(UTC).timestamp())

    # --- the past ------------------------------------------------------------------------

    def history(self, options: History) -> Answer:
        name = options.target
        target = self.workplace.target_name(name) if name else None
        rows = self.workplace.journal.runs(target, limit=50)
        said = subjects(rows)
        runs = [{**_line(row), "subject": said.get(commit_of(row), "")} for row in rows]
        return Answer("history", {"runs": runs})

    def show(self, options: Show) -> Answer:
        journal = self.workplace.journal
        row = journal.run(options.run)
        records = journal.recall(row.id)
        report = dict(row.report) if row.report else self._unfinished(row)
        report["by"] = row.owner
        report["records"] = outputs(records)
        return Answer("show", report)

    def _unfinished(self, row: RunRow) -> dict[str, Any]:
        release = row.plan.get("release") or row.plan.get("to")
        previous = row.plan.get("previous")
        return run_report(
            run=row.id,
            verb=row.verb,
            target=row.target,
            runbook=row.runbook,
            started=row.started,
            ended=None,
            previous=Release(**previous) if previous else None,
            made=Release(**release) if release else None,
            outcome=Ended(Outcome.INTERRUPTED, 8, "it is not finished"),
            records=self.workplace.journal.recall(row.id),
            next=f"invoke resume --target {row.target}, or invoke abort --target {row.target}",
        )

    # --- files ---------------------------------------------------------------------------

    def lint(self, _: Lint) -> Answer:
        mistakes = loading.lint(self.workplace.root, TABLES)
        if mistakes:
            raise Mistakes(mistakes=mistakes, next="mend these lines, then invoke lint")
        counts = {
            folder: len(loading.names(self.workplace.root / folder))
            for folder in ("runbooks", "inventories")
        }
        return Answer("lint", {**counts, "mistakes": []})

    # --- the lock ------------------------------------------------------------------------

    def unlock(self, options: Unlock) -> Answer:
        return Unlocking(self.workplace, self.screen, options, self._unfinished).answer()


class _Unasked:
    """The transport of a plan made offline: it is there, and asked nothing."""

    def __init__(self, target: Target, name: str) -> None:
        self.host = target.hosts.get(name) or Host(name="here", connection="local")

    def run(self, command: Command) -> Result:  # noqa: ARG002 - the seam's form
        raise Refused(OFFLINE)

    def recall(self, key: str, wait: float) -> Result | None:  # noqa: ARG002 - the seam's form
        raise Refused(OFFLINE)

    def unexplained(self, run: str, keys: Iterable[str]) -> Sequence[str]:  # noqa: ARG002
        raise Refused(OFFLINE)

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:  # noqa: ARG002
        raise Refused(OFFLINE)

    def close(self) -> None:
        """Nothing was opened."""


class _Preview:
    """A plan, as data: what would run where, and the way back of each step."""

    def __init__(self, plan: Plan, parts: Parts, *, offline: bool) -> None:
        self.plan = plan
        self.worker = Worker(plan, parts)
        self.offline = offline
        self.refused: dict[str, None] = {}

    def data(self) -> dict[str, Any]:
        plan = self.plan
        checks: tuple[Finding, ...] = () if self.offline else self._checks()
        stages = [
            {"here": self._rows(stage.here)}
            if stage.here
            else {"batches": [self._batch(batch) for batch in stage.batches]}
            for stage in plan.stages
        ]
        return {
            "verb": "deploy" if plan.runbook.name == "deploy" else f"run {plan.runbook.name}",
            "target": plan.target.name,
            "runbook": plan.runbook.name,
            "release": {
                "from": plan.previous.to_data() if plan.previous else None,
                "to": plan.release.to_data(),
            },
            "hosts": list(plan.hosts),
            "preflight": self._rows(plan.preflight),
            "stages": stages,
            "finally": self._rows(plan.finals),
            "checks": check_rows(checks),
            "refused": list(self.refused),
            "notes": [*([OFFLINE] if self.offline else []), self._proof()],
        }

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
        )
        self.refused.update(dict.fromkeys(reasons))
        return findings

    def _batch(self, batch: BatchPlan) -> dict[str, Any]:
        settle = [action for row in batch.settle for action in row]
        return {
            "number": batch.number,
            "hosts": list(batch.hosts),
            "actions": self._rows(batch.actions),
            "settle": self._rows(settle),
        }

    def _rows(self, actions: Sequence[Action]) -> list[dict[str, Any]]:
        return side_by_side(self._row, tuple(actions))

    def _row(self, action: Action) -> dict[str, Any]:
        step = action.step
        row: dict[str, Any] = {
            "name": step.name,
            "host": action.host or None,
            "does": "",
            "undo": step.undo or "",
            "undo_summary": "",
            "irreversible": step.irreversible or "",
            "readonly": step.readonly or not self.worker.kind(action).changes,
            "when": step.when or "",
        }
        try:
            work = self.worker.work(action, strict=False)
            kind = self.worker.kind(action)
            row["does"] = kind.describe(work)
            if self.offline:
                row["undo"] = work.step.undo or (OWN if kind.undoes else "")
            elif action.phase in ("do", "settle"):
                undo = kind.before(work)
                row |= {"undo": undo.text, "undo_summary": undo.summary}
                self.worker.ready(action)
        except Mistakes as error:
            row["does"] = row["does"] or f"(known only in the run: {error.what})"
        except BackoutError as error:
            self.refused[f"{action.host + ': ' if action.host else ''}{error.what}"] = None
        return row


def _typed(verb: str, runbook: str, options: Shipping, target: str) -> str:
    """The command line for a runbook on a target, with the words that were given."""
    typed = ["invoke", verb, "--target", options.target or target]
    typed += [] if runbook == "deploy" else ["--runbook", runbook]
    typed += ["--hosts", options.hosts] if options.hosts else []
    message = f"message={options.message}" if options.message else ""
    for given in (*options.param, *([message] if message else [])):
        typed += ["--param", given]
    return shlex.join(typed)


def _look_at(crew: Crew, host: Host) -> dict[str, Any]:
    """What a host says of itself; unreachable is an answer too."""
    try:
        transport = crew.reach(host.name)
        record = release_file.read(transport, crew.target.home_on(host)) or HostRecord()
        (held,) = standings([transport])
        row: dict[str, Any] = {
            "release": record.release.to_data() if record.release else None,
            "run": record.run or None,
            "unfinished": list(record.during),
            "state": "reachable",
            "at_work": [command_row(each) for each in held.living],
        }
        if crew.target.service_on(host):
            identity = crew.restarter(host.name).identity()
            up = identity.up if identity.runs is not None else None
            row |= {"up": up, "uptime": identity.uptime, "state": identity.detail}
        row["commit"] = standing.commit_on(transport, crew.target)
    except BackoutError as error:
        return {"release": None, "run": None, "state": f"unreachable: {error.what}"}
    return row


def _differences(
    name: str,
    row: Words,
    known: LedgerRow | None,
    code: LedgerRow | None,
    open_run: RunRow | None,
) -> Iterator[str]:
    release = known.release if known else None
    recorded = release.to_data() if release else None
    if row["state"].startswith("unreachable"):
        yield f"{name} is {row['state']}"
        return
    if row["release"] != recorded or (known and row["run"] not in (known.run, *known.restored)):
        says, ledger = _of(row["release"], row["run"]), _of(recorded, known.run if known else None)
        yield f"{name} says {says}, the ledger {ledger}"
    for run in row["unfinished"]:
        if open_run is None or run != open_run.id:
            yield f"{name}: run {run} has begun there and not ended, and is not open here"
    there = row.get("commit")
    if code and there and not code.commit.startswith(there):
        yield f"{name} has {there[:10]} on disk, the ledger {code.release}"
    if release and row.get("up") is False:
        yield f"{name}: its service is not up: {row['state']}"
    if release and row.get("up", False) is None:
        yield f"{name}: nobody can tell whether its service is up: {row['state']}"


def _of(release: Words | None, run: str | None) -> str:
    return release_text(release) + (f" of run {run}" if run else "")


def _line(row: RunRow) -> dict[str, Any]:
    report = row.report or {}
    seconds = (row.ended - row.started).total_seconds() if row.ended else None
    return {
        "run": row.id,
        "target": row.target,
        "verb": row.verb,
        "runbook": row.runbook,
        "outcome": row.outcome,
        "exit_code": row.exit_code,
        "started_at": stamp(row.started),
        "seconds": seconds,
        "release": report.get("release") or {},
        "by": row.owner,
    }


def _after_verify(target: str, verdict: Verdict) -> str:
    return "" if verdict is Verdict.PASS else f"invoke status --target {target}"


def _after_status(target: str, unfinished: bool, differs: bool) -> str:
    if unfinished:
        return f"invoke resume --target {target}, or invoke abort --target {target}"
    return f"invoke deploy --target {target}" if differs else ""
