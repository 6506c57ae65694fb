"""Words of the verbs that watch, and that keep watching."""

from __future__ import annotations

from dataclasses import dataclass

from backout.commands.options.base import TARGET, Aimed, Confirmed, Options, word

LISTEN = "Serve the status page here: 127.0.0.1:8642, or a port alone."
ANYWHERE = "Listen on an address that others can reach."
NAMES = "--listen-name NAME: requests may call the server so. Repeatable."
PAGE = "Write the status page into this directory."
USER = "Your own systemd units (systemctl --user), also as root."
KEEPER = "service (watch, the default), timer or crontab (verify)."
ONLY = "Only this check (alive, or alive@web1)."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Watch(Options):
    """Run checks on schedule; tell when one goes bad.

    Watches every inventory that has checks, or those that --target names
    (repeatable). SIGHUP or a changed file: the inventories are read again.
    SIGTERM or Ctrl-C: what is under way is finished and written.

    The status page is .backout/status/index.html, or in the directory that
    --page names. --listen 127.0.0.1:8642 serves it, with /metrics and /health.

    Example: invoke watch --target prod

    Exit codes: 0 stopped; 2 a mistake in the files; 7 another watcher runs
    here. With --once as for verify: 0, 6 or 9.
    """

    name = "watch"
    room = "backout.commands.watch:Watching.watch"
    target: tuple[str, ...] = word(TARGET, ())
    once: bool = word("Look at everything once, tell what there is to tell, and end.", False)
    listen: str | None = word(LISTEN)
    listen_anywhere: bool = word(ANYWHERE, False)
    listen_name: tuple[str, ...] = word(NAMES, ())
    page: str | None = word(PAGE)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AlertAck(Aimed):
    """Acknowledge what is open now: no more reminders of it.

    Of all targets and checks, or those that are named (alive, or alive@web1).

    Example: invoke alert.ack --target prod --check alive

    Exit codes: 0 acknowledged; 3 there is no such open alert.
    """

    name = "alert.ack"
    room = "backout.commands.watch:Watching.ack"
    check: str | None = word(ONLY)
    note: str | None = word("What the others should know: 'on it', a ticket.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AlertList(Aimed):
    """List the open alerts: what, since when, who knows.

    Example: invoke alert.list --target prod

    Exit codes: 0 listed, also when there is none.
    """

    name = "alert.list"
    room = "backout.commands.watch:Watching.list"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AlertSilence(Aimed):
    """Keep quiet about a target or check for a while.

    What is still wrong when the silence ends is told then.

    Example: invoke alert.silence --target prod --check alive --for 2h

    Exit codes: 0 silenced; 2 a mistake in the words.
    """

    name = "alert.silence"
    room = "backout.commands.watch:Watching.silence"
    check: str | None = word(ONLY)
    for_: str | None = word("How long: 30m, 2h, 1d; 0s ends it.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ScheduleInstall(Aimed, Confirmed):
    """Have the machine watch, or verify regularly.

    --as service keeps `watch` running under systemd; --as timer verifies by a
    systemd timer, --as crontab by a line in your crontab, each --every so
    often. Shows exactly what it writes, and asks. --listen and --page go to
    `watch`.

    Example: invoke schedule.install --target prod --as timer --every 5m

    Exit codes: 0 installed, or was installed already; 2 a mistake in the words;
    3 not confirmed, or the machine refused.
    """

    name = "schedule.install"
    room = "backout.commands.schedule:Schedules.install"
    as_: str | None = word(KEEPER)
    every: str | None = word("How often a timer or crontab verifies: 5m, 1h, 1d.")
    listen: str | None = word(LISTEN)
    listen_anywhere: bool = word(ANYWHERE, False)
    listen_name: tuple[str, ...] = word(NAMES, ())
    page: str | None = word(PAGE)
    user: bool = word(USER, False)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ScheduleRemove(Aimed, Confirmed):
    """Remove what schedule.install wrote, and nothing else.

    Example: invoke schedule.remove --target prod

    Exit codes: 0 removed; 3 not confirmed, or the machine refused.
    """

    name = "schedule.remove"
    room = "backout.commands.schedule:Schedules.remove"
    as_: str | None = word(KEEPER)
    user: bool = word(USER, False)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ScheduleShow(Options):
    """Show what is installed for this directory.

    Example: invoke schedule.show
    """

    name = "schedule.show"
    room = "backout.commands.schedule:Schedules.show"
    user: bool = word(USER, False)
