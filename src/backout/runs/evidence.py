"""What only can be had before anything is undone where it failed: why a check did."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from backout.checks import judging
from backout.errors import BackoutError
from backout.model import EVIDENCE, Finding
from backout.runs.backward import Backward
from backout.runs.discreet import discreet_slots
from backout.runs.parts import side_by_side
from backout.runs.worker import Worker


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


def late_evidence(
    worker: Worker, backward: Backward, wish: Mapping[str, Any], withdrawn: Collection[str]
) -> Mapping[str, Any]:
    """Of what takes the new release out of sight at once: it does so before anything is read.
    Nothing where there is no such thing."""
    if not backward.first():
        return {}
    backward.out_of_sight()
    found = worker.noted("evidence")
    if found is None:
        failed = [Finding.of(row) for row in wish["failed"]]
        found = evidence_of(worker, failed, withdrawn)
        worker.note("evidence", found)
    return found


def _log(worker: Worker, host: str) -> str:
    """Of a service with two slots, what the one says that traffic has left by now."""
    slots = discreet_slots(worker.parts.restarter(host), worker.parts.vault)
    one = slots.slot(slots.other(slots.live())) if slots else worker.restarter(host)
    return one.logs(EVIDENCE)


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
            return _log(worker, name)
        except BackoutError as error:
            unread[name] = f"(no log: {error.what})"
        except Exception as error:  # noqa: BLE001 - evidence is a help; a run does not end for it
            unread[name] = f"(no log: {type(error).__name__})"
        return ""

    logs = dict(zip(served, side_by_side(tail, served), strict=True))
    return {name: text for name, text in logs.items() if text}, unread
