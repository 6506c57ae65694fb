"""One thread of a world runs at a time, and the seed says which is next.

Threads are greenlets: they change places where one waits, and, now and then, at the points that
machines, links and journals make. Time is a number, and passes when nobody can go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from greenlet import getcurrent, greenlet

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
    run: greenlet
    wakes: int = 0
    """Counts how often it was waited for: an alarm of an earlier wait wakes nobody."""
    parked: bool = False
    rang: bool = False
    """Whether it was an alarm that ended its last wait."""
    broke: BaseException | None = None
    done: bool = False
    joined: list[Task] = field(default_factory=list)


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
        self._often = self.random.choice((3, 10, 30, 100))
        self._due = 1
        self._hub = getcurrent()
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
        task = Task(life, greenlet(parent=self._hub))
        task.run.run = lambda: self._live(task, do)
        life.threads.append(task)
        self._ready.append(task)
        return task

    def _live(self, task: Task, do: Callable[[], object]) -> None:
        try:
            do()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever ends a thread is told
            task.broke = error
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
        if not task.run:  # it has not begun
            task.done = True
            task.life.threads.remove(task)
            return
        task.run.parent = getcurrent()  # it comes back here
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
        self._hub.switch()
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
        while not until():
            if self.points > FOREVER:
                raise Stuck("it goes on for ever")
            if self._moments and self._moments[0][0] <= self.points:
                heappop(self._moments)[2]()
            elif ready := [n for n, task in enumerate(self._ready) if not task.life.asleep]:
                self._turn(ready)
            elif not self._later():
                raise Stuck("everybody waits for somebody else")

    def _turn(self, ready: list[int]) -> None:
        number = ready[self.random.randrange(len(ready))] if len(ready) > 1 else ready[0]
        task = self._ready.pop(number)
        due = self.points + 1 + int(self.random.expovariate(1 / self._often))
        self._due = min(due, self._moments[0][0]) if self._moments else due
        self.task = task
        try:
            task.run.switch()
        finally:
            self.task = None
        if task.done and task.broke is not None:
            self.crashed.append(f"{task.life.name}: {task.broke!r}")

    def _later(self) -> bool:
        """The next thing that time brings; whether there is one."""
        while self._alarms:
            when, _, task, wakes = self._alarms[0]
            if task.wakes == wakes and task.parked and not task.life.over:
                break
            heappop(self._alarms)
        if self._hours and (not self._alarms or self._hours[0][0] <= self._alarms[0][0]):
            when, _, do = heappop(self._hours)
            self.now = max(self.now, when)
            do()
            return True
        if not self._alarms:
            return False
        when, _, task, _ = heappop(self._alarms)
        self.now = max(self.now, when)
        self.wake(task, rang=True)
        return True
