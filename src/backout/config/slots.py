"""What is wrong with a service that has two slots, or with its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backout.config.yaml_tree import Trail
from backout.errors import Mistake
from backout.model import Balancer, Host, Service, Target
from backout.model.services import Switch
from backout.model.validation import did_you_mean

At = Callable[[Trail, str], Mistake]
"""A mistake at a place of the file."""

KEYS = ("slots", "prove", "switch", "keep_old")
IN_SHELL = ("prove", "switch")
NAMES = ("name", "port")
"""What `slot` stands for in the service's own words."""


def mistakes(target: Target, backends: Mapping[str, Any], at: At) -> Iterator[Mistake]:
    """Of each service whole, with what its host and its groups say."""
    places: list[tuple[Trail, Host | None, Service | None]] = [(("service",), None, target.service)]
    hosts = target.hosts.items()
    places += [(("hosts", name, "service"), host, host.service) for name, host in hosts]
    for trail, host, service in places:
        if service and service.options and service.backend in backends:
            for key, words in _of(service, host, target, backends[service.backend]):
                yield at((*trail, key), words)


def switching(target: Target) -> set[str]:
    """The balancers that only send traffic from one slot of a service to the other."""
    services = (target.service, *(host.service for host in target.hosts.values()))
    return {each.switch.balancer for each in services if each and each.switch}


def _of(
    service: Service, host: Host | None, target: Target, kind: Any
) -> Iterator[tuple[str, str]]:
    """Keys of the service, and what is wrong there."""
    reloaded = bool(getattr(service.options, "reload", False))
    if reloaded:
        yield from _reload(service)
    if not service.bluegreen:
        for key in KEYS:
            if getattr(service, key) and not (reloaded and key == "prove"):
                yield key, f"{key} is for services of two slots: say `strategy: bluegreen`"
        return
    if not getattr(kind, "slotted", False):
        yield "strategy", f"a service by {service.backend} cannot have two slots"
    yield from _slots(service)
    yield from _switch(service, host, target)
    if not any(_says_slot(value) for value in _own_words(service)):
        yield "name", "both slots would be one service: say {{ slot.name }} in what differs"
    source = target.source
    if source and source.strategy == "checkout" and source.directory:
        words = "two slots cannot run from one checkout: say `source.strategy: releases`, or image"
        yield "strategy", words


def _reload(service: Service) -> Iterator[tuple[str, str]]:
    """A main process that stays proves nothing."""
    if service.bluegreen:
        yield "reload", "a slot is started anew, and never reloaded: leave `reload` out"
    if not service.prove:
        yield (
            "reload",
            (
                "a reload leaves the main process as it is: `prove` has to say, in shell,"
                " how the release that is live on disk is known by its answers"
            ),
        )
    if service.port is None:
        yield "reload", "its workers are known by the `port` that they hold: say which"


def _switch(service: Service, host: Host | None, target: Target) -> Iterator[tuple[str, str]]:
    switch = service.switch or Switch()
    if bool(switch.read and switch.move) == bool(switch.balancer):
        yield "switch", "what sends traffic to a slot: {balancer: NAME}, or {read: …, move: …}"
    elif switch.balancer and switch.balancer not in target.balancers:
        hint = did_you_mean(switch.balancer, target.balancers)
        yield "switch", f"{target.name} has no balancer {switch.balancer!r}{hint}"
    elif switch.balancer:
        yield from _one_write(target.balancers[switch.balancer], host, target)
    if service.keep_old and switch.balancer:
        words = (
            "only where `switch` has `read` can the host itself see whether the old one is idle:"
            " without keep_old it is kept until the next deploy"
        )
        yield "keep_old", words
    elif service.keep_old and target.bake and service.keep_old < target.bake.for_:
        words = "the old one would end before the bake window does, and the way back take a start"
        yield "keep_old", f"{words}: not less than `bake.for`"


def _one_write(balancer: Balancer, host: Host | None, target: Target) -> Iterator[tuple[str, str]]:
    served = [host.name] if host else [h.name for h in target.hosts.values() if not h.service]
    if len(balancer.on) > 1 and not set(served) <= set(balancer.on):
        words = f"traffic moves by one write: {balancer.name} is on {', '.join(balancer.on)}"
        yield "switch", f"{words}, and not on the service's own host"


def _slots(service: Service) -> Iterator[tuple[str, str]]:
    ports = [str(slot.port) for slot in service.slots.values()]
    if len(ports) != 2:
        yield "slots", "bluegreen needs two slots: {blue: {port: 8001}, green: {port: 8002}}"
    elif ports[0] == ports[1]:
        yield "slots", f"both slots have port {ports[0]}: each needs its own"


def _own_words(service: Service) -> tuple[object, ...]:
    options = service.options.model_dump() if service.options else {}
    return (service.name, service.directory, *options.values())


def _says_slot(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_says_slot, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_says_slot, value))
    return isinstance(value, str) and "{{" in value and "slot." in value
