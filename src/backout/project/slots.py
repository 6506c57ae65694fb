"""A service that has two slots, ready for its backend in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from backout.language import templates
from backout.model import Service
from backout.model.services import Switch
from backout.ports import Pool, Transport
from backout.restarters import BACKENDS
from backout.restarters.slots import BlueGreen, CommandSwitch, PoolSwitch

Scope = Mapping[str, Any]
Pools = Callable[[str], Sequence[Pool]]


def bluegreen(
    service: Service, scope: Scope, transport: Transport, home: str, pools: Pools, *, where: str
) -> BlueGreen:
    """`home` is Backout's own directory on the machine, `pools` are a balancer's, by its name.
    Raises CannotRender, Unreachable."""
    switch = service.switch or Switch()
    scopes = {name: _scope(service, scope, name, where) for name in service.slots}
    ready = {name: _ready(service, each, where) for name, each in scopes.items()}
    backend = BACKENDS[service.backend]
    return BlueGreen(
        name=service.name,
        switch=_by_balancer(switch.balancer, service, scopes, pools, where)
        if switch.balancer
        else _by_command(switch, service.name, scopes, transport, where),
        backends={name: partial(backend, each) for name, each in ready.items()},
        proofs={
            name: templates.render_shell(service.prove, each, where=where)
            for name, each in scopes.items()
        },
        titles={
            name: each.name if name in each.name else f"{each.name} ({name})"
            for name, each in ready.items()
        },
        transport=transport,
        home=home,
        keep_for=service.keep_old,
    )


def _scope(service: Service, scope: Scope, name: str, where: str) -> dict[str, Any]:
    port = templates.render_value(service.slots[name].port, scope, where=where)
    return {**scope, "slot": {"name": name, "port": int(port)}}


def _ready(service: Service, scope: Scope, where: str) -> Service:
    """The service as it is in one slot: its own words, with the slot's."""
    port = scope["slot"]["port"] if service.port is None else service.port
    alone: dict[str, Any] = {"slots": {}, "prove": "", "switch": None, "port": port}
    return templates.render_service(service.model_copy(update=alone), scope, where=where)


def _by_command(
    switch: Switch, name: str, scopes: Mapping[str, Scope], transport: Transport, where: str
) -> CommandSwitch:
    some = next(iter(scopes.values()))
    return CommandSwitch(
        transport,
        templates.render_shell(switch.read, some, where=where),
        {n: templates.render_shell(switch.move, each, where=where) for n, each in scopes.items()},
        name,
    )


def _by_balancer(
    name: str, service: Service, scopes: Mapping[str, Scope], pools: Pools, where: str
) -> PoolSwitch:
    members = {
        slot: templates.render(service.slots[slot].member or slot, each, where=where)
        for slot, each in scopes.items()
    }
    return PoolSwitch(name, pools(name), members)
