"""What the web view shows: the reports of the verbs that look, and the views of the status page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backout.adapters.storage.approvals import Approvals
from backout.adapters.storage.line import Line
from backout.adapters.storage.telling import Telling
from backout.adapters.web.console import Shown
from backout.adapters.web.console_pages import ConsolePages
from backout.adapters.web.hub import Part
from backout.adapters.web.visitors import Visitor
from backout.commands import typed
from backout.commands.acting import Acting
from backout.commands.approve import approval_of
from backout.commands.follow import Owner
from backout.commands.inspections import in_line
from backout.commands.ledger import named
from backout.commands.options import AlertList, Targets
from backout.commands.targets import Listing
from backout.commands.watch import Watching
from backout.errors import BackoutError, Mistakes
from backout.model import Event, RunRow, Target
from backout.model.people import Request
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.approvals import Asked, asked
from backout.reports.errors_text import error_text
from backout.reports.objects import TargetLine
from backout.reports.parts import bare_release
from backout.reports.plan_text import plan_text
from backout.reports.plans import PlanReport
from backout.reports.report import Report
from backout.reports.story import story
from backout.reports.text import outcome_text
from backout.reports.watched import Alerts
from backout.status_page.facts import Fact, History, Watched
from backout.status_page.history import due_by, ran_of, resolved_lately
from backout.status_page.run_view import run_view
from backout.status_page.tree import tree
from backout.status_page.views import RunLine, StatusView, run_line, status_view
from backout.watch.stores import is_there, open_store

SHOWN = 50
"""So many runs are on one page."""
SEARCHED = 400
"""The newest runs are searched, so many of them."""
FILES = 5.0
"""Seconds for which what the inventories say is remembered."""

Words = Mapping[str, Any]


class NotThere(Mistakes):
    """A page that is none."""


@dataclass(frozen=True, slots=True)
class RunOf(RunLine):
    """A run in a list of all targets' runs."""

    target: str = ""


