"""Whether a target is frozen now, why, and until when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from backout.model.inventory import Freeze

FAR = 366
"""So many windows that lead into one another are followed."""
FIRST, LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
"""What is before or after is meant to be always, and has a day in every zone."""
COUNTED = 10_000
"""So many ticks of one schedule, at most."""


@dataclass(frozen=True, slots=True)
class Window:
    """A freeze, the zone that its times are meant in, and the file that has it."""

    freeze: Freeze
    zone: str
    file: str

    def end(self, now: datetime) -> datetime | None:
        """When this freeze, which holds `now`, is over; None when it does not hold it."""
        if self.freeze.cron:
            return self._cron_end(now)
        start, end = self.times
        return end if start <= now < end else None

    @property
    def times(self) -> tuple[datetime, datetime]:
        """From and until, of a window without a schedule."""
        start, end = self.freeze.from_, self.freeze.until
        return moment(start, self.zone), moment(end, self.zone)

    def _cron_end(self, now: datetime) -> datetime | None:
        from cronsim import CronSim

        lasting = timedelta(seconds=self.freeze.for_ or 0)
        end = None
        for count, tick in enumerate(CronSim(self.freeze.cron, in_zone(now - lasting, self.zone))):
            if tick > now or count == COUNTED:
                break
            end = tick.astimezone(UTC) + lasting
        return end if end and end > now else None


@dataclass(frozen=True, slots=True)
class Frozen:
    """A target that nothing is deployed to now."""

    why: str
    until: datetime
    zone: str
    file: str

    @property
    def words(self) -> str:
        """`until Mon 2026-12-21 06:00 Europe/Berlin (05:00Z): holidays`."""
        local = in_zone(self.until, self.zone)
        utc = "" if self.zone == "UTC" else f" ({self.until.astimezone(UTC):%H:%M}Z)"
        return f"until {local:%a %Y-%m-%d %H:%M} {self.zone}{utc}: {self.why}"


def frozen(windows: Sequence[Window], now: datetime) -> Frozen | None:
    """What holds the target now, until it is free again: windows that lead into one another are
    one."""
    holding = [(window, end) for window in windows if (end := window.end(now))]
    if not holding:
        return None
    until = max(end for _, end in holding)
    for _ in range(FAR):
        later = max(_ends(windows, until), default=until)
        if later <= until:
            break
        until = later
    why = "; ".join(dict.fromkeys(window.freeze.why for window, _ in holding))
    first = holding[0][0]
    return Frozen(why, until, first.zone, first.file)


def _ends(windows: Sequence[Window], at: datetime) -> Iterator[datetime]:
    return (end for window in windows if (end := window.end(at)))


def moment(text: str, zone: str) -> datetime:
    """A date or a time, in UTC; one without an offset is meant in `zone`. Raises ValueError."""
    at = datetime.fromisoformat(text)
    try:
        there = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except OverflowError:  # `until: 9999-12-31`, west of Greenwich
        return FIRST if at.year == 1 else LAST
    return min(max(there, FIRST), LAST)


def in_zone(at: datetime, zone: str) -> datetime:
    return at.astimezone(UTC if zone == "UTC" else ZoneInfo(zone))


def thaws(cron: str, lasting: float, zone: str, now: datetime) -> bool:
    """Whether there is a gap between its windows, as far as can be seen."""
    from cronsim import CronSim

    ticks = CronSim(cron, in_zone(now, zone))
    last = next(ticks, None)
    for _, tick in zip(range(COUNTED), ticks, strict=False):
        if last is None or (tick.astimezone(UTC) - last.astimezone(UTC)).total_seconds() > lasting:
            return True
        last = tick
    return last is None
