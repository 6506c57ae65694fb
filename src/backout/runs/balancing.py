"""The balancers of a run: how they were when it began, and who can be spared now."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from backout.errors import BackoutError, Refused
from backout.language import scope, templates
from backout.model import Balancer, Finding, Host, Member, PoolState, Target, Verdict
from backout.ports import Pool, Traffic
from backout.runs.decisions import Decisions
from backout.runs.parts import Parts, side_by_side
from backout.runs.plan import Action, Place

if TYPE_CHECKING:
    from backout.runs.worker import Worker

NOTE = "traffic"
"""The record of how every pool was when the run began."""

Ill = Callable[[Sequence[str], Sequence[str]], Collection[str]]
"""Which of these hosts cannot stand in for those others."""


class Balancing:
    """What a run knows of its balancers."""

    def __init__(self, parts: Parts, target: Target, decisions: Decisions) -> None:
        self.parts = parts
        self.target = target
        self._decisions = decisions

    # --- how they were -------------------------------------------------------------------

    def look(self, places: Sequence[Place]) -> list[str]:
        """See `look`."""
        return look(self._decisions, dict.fromkeys(places, self))

    def begun(self, place: Place) -> PoolState | None:
        """A pool as it was when the run began; None before that."""
        return pools_of(self._decisions.noted(NOTE)).get(place)

    def moved(
        self, places: Sequence[Place], hosts: Collection[str]
    ) -> Iterator[tuple[str, str, str]]:
        """By balancer and host, how these hosts are not in traffic as they were before."""
        for place in places if hosts else ():
            try:
                now, why = self.pool(place).look(), ""
            except BackoutError as error:
                now, why = PoolState(), error.what
            begun = self.begun(place) or now
            for member, host in self._owners(place[0]).items():
                was, found = begun.member(member), now.member(member)
                if host in hosts and was and was.takes and not (found and found.set_as(was)):
                    told = f"is {found.told if found else 'not there'}"
                    told = f"nobody can tell how it is now: {why}" if why else told
                    yield place[0], host, f"{member} was {was.told}, and {told}"

    def counted(self, name: str) -> dict[str, tuple[int, int]]:
        """How many requests each host was sent so far, and how many failed, by a balancer's own
        count on all its machines. Raises Refused where it counts none, and Unreachable."""
        sums: dict[str, tuple[int, int]] = {}
        owners = self._owners(name)
        for on in self.target.where(self.target.balancers[name]):
            for member in self.pool((name, on)).look().members:
                if member.name not in owners:
                    continue
                if member.asked is None or member.failed is None:
                    raise Refused(f"{name} does not say how many requests {member.name} was sent")
                asked, failed = sums.get(owners[member.name], (0, 0))
                sums[owners[member.name]] = (asked + member.asked, failed + member.failed)
        return sums

    # --- one of them ---------------------------------------------------------------------

    def pool(self, place: Place) -> Pool:
        """A pool, as a whole. Raises Unreachable."""
        name, on = place
        first = self.target.behind(self.target.balancers[name])[0]
        return self.parts.pool(self.balancer(name, first), on)

    def balancer(self, name: str, host: Host) -> Balancer:
        """A balancer as a host is known there. Raises CannotRender."""
        names = scope.on(self.target, host)
        return templates.render_balancer(self.target.balancers[name], names, where=name)

    def of(self, action: Action, *, moved: bool, back: bool, returned: bool) -> Traffic:
        """What an action that moves traffic may use."""
        balancer = self.balancer(action.balancer, self.target.hosts[action.host])
        pool = partial(self.parts.pool, balancer, action.at)
        begun = self.begun((action.balancer, action.at))
        return Traffic(balancer, pool, begun, moved, back, returned)

    # --- who can be spared ---------------------------------------------------------------

    def too_few(self, places: Sequence[Place], hosts: Sequence[str], ill: Ill, keep: str) -> str:
        """Why these hosts cannot be out at once, asked of every pool and of the checks of the
        others; empty when they can."""
        try:
            looks = ((place, self.pool(place).look()) for place in places)
            words = (self._too_few(place, hosts, now, ill, keep) for place, now in looks)
            return next((each for each in words if each), "")
        except BackoutError as error:
            return error.what

    def refuse_too_few(
        self, places: Sequence[Place], batches: Sequence[Sequence[str]], ill: Ill
    ) -> None:
        """Raises Refused where a batch could not be spared even as things are now, and the first
        one as the checks of the others are now; and where nobody can be taken out alone."""
        for name in dict(places):
            self._refuse_shared(name)
        for place in places:
            begun = self.begun(place) or PoolState()
            for number, hosts in enumerate(batches):
                asked = (lambda *_: ()) if number else ill
                if words := self._too_few(place, hosts, begun, asked, self.keep_up):
                    fix = "smaller rollout.batches, a lower rollout.keep_up, or another host"
                    raise Refused(words, where=self.target.file, next=fix)

    def _refuse_shared(self, name: str) -> None:
        """Raises Refused where one member is two hosts: the one would leave with the other."""
        hosts = self.target.behind(self.target.balancers[name])
        owners: dict[str, list[str]] = {}
        for host in hosts:
            for member in dict.fromkeys(self.balancer(name, host).member):
                owners.setdefault(member, []).append(host.name)
        for member, who in owners.items():
            if len(who) > 1:
                raise Refused(
                    f"{', '.join(who)} are all called {member} in {name}: one would leave with"
                    " the other",
                    where=self.target.file,
                    next=f"say balancers.{name}.member, what each of them is called there",
                )

    @property
    def keep_up(self) -> str:
        return str(self.target.rollout.keep_up)

    def _too_few(
        self, place: Place, hosts: Sequence[str], now: PoolState, ill: Ill, keep: str
    ) -> str:
        owners = self._owners(place[0])
        before = _sent((self.begun(place) or now).members, owners)
        serving = [each.name for each in now.members if each.serves]
        leaving = [name for name in serving if owners.get(name) in hosts]
        if not leaving:
            return ""
        staying = _sent([e for e in now.members if e.name not in leaving], owners)
        doubtful = ill(sorted({owners[name] for name in staying if name in owners}), hosts)
        left = [name for name in staying if owners.get(name) not in doubtful]
        need = needed(keep, len(before))
        if len(left) >= need:
            return ""
        return (
            f"{', '.join(leaving)} cannot be taken out of {place[0]}: {len(left)} of the"
            f" {len(before)} that served before would be left ({', '.join(left) or 'none'}), and"
            f" keep_up: {keep} needs {need}"
        )

    def _owners(self, name: str) -> dict[str, str]:
        """Members of a balancer -> the host that each is on."""
        hosts = self.target.behind(self.target.balancers[name])
        return {member: h.name for h in hosts for member in self.balancer(name, h).member}


def look(decisions: Decisions, whose: Mapping[Place, Balancing]) -> list[str]:
    """Ask every pool how it is, each by who knows it, and keep that: from now on it is "before the
    run". What moves may cost requests all the same. Raises Refused and Unreachable."""
    states = side_by_side(lambda each: each[1].pool(each[0]).look(), list(whose.items()))
    if rows := [[*place, each.record()] for place, each in zip(whose, states, strict=True)]:
        decisions.note(NOTE, {"pools": rows})
    return [each.risk for each in states if each.risk]


