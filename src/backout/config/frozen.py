"""Nouns -> plain data for the journal, and back: the same nouns, whatever became of the files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backout.model import Runbook, Target
from backout.registry import Tables

_PHASES = ("preflight", "steps", "settle", "finally_")


def dump(target: Target, runbook: Runbook) -> dict[str, Any]:
    """Target and runbook as data that JSON can carry."""
    return {"target": target.model_dump(mode="json"), "runbook": runbook.model_dump(mode="json")}


def thaw(frozen: Mapping[str, Any], tables: Tables) -> tuple[Target, Runbook]:
    """What `dump` froze. The options are validated again by their kinds' own models."""
    return (
        thaw_target(frozen["target"], tables),
        Runbook.model_validate(_runbook(frozen["runbook"], tables)),
    )


def thaw_target(data: Mapping[str, Any], tables: Tables) -> Target:
    """The same of a target alone."""
    return Target.model_validate(_target(data, tables))


def _target(data: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    hosts = {
        name: {**host, "service": _thawed(host["service"], tables.backends, "backend")}
        for name, host in data["hosts"].items()
    }
    checks = {name: _check(check, tables) for name, check in data["checks"].items()}
    balancers = {
        name: _thawed(each, tables.balancers, "backend")
        for name, each in data.get("balancers", {}).items()
    }
    service = _thawed(data["service"], tables.backends, "backend")
    made = {"hosts": hosts, "checks": checks, "service": service, "balancers": balancers}
    return {**data, **made}


def _check(data: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    thawed = _thawed(data, tables.probes)
    return {**(thawed or {}), "cleanup": _thawed(data["cleanup"], tables.probes)}


def _runbook(data: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    phases = {phase: [_thawed(step, tables.steps) for step in data[phase]] for phase in _PHASES}
    return {**data, **phases}


def _thawed(
    data: Mapping[str, Any] | None, table: Mapping[str, Any], kind: str = "kind"
) -> dict[str, Any] | None:
    if data is None:
        return None
    return {**data, "options": table[data[kind]].Options.model_validate(data["options"])}
