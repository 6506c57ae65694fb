"""What is wrong with the balancers of an inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backout.config.yaml_tree import Trail
from backout.errors import Mistake
from backout.model import HERE, Balancer, Target
from backout.model.validation import did_you_mean

At = Callable[[Trail, str], Mistake]
"""A mistake at a place of the file."""


def mistakes(target: Target, at: At) -> Iterator[Mistake]:
    """Where they run, and whom they send to."""
    for balancer in target.balancers.values():
        if balancer.backend:
            yield from _of(balancer, target, at)


def _of(balancer: Balancer, target: Target, at: At) -> Iterator[Mistake]:
    trail: Trail = ("balancers", balancer.name)
    for name in balancer.on:
        if name != HERE and name not in target.hosts:
            hint = did_you_mean(name, (HERE, *target.hosts))
            yield at((*trail, "on"), f"{target.name} has no host {name!r}{hint}")
    if not target.behind(balancer):
        groups = {group for host in target.hosts.values() for group in host.groups}
        hint = did_you_mean(balancer.for_, {"all", *target.hosts, *groups})
        told = f"{target.name} has no host {balancer.for_!r} that it could send to{hint}"
        yield at((*trail, "for"), told)
