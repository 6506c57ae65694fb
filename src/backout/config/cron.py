"""Schedules as cron words them."""

from __future__ import annotations


def no_cron(text: str) -> str:
    """Why a text is no cron schedule, or nothing."""
    if len(text.split()) != 5:
        return "cron takes five fields: minute, hour, day of month, month, day of week"
    try:
        import cronsim
    except ImportError:
        return ""
    from datetime import UTC, datetime

    try:
        cronsim.CronSim(text, datetime(2024, 1, 1, tzinfo=UTC))
    except cronsim.CronSimError as error:
        return f"no cron schedule: {error}"
    return ""
