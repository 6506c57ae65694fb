"""The person at the terminal, if there is one."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import TextIO

from backout.adapters.terminal.ui import Ui, clean
from backout.errors import Refused

BETWEEN = 0.25
"""Seconds between two looks whether a question is over."""


class TerminalOperator:
    """`ports.Operator`: asks on the terminal, or answers what `--yes` answers."""

    def __init__(self, ui: Ui, stdin: TextIO, *, yes: bool = False) -> None:
        self._ui = ui
        self._stdin = stdin
        self._yes = yes
        self._one_at_a_time = threading.Lock()
        self.asking = False

    @property
    def present(self) -> bool:
        return self._stdin.isatty() and self._ui.progress.isatty()

    def ask(self, question: str) -> str | None:
        """One line in answer; None at the end of what is typed."""
        with self._one_at_a_time, self._ui.pause() as stream:
            stream.write(f"{clean(question).strip()}\n> ")
            stream.flush()
            answer = self._stdin.readline()
        return answer.strip() if answer else None

    def line(self, question: str, over: Callable[[], bool]) -> str | None:
        """As `ask`; empty as soon as it is over."""
        with self._one_at_a_time, self._ui.pause() as stream:
            stream.write(f"{clean(question).strip()}\n> ")
            stream.flush()
            while not over():
                if select.select([self._stdin], [], [], BETWEEN)[0]:
                    answer = self._stdin.readline()
                    return answer.strip() if answer else None
            self._ui.write(stream, "")
        return ""

    def confirm(self, question: str, *, typed: str = "") -> bool:
        """Yes or no; with `typed`, that word has to be typed. Raises Refused without a
        terminal, unless `--yes` was given."""
        with self._one_at_a_time, self._ui.pause() as stream:
            question = clean(question).strip()
            if self._yes:
                self._ui.write(stream, f"{question} yes (--yes)")
                return True
            if not (self._stdin.isatty() and stream.isatty()):
                raise Refused(
                    f"not confirmed: {question}",
                    where="there is no terminal to ask on",
                    next="the same command with --yes",
                )
            stream.write(f"{question} {f'Type {clean(typed)} to go on:' if typed else '[y/N]'} ")
            stream.flush()
            self.asking = True
            try:
                answer = self._stdin.readline().strip()
            finally:
                self.asking = False
        return answer == typed if typed else answer.lower() in ("y", "yes")
