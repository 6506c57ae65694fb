"""One thread of a world runs at a time, and the seed says which is next.

Threads are greenlets: they change places where one waits, and, now and then, at the points that
machines, links and journals make. Time is a number, and passes when nobody can go on. Whoever
leaves hands on to the next one; what comes from outside happens in the hub, where none of them is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import log
from random import Random

from greenlet import GreenletExit, getcurrent, greenlet

FOREVER = 2_000_000
"""So many points are no end of anything."""


class Killed(BaseException):
    """The process that this thread belongs to is no more."""


class Stuck(Exception):
    """The world comes to no end."""


class Life:
    """What threads belong to: a process of an operator, or one on a host."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.over = False
        self.asleep = False
        """Suspended: its threads stay where they are."""
        self.threads: list[Task] = []


@dataclass(eq=False, slots=True)
class Task:
    """One thread."""

    life: Life
    do: Callable[[], object]
    run: Hand | None = None
    """None until it begins."""
    ended_by: greenlet | None = None
    """Who goes on when it is ended from elsewhere."""
    wakes: int = 0
    """Counts how often it was waited for: an alarm of an earlier wait wakes nobody."""
    parked: bool = False
    rang: bool = False
    """Whether it was an alarm that ended its last wait."""
    broke: BaseException | None = None
    done: bool = False
    joined: list[Task] = field(default_factory=list)


class Hand(greenlet):  # type: ignore[misc] # it is told without types
    """Runs threads, one after the other: a new greenlet has memory of its own to be fetched."""

    idle: list[Hand] = []  # noqa: RUF012 - of all worlds
    baton: Baton
    task: Task

    def takes(self, baton: Baton, task: Task) -> Hand:
        """It is to run this one next."""
        self.baton, self.task = baton, task
        return self

    def run(self) -> None:
        while True:
            baton, task = self.baton, self.task
            baton.live(task)
            Hand.idle.append(self)
            heir = task.ended_by or baton.heir()
            if heir is not self:
                heir.switch()


