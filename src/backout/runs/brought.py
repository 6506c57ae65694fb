"""A step brings the same to every host: a file of this machine that changes in the middle of a run
would make one release two."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

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
    if not action.host:
        return ""
    for path in worker.kind(action).reads(work):
        try:
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            continue  # the step itself says best that it cannot be read
        name = f"{NOTE}{action.step.name}/{path}"
        with worker.guard:
            first = worker.noted(name)
            if first is None:
                worker.note(name, {"host": action.host, "sha256": digest})
            elif first["sha256"] != digest:
                return (
                    f"{path} on this machine has changed since {first['host']} got it: the hosts"
                    " of one release would differ"
                )
    return ""
