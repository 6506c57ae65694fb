"""Which of Backout's extras a target needs: told by its inventory and by a runbook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backout.adapters import extras
from backout.errors import Refused
from backout.model import Runbook, Target

WATCH = "watch"
COMPARE = "compare"


def of_target(target: Target) -> Iterator[str]:
    """What its services and its checks need."""
    for host in target.hosts.values():
        if service := target.service_on(host):
            yield service.options.needs(host.connection)
    for check in target.checks.values():
        yield check.options.needs("local")
    if target.rollout.compare:
        yield COMPARE
    if any(freeze.cron for freeze in target.freeze):
        yield WATCH


def of_watching(target: Target) -> Iterator[str]:
    """What a watcher of it needs, too."""
    crons = (*(check.cron for check in target.checks.values()), *target.maintenance)
    if target.notify.alerts or target.notify.deploys or any(crons):
        yield WATCH


def of_runbook(runbook: Runbook) -> Iterator[str]:
    """What its steps need."""
    for step in (*runbook.preflight, *runbook.steps, *runbook.settle, *runbook.finally_):
        yield step.options.needs("local")


def refuse_missing(needed: Iterable[str], what: str) -> None:
    """Raises Refused, with the line that installs what is missing."""
    found = list(extras.missing(needed))
    if found:
        packages = ", ".join(name for _, names in found for name in names)
        following = " && ".join(extras.hint(extra) for extra, _ in found)
        raise Refused(f"{what} needs what is not installed: {packages}", next=following)
