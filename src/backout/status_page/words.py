"""Times, shares and numbers in words."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def milliseconds(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.3g} ms" if value < 10 else f"{value:.0f} ms"


def percent(share: float | None) -> str:
    """Never rounded up to 100 %: what was not whole is not called so."""
    if share is None:
        return "–"
    if share == 1:
        return "100%"
    return f"{int(share * 10000) / 100:.2f}%"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def plural(number: int) -> str:
    return "s" if number == 1 else ""


def lower(text: str) -> str:
    return text[:1].lower() + text[1:]
