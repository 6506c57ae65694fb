"""The watcher: looks when looks are due, weighs what comes back, writes it down, tells it.

One thread decides and writes (`turn`); looks are made by others and come back through a queue.
What a turn makes of the looks that came back is one transaction: when it cannot be written it did
not happen, and is tried again with the next turn.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from backout.errors import Refused, TakenOver, Unsettled
from backout.model import CheckKey, Finding, Streak, WatcherHealth, duration
from backout.ports import Clock, HealthStore
from backout.watch import alerts, schedule, wellbeing
from backout.watch.baking import Baking
from backout.watch.bookkeeping import Turn
from backout.watch.companion import Companion
from backout.watch.messages import REMIND_EVERY, Messages
from backout.watch.news import News
from backout.watch.schedule import Tick, Timetable
from backout.watch.surroundings import Surroundings
from backout.watch.watched import Looked, WatchedTarget
from backout.watch.wellbeing import Snapshot
from backout.watch.words import count
from backout.watch.workers import Workers

JUMP = 5.0
"""When the clock goes this much faster or slower than time passes, it was set."""
SOON = 30.0
"""Within so many seconds from the start everything is looked at once."""
PING_EVERY = 60.0
LONGEST_WAIT = 1.0
KEPT = 20_000
"""So many looks are kept in memory while they cannot be written."""
SHOW_EVERY = 1.0
"""What other threads see of it is at most so old, while it turns."""


class Watcher:
    """Watches some targets; see `turn`."""

    def __init__(self, store: HealthStore, clock: Clock, around: Surroundings) -> None:
        self.store = store
        self.clock = clock
        self.around = around
        self.targets: dict[str, WatchedTarget] = {}
        self.timetable: Timetable[CheckKey] = Timetable()
        self.streaks: dict[CheckKey, Streak] = {}
        self.done: dict[CheckKey, float] = {}
        self.trouble = ""
        """Why nothing can be written at the moment; empty when all is well."""
        self.companions: list[Companion] = []
        self.workers = Workers()
        self.broken: Mapping[str, str] = {}
        """The inventories that cannot be read, and why."""
        self.others: Mapping[str, str] = {}
        """Targets that other processes watch, each with whose it is."""
        self.absent: Callable[[str], bool] = lambda name: name not in self.targets
        """Whether there is no such target any more; from the watcher's own thread."""
        self.certificates: Mapping[CheckKey, float] = {}
        """When the first certificate of the chain that was seen ends."""
        self._back: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._unwritten: list[Looked] = []
        self._unsettled: tuple[str, Turn] | None = None
        self._memory: dict[CheckKey, Mapping[str, Any]] = {}
        self._latest: dict[CheckKey, Finding] = {}
        self._overlapping: set[CheckKey] = set()
        self._turns: dict[str, float] = {}
        self._began, self.turned = clock.now().timestamp(), clock.monotonic()
        self._clock_read = (self._began, self.turned)
        self._hour = -1  # who looks for less than an hour at a time keeps it small, too
        self._snapshot = Snapshot(self.turned)
        self.news = News(self)
        self.messages = Messages(self, around.wake)
        self.baking = Baking(self, around.reverts)
        self.recall()

    def recall(self, target: str = "") -> None:
        """What is on record of a target, or of all. Raises Refused."""
        for check_key, (streak, memory, tick) in self.store.streaks().items():
            if target in ("", check_key.target):
                self.streaks[check_key] = streak
                self._memory[check_key] = memory
                if tick is not None:
                    self.done[check_key] = min(tick, self.clock.now().timestamp())
        if target:
            self.baking.recall(target)

    # --- what is watched -----------------------------------------------------------------

    def watch(self, watched: WatchedTarget) -> None:
        """Watch a target, or watch it by its new inventory."""
        old = self.targets.get(watched.name)
        if old is not None:
            watched.news, watched.baking, watched.skipped = old.news, old.baking, old.skipped
            self._retire(old)
        self.targets[watched.name] = watched
        self._hide(
            lambda check_key: check_key.target == watched.name and not watched.has(check_key)
        )
        self.plan()

    def forget(self, name: str) -> None:
        """Watch a target no longer."""
        self._retire(self.targets.pop(name))
        self._unwritten = [each for each in self._unwritten if each.watched.name != name]
        self._hide(lambda check_key: check_key.target == name)
        self._turns.pop("remind", None)  # what was open there is closed at once
        self.plan()

    def _hide(self, gone: Callable[[CheckKey], bool]) -> None:
        """What is not looked at any more is not shown any more."""
        for check_key in [check_key for check_key in self._latest if gone(check_key)]:
            del self._latest[check_key]
            self.around.shown(check_key, None)

    def remembered(self, check_key: CheckKey) -> Mapping[str, Any]:
        """What a probe left to be found again."""
        return self._memory.get(check_key, {})

    def _retire(self, watched: WatchedTarget) -> None:
        watched.retired = True
        if not watched.running:
            watched.close()

    def plan(self) -> None:
        now = self.clock.now().timestamp()
        rhythms = {s: r for watched in self.targets.values() for s, r in watched.rhythms().items()}
        fresh = rhythms.keys() - self.timetable.entries.keys()
        self.timetable.plan(rhythms, now)
        for check_key in fresh:
            rhythm = rhythms[check_key]
            if not rhythm.cron and now - self.done.get(check_key, 0.0) > rhythm.every:
                soon = min(rhythm.every, SOON) * schedule.share(check_key)
                self.timetable.hasten(check_key, now + soon)

    # --- what other threads may see ------------------------------------------------------

    def show(self) -> None:
        """Show how all stands now; from the watcher's own thread."""
        self._turns["show"] = self.clock.monotonic()
        self._snapshot = wellbeing.snapshot(self)

    @property
    def snapshot(self) -> Snapshot:
        """How all stood a moment ago; from any thread."""
        return self._snapshot

    @property
    def stuck(self) -> str:
        """Why nothing goes on at all; empty while it does. From any thread."""
        return self._snapshot.stuck(self.clock.monotonic())

    def unwell(self, now: float) -> dict[str, list[str]]:
        """What is wrong with the watching itself, by target; what concerns all under ''. From
        any thread."""
        return self._snapshot.unwell(now, self.clock.monotonic())

    def health(self) -> WatcherHealth:
        """The watcher's own health, for `/health`; from any thread."""
        return self._snapshot.health(self.clock.now().timestamp(), self.clock.monotonic())

    # --- turning -------------------------------------------------------------------------

    def call(self, do: Callable[[], None]) -> None:
        """Have something done in the watcher's own thread, soon."""
        self._back.put(do)

    def wait(self, seconds: float) -> None:
        """Until something comes back, or so long."""
        try:
            do = self._back.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return
        do()

    def turn(self, *, pings: bool = True) -> float:
        """Do all that is to be done now; returns in how many seconds there is more."""
        now, self.turned = self.clock.now().timestamp(), self.clock.monotonic()
        self._mind_the_clock(now)
        if self._is_time("news", self.news.every):
            self.news.read(now)
        self.write()
        self._start_due(now)
        if self._is_time("remind", REMIND_EVERY):
            self.attempt(self.messages.remind)
        if self._hour != int(now // 3600):
            self.attempt(self._keep_small)
        for words in self.workers.mind():
            self.say(words, warning=True)
        if pings and self._is_time("ping", PING_EVERY):
            self.tell_switches(now)
        if self._is_time("show", SHOW_EVERY):
            self.show()
        return self._pause()

    def look_once(self, check_keys: Sequence[CheckKey] | None = None) -> None:
        """Begin a look at every check key, or at these, whatever their schedule says."""
        now = self.clock.now().timestamp()
        for check_key in self.timetable.entries if check_keys is None else check_keys:
            watched = self.targets[check_key.target]
            if not watched.news.held:
                self._begin(watched, Tick(check_key, now))

    def write(self) -> None:
        """Write down what came back, and start nothing."""
        while not self._back.empty():
            self._back.get()()
        self._take_in()

    def latest(self, target: str) -> tuple[Finding, ...]:
        """What the last look at each check key of a target found, as far as this process looked."""
        return tuple(f for check_key, f in self._latest.items() if check_key.target == target)

    def seen(self, check_key: CheckKey) -> Finding | None:
        """What the last look found, as far as this process looked."""
        return self._latest.get(check_key)

    @property
    def busy(self) -> int:
        """How many looks are under way or not written yet."""
        return sum(watched.running for watched in self.targets.values()) + len(self._unwritten)

    def _pause(self) -> float:
        if not self._back.empty():
            return 0.0
        following = self.timetable.next()
        wanted = LONGEST_WAIT if following is None else following - self.clock.now().timestamp()
        return max(0.0, min(LONGEST_WAIT, wanted))

    def _is_time(self, what: str, every: float) -> bool:
        now = self.clock.monotonic()
        if what in self._turns and now - self._turns[what] < every:
            return False
        self._turns[what] = now
        return True

    def _mind_the_clock(self, now: float) -> None:
        before, then = self._clock_read
        elapsed = self.clock.monotonic()
        self._clock_read = (now, elapsed)
        jump = (now - before) - (elapsed - then)
        if abs(jump) < JUMP:
            return
        way = "forward" if jump > 0 else "back"
        self.say(f"the clock went {way} by {duration(abs(jump))}: the schedule is kept by it")
        if jump < 0:
            self.timetable.replan(now)
            self._began = min(self._began, now)
            self.done = {check_key: min(at, now) for check_key, at in self.done.items()}

    # --- looking -------------------------------------------------------------------------

    def _start_due(self, now: float) -> None:
        missed: dict[str, int] = {}
        for tick in self.timetable.take(now):
            watched = self.targets[tick.key.target]
            if watched.news.held:
                watched.skipped += 1 + tick.missed
                self._let_go(tick)
                continue
            lost = tick.missed + tick.late
            if lost:
                missed[watched.name] = missed.get(watched.name, 0) + lost
            self._mind_overlap(tick)
            if tick.runs:
                self._begin(watched, tick)
        for name, lost in missed.items():
            self.say(f"{name}: {count(lost, 'look')} missed and skipped: nobody was there to look")

    def _let_go(self, tick: Tick[CheckKey]) -> None:
        if tick.runs:
            self.timetable.ended(tick.key)
        self.done[tick.key] = tick.due

    def _mind_overlap(self, tick: Tick[CheckKey]) -> None:
        if tick.overlapped and tick.key not in self._overlapping:
            self.say(f"{tick.key} still runs when it is due again: skipped until it ends")
            self._overlapping.add(tick.key)
        elif tick.runs:
            self._overlapping.discard(tick.key)

    def _begin(self, watched: WatchedTarget, tick: Tick[CheckKey]) -> None:
        watched.running += 1
        deployed = watched.news.deployed
        due = self.clock.monotonic()

        def look() -> None:
            queued = (self.clock.monotonic() - due) * 1000
            first, *rest = watched.look_at(tick.key, deployed)
            findings = (replace(first, queued_ms=queued), *rest)
            at = self.clock.now().timestamp()
            looked = Looked(watched, tick.key, tick.due, at, findings)
            self.call(lambda: self._came_back(looked))

        (self.around.ask if watched.asks_zones(tick.key) else self.around.submit)(look)

    def _came_back(self, looked: Looked) -> None:
        looked.watched.running -= 1
        self.timetable.ended(looked.check_key)
        self.done[looked.check_key] = looked.at
        if looked.watched.retired:
            if not looked.watched.running:
                looked.watched.close()
            return
        self._unwritten.append(looked)

    # --- what came back ------------------------------------------------------------------

    def _take_in(self) -> None:
        if not self._unwritten:
            return
        if not self.attempt(self._write_looks):
            lost = len(self._unwritten) - KEPT
            if lost > 0:
                del self._unwritten[:lost]
                self.say(f"{count(lost, 'look')} could not be kept", warning=True)
            return
        self._unwritten.clear()
        if self.trouble:
            self.say("it can be written again")
            self.trouble = ""
        for watched in self.targets.values():
            self.attempt(partial(self.baking.consider, watched))
        for companion in self.companions:
            companion.ticked(self.clock.now())

    def _write_looks(self) -> None:
        """All of them and whatever follows from them, or nothing."""
        if self._unsettled is not None:
            token, turn = self._unsettled
            if self.store.settled(token):
                self._is_written(turn)
            self._unsettled = None
        turn = Turn(self)
        try:
            with self.store.write() as change:
                for looked in self._unwritten:
                    turn.take(change, looked)
        except Unsettled as error:
            self._unsettled = (error.token, turn)
            raise
        self._is_written(turn)

    def _is_written(self, turn: Turn) -> None:
        """What was made of those looks counts from now on."""
        self._unwritten = turn.without(self._unwritten)
        self.streaks.update(turn.streaks)
        self._memory.update(turn.memory)
        self._latest.update(turn.latest)
        self.certificates = {**self.certificates, **turn.certificates}
        for check_key, finding in turn.latest.items():
            self.around.shown(check_key, finding)
        for text, warning in turn.said:
            self.say(text, warning=warning)
        if turn.posted:
            self.around.wake()
        for check_key, policy, rhythm in turn.doubtful:
            if alerts.in_doubt(self.streaks[check_key], policy):
                self.timetable.hasten(check_key, self.done[check_key] + rhythm.quick())

    def attempt(self, write: Callable[[], None]) -> bool:
        """Whether it could be written; why not is said once."""
        try:
            write()
        except TakenOver as error:
            self.say(error.what, warning=True)
            return False
        except Refused as error:
            if not self.trouble:
                self.say(f"nothing can be written, going on: {error.what}", warning=True)
            self.trouble = error.what
            return False
        return True

    # --- the rest ------------------------------------------------------------------------

    def _keep_small(self) -> None:
        self.store.roll_up(now := self.clock.now().timestamp())
        self._hour = int(now // 3600)

    def tell_switches(self, now: float, unseen: Mapping[str, Sequence[str]] = {}) -> None:
        """Tell the dead-man's switches; `unseen` is what else is wrong, by target."""
        unwell = wellbeing.snapshot(self).unwell(now, self.turned)
        for name, watched in self.targets.items():
            if watched.target.deadman:
                words = [*unwell.get("", ()), *unwell.get(name, ()), *unseen.get(name, ())]
                self.around.submit(partial(self.around.ping, watched, "; ".join(words)))

    def last_look(self, check_key: CheckKey) -> float:
        """When it was looked at last, or the watcher began."""
        return max(self.done.get(check_key, 0.0), self._began)

    def say(self, text: str, *, warning: bool = False) -> None:
        self.around.said(text, warning)
