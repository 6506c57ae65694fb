"""`worker`: drives runs that were handed over, and goes on with those whose driver is gone."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from backout.adapters.local_lock import LocalLock, owner
from backout.adapters.own_directory import refuse_full
from backout.adapters.storage.postgres.hands import Hands
from backout.adapters.storage.store import Announce, silent
from backout.commands import drive, handover
from backout.commands.duty import LISTENS, Duty
from backout.commands.news import about_run, telling
from backout.commands.nursery import Nursery
from backout.commands.options import Worker
from backout.commands.signals import heard
from backout.errors import BackoutError, Foreign, Mistakes, Refused
from backout.model import Event
from backout.ports import RESUME, Hand, InHand, Screen, Shift, Tick
from backout.project.freezing import thaw
from backout.project.project import Workplace
from backout.project.shared_ledger import ZONE, name_of, place_here
from backout.reports.answer import Answer
from backout.reports.watched import Stopped

BEAT = 5.0
"""Seconds between two signs of life."""
LOOKS = 3
"""So often it is looked, within the time after which a driver is gone."""


class Working:
    """One worker."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def worker(self, options: Worker) -> Answer:
        """Raises Mistakes, and Refused where there is nothing to listen at."""
        os.environ["BACKOUT_STATE"] = str(self.workplace.state)
        os.environ[ZONE] = self._zone(options)
        nursery = Nursery(drive.run)
        try:
            return self._worker(options, nursery)
        finally:
            nursery.close()

    def _worker(self, options: Worker, nursery: Nursery) -> Answer:
        shared = self.workplace.shared
        if options.width < 1:
            raise Mistakes(f"--width {options.width}: one run at least", where="command line")
        hands = shared.hands(self.workplace.journal)
        hands.arrive()
        refuse_full(self.workplace.state)
        zone, place = self._zone(options), place_here(self.workplace.home)
        id = secrets.token_hex(8)
        me = Hand(id, zone, owner(), options.width, (), False, _now(), 0.0, place)
        self._work(hands, me, nursery)
        return Answer("nothing", Stopped())

    def _zone(self, options: Worker) -> str:
        shared, said = self.workplace.shared, options.zone
        return shared.zone_named(said, "command line") if said else shared.zone

    def _work(self, hands: Hands, me: Hand, nursery: Nursery) -> None:
        shared = self.workplace.shared
        drives = Drives(self.workplace, hands, me, nursery, self._say)
        rescuer = Rescuer(self.workplace, hands, me, self._say)
        pause = min(10.0, shared.workers.after / LOOKS)
        ends: list[BackoutError] = []
        with heard() as signals, Duty(self.workplace, self.screen, me, self._say) as duty:
            shift = Shift(
                zones=me.zones,
                width=me.width,
                drive=drives.drive,
                finish=partial(self._finish, drives, duty, lambda: len(signals) > 1),
                stop_asked=lambda: bool(signals or ends) or nursery.lost,
                say=self._say,
            )
            self._say(f"worker of zone {me.zone}: {me.width} runs side by side")
            ticks = (
                Tick(BEAT, self._quietly(lambda: drives.beat(duty.watches))),
                Tick(pause, self._quietly(rescuer)),
                Tick(LISTENS, self._quietly(duty.answer)),
                Tick(pause, self._quietly(partial(self._look_at_itself, nursery, ends))),
            )
            shared.bell().work(shift, ticks)
        self._quietly(partial(hands.leave, me.id))()
        if ends:
            raise ends[0]
        self._say("stopped")

    def _look_at_itself(self, nursery: Nursery, ends: list[BackoutError]) -> None:
        """Where a newer Backout has brought the tables up, nothing more is taken by this one; nor
        where a run could not even be begun, as its own directory takes nothing more. What it drives
        already needs none of that."""
        try:
            if not nursery.at_work:
                refuse_full(self.workplace.state)
        except Refused as error:
            ends.append(error)
        try:
            self.workplace.journal.refuse_newer()
        except Foreign as error:
            ends.append(error)

    async def _finish(self, drives: Drives, duty: Duty, at_once: Callable[[], bool]) -> None:
        """What has begun comes to its end, for a while."""
        duty.carrying.stop()
        until = time.monotonic() + (grace := self.workplace.shared.workers.grace)
        await drives.finish(grace, at_once)
        while duty.carrying.at_work and time.monotonic() < until and not at_once():
            await asyncio.sleep(0.1)

    def _quietly(self, do: Callable[[], object]) -> Callable[[], None]:
        """A ledger that is gone for a while ends no worker: it is told, once."""
        last = ""

        def tried() -> None:
            nonlocal last
            try:
                do()
            except BackoutError as error:
                if error.what != last:
                    self._say(error.what)
                last = error.what
            else:
                last = ""

        return tried

    def _say(self, text: str) -> None:
        self.screen.listen(Event(datetime.now(UTC), "note", text))


