"""The seams to people: at the terminal, elsewhere, and whoever looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from backout.model import Event


class Operator(Protocol):
    """The person at the terminal, if there is one."""

    @property
    def asking(self) -> bool:
        """Whether a question stands open: a signal then is a no."""

    @property
    def present(self) -> bool:
        """Whether there is a terminal to ask on."""
        ...

    def ask(self, question: str) -> str | None:
        """One line in answer to a question; None when the person has no more to say. Only where
        somebody is `present`."""
        ...

    def line(self, question: str, over: Callable[[], bool]) -> str | None:
        """As `ask`, until it is `over`: that is asked every now and then, and the answer is then
        empty."""
        ...

    def confirm(self, question: str, *, typed: str = "") -> bool:
        """Yes or no; with `typed`, the person must type that word. Raises Refused without a
        terminal, unless `--yes` was given."""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody answered to a question of a run that is held, from wherever they are."""

    key: str
    """The action's."""
    asked: int
    """In which hold it was asked."""
    answer: str
    by: str


class SecondPerson(Protocol):
    """Somebody else than whoever began the run."""

    def agree(self, key: str, question: str, lasting: float, say: Callable[[str], None]) -> str:
        """Wait for another person's yes, `lasting` seconds at most. Why it is none; empty for a
        yes. Under a `key` a run asks once, whoever goes on with it."""
        ...


class Screen(Protocol):
    """Where events, answers and errors are shown."""

    @property
    def operator(self) -> Operator: ...

    @property
    def live(self) -> bool:
        """Whether somebody looks at what happens while it happens."""
        ...

    def print(self, text: str) -> None:
        """An answer, or a part of it."""

    def listen(self, event: Event) -> None:
        """Something happened; from any thread."""

    def over(self) -> None:
        """The run has come to its end, and nothing that may still happen changes it."""

    def interrupted(self) -> None:
        """Say that the run stops, and that a second signal leaves at once."""

    def left(self, what: str, *, state: str, next: str) -> None:
        """Say, from a signal handler, that the process leaves now."""
