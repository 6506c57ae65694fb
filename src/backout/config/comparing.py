"""What is wrong with how a rollout compares its new hosts with the old ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backout.config.balancers import At
from backout.errors import Mistake
from backout.model import Target
from backout.model.canary import canary_checks
from backout.model.validation import did_you_mean


def mistakes(target: Target, balancers: Mapping[str, Any], at: At) -> Iterator[Mistake]:
    """Whether there is a window, and something in it to compare. `balancers` are the kinds."""
    compare, trail = target.rollout.comparing, ("rollout", "compare")
    if compare is None:
        return
    if not target.rollout.watch:
        yield at(trail, "nothing is compared without rollout.watch: say how long, such as 2m")
    if compare.balancer:
        if words := _of_balancer(target, balancers, compare.balancer):
            yield at((*trail, "balancer"), words)
    elif not (compare.prometheus or canary_checks(target.checks)):
        told = "no check is `on` hosts and leaves no trace: there is nothing to compare"
        yield at(trail, told)
    if compare.prometheus and not compare.prometheus.url.startswith(("http://", "https://", "{{")):
        told = f"{compare.prometheus.url!r} begins with neither http:// nor https://"
        yield at((*trail, "prometheus", "url"), told)


def _of_balancer(target: Target, balancers: Mapping[str, Any], name: str) -> str:
    known = target.balancers.get(name)
    if known is None:
        return f"{target.name} has no balancer {name!r}{did_you_mean(name, target.balancers)}"
    if known.backend and not getattr(balancers[known.backend], "counts", False):
        return (
            f"{known.backend} does not count what each member answered: compare by checks alone"
            " (compare: canary), or by prometheus"
        )
    return ""
