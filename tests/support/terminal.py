"""A pseudo-terminal with somebody at it: what a program shows there, and what is typed."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import textwrap
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .measured import measured


class Terminal:
    """As much of a terminal as a live screen needs: lines, carriage return, up, erase."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]
        self.row = self.column = 0
        self.seen = ""
        self.unknown: set[str] = set()

    def feed(self, text: str) -> None:
        self.seen += text
        for sequence, char in re.findall(r"(\x1b\[[0-?]*[@-~])|(.)", text, re.DOTALL):
            self._obey(sequence) if sequence else self._write(char)

    def _write(self, char: str) -> None:
        if char == "\n":
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif char == "\r":
            self.column = 0
        else:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1

    def _obey(self, sequence: str) -> None:
        if sequence.endswith("A"):
            self.row = max(0, self.row - int(sequence[2:-1] or 1))
        elif sequence == "\x1b[2K":
            self.lines[self.row] = ""
        elif not sequence.endswith("m") and sequence not in ("\x1b[?25l", "\x1b[?25h"):
            self.unknown.add(sequence)

    @property
    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.lines if line.strip()]


class Session:
    """A program on a pseudo-terminal."""

    def __init__(
        self, program: str, columns: int, environ: Mapping[str, str], *, echo: bool, rows: int = 30
    ) -> None:
        self.screen = Terminal()
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        if not echo:
            self.do_not_echo(slave)
        environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", **environ}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=measured({**environment, "PYTHONIOENCODING": "utf-8"}),
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        text = ""
        while True:
            try:
                text += decoder.decode(os.read(self.master, 65536))
            except OSError:  # the program has ended
                return
            whole = re.sub(r"\x1b(?:\[[0-?]*)?$", "", text)
            self.screen.feed(whole)
            text = text[len(whole) :]

    def do_not_echo(self, descriptor: int) -> None:
        """What is typed to go on must not move the cursor."""
        settings = termios.tcgetattr(descriptor)
        settings[3] &= ~(termios.ECHO | termios.ECHONL)
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)

    def resize(self, columns: int, rows: int = 30) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        code = self.process.wait(120)
        self._reader.join(60)
        os.close(self.master)
        return code


PRELUDE = """
import os, sys, threading, time
from datetime import datetime, UTC
from backout.adapters.terminal import ui
from backout.model import Event
def tell(kind, text, **about):
    screen.listen(Event(datetime.now(UTC), kind, text, **about))
def step(name, state, host="", phase="do", **about):
    tell("step", name, step=name, host=host, phase=phase, state=state, **about)
def go_on():
    sys.stdin.readline()
screen = ui.choose(sys.stdout, False, os.environ)
"""


@contextmanager
def on_a_terminal(
    program: str, columns: int = 80, *, echo: bool = False, rows: int = 30, **environ: str
) -> Iterator[Session]:
    """The program is running, with a `screen` that suits the terminal, until the block ends."""
    session = Session(program, columns, environ, echo=echo, rows=rows)
    try:
        yield session
    finally:
        session.process.kill()
        session.process.wait()