class Drives:
    """The runs that one worker drives, each in a process of its own."""

    def __init__(
        self,
        workplace: Workplace,
        hands: Hands,
        me: Hand,
        nursery: Nursery,
        say: Callable[[str], None],
    ) -> None:
        self._workplace, self._hands, self._me, self._say = workplace, hands, me, say
        self._nursery = nursery
        self._slots = asyncio.Semaphore(me.width)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._stopping = False

    async def drive(self, run: str) -> None:
        """To its end; whoever waits for that may leave before."""
        self._listening = self._listening or asyncio.create_task(self._nursery.listen())
        if run not in self._tasks and not self._stopping:
            task = asyncio.create_task(self._drive(run))
            self._tasks[run] = task
            task.add_done_callback(lambda _: self._tasks.pop(run, None))
        if run in self._tasks:
            await asyncio.shield(self._tasks[run])

    async def _drive(self, run: str) -> None:
        async with self._slots:
            if self._stopping:
                return
            self._say(f"drives run {run}")
            code = await self._nursery.drive(run)
            self._say(f"run {run} is driven no more: exit code {code}")

    def beat(self, watches: Collection[str] = ()) -> None:
        """Durably: the worker lives, and this is what it does."""
        runs, watched = self._nursery.at_work, tuple(sorted(watches))
        hand = replace(self._me, runs=runs, stopping=self._stopping, watches=watched)
        self._hands.beat(hand)

    async def finish(self, grace: float, at_once: Callable[[], bool]) -> None:
        """What has begun is driven to its end, for so long; the rest is handed over."""
        self._stopping = True
        with suppress(BackoutError):
            await asyncio.to_thread(self.beat)
        until = time.monotonic() + grace
        while self._nursery.at_work and time.monotonic() < until and not at_once():
            await asyncio.sleep(0.1)
        left = self._nursery.at_work
        for run in left:
            self._nursery.kill(run)
        for task in tuple(self._tasks.values()):
            await task
        for run in left:
            await asyncio.to_thread(self._hand_over, run)

    def _hand_over(self, run: str) -> None:
        found = next((each for each in self._hands.open() if each.run == run), None)
        if found and found.driver == name_of(self._workplace.state):
            self._hands.take_away(found, RESUME, self._me.by, "its worker was stopped")
            self._say(f"run {run} is handed over to another worker")


class Rescuer:
    """Looks for runs of a zone that nobody drives any more."""

    def __init__(
        self,
        workplace: Workplace,
        hands: Hands,
        me: Hand,
        say: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workplace, self._hands, self._me, self._say = workplace, hands, me, say
        self._after = workplace.shared.workers.after
        self._monotonic = monotonic
        self._still: dict[InHand, float] = {}
        self._looked = monotonic()

    def __call__(self) -> None:
        """One look."""
        now = self._monotonic()
        # Of a long time without a look nothing is known: this one, or the database, was away.
        passed = min(now - self._looked, 2 * self._after / LOOKS)
        self._looked = now
        mine = [each for each in self._hands.open() if each.zone in self._me.zones]
        self._still = {each: self._still.get(each, -passed) + passed for each in mine}
        for each, still in self._still.items():
            if each.asks:
                continue
            if each.waits:
                if still >= self._after:
                    self._hands.ring(each)
            elif still >= self._after or self._is_dead(each):
                self._rescue(each)

    def _is_dead(self, run: InHand) -> bool:
        """Whether its driver was of this machine, and the kernel knows that it has ended."""
        state = self._workplace.state
        return run.driver == name_of(state) and LocalLock(state, run.target).holder() is None

    def _rescue(self, run: InHand) -> None:
        how = str(handover.handed(self._workplace, run.run)["rescue"])
        why = f"{run.by} gave no sign of life for {self._after:.0f} s"
        if self._is_dead(run):
            why = f"the process of {run.by} that drove it is gone"
        with self._told(run) as announce:
            done = self._hands.take_away(run, how, self._me.by, why, announce)
        if done:
            self._say(f"run {run.run} of {run.target}: {why}; {_TOLD[done]}")

    @contextmanager
    def _told(self, run: InHand) -> Iterator[Announce]:
        """Whoever hears of runs of its target; nobody, where its plan cannot be read here."""
        row = self._workplace.journal.run(run.run)
        try:
            made = thaw(self._workplace, row)
        except (BackoutError, LookupError):  # it may be one of another Backout's
            yield silent
            return

        def listen(event: Event) -> None:
            self._say(event.text)

        with telling(self._workplace, row, made.target, about_run(row, made), listen) as news:
            yield news.announce


_TOLD = {
    "resume": "another worker goes on with it",
    "back_out": "another worker backs it out",
    "ask": "a person decides: invoke resume, or invoke abort",
}


def _now() -> datetime:
    return datetime.now(UTC)
