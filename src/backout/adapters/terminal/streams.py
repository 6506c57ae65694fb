"""Streams that whoever tells something can rely on: what cannot be written is lost, and no more.

A reader leaves (`| head`), the disk under a log is full, a terminal goes away with its session:
none of it is a fault of the run that is told about.
"""

from __future__ import annotations

import os
from typing import Any, TextIO


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

    def over(self) -> str:
        """Nothing more is told: what still waits goes out, or nowhere, lest it fail once more when
        the process ends. Gives why something was lost."""
        try:
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


def drain(stream: TextIO) -> None:
    """What still waits goes out, or nowhere where it cannot."""
    try:
        stream.flush()
    except OSError:
        _to_nowhere(stream)


def _to_nowhere(stream: TextIO) -> None:
    """What is still to be written, at exit too, is read by nobody."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return