def pools_of(noted: Mapping[str, Any] | None) -> dict[Place, PoolState]:
    """Every pool as that record has it."""
    rows = noted["pools"] if noted else ()
    return {(name, on): PoolState.of(row) for name, on, row in rows}


def _sent(members: Sequence[Member], owners: Collection[str]) -> list[str]:
    """Who of these is sent requests: backups only where nobody else is. One that is no host of
    the target may have nothing but an apology, and is never counted on."""
    serving = [e for e in members if e.serves and (not e.backup or e.name in owners)]
    return [e.name for e in serving if not e.backup] or [e.name for e in serving]


def needed(keep: str, count: int) -> int:
    """How many of so many have to stay: a share, rounded up, or a number; one at least."""
    share = math.ceil(count * int(keep[:-1]) / 100) if keep.endswith("%") else int(keep)
    return max(1, min(count, share)) if count else 0


def leaves(worker: Worker, action: Action) -> bool:
    """Whether it takes its host out of traffic."""
    kind = worker.kind(action)
    return bool(action.balancer) and kind.settles_first(action.step.options)


def ill(worker: Worker, hosts: Sequence[str], leaving: Sequence[str]) -> Collection[str]:
    """Those of these hosts that cannot stand in for those that leave: a check of their own does
    not pass, whether they take part in the run or not. What nobody who leaves has passed before
    either speaks against none of them, nor what the change is there to turn green."""
    target = worker.plan.target
    names = sorted({name for host in hosts for name in target.checks_of(host)})
    found = worker.look(names, hosts) if names else ()
    passed = {f.key: f.verdict is Verdict.PASS for f in worker.baseline.findings}

    def excused(red: Finding) -> bool:
        if passed.get(red.key):
            return False
        theirs = [passed[key] for host in leaving if (key := f"{red.check}@{host}") in passed]
        known = red.key in passed or target.checks[red.check].baseline != "passes"
        return not any(theirs) if theirs else known

    red = (f for f in found if f.host and f.verdict is not Verdict.PASS)
    return {finding.host for finding in red if finding.host and not excused(finding)}
