"""Other people's yes to a plan: whether it is there, and how it is asked for.

What is agreed to is the plan's digest. A world that has moved since has another one, and asks anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from backout.adapters.person import person
from backout.adapters.storage.approvals import Approvals
from backout.adapters.storage.store import Announce, silent
from backout.commands.pictured import picture_of
from backout.commands.preview import Preview
from backout.commands.shipment import shipment
from backout.commands.typed import spell
from backout.errors import Refused
from backout.model import Event, Target
from backout.model.people import Request
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.approvals import asked_of, shown
from backout.reports.plans import PlanReport
from backout.runs.discreet import secrets_of
from backout.runs.parts import Parts
from backout.runs.picture import Picture
from backout.runs.plan import Plan

WAITS = "approval"
"""The kind of event that tells of a plan that waits for somebody else's yes."""


class Unapproved(Refused):
    """A plan that others have to agree to, and have not yet."""

    def __init__(self, request: Request) -> None:
        self.request = request
        run = request.id
        super().__init__(
            f"{asked_of(request)}: plan {shown(request.digest)}, asked by {request.asker.name} at"
            f" {request.asked:%H:%M}Z",
            where=request.target,
            state="nothing was changed, and nothing is held meanwhile",
            next=f"somebody else: invoke approve {run}\n"
            f"then you: the same command again, until {request.expires:%Y-%m-%d %H:%M}Z; or with"
            " --wait 1h, which goes on by itself",
        )


class Asking:
    """What one person may do with the plans of one target."""

    def __init__(self, workplace: Workplace, target: Target, announce: Announce = silent) -> None:
        """`announce` says who is told of what is asked."""
        self.target = target
        self.me = person(os.environ)
        journal = workplace.journal_of(target).told_by(announce)
        self.store, self.now = Approvals(journal), journal.clock

    def granted(self, digest: str, run: str = "") -> Request | None:
        """The request for exactly that plan to which enough others have said yes, and which no run
        has used, or this one, before it was killed."""
        return next((each for each in self._open(digest, run) if self._is_granted(each)), None)

    def of(self, id: str) -> Request | None:
        """A request for a plan, as it is now."""
        return self.store.of(id)

    def newest(self) -> Request | None:
        """The last plan that was asked for and not used."""
        plans = (each for each in self.store.of_target(self.target.name) if not each.step)
        return next((each for each in plans if not each.used_by), None)

    def is_granted(self, id: str) -> bool:
        """Raises Unapproved where that can come to nothing any more."""
        request, now = self.of(id), self.now()
        if request is None or not request.is_open(now):
            raise over(request, self.target.name, now)
        return self._is_granted(request)

    def ask(self, run: str, verb: str, picture: Picture, plan: PlanReport) -> Request:
        """The request for that plan, of that verb; one of the same person for the same plan still
        stands."""
        mine = (each for each in self._open(picture.digest) if each.asker.is_same(self.me))
        if known := next(mine, None):
            return known
        now, protection = self.now(), self.target.protection
        request = Request(
            id=run,
            target=self.target.name,
            step="",
            digest=picture.digest,
            needed=protection.approvals,
            asker=self.me,
            asked=now,
            expires=now + timedelta(seconds=protection.expires),
            body={"verb": verb, "plan": plan.to_data(), "parts": dict(picture.parts)},
        )
        self.store.ask(request)
        return request

    def _is_granted(self, request: Request) -> bool:
        needed = max(request.needed, self.target.protection.approvals)
        return len(request.yes_for(self.me)) >= needed

    def _open(self, digest: str, run: str = "") -> Sequence[Request]:
        now = self.now()
        plans = (each for each in self.store.of_target(self.target.name) if not each.step)
        return [
            each
            for each in plans
            if each.digest == digest and (each.is_open(now) or (run and each.used_by == run))
        ]


def over(request: Request | None, target: str, now: datetime) -> Refused:
    """Why a request can come to nothing any more."""
    again = "the same command again asks anew"
    if request is None:
        return Refused(f"nothing was asked of others for {target}", next=again)
    if no := request.refusal:
        return Refused(f"{no.by.name} refused it: {no.reason}", where=target, next=again)
    how = f"used by run {request.used_by}" if request.used_by else request.state(now)
    return Refused(f"the approval of {request.id} is {how}", where=target, next=again)


def foretold(
    workplace: Workplace, plan: Plan, parts: Parts, ref: str | None
) -> tuple[PlanReport, Picture]:
    """What others are shown of a plan, and its picture. Raises Refused for a plan that would be
    refused anyhow."""
    parts.vault.fetch(secrets_of(plan))
    told = Preview(plan, parts, offline=False).report()
    if told.refused:
        next = f"invoke plan --target {plan.target.name}"
        raise Refused("\n".join(told.refused), where=plan.target.name, next=next)
    picture = picture_of(workplace, plan, parts)
    ships = shipment(plan.target, parts.reach(""), plan.previous, ref)
    return replace(told, ships=ships, digest=picture.digest), picture


def tell(screen: Screen, request: Request) -> None:
    """That a plan waits for somebody else's yes."""
    words = spell(f"{asked_of(request)}: invoke approve {request.id}")
    screen.listen(Event(datetime.now(UTC), "note", words))
