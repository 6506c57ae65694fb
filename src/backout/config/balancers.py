"""What is wrong with the balancers of an inventory, and with how a rollout uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backout.config import slots
from backout.config.yaml_tree import Trail
from backout.errors import Mistake
from backout.model import HERE, Balancer, Step, Target
from backout.model.validation import did_you_mean

At = Callable[[Trail, str], Mistake]
"""A mistake at a place of the file."""


def mistakes(target: Target, at: At) -> Iterator[Mistake]:
    """Where they run, whom they send to, and whether there is one to drain."""
    switching = slots.switching(target)
    for balancer in target.balancers.values():
        if balancer.backend:
            yield from _of(balancer, target, at, alone=balancer.name in switching)
    if target.rollout.drain and not target.balancers:
        told = f"{target.name} has no balancers: say what stands in front of its hosts"
        yield at(("rollout", "drain"), told)
    if target.rollout.keep_up != 1 and not target.balancers:
        told = f"{target.name} has no balancers: there is nothing to keep up"
        yield at(("rollout", "keep_up"), told)


def _of(balancer: Balancer, target: Target, at: At, *, alone: bool) -> Iterator[Mistake]:
    trail: Trail = ("balancers", balancer.name)
    for name in balancer.on:
        if name != HERE and name not in target.hosts:
            hint = did_you_mean(name, (HERE, *target.hosts))
            yield at((*trail, "on"), f"{target.name} has no host {name!r}{hint}")
    if not (alone or target.behind(balancer)):
        groups = {group for host in target.hosts.values() for group in host.groups}
        hint = did_you_mean(balancer.for_, {"all", *target.hosts, *groups})
        told = f"{target.name} has no host {balancer.for_!r} that it could send to{hint}"
        yield at((*trail, "for"), told)
    hosts = [] if alone else [host.name for host in target.behind(balancer)]
    if len(hosts) > 1 and (fixed := [name for name in balancer.member if "{{" not in name]):
        told = f"{', '.join(hosts)} would all be called {', '.join(fixed)}: one would leave with"
        yield at((*trail, "member"), f"{told} the other; say {{{{ host.name }}}} in it")


def of_step(step: Step, target: Target, trail: Trail, at: At) -> Iterator[Mistake]:
    """A step that moves traffic: whose, and of which balancer."""
    named = step.options.balancer
    if named and named not in target.balancers:
        hint = did_you_mean(named, target.balancers)
        yield at((*trail, step.kind), f"{target.name} has no balancer {named!r}{hint}")
        return
    for host in target.select(step.on or ""):
        if not target.balancers_of(host.name, named):
            which = f"balancer {named}" if named else "no balancer"
            sends = "does not send" if named else "sends"
            told = f"{which} of {target.name} {sends} requests to {host.name}"
            yield at((*trail, "on"), told)
