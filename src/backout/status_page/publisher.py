"""After each tick: what is known becomes the status page, the runs' pages and the metrics.

It lives beside the watcher, in a thread of its own, and takes no more than a twentieth of it: the
longer a page takes, the longer the pause after it. While the watcher itself is stuck nothing is
written, so that the page goes stale and says so.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from backout.adapters.redactor import redact_data
from backout.adapters.web.html import Pages, Site
from backout.errors import BackoutError, Refused
from backout.model import CheckKey, Event, Target, duration
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.handed import ZoneLine, zone_lines
from backout.reports.story import story
from backout.reports.text import outcome_text
from backout.status_page import feeds, views
from backout.status_page.facts import Fact, History, Ran, Watched
from backout.status_page.history import Histories, Ledger, due_by, ran_of, resolved_lately
from backout.status_page.listen import STALE_AFTER, Listen, ListenAt
from backout.status_page.run_view import RunView, run_view
from backout.status_page.views import StatusView
from backout.status_page.words import utc
from backout.watch.schedule import EVERY
from backout.watch.watcher import Watcher
from backout.watch.wellbeing import SeenTarget

HEARTBEAT = 20.0
"""It is written anew this often even when nothing was looked at."""
LEAST = 2.0
MOST = 60.0
SHARE = 20


class Publisher:
    """`watcher.Companion`: keeps the pages written."""

    def __init__(
        self, workplace: Workplace, screen: Screen, directory: Path, listen: Listen | None = None
    ) -> None:
        self.workplace = workplace
        self.screen = screen
        self.site = Site(directory)
        self._listen = listen
        self._due = threading.Event()
        self._ending = threading.Event()
        self._written: dict[str, str] = {}
        self._trouble = ""
        self._ledgers: dict[str, tuple[object, Ledger]] = {}

    # --- beside the watcher --------------------------------------------------------------

    def begin(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.redact = watcher.store.redact
        self.pages = Pages(self.redact)
        self.histories = Histories(watcher.store)
        self.journal = self.workplace.journal
        if self._listen:
            self._listen.begin(watcher, self.run_page)
            self._say(f"the status page is at {self._listen.url}")
            if not self._listen.address.loopback:
                self._say("everybody who reaches this address can read it", kind="warning")
        self._due.set()
        self._worker = watcher.workers.start("writer of pages", self._run)

    def ticked(self, now: datetime) -> None:  # noqa: ARG002 - the page has a clock of its own
        self._due.set()

    def end(self) -> None:
        self._ending.set()
        self._due.set()
        self._worker.join(10)
        self._attempt()  # what came last is on the page that stays
        if self._listen:
            self._listen.end()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._due.wait(HEARTBEAT)
            self._due.clear()
            began = time.monotonic()
            self._attempt()
            spent = time.monotonic() - began
            self._ending.wait(min(MOST, max(LEAST, SHARE * spent)))

    def _attempt(self) -> None:
        try:
            self.publish(self.watcher.clock.now().timestamp())
            self._trouble = ""
        except BackoutError as error:
            self._complain(error.what)
        except Exception as error:  # noqa: BLE001 - a page that breaks must not end the watching
            self._complain(f"{type(error).__name__}: {error}")

    def _complain(self, words: str) -> None:
        if words != self._trouble:
            self._trouble = words
            self._say(f"the status page cannot be written: {words}", kind="warning")

    def _say(self, text: str, kind: str = "note") -> None:
        self.screen.listen(Event(self.watcher.clock.now(), kind, self.redact(text)))

    # --- publishing ----------------------------------------------------------------------

    def publish(self, now: float) -> None:
        """Write everything as it is. Raises BackoutError when it cannot be written."""
        fresh = self.histories.refresh(now)
        watched = [self._watched(each, now) for each in self.watcher.snapshot.targets]
        unwell = self.watcher.unwell(now)
        if not self.watcher.stuck:
            words = [f"{name}: {each}" for name in unwell for each in unwell[name]]
            view = views.status_view(watched, now=now, stale_after=STALE_AFTER, unwell=words)
            self._write_runs(watched, now)
            self.site.write({**self.pages.status(view), **self._machines(view, watched, now)})
        if self._listen:
            journal = self.journal
            self._listen.update(
                watched, fresh, journal.outcomes(), journal.unfinished(), self._zones(), now
            )

    def _zones(self) -> tuple[ZoneLine, ...]:
        """None where there is no ledger of the team."""
        shared = self.workplace.shared
        if shared.address() is None:
            return ()
        hands = shared.hands(self.journal)
        return zone_lines(hands.all(), hands.open())

    def _machines(self, view: StatusView, watched: Sequence[Watched], now: float) -> dict[str, str]:
        """The same for programs and for other pages."""
        data = redact_data(feeds.status_data(view, watched, now), self.redact)
        page = self.watcher.messages.page
        badges = {
            feeds.badge_name(each.name): feeds.badge(each.name, each.state) for each in view.targets
        }
        return {
            "status.json": json.dumps(data, indent=1) + "\n",
            "incidents.atom": _legible(self.redact(feeds.feed(watched, now, page=page))),
            **{name: _legible(self.redact(text)) for name, text in badges.items()},
        }

    def _watched(self, seen: SeenTarget, now: float) -> Watched:
        name = seen.target.name
        store, ledger = self.watcher.store, self._ledger(name)
        silences = [
            f"{check or 'all of it'} until {utc(until)} by {by}"
            for target, check, until, by in store.silences(now)
            if target == name
        ]
        return Watched(
            name=name,
            histories=tuple(
                self._history(seen.target, check_key) for check_key in self._check_keys(seen)
            ),
            incidents=(
                *store.incidents(name, open=True),
                *resolved_lately(store, name, now),
            ),
            releases=ledger.releases,
            runs=ledger.runs,
            silenced="; ".join(silences),
        )

    def _check_keys(self, seen: SeenTarget) -> list[CheckKey]:
        """In the inventory's order: what is looked at, and what was seen to follow from that."""
        checks, hosts = list(seen.target.checks), ["", *seen.target.hosts]
        known = {
            check_key for check_key in self.histories.last if check_key.target == seen.target.name
        }
        found = [s for s in known | set(seen.roots) if s.check in checks and s.host in hosts]
        return sorted(found, key=lambda s: (checks.index(s.check), hosts.index(s.host)))

    def _history(self, target: Target, check_key: CheckKey) -> History:
        check, last = target.checks[check_key.check], self.histories.last.get(check_key)
        return History(
            check_key,
            last,
            self.histories.days.get(check_key, {}),
            self.histories.hours.get(check_key, {}),
            self.histories.minutes(check_key),
            rhythm=_rhythm(target, check_key.check),
            expect=check.expect,
            due=due_by(target, check_key, last),
        )

    # --- runs ----------------------------------------------------------------------------

    def _ledger(self, target: str) -> Ledger:
        """The target's releases and runs; read again when the journal has changed."""
        signature = self.journal.signature()
        known = self._ledgers.get(target)
        if known is None or known[0] != signature:
            known = self._ledgers[target] = (signature, Ledger.of(self.journal, target))
        return known[1]

    def _write_runs(self, watched: Iterable[Watched], now: float) -> None:
        """The pages of runs that are new, have ended, or go on."""
        shown = [ran for each in watched for ran in each.runs]
        for ran in shown:
            ended = str(ran.outcome)
            if ran.outcome is None or self._written.get(ran.run) != ended:
                self.site.write_run(ran.run, self.pages.run(self._run_view(ran, now)))
                self._written[ran.run] = ended
        self.site.keep(ran.run for ran in shown)

    def run_page(self, run: str) -> str | None:
        """The page of any run that the journal knows, made anew; from any thread."""
        try:
            row = self.journal.run(run)
            return self.pages.run(self._run_view(ran_of(row), time.time()))
        except BackoutError:
            return None

    def _run_view(self, ran: Ran, now: float) -> RunView:
        records = self.journal.recall(ran.run)
        row = self.journal.run(ran.run)
        report = story(row, records, self.workplace.going_on(row))
        facts = tuple(Fact(r.kind, r.key, r.at.timestamp(), r.body) for r in records)
        sentence = outcome_text(report)
        if ran.outcome is None:
            sentence = f"{ran.verb.capitalize()} of {report.target} has not ended."
        return run_view(report, facts, sentence, now=now)