class Baton:
    """Who runs, when, and what time it is."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - it is to be the same again
        self.now = 0.0
        self.points = 0
        self.trace: list[str] = []
        self.crashed: list[str] = []
        """Threads that ended by an exception nobody expected."""
        self._ready: list[Task] = []
        self._alarms: list[tuple[float, int, Task, int]] = []
        self._moments: list[tuple[int, int, Callable[[], None]]] = []
        self._hours: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0
        self._rate = 1 / self.random.choice((3, 10, 30, 100))
        self._due = 1
        self._hub = getcurrent()
        self._until: Callable[[], bool] = lambda: True
        self.task: Task | None = None

    @property
    def me(self) -> Task:
        """The thread that runs."""
        if self.task is None:
            raise Stuck("nobody runs")
        return self.task

    # --- threads -----------------------------------------------------------------------------

    def start(self, life: Life, do: Callable[[], object]) -> Task:
        """A new thread of that life."""
        task = Task(life, do)
        life.threads.append(task)
        self._ready.append(task)
        return task

    def live(self, task: Task) -> None:
        """From its beginning to its end."""
        try:
            task.do()
        except Killed:
            pass
        except GreenletExit:  # its world was given up
            raise
        except BaseException as error:  # noqa: BLE001 - whatever ends a thread is told
            task.broke = error
            if task.ended_by is None:
                self.crashed.append(f"{task.life.name}: {task.broke!r}")
        task.done = True
        task.life.threads.remove(task)
        for each in list(task.joined):
            self.wake(each)

    def kill(self, life: Life) -> None:
        """All its threads are gone, now; nothing that they would do on the way out happens."""
        life.over = True
        for task in list(life.threads):
            if task is not self.task:
                self._end(task)
        if self.task is not None and self.task.life is life:
            raise Killed

    def _end(self, task: Task) -> None:
        task.parked = False
        task.wakes += 1
        if task in self._ready:
            self._ready.remove(task)
        if task.run is None:
            task.done = True
            task.life.threads.remove(task)
            return
        task.ended_by = getcurrent()
        before, self.task = self.task, task
        try:
            task.run.throw(Killed)
        finally:
            self.task = before

    # --- waiting -----------------------------------------------------------------------------

    def point(self) -> None:
        """Somebody else may go on here."""
        task = self.task
        if task is None:
            return
        if task.life.over:
            raise Killed
        self.points += 1
        if self.points >= self._due:
            self._ready.append(task)
            self._leave(task)

    def park(self, seconds: float | None = None) -> bool:
        """Wait until somebody wakes this thread, or so long; whether it was woken."""
        task = self.me
        if task.life.over:
            raise Killed
        task.wakes += 1
        task.parked = True
        if seconds is not None:
            self._count += 1
            heappush(self._alarms, (self.now + seconds, self._count, task, task.wakes))
        self._leave(task)
        return not task.rang

    def _leave(self, task: Task) -> None:
        heir = self.heir()
        if heir is not task.run:
            heir.switch()
        if task.life.over:
            raise Killed

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.park(max(0.0, seconds))

    def wake(self, task: Task, *, rang: bool = False) -> None:
        """Let a thread that waits go on."""
        if task.parked and not task.done:
            task.parked = False
            task.rang = rang
            self._ready.append(task)

    def join(self, task: Task, seconds: float | None = None) -> bool:
        """Wait for its end; whether it came."""
        if not task.done:
            me = self.me
            task.joined.append(me)
            try:
                self.park(seconds)
            finally:
                if me in task.joined:
                    task.joined.remove(me)
        return task.done

    # --- what comes from outside ---------------------------------------------------------------

    def at_point(self, number: int, do: Callable[[], None]) -> None:
        """Something happens at that point of the world, whoever is there."""
        self._count += 1
        heappush(self._moments, (number, self._count, do))

    def at(self, when: float, do: Callable[[], object]) -> None:
        """Something happens at that time."""
        self._count += 1
        heappush(self._hours, (when, self._count, do))

    def calm(self) -> None:
        """Nothing more comes from outside."""
        self._moments.clear()

    def tell(self, words: str) -> None:
        """What has happened, for whoever reads the story of this world."""
        self.trace.append(f"{self.now:9.3f} {words}")

    # --- the world -----------------------------------------------------------------------------

    def play(self, until: Callable[[], bool]) -> None:
        """Let all go on until that is so. Raises Stuck."""
        self._until = until
        while True:
            task = self.task or self._next()
            if task is not None:
                (task.run or self._begun(task)).switch()
            elif until():
                return
            elif self.points > FOREVER:
                raise Stuck("it goes on for ever")
            elif self._moments and self._moments[0][0] <= self.points:
                heappop(self._moments)[2]()
            elif not self._strikes():
                raise Stuck("everybody waits for somebody else")

    def heir(self) -> greenlet:
        """Who goes on now: the next thread, or the hub."""
        task = self._next()
        if task is None or not (task.run or Hand.idle):
            return self._hub
        return task.run or self._begun(task)

    def _begun(self, task: Task) -> Hand:
        """Its hand. A new one is made in the hub alone, where nothing lies below it."""
        hand = Hand.idle.pop() if Hand.idle else Hand(parent=self._hub)
        task.run = hand.takes(self, task)
        return hand

    def _next(self) -> Task | None:
        """The thread that the seed says; None where something else is to happen first."""
        self.task = None
        while not self._until() and self.points <= FOREVER:
            if self._moments and self._moments[0][0] <= self.points:
                return None
            ready = [n for n, task in enumerate(self._ready) if not task.life.asleep]
            if ready:
                number = self.random.choice(ready) if len(ready) > 1 else ready[0]
                # As `expovariate` does it, without the call.
                due = self.points + 1 + int(-log(1.0 - self.random.random()) / self._rate)
                self._due = min(due, self._moments[0][0]) if self._moments else due
                self.task = self._ready.pop(number)
                return self.task
            if not self._rings():
                return None
        return None

    def _rings(self) -> bool:
        """Whether an alarm is the next thing that time brings; whoever set it goes on."""
        while self._alarms:
            when, _, task, wakes = self._alarms[0]
            if task.wakes == wakes and task.parked and not task.life.over:
                break
            heappop(self._alarms)
        if not self._alarms or (self._hours and self._hours[0][0] <= self._alarms[0][0]):
            return False
        when, _, task, _ = heappop(self._alarms)
        self.now = max(self.now, when)
        self.wake(task, rang=True)
        return True

    def _strikes(self) -> bool:
        """What comes from outside next happens; whether there is something."""
        if not self._hours:
            return False
        when, _, do = heappop(self._hours)
        self.now = max(self.now, when)
        do()
        return True
