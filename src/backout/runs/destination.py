"""Where a rollback goes back to, and in which portions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backout.model import LedgerRow, Release, Target
from backout.runs.claims import Brought
from backout.runs.plan import Plan


@dataclass(frozen=True, slots=True)
class Return:
    """What a rollback does: whose runs are undone, newest first, and where that leads."""

    run: str
    undoing: tuple[Plan, ...]
    to: Release
    brought: tuple[Brought, ...] = ()
    """What the journal knows to be on the hosts, newest first; what is undone comes first."""
    below: Mapping[str, LedgerRow] = field(default_factory=dict)
    """Host -> the release that is there afterwards; a host that had none is left out."""
    remark: str = ""
    """What is to be known of it before it acts."""
    crossing: tuple[str, ...] = ()
    """The names of the newest run's steps that cannot be undone and stay as they are: the release
    it goes back to was proved beside them."""

    @property
    def target(self) -> Target:
        """As the newest run knew it, with the hosts and the checks that only older ones knew."""
        newest, *older = (plan.target for plan in self.undoing)
        for target in older:
            hosts, secrets = {**target.hosts, **newest.hosts}, {**target.secrets, **newest.secrets}
            newest = newest.model_copy(update={"hosts": hosts, "secrets": secrets})
            checks = {
                name: check
                for name, check in {**target.checks, **newest.checks}.items()
                if check.on is None or newest.select(check.on)
            }
            newest = newest.model_copy(update={"checks": checks})
        return newest

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(host for plan in self.undoing for host in plan.hosts))

    @property
    def homes(self) -> dict[str, str]:
        """Host -> its directory, as the newest of the runs that knew the host knew it."""
        plans = {host: plan for plan in reversed(self.undoing) for host in plan.hosts}
        return {h: plans[h].target.home_on(plans[h].target.hosts[h]) for h in self.hosts}

    @property
    def portions(self) -> list[tuple[str, ...]]:
        """Hosts that go back together: a batch of the newest run, or all of them where what they
        went through differs, for then one may need what was done on another. The empty name stands
        for what settles them from this machine."""
        if not all(_alike(plan) for plan in self.undoing):
            return [("", *self.hosts)]
        batches = [batch.hosts for batch in self.undoing[0].batches]
        known = {host for hosts in batches for host in hosts}
        rest = tuple(host for host in self.hosts if host not in known)
        return [hosts for hosts in (*batches, rest) if hosts]


def _alike(plan: Plan) -> bool:
    """Whether its hosts went through the same steps, in one stage."""
    stages = [stage for stage in plan.stages if stage.batches]
    ways = {
        tuple(a.key.partition("@")[0] for a in batch.of(host) if a.step not in plan.drain)
        for stage in stages
        for batch in stage.batches
        for host in batch.hosts
    }
    return len(stages) == 1 and len(ways) == 1