_ILLEGIBLE = re.compile("[^\\t\\n -\\ud7ff\\ue002-\\ufffd\\U00010000-\\U0010ffff]")


def _legible(text: str) -> str:
    """What XML may hold."""
    return _ILLEGIBLE.sub("", text)


def _rhythm(target: Target, name: str) -> str:
    leaders = [check.name for check in target.checks.values() if name in check.then]
    if leaders:
        return f"after {' and '.join(leaders)}"
    check = target.checks[name]
    if check.cron:
        return f"cron {check.cron} ({target.timezone})"
    return f"every {duration(check.every or EVERY).replace('m00s', 'm')}"


def _signature(path: Path) -> tuple[int, int]:
    try:
        seen = path.stat()
    except OSError:
        return (0, 0)
    return (seen.st_mtime_ns, seen.st_size)


def companions(
    workplace: Workplace, screen: Screen, page: str | None, at: ListenAt | None
) -> tuple[Publisher, ...]:
    """What lives beside `watch`. Raises Mistakes and Refused for what cannot be listened on, and
    Refused for a directory that has somebody else's page."""
    directory = (workplace.started_in / page if page else workplace.state / "status").absolute()
    if foreign := Site(directory).foreign:
        raise Refused(
            f"{foreign} is not Backout's, and its status page would overwrite it",
            next="--page DIRECTORY, one for this page alone",
        )
    listen = Listen(directory, at) if at else None
    return (Publisher(workplace, screen, directory, listen),)
