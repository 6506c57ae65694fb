"""What only can be had before anything is backed out: why a check failed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from backout.checks import judging
from backout.errors import BackoutError
from backout.model import Finding
from backout.runs.parts import side_by_side
from backout.runs.worker import Worker

LOG_LINES = 20
"""The service's own last lines that a failed check brings along."""


def evidence_of(
    worker: Worker, failed: Sequence[Finding], withdrawn: Collection[str]
) -> dict[str, Any]:
    """The last log lines of the services that failed checks concern, and what `diagnose` has to
    say; nothing where no check failed. Hosts that were `withdrawn` concern nobody."""
    if not failed:
        return {}
    logs, unread = _logs(worker, frozenset(each.host or "" for each in failed), withdrawn)
    log = "\n".join(logs.values())
    said = (judging.diagnose(worker.plan.runbook.diagnose, each, log) for each in failed)
    advice = next((words for words in said if words), "")
    return {"advice": advice, "logs": {**logs, **unread}}


def _logs(
    worker: Worker, failed: Collection[str], withdrawn: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The logs of the services concerned, by host; and why others cannot be read. A check
    without a host concerns them all."""
    hosts = [name for name in worker.plan.hosts or ("",) if name not in withdrawn]
    names = hosts if "" in failed else [name for name in hosts if name in failed]
    served = [name for name in names if worker.plan.target.service_on(worker.host(name))]
    unread: dict[str, str] = {}

    def tail(name: str) -> str:
        try:
            return worker.restarter(name).logs(LOG_LINES)
        except BackoutError as error:
            unread[name] = f"(no log: {error.what})"
        except Exception as error:  # noqa: BLE001 - evidence is a help; a run does not end for it
            unread[name] = f"(no log: {type(error).__name__})"
        return ""

    logs = dict(zip(served, side_by_side(tail, served), strict=True))
    return {name: text for name, text in logs.items() if text}, unread
