"""Times and numbers as the watcher says them."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(at: float) -> str:
    """`2024-01-30 20:00:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def count(number: int, noun: str) -> str:
    """`1 look`, `2 looks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
