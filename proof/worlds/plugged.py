"""The product's own modules with the baton in the place of threads, clocks and chance."""

from __future__ import annotations

import importlib
import pkgutil
import queue
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import cache
from types import ModuleType
from typing import Any

from proof.worlds import threads

import backout
from backout.adapters.storage import journal_store
from backout.commands import overheard

_INSTEAD: dict[int, Any] = {
    id(threading): threads.Threading,
    id(threading.Lock): threads.Lock,
    id(threading.RLock): threads.Lock,
    id(threading.Event): threads.Event,
    id(threading.Thread): threads.Thread,
    id(ThreadPoolExecutor): threads.Pool,
    id(queue.SimpleQueue): threads.Queue,
    id(time): threads.Time,
    id(time.monotonic): threads.Time.monotonic,
    id(secrets): threads.Secrets,
    id(datetime): threads.Wall,
}
STORAGE = "backout.adapters.storage."
"""The journal: here each record is written by whoever appends it, at once."""
_BESIDE: tuple[tuple[ModuleType, str, Any], ...] = (
    (overheard, "PACE", overheard.BEAT),
    (journal_store, "turn", lambda *_: nullcontext()),
)
"""Nobody wishes anything of a run here, so it seldom looks whether somebody does; and nobody else
writes a journal in memory."""


@cache
def _places() -> tuple[tuple[ModuleType, str, Any, Any], ...]:
    for module in pkgutil.walk_packages(backout.__path__, "backout."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    beside = ((module, name, getattr(module, name), other) for module, name, other in _BESIDE)
    return (*_found(), *beside)


def _found() -> Iterator[tuple[ModuleType, str, Any, Any]]:
    for module_name, module in sorted(sys.modules.items()):
        if not module_name.startswith("backout.") or module_name.startswith(STORAGE):
            continue
        for name, value in list(vars(module).items()):
            other = _INSTEAD.get(id(value))
            if other is not None:
                yield module, name, value, other


@contextmanager
def plugged() -> Iterator[None]:
    """Meanwhile the product waits, sleeps and starts threads by the baton."""
    for module, name, _, other in _places():
        setattr(module, name, other)
    try:
        yield
    finally:
        for module, name, value, _ in _places():
            setattr(module, name, value)
