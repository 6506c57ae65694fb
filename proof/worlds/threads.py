"""What the product takes from `threading`, `concurrent.futures`, `queue`, `time`: by the baton."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from proof.worlds.baton import Baton, Task

START = datetime(2024, 1, 30, 20, 0, tzinfo=UTC)


class Now:
    """The world that is played now, and whose wall clock is asked."""

    baton: Baton
    skew: Callable[[], float] = staticmethod(lambda: 0.0)


class Lock:
    """`threading.Lock`, and `RLock`."""

    def __init__(self) -> None:
        self._owner: Task | None = None
        self._depth = 0
        self._waiting: deque[Task] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: ARG002 - the seam's form
        me = Now.baton.task
        while self._depth and (self._owner is not me or me is None):
            if not blocking:
                return False
            self._waiting.append(Now.baton.me)
            Now.baton.park()
        self._owner = me
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            if self._waiting:
                Now.baton.wake(self._waiting.popleft())

    def locked(self) -> bool:
        return bool(self._depth)

    def __enter__(self) -> bool:
        if self._depth:
            return self.acquire()
        self._owner, self._depth = Now.baton.task, 1
        return True

    def __exit__(self, *_: object) -> None:
        self.release()


class Event:
    """`threading.Event`."""

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            Now.baton.wake(task)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        me = Now.baton.task
        if not self._set and me is not None:
            self._waiting.append(me)
            try:
                Now.baton.park(timeout)
            finally:
                if me in self._waiting:
                    self._waiting.remove(me)
        return self._set


class Thread:
    """`threading.Thread`."""

    def __init__(
        self,
        target: Callable[..., object] = lambda: None,
        args: Iterable[Any] = (),
        name: str = "",
        daemon: bool = True,  # noqa: ARG002 - none outlives its life here
    ) -> None:
        self._do = lambda: target(*args)
        self.name = name
        self._task: Task | None = None

    def start(self) -> None:
        self._task = Now.baton.start(Now.baton.me.life, self._do)

    def join(self, timeout: float | None = None) -> None:
        if self._task is not None:
            Now.baton.join(self._task, timeout)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done


class Future:
    """What a thread of a pool comes to."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._value: Any = None
        self._error: BaseException | None = None
        self._task = Now.baton.start(Now.baton.me.life, lambda: self._work(do))

    def _work(self, do: Callable[[], Any]) -> None:
        try:
            self._value = do()
        except Exception as error:  # noqa: BLE001 - whoever asks for the value hears of it
            self._error = error

    def result(self) -> Any:
        Now.baton.join(self._task)
        if self._error is not None:
            raise self._error
        return self._value


class Pool:
    """`ThreadPoolExecutor`, as wide as it is asked to be."""

    def __init__(self, workers: int = 0, name: str = "") -> None:  # noqa: ARG002 - the seam's form
        self._all: list[Future] = []

    def submit(self, do: Callable[..., Any], *args: Any) -> Future:
        future = Future(lambda: do(*args))
        self._all.append(future)
        return future

    def map(self, do: Callable[..., Any], items: Iterable[Any]) -> Iterator[Any]:
        futures = [self.submit(do, item) for item in items]
        return (future.result() for future in futures)

    def shutdown(self, wait: bool = True, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the seam's form
        for future in self._all:
            Now.baton.join(future._task)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()


class Queue:
    """`queue.SimpleQueue`."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._more = Event()

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._more.set()

    def get(self) -> Any:
        while not self._items:
            self._more.clear()
            self._more.wait()
        return self._items.popleft()


class Threading:
    """The module `threading`."""

    Lock = RLock = Lock
    Event = Event
    Thread = Thread

    @staticmethod
    def current_thread() -> object:
        return Now.baton.task

    @staticmethod
    def main_thread() -> object:
        """Signals are told otherwise here."""
        return Threading


class Time:
    """The module `time`."""

    @staticmethod
    def monotonic() -> float:
        return Now.baton.now

    @staticmethod
    def time() -> float:
        return wall().timestamp()

    @staticmethod
    def sleep(seconds: float) -> None:
        Now.baton.sleep(seconds)


def wall() -> datetime:
    """The clock on the wall of whoever asks, which may be wrong."""
    return START + timedelta(seconds=Now.baton.now + Now.skew())


class _Kind(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class Wall(datetime, metaclass=_Kind):
    """`datetime`, by that clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # the real one's
        return wall().astimezone(tz)


class Secrets:
    """The module `secrets`, by the seed."""

    @staticmethod
    def token_hex(count: int = 16) -> str:
        return f"{Now.baton.random.getrandbits(count * 8):0{count * 2}x}"
