"""A watcher that is killed before its n-th write, and the one after it; forked from one process,
so that a hundred of them are quick.

Arguments: a directory, the port of a receiver, the number of a trial to begin with. Prints how
often there was something to kill.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from backout.adapters import notify
from backout.model import Delivery, Message, Verdict
from support.watch import SettableClock, Simulation, check, target

START = datetime(2024, 1, 30, 20, 0, tzinfo=UTC).timestamp()
BAD = START + 130
"""Until then the check fails."""
END = START + 400

clock_of_all = mmap.mmap(-1, 8)


def verdict(now: float) -> Verdict:
    return Verdict.FAIL if now < BAD else Verdict.PASS


def watch(directory: Path, url: str, count: Callable[[object], None]) -> None:
    (now,) = struct.unpack("d", clock_of_all[:8])

    def receive(_: str, message: Message) -> Delivery:
        count("before sending")
        delivery = notify.post(url, message.kind, message.key, message.title, message.body)
        count("after sending")
        return delivery

    watched = target(check("alive", every="1m", alert={"after": 1, "recover": 1}))
    clock = SettableClock(datetime.fromtimestamp(now, UTC))
    with Simulation(directory, [watched], {"alive": verdict}, clock, receive=receive) as sim:
        sim.store._db.set_trace_callback(count)
        while clock.stamp < END:
            sim.run(5)
            clock_of_all[:8] = struct.pack("d", clock.stamp)


def killer(number: int) -> Callable[[object], None]:
    """Kills this process before its `number`th step."""
    left = [number]

    def count(_: object) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # noqa: BLE001 - a forked test process must not go on
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def main(directory: Path, port: str) -> None:
    notify.post("json://127.0.0.1:1", "note", "warm", "", "")  # what is imported late, once
    trial, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        trial += 1
        own, url = directory / str(trial), f"json://127.0.0.1:{port}/{trial}"
        own.mkdir()
        clock_of_all[:8] = struct.pack("d", START)
        code = forked(lambda own=own, url=url, n=trial: watch(own, url, killer(n)))  # type: ignore[misc]
        if code == -signal.SIGKILL:
            rest = forked(lambda own=own, url=url: watch(own, url, lambda _: None))  # type: ignore[misc]
            assert rest == 0, f"trial {trial}"
    assert code == 0
    print(trial - 1)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
