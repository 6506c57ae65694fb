"""Streams that whoever tells something can rely on: what cannot be written is lost, and no more.

A reader leaves (`| head`), the disk under a log is full, a terminal goes away with its session:
none of it is a fault of the run that is told about.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TextIO, cast

_STANDARD = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def settle() -> None:
    """Where whoever began this process left a standard stream closed, one that leads nowhere: the
    next file that is opened would get its number, and what is told would be written into it."""
    for number, (name, mode) in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets that very number
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - a number, for as long as the process lives


class Enduring:
    """A text stream whose writing raises no OSError."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lost = ""
        """Why something that was told is not there; a reader who left wanted none of it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, as far as that can be done now."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self._lose(error)
        except ValueError:  # closed: whoever speaks now is later than the last word
            if not self.stream.closed:
                raise
        return len(text)

    def flush(self) -> None:
        """Let out what waits, as far as that can be done now."""
        try:
            if not self.stream.closed:
                self.stream.flush()
        except OSError as error:
            self._lose(error)

    def close(self) -> None:
        """It stays open for everybody else, as long as the process lives."""
        self.flush()

    def over(self) -> str:
        """Nothing more is told: what still waits goes out, or nowhere, lest it fail once more when
        the process ends. Gives why something was lost."""
        try:
            if not self.stream.closed:
                self.stream.flush()
        except OSError as error:
            self._lose(error)
            _to_nowhere(self.stream)
        return self.lost

    def _lose(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            _to_nowhere(self.stream)
        else:
            self.lost = self.lost or error.strerror or str(error)


@contextmanager
def lasting() -> Iterator[None]:
    """What Invoke says by itself, a list or a help text, endures as well."""
    settle()
    out, err = Enduring(sys.stdout), Enduring(sys.stderr)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield
    finally:
        if why := out.over():
            err.write(f"{unwritten(why)}\n")
        err.over()


@contextmanager
def apart() -> Iterator[TextIO]:
    """Standard output for the answer alone: what anybody else in this process writes there, in
    Python or by its number, goes to standard error instead."""
    own = sys.stdout
    with redirect_stdout(sys.stderr):
        try:
            first = own.fileno() == 1
        except (OSError, ValueError):
            first = False
        if not first:
            yield own
            return
        own.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        stream = open(kept, "w", encoding=own.encoding, errors=own.errors, closefd=False)  # noqa: SIM115 - it may fail when it is closed
        try:
            yield stream
        finally:
            with suppress(OSError):
                stream.close()
            os.dup2(kept, 1)
            os.close(kept)


def unwritten(why: str) -> str:
    """How it is said that something that was told is not there."""
    return f"stdout could not be written: {why}"


def _to_nowhere(stream: TextIO) -> None:
    """What is still to be written, at exit too, is read by nobody."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return
