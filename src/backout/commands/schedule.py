"""`schedule.install`, `schedule.remove` and `schedule.show`."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from backout.adapters.autostart import MARK, Crontab, Entry, Systemd
from backout.commands.options import ScheduleInstall, ScheduleRemove, ScheduleShow
from backout.errors import Mistakes, Refused
from backout.model import duration, seconds
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.watched import Installed, InstalledEntry

EVERY = "5m"


class Keeper(Protocol):
    """Where entries are kept: systemd, or a crontab."""

    def entries(self) -> tuple[Entry, ...]: ...
    def place(self, entry: Entry) -> str: ...
    def write(self, entries: Sequence[Entry]) -> None: ...
    def remove(self, entries: Sequence[Entry]) -> None: ...


class Schedules:
    """The verbs of what this machine does by itself."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def install(self, options: ScheduleInstall) -> Answer:
        return _Schedule(self.workplace, self.screen, options).install()

    def remove(self, options: ScheduleRemove) -> Answer:
        chosen = ScheduleInstall(target=options.target, as_=options.as_, user=options.user)
        return _Schedule(self.workplace, self.screen, chosen).remove()

    def show(self, options: ScheduleShow) -> Answer:
        chosen = ScheduleInstall(user=options.user)
        return _Schedule(self.workplace, self.screen, chosen).show()


class _Schedule:
    """What this machine does by itself for one directory."""

    def __init__(self, workplace: Workplace, screen: Screen, options: ScheduleInstall) -> None:
        self.workplace = workplace
        self.screen = screen
        self.options = options
        self.systemd = Systemd(user=options.user)
        self.keepers: Mapping[str, Keeper] = {
            "service": self.systemd,
            "timer": self.systemd,
            "crontab": Crontab(),
        }

    def install(self) -> Answer:
        """Show what would be written, ask, write it."""
        kind = self._kind() or "service"
        keeper, entries = self.keepers[kind], self._entries(kind)
        there = {entry.name: entry.text for entry in keeper.entries()}
        if all(there.get(entry.name) == entry.text for entry in entries):
            return self._answer(keeper, entries, "installed already")
        shown = (f"{keeper.place(each)}:\n{_indented(each.text)}" for each in entries)
        self._confirm("write this?", shown, "install")
        keeper.write(entries)
        return self._answer(keeper, entries, "installed")

    def remove(self) -> Answer:
        """Show what would be removed, ask, remove it."""
        kinds = [self._kind()] if self._kind() else ["service", "crontab"]
        found = [(self.keepers[kind], self._ours(kind)) for kind in kinds]
        if not any(entries for _, entries in found):
            raise Refused("nothing of this directory is installed", next="invoke schedule.show")
        shown = (keeper.place(each) for keeper, entries in found for each in entries)
        self._confirm("remove this?", shown, "remove")
        rows = list[InstalledEntry]()
        for keeper, entries in found:
            if entries:
                keeper.remove(entries)
                rows += _rows(keeper, entries, "removed")
        return Answer("schedule", Installed(tuple(rows)))

    def show(self) -> Answer:
        """What is installed for this directory."""
        rows = list[InstalledEntry]()
        for kind in ("service", "crontab"):
            rows += _rows(self.keepers[kind], self._ours(kind, every=True), "installed")
        return Answer("schedule", Installed(tuple(rows)))

    # --- what is ours ----------------------------------------------------------------------

    def _ours(self, kind: str, *, every: bool = False) -> tuple[Entry, ...]:
        """The entries for this directory, and for the target that is named."""
        root, target = f"{self.workplace.root} ", "" if every else self._target()
        named = self.workplace.target_name
        return tuple(
            entry
            for entry in self.keepers[kind].entries()
            if entry.owner.startswith(root)
            and (not target or named(entry.owner.removeprefix(root)) == target)
            and (every or kind == "crontab" or self._is_wanted(entry))
        )

    def _is_wanted(self, entry: Entry) -> bool:
        kind = self._kind()
        return not kind or entry.name.startswith(
            "backout-watch-" if kind == "service" else "backout-verify-"
        )

    def _kind(self) -> str:
        kind: str = self.options.as_ or ""
        if kind and kind not in self.keepers:
            known = ", ".join(self.keepers)
            raise Mistakes(f"--as {kind}: it is one of {known}", where="command line")
        return kind

    def _target(self) -> str:
        return self.workplace.aimed(self.options.target)

    def _confirm(self, question: str, shown: Any, verb: str) -> None:
        if not self.screen.operator.confirm("\n\n".join((*shown, question))):
            raise Refused("not confirmed", next=f"invoke schedule.{verb}")

    def _answer(self, keeper: Keeper, entries: Sequence[Entry], state: str) -> Answer:
        return Answer("schedule", Installed(tuple(_rows(keeper, entries, state))))

    # --- what is written -------------------------------------------------------------------

    def _entries(self, kind: str) -> tuple[Entry, ...]:
        if kind == "service":
            return (self._service(),)
        if serving := self._serving():
            raise Mistakes(
                f"{serving[0]} belongs to a watcher: a {kind} only verifies",
                where="command line",
                next="invoke schedule.install --as service",
            )
        target = self.workplace.target(self._target() or None)
        name = self._target() or target.name
        return self._timer(name) if kind == "timer" else (self._line(name),)

    def _service(self) -> Entry:
        target = self._target()
        if target:
            self.workplace.target(target)
        about = ("--target", target) if target else ()
        argv = [*self._argv(), "watch", *about, *self._serving()]
        body = f"""\
[Unit]
Description=Backout watches {_unit(target or "every target")} of {_unit(str(self.workplace.root))}
After=network-online.target
Wants=network-online.target

[Service]
{self._common(argv)}
Type=exec
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
KillMode=mixed
TimeoutStopSec=60

[Install]
WantedBy={self._wanted_by()}
"""
        return self._entry(f"backout-watch-{self._slug(target)}.service", body, target)

    def _serving(self) -> tuple[str, ...]:
        """What `watch` is told about its status page."""
        said: list[str] = []
        if listen := self.options.listen:
            from backout.adapters.web.address import Address

            anywhere = self.options.listen_anywhere
            Address.of(listen, anywhere=anywhere)
            said += ["--listen", listen, *(["--listen-anywhere"] if anywhere else [])]
            for name in self.options.listen_name:
                said += ["--listen-name", name]
        if page := self.options.page:
            said += ["--page", str((self.workplace.started_in / page).absolute())]
        return tuple(said)

    def _timer(self, target: str) -> tuple[Entry, Entry]:
        name = f"backout-verify-{self._slug(target)}"
        every = self._every()
        what = f"{_unit(target)} of {_unit(str(self.workplace.root))}"
        service = f"""\
[Unit]
Description=Backout verifies {what}

[Service]
{self._common([*self._argv(), "verify", "--target", target])}
Type=oneshot
"""
        timer = f"""\
[Unit]
Description=Backout verifies {what} every {duration(every)}

[Timer]
OnActiveSec={every:g}
OnUnitActiveSec={every:g}
AccuracySec=1

[Install]
WantedBy=timers.target
"""
        return (
            self._entry(f"{name}.service", service, target),
            self._entry(f"{name}.timer", timer, target),
        )

    def _line(self, target: str) -> Entry:
        command = shlex.join([*self._argv(), "verify", "--target", target])
        state = os.environ.get("BACKOUT_STATE")
        env = f"BACKOUT_STATE={shlex.quote(state)} " if state else ""
        root = str(self.workplace.root)
        words = f"cd {shlex.quote(root)} && {env}{command}".replace("%", r"\%")
        owner = f"{root} {target}"
        return Entry(
            f"crontab:{owner}", f"{_cron(self._every(), owner)} {words} {MARK}{owner}", owner
        )

    def _common(self, argv: Sequence[str]) -> str:
        """Secrets that come from the environment may be written into a file beside the state."""
        state = self.workplace.state
        lines = [
            f"WorkingDirectory={_unit(str(self.workplace.root))}",
            f"EnvironmentFile=-{_unit(str(state / 'environment'))}",
            f"ExecStart={' '.join(_word(each) for each in argv)}",
        ]
        if os.environ.get("BACKOUT_STATE"):
            lines.insert(1, f"Environment={_word(f'BACKOUT_STATE={state}')}")
        return "\n".join(lines)

    def _entry(self, name: str, body: str, target: str) -> Entry:
        owner = f"{self.workplace.root} {target or '(all)'}"
        return Entry(name, f"{MARK}{owner}\n{body}", owner)

    def _argv(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "backout")

    def _every(self) -> float:
        try:
            every = seconds(self.options.every or EVERY)
        except ValueError as error:
            raise Mistakes(f"--every: {error}", where="command line") from None
        if every < 1:
            raise Mistakes("--every: at least a second", where="command line")
        return every

    def _slug(self, target: str) -> str:
        """Readable, and different for every directory and target."""
        root = self.workplace.root
        tail = hashlib.sha256(f"{root}\0{target}".encode()).hexdigest()[:6]
        words = f"{root.name}-{target}" if target else root.name
        return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', words)}-{tail}"

    def _wanted_by(self) -> str:
        return "default.target" if self.systemd.user else "multi-user.target"


