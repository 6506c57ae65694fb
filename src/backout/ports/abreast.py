"""The same for many, side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def abreast(do: Callable[[T], U], items: Sequence[T], width: int) -> list[U]:
    """Every item's outcome, in the items' order; at most `width` at a time. After one that raises
    nothing more begins; what has begun is awaited, and of several the first item's error raised.
    What a thread takes next is held for all at once, not a promise for each: items may be
    thousands."""
    if len(items) <= 1:
        return [do(item) for item in items]
    waiting, done, failed = deque(enumerate(items)), dict[int, U](), dict[int, BaseException]()

    def work() -> None:
        while waiting:
            try:
                at, item = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                done[at] = do(item)
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                failed[at] = error
                waiting.clear()

    with ThreadPoolExecutor(min(width, len(items))) as pool:
        try:
            workers = [pool.submit(work) for _ in range(min(width, len(items)))]
            for worker in workers:
                worker.result()
        finally:
            waiting.clear()
    if failed:
        raise failed[min(failed)]
    return [done[at] for at in range(len(items))]