class Desk:
    """`console.Desk`: one thing at a time, whoever asks."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace, self.screen = workplace, screen
        self.journal = workplace.journal
        self.pages = ConsolePages(workplace.redact)
        self.acting = Acting(workplace, screen)
        self._turn = threading.RLock()
        self._targets: tuple[float, tuple[TargetLine, ...]] = (-FILES, ())
        self._rooms: Mapping[str, Callable[[Mapping[str, str]], Words]] = {
            "": lambda _: self._now(),
            "runs": self._runs,
            "incidents": lambda _: self._incidents(),
            "approvals": lambda _: self._approvals(),
        }

    # --- what a console asks ---------------------------------------------------------------

    def page(self, path: str, query: Mapping[str, str], visitor: Visitor) -> Shown:
        """A page whole, or why there is none."""
        try:
            with self._turn:
                name, words = self._found(path, query)
                return Shown(self.pages.whole(name, **_frame(path, visitor), **words))
        except NotThere as error:
            return self._message("There is no such page", error.what, visitor, 404)
        except BackoutError as error:
            return self._message("That cannot be shown", error_text(typed.error(error)), visitor)
        except Exception as error:  # noqa: BLE001 - a bug is told here, and the others are served
            bug = self.workplace.redact(f"/{path}: {type(error).__name__}: {error}")
            self.screen.listen(Event(datetime.now(UTC), "warning", bug))
            return self._message("That is a bug", "It is told where the server runs.", visitor, 500)

    def part(self, path: str) -> Part | None:
        """What follows by itself; the same for everybody."""
        try:
            with self._turn:
                name, words = self._found(path, {})
                if not words.get("live"):
                    return None
                over = name == "run" and not words["view"].running
                return Part(self.pages.part(name, **words), over)
        except NotThere:
            return None

    def act(self, what: str, form: Mapping[str, str], visitor: Visitor) -> str:
        """As that visitor. Raises BackoutError."""
        with self._turn:
            return self.acting.do(what, form, visitor)

    def told(self, error: BackoutError, visitor: Visitor) -> Shown:
        words = error_text(typed.error(error))
        return self._message("It was not done", words, visitor, 409)

    def door(self, words: str, to: str) -> Shown:
        frame = {"title": "Who are you?", "visitor": None, "here": "", "live": ""}
        return Shown(self.pages.whole("door", words=words, to=to, **frame), 401)

    def changed(self) -> Hashable:
        health = self.workplace.state / "health.db-wal"
        seen: object = None
        with suppress(OSError):
            seen = health.stat().st_mtime_ns
        return (self.journal.signature(), seen)

    def _message(self, title: str, words: str, visitor: Visitor, status: int = 200) -> Shown:
        frame = {**_frame("", visitor), "here": "", "title": title, "live": ""}
        return Shown(self.pages.whole("message", words=words, **frame), status)

    # --- rooms -------------------------------------------------------------------------------

    def _found(self, path: str, query: Mapping[str, str]) -> tuple[str, Words]:
        """The template of a page, and its words. Raises NotThere."""
        if room := self._rooms.get(path):
            return path or "now", room(query)
        first, _, rest = path.partition("/")
        if first == "runs" and rest:
            return "run", self._run(rest)
        if first == "targets" and rest:
            return "target", self._target(rest)
        if first == "errands" and rest:
            return "errand", self._errand(rest)
        if first == "approvals" and rest:
            return "approval", self._approval(rest, query.get("step", ""))
        raise NotThere(f"nothing is under /{path}")

    def _now(self) -> Words:
        rows = self.journal.runs(limit=15)
        targets = self._known()
        return {
            "title": "Now",
            "live": "/",
            "open": [_line(row) for row in self._open(targets)],
            "latest": [_line(row) for row in rows if row.outcome],
            "opened": self._alerts().alerts,
            "asked": [each for each in self._asked() if each.state in ("open", "approved")],
            "targets": targets,
            "releases": {
                each.target: f"release {bare_release(each.release)}" if each.release else ""
                for each in targets
            },
        }

    def _open(self, targets: tuple[TargetLine, ...]) -> list[RunRow]:
        names = dict.fromkeys((*(each.target for each in targets), *self.journal.targets()))
        return [row for name in names if (row := self.journal.open_run_of(name))]

    def _runs(self, query: Mapping[str, str]) -> Words:
        q, target = query.get("q", ""), query.get("target", "")
        rows = self.journal.runs(target or None, limit=SEARCHED)
        lines = [line for line in map(_line, rows) if _matches(line, q)]
        names = dict.fromkeys((*self.journal.targets(), *(t.target for t in self._known())))
        return {
            "title": "Runs",
            "live": "",
            "q": q,
            "target": target,
            "targets": list(names),
            "lines": lines[:SHOWN],
            "more": len(lines) > SHOWN or len(rows) == SEARCHED,
        }

    def _run(self, id: str) -> Words:
        row = self._row(id)
        records = self.journal.recall(row.id)
        report = story(row, records, typed.spell(self.workplace.going_on(row)))
        facts = tuple(Fact(r.kind, r.key, r.at.timestamp(), r.body) for r in records)
        sentence, alive = outcome_text(report), False
        telling = Telling(self.journal)
        if row.open:
            gone = Owner(self.workplace, row, telling).gone()
            alive = not gone
            sentence = f"{row.verb.capitalize()} of {row.target} has not ended"
            sentence += f", and {gone}." if gone else "."
        view = run_view(report, facts, sentence, now=time.time())
        events = (event for _, event in telling.told(row.id))
        names = {"view": view, "phases": tree(events), "alive": alive, "target": row.target}
        return {"title": f"Run {row.id}", "live": f"/runs/{row.id}", **names}

    def _row(self, id: str) -> RunRow:
        try:
            return self.journal.run(id)
        except Mistakes as error:
            raise NotThere(error.what) from error

    def _target(self, name: str) -> Words:
        line = next((each for each in self._known() if each.target == name), None)
        if line is None:
            raise NotThere(f"there is no target {name}")
        target = None if line.problem else self.workplace.target(name)
        hosts = tuple(target.hosts) if target else ()
        there = self.journal.newest_on(name, hosts)
        view = self._status(name, target)
        return {
            "title": name,
            "live": f"/targets/{name}",
            "name": name,
            "release": f"release {bare_release(line.release)}" if line.release else "",
            "hosts": [
                (host, f"release {there[host].release}" if host in there else "nothing on record")
                for host in hosts
            ],
            "checks": view.targets[0].checks,
            "opened": [each for each in self._alerts().alerts if each.target == name],
            "asked": [each for each in self._asked(name) if each.state in ("open", "approved")],
            "back": self._back(name),
            "line": in_line(Line(self.journal, name, time.monotonic).look()),
            "latest": [_line(row) for row in self.journal.runs(name, limit=15)],
        }

    def _back(self, name: str) -> Words | None:
        """The way back to the last known-good release; None where there is none."""
        current = self.journal.current(name)
        good = self.journal.known_good(name, before=current.number) if current else None
        if current is None or good is None:
            return None
        told = {"from": str(current.release), "to": good.number, "told": good.release}
        return {"now": named(current), **told}

    def _incidents(self) -> Words:
        alerts, view = self._alerts(), self._status()
        return {
            "title": "Incidents",
            "live": "/incidents",
            "open": view.open,
            "past": view.past,
            "silences": alerts.silences,
            "known": [each for each in alerts.alerts if not each.acknowledged],
            "targets": [each.target for each in self._known()],
        }

    def _approvals(self) -> Words:
        every = self._asked()
        return {
            "title": "Approvals",
            "live": "/approvals",
            "asked": [each for each in every if each.state in ("open", "approved")],
            "past": [each for each in every if each.state not in ("open", "approved")][:SHOWN],
        }

    def _approval(self, id: str, step: str) -> Words:
        found = Approvals(self.journal).of(id, step)
        if found is None:
            raise NotThere(f"nothing was asked of others under {id}")
        report = approval_of(found, self.journal.clock())
        return {
            "title": f"Approval of {id}",
            "live": "",
            "each": report.request,
            "question": report.question,
            "plan": plan_text(report.plan, whole=True) if report.plan else "",
        }

    def _errand(self, id: str) -> Words:
        errands = self.acting.errands
        try:
            errand = errands.find(id)
        except Mistakes as error:
            raise NotThere(error.what) from error
        came = errands.came(errand)
        data, words = came.data, {"at_work": came.code is None, "plan": "", "digest": "", "run": ""}
        if "error" in data:
            words["said"] = "\n".join(str(value) for value in data["error"].values() if value)
        elif errand.verb == "plan" and data:
            report = PlanReport.read(data)
            words |= {"plan": plan_text(report, whole=True), "digest": report.digest}
            words |= {"target": report.target, "id": id}
        elif data:
            words |= {"run": data.get("run", ""), "said": outcome_text(Report.read(data))}
        elif came.code is not None:
            words["said"] = "It ended without an answer: look at the runs."
        what = f"{errand.verb.capitalize()} for {errand.who.name}"
        return {"title": what, "live": "", "said": "", **words}

    # --- facts -------------------------------------------------------------------------------

    def _known(self) -> tuple[TargetLine, ...]:
        at, targets = self._targets
        if time.monotonic() - at >= FILES:
            targets = Listing(self.workplace, self.screen).targets(Targets()).told.targets  # type: ignore[attr-defined] # it answers a TargetList
            self._targets = (time.monotonic(), targets)
        return targets

    def _asked(self, target: str = "") -> list[Asked]:
        now, names = self.journal.clock(), [target] if target else list(self.journal.targets())
        names += [] if target else [t.target for t in self._known() if t.target not in names]
        found: list[Request] = []
        for name in names:
            found += Approvals(self.journal).of_target(name)
        return [asked(each, now) for each in sorted(found, key=lambda each: each.asked)[::-1]]

    @contextmanager
    def _store(self) -> Iterator[Any]:
        """The history of checks; None where nobody has watched here."""
        if not is_there(self.workplace):
            yield None
            return
        with open_store(self.workplace, self.workplace.redact) as store:
            yield store

    def _alerts(self) -> Alerts:
        if not is_there(self.workplace):
            return Alerts((), ())
        told = Watching(self.workplace, self.screen).list(AlertList()).told
        assert isinstance(told, Alerts)  # noqa: S101 - that is what it answers
        return told

    def _status(self, name: str = "", target: Target | None = None) -> StatusView:
        """As the status page has it: of one target, or the incidents of all."""
        now = time.time()
        known = [each.target for each in self._known()]
        known += [each.target for each in self._alerts().alerts]  # also where the file is gone
        names = [name] if name else list(dict.fromkeys(known))
        with self._store() as store:
            watched = [self._watched(each, target, store, now) for each in names]
        return status_view(watched, now=now, stale_after=0)

    def _watched(self, name: str, target: Target | None, store: Any, now: float) -> Watched:
        if store is None:
            return Watched(name)
        histories = self._histories(target, store) if target else ()
        incidents = (*store.incidents(name, open=True), *resolved_lately(store, name, now))
        return Watched(name, tuple(histories), incidents)

    def _histories(self, target: Target, store: Any) -> Iterator[History]:
        for key in store.check_keys():
            if key.target == target.name and key.check in target.checks:
                last = next(iter(store.looks(key, limit=1)), None)
                yield History(key, last, due=due_by(target, key, last))


def _frame(path: str, visitor: Visitor) -> Words:
    first = path.partition("/")[0]
    return {"visitor": visitor, "here": f"/{'' if first == 'targets' else first}"}


def _line(row: RunRow) -> RunOf:
    line = run_line(ran_of(row))
    words = {name: getattr(line, name) for name in RunLine.__slots__}
    return RunOf(**words, target=row.target)


def _matches(line: RunOf, q: str) -> bool:
    """Whether every word of it is somewhere in the line."""
    known = (line.run, line.target, line.what, line.by, line.said, line.release, line.at)
    text = " ".join(known).casefold()
    return all(word in text for word in q.casefold().split())
