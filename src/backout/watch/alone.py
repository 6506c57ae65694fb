"""One watcher for each state directory of this machine."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backout.adapters.local_lock import owner
from backout.adapters.own_directory import prepare
from backout.errors import Held
from backout.reports.data import stamp


@contextmanager
def alone(state: Path, lock: str = "watch.lock") -> Iterator[None]:
    """One watcher per state directory. Raises Held."""
    prepare(state)
    with (state / lock).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Held(
                f"another watcher runs here: {_who(file.read())}",
                where=str(state),
                state="it goes on",
                next="invoke status",
            ) from None
        file.truncate(0)
        since = stamp(datetime.now(UTC))
        json.dump({"pid": os.getpid(), "owner": owner(), "since": since}, file)
        file.flush()
        yield


def _who(noted: str) -> str:
    try:
        by = json.loads(noted)
        return f"process {by['pid']} of {by['owner']} since {by['since']}"
    except (ValueError, KeyError):
        return "it has just started"
