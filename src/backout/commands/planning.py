"""A plan from words: what is to run, of which release."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backout.adapters.storage.journal import RunJournal
from backout.commands import failed_hosts
from backout.commands.chosen import know_secrets
from backout.commands.held import seconds_of
from backout.commands.options import Shipping
from backout.commands.shipment import end_of
from backout.config import loading
from backout.errors import Mistakes, Refused
from backout.model import LedgerRow, Release, Runbook, Target
from backout.project.project import TABLES, Workplace
from backout.reports.data import stamp
from backout.runs import plan
from backout.runs.applying import refuse_idle
from backout.runs.plan import Plan


def load_pair(
    workplace: Workplace, options: Shipping, runbook_name: str
) -> tuple[Target, Runbook, Mapping[str, Any]]:
    """Target, runbook and parameters, checked against each other. Raises Mistakes."""
    given = list(options.param)
    if options.message is not None:
        given.append(f"message={options.message}")
    return loading.load_pair(
        lambda: workplace.target_file(options.target),
        lambda: workplace.runbook_file(runbook_name),
        given,
        TABLES,
        workplace.root,
    )


def refuse_example(target: Target) -> None:
    """Raise Refused for a target whose hosts are nobody's."""
    if target.example:
        what = f"{target.name} is an example: its hosts are nobody's machines"
        raise Refused(what, where=target.file, next=out_of_the_example(target))


def out_of_the_example(target: Target) -> str:
    """What makes a target of one's own of it."""
    return f"write your own hosts into {target.file}, and take `example: true` out"


def build(
    workplace: Workplace,
    options: Shipping,
    verb: str,
    target: Target,
    runbook: Runbook,
    params: Mapping[str, Any],
    number: int,
    run: str,
) -> Plan:
    """The plan of a new run. Raises Mistakes, also when it would do nothing."""
    know_secrets(workplace, target)
    _refuse_unknown(options.accept_red, target)
    current = workplace.journal.current(target.name)
    good = workplace.journal.known_good(target.name)
    previous = current or good
    if options.ref:
        runbook = as_it_is(runbook)
    made = plan.build(
        run=run,
        verb=verb,
        target=target,
        runbook=runbook,
        params=params,
        release=Release(number, commit_of(workplace, target, options.ref)),
        previous=previous.release if previous else None,
        hosts=failed_hosts.named(workplace, target, options.hosts),
        accept_red=options.accept_red,
        first=good is None,
        added=_added(workplace.journal, target, good) if good else (),
        user=getpass.getuser(),
        started=stamp(datetime.now(UTC)),
        hold=seconds_of(options, target),
        kinds=TABLES.steps,
    )
    refuse_idle(made, TABLES.steps)
    return made


def _refuse_unknown(accept_red: Sequence[str], target: Target) -> None:
    """Raises Mistakes for a check that there is not: it would be passed over."""
    for name in accept_red:
        if name not in target.checks:
            known = ", ".join(target.checks) or "none"
            wrong = f"{target.name} has no check {name!r}; its checks: {known}"
            raise Mistakes(f"--accept-red {name}: {wrong}", where=target.file)


def _added(journal: RunJournal, target: Target, good: LedgerRow) -> tuple[str, ...]:
    """The hosts that the target did not have when that release proved good, and that none was
    brought to since."""
    then = journal.run(good.run).plan.get("target", {}).get("hosts", {})
    new = [name for name in target.hosts if name not in then]
    there = journal.newest_on(target.name, new) if new else {}
    return tuple(name for name in new if name not in there)


def as_it_is(runbook: Runbook) -> Runbook:
    """Without the steps that commit and publish: what is there is shipped."""
    kept = tuple(step for step in runbook.steps if not TABLES.steps[step.kind].publishes)
    return runbook.model_copy(update={"steps": kept})


def commit_of(workplace: Workplace, target: Target, ref: str | None) -> str:
    """The commit that `ref` names, or that the working copy is at; empty without one. Raises
    Mistakes."""
    return end_of(target, workplace.machines(target).reach(""), ref)


def new_run() -> str:
    """A run's name: when it began, and 64 random bits. Two machines that begin in one second must
    not share one: each would take the other's notes on the hosts for its own."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(8)
