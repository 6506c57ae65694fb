"""What is the same for every host of a run is asked once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Asked:
    """`ports.Once`: the answers so far. Who asks while somebody else does waits for that answer;
    a question that failed is asked again."""

    def __init__(self) -> None:
        self._answers: dict[str, Any] = {}
        self._guards: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def __call__(self, about: str, ask: Callable[[], T]) -> T:
        with self._guard:
            guard = self._guards.setdefault(about, threading.Lock())
        with guard:
            if about not in self._answers:
                self._answers[about] = ask()
            answer: T = self._answers[about]
            return answer