def _cron(every: float, owner: str) -> str:
    """Five fields; the minute is spread by a hash, so that not everybody comes at the full hour."""
    minutes = round(every / 60)
    if every % 60 or not minutes or not _even(minutes):
        raise Mistakes(
            f"--every {duration(every)}: a crontab takes parts of an hour, hours or a day",
            where="command line",
            next="--every 5m, or --as timer",
        )
    offset = int(hashlib.sha256(owner.encode()).hexdigest(), 16) % min(minutes, 60)
    if minutes < 60:
        return f"{offset}-59/{minutes} * * * *" if minutes > 1 else "* * * * *"
    hours = minutes // 60
    return f"{offset} {'0' if hours == 24 else '*' if hours == 1 else f'*/{hours}'} * * *"


def _even(minutes: int) -> bool:
    return 60 % minutes == 0 if minutes < 60 else minutes % 60 == 0 and 24 % (minutes // 60) == 0


def _rows(keeper: Keeper, entries: Sequence[Entry], state: str) -> list[InstalledEntry]:
    return [InstalledEntry(keeper.place(e), state, e.text) for e in entries]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _unit(text: str) -> str:
    """A value in a unit file."""
    return re.sub(r"[\r\n]", " ", text).replace("%", "%%")


def _word(text: str) -> str:
    """One word of a command in a unit file."""
    if re.fullmatch(r"[A-Za-z0-9_./:=@+-]+", text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{quoted}"'
