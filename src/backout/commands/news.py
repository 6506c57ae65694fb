"""People are told what a run does, while it does it, and nobody waits for that.

What is to be told is a function of the run's records. It is written in the transaction of the
record that it tells of, so that neither is there without the other, and sent by a thread of its
own. What is not taken by then is sent by the next run of the target, or by `watch`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from backout.commands.subjects import subjects_in
from backout.model import Event, Message, Outcome, Release, RunRow, Target
from backout.ports import AWAITS_APPROVAL, HELD, NEEDS_PERSON, READY, Listener
from backout.project.project import Workplace
from backout.reports import news_text
from backout.reports.news_text import About, Words
from backout.reports.parts import host_lines, release_text
from backout.reports.report import Report
from backout.runs.destination import Return
from backout.runs.holds import Hold, held_until, typed
from backout.runs.plan import Plan
from backout.watch import postman
from backout.watch.addresses import of_deploys
from backout.watch.postman import Postman

Body = Mapping[str, Any]
QUIET = frozenset({"rehearse"})
"""Verbs that fail on purpose: nobody is told of them."""


@dataclass(slots=True)
class News:
    """What is told of one run."""

    about: About
    workplace: Workplace
    target: Target
    started: datetime
    postman: Postman
    _begun: bool = False

    @classmethod
    def of(cls, workplace: Workplace, row: RunRow, target: Target, about: About) -> News:
        """What is told of that run."""
        sender = Postman.of(workplace, target, told=row.verb not in QUIET)
        begun = any(each.kind == READY for each in workplace.journal.recall(row.id))
        return cls(about, workplace, target, row.started, sender, begun)

    def announce(self, kind: str, body: Body) -> Sequence[Message]:
        """Whom to tell what of a record that is being written; see `JournalStore.told_by`."""
        if not self.postman.destinations:
            return ()
        told = self._words(kind, body)
        if told is None:
            return ()
        event, (title, text) = told
        redact, now = self.workplace.redact, datetime.now(UTC).timestamp()
        key = f"{self.about.run}-{event}"
        message = Message(self.target.name, "", event, key, redact(title), redact(text), now)
        return [replace(message, destination=each) for each in self.postman.destinations]

    # --- from records to words -------------------------------------------------------------

    def _words(self, kind: str, body: Body) -> tuple[str, Words] | None:
        seconds = (datetime.now(UTC) - self.started).total_seconds()
        if kind == READY:
            self._begun = True
            self._to(body.get("release"))
            return "begun", news_text.begun(self.about)
        if kind == "decided":
            return self._decided(body, seconds)
        if kind == NEEDS_PERSON:
            why, following = str(body["why"]), str(body["next"])
            words = news_text.needs_person(self.about, why, body["hosts"], following, seconds)
            return "needs-person", words
        if kind == HELD:
            return f"held-{body['number']}", self._held(body, seconds)
        if kind == AWAITS_APPROVAL:
            what = str(body.get("what", ""))
            words = news_text.awaits_approval(self.about, what, str(body.get("next", "")))
            return f"awaits-{zlib.crc32(what.encode()):08x}", words
        if kind == "closed" and self._begun and body["outcome"] == Outcome.BACKED_OUT:
            why = str(body["report"].get("reason", ""))
            return "backed-out", news_text.backed_out(self.about, why, seconds)
        return None

    def _held(self, body: Body, seconds: float) -> Words:
        hold = Hold.of(body)
        why = "; ".join(each.why for each in hold.open)
        until = f"held until {held_until(hold)}, then it is backed out"
        following = "\n".join(typed(each, self.about.run) for each in hold.open)
        return news_text.needs_person(self.about, why, [until], following, seconds)

    def _decided(self, body: Body, seconds: float) -> tuple[str, Words]:
        if self.about.verb == "rollback":
            return "rolled-back", news_text.rolled_back(self.about, seconds)
        self._to(body.get("release"))
        proved = any(row.get("verdict") == "pass" for row in body["proof"])
        without = tuple(body["withdrawn"])
        words = news_text.deployed(self.about, proved=proved, without=without, seconds=seconds)
        return "deployed", words

    def _to(self, release: Body | None) -> None:
        """The release as it is by now: with its own number, and with its commit."""
        if release is None:
            return
        to = Release(**release)
        commit, source = to.commit[:7], self.target.source
        if commit and source and not any(commit in line for line in self.about.ships):
            subject = subjects_in(source.repository, [to.commit]).get(to.commit, "")
            own = (f"  {commit} {subject}",) if subject else ()
            self.about = replace(self.about, ships=(*own, *self.about.ships))
        self.about = replace(self.about, to=to)


@contextmanager
def telling(
    workplace: Workplace, row: RunRow, target: Target, about: About, listen: Listener
) -> Iterator[News]:
    """Meanwhile people are told of the run. What they were not told is said at its end."""
    news = News.of(workplace, row, target, about)
    try:
        yield news
    finally:
        for words in news.postman.close():
            text = f"not told yet, and tried again by the next run or watch: {words}"
            listen(Event(datetime.now(UTC), "warning", text))


def about_run(row: RunRow, made: Plan) -> About:
    """A run that brings a release."""
    verb = row.verb if row.verb == "deploy" else row.runbook
    return _about(row, verb, made.hosts, made.previous, made.release)


def about_rollback(row: RunRow, back: Return, newest: Release) -> About:
    """A run that goes back to one."""
    return _about(row, "rollback", back.hosts, newest, back.to)


def _about(
    row: RunRow, verb: str, hosts: tuple[str, ...], start: Release | None, to: Release
) -> About:
    told = row.options
    broken = str(told.get("break_freeze") or "")
    remarks = [f"freeze broken: {broken}"] if broken else []
    remarks += [str(told["because"])] if told.get("because") else []
    ships = tuple(map(str, told.get("ships", ())))
    return About(row.id, verb, row.target, row.owner, hosts, start, to, ships, tuple(remarks))


def taken_back(back: Return, release_of: Callable[[Plan], Release]) -> list[str]:
    """The releases that a rollback undoes, with the subjects of their commits."""
    releases = [release_of(plan) for plan in back.undoing]
    source = back.target.source
    said = (
        subjects_in(source.repository, [r.commit for r in releases if r.commit]) if source else {}
    )
    return [f"takes back {release_text(r)} {said.get(r.commit, '')}".rstrip() for r in releases]


def person(report: Report) -> Body:
    """The record that a run cannot go on by itself."""
    return {"why": report.reason, "next": report.next, "hosts": host_lines(report.hosts)}


def untold(workplace: Workplace, target: Target) -> tuple[str, ...]:
    """The messages of a target's runs that wait, in words."""
    addresses = of_deploys()
    addresses.learn(target, workplace.vault(target))
    return postman.untold(workplace.outbox(addresses.targets), addresses)
