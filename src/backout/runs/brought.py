"""A step brings the same to every host: a file of this machine that changes in the middle of a run
would make one release two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from backout.model.files import content_of
from backout.ports import StepContext
from backout.runs.plan import Action

if TYPE_CHECKING:
    from backout.runs.worker import Worker

NOTE = "brought/"
"""Begins the kind of the record of what a step has brought to its first host, before the step and
the path of the file."""


def changed(worker: Worker, action: Action, work: StepContext) -> str:
    """Why the step must not act: a file is not what an earlier host got of it. What the first one
    gets is on record before the step acts there."""
    for path, digest in _read(worker, action, work):
        with worker.guard:
            first = worker.noted(_name(action, path))
            if first is None and worker.saga.run == worker.plan.run:
                worker.note(_name(action, path), {"host": action.host, "sha256": digest})
            elif first is not None and first["sha256"] != digest:
                return _words(path, first["host"])
    return ""


def differs(worker: Worker, action: Action, work: StepContext) -> str:
    """The same of a run that has ended, whose step is to be done again: nothing is noted."""
    for path, digest in _read(worker, action, work):
        first = worker.noted(_name(action, path))
        if first is None:
            return f"what {action.host} got of {path} is not on record"
        if first["sha256"] != digest:
            return _words(path, first["host"])
    return ""


def _read(worker: Worker, action: Action, work: StepContext) -> Iterator[tuple[str, str]]:
    """Each file of this machine that the step brings to a host, with what it holds."""
    for path in worker.kind(action).reads(work) if action.host else ():
        with suppress(OSError):  # the step itself says best that it cannot be read
            yield path, hashlib.sha256(content_of(Path(path))).hexdigest()


def _name(action: Action, path: str) -> str:
    return f"{NOTE}{action.step.name}/{path}"


def _words(path: str, host: str) -> str:
    return (
        f"{path} on this machine has changed since {host} got it: the hosts of one release would"
        " differ"
    )
