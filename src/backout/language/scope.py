"""The names that templates and expressions may use, for one host or for none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backout.language.jinja import SecretRef
from backout.language.templates import resolve_vars
from backout.model import Host, Release, Target


def base(target: Target) -> dict[str, Any]:
    """What is the same on every host: secrets by reference, the target, its source."""
    source = target.source
    return {
        "target": {"name": target.name},
        "secrets": {name: SecretRef(name) for name in target.secrets},
        "source": {
            "repository": source.repository if source else "",
            "directory": source.directory if source else "",
            "branch": source.branch if source else "",
        },
    }


def on(target: Target, host: Host | None) -> dict[str, Any]:
    """The base, and what differs by host: its own names, its vars, its service."""
    scope = base(target)
    variables = {**target.vars, **(host.vars if host else {})}
    scope["vars"] = resolve_vars(variables, scope, where=target.file)
    if host:
        scope["host"] = {
            "name": host.name,
            "address": host.address,
            "user": host.user or "",
            "port": host.port or 22,
            "groups": list(host.groups),
            "vars": dict(host.vars),
        }
    service = target.service_on(host)
    if service:
        scope["service"] = {"name": service.name, "directory": service.directory}
    return scope


def release_names(release: Release, previous: Release | None) -> Mapping[str, Any]:
    """`release.number`, `release.commit` and `release.previous`."""
    return {
        "number": release.number,
        "commit": release.commit,
        "previous": previous.commit if previous else "",
    }
