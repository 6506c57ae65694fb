"""`uninstall`: what Backout left on a target's hosts, and here, is taken away."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from backout.adapters.local_lock import LocalLock
from backout.adapters.standings import held, standings
from backout.adapters.storage import pruning
from backout.adapters.transports.shell_text import path, run_name
from backout.commands.options import Uninstall
from backout.commands.planning import new_run
from backout.errors import Held, Refused
from backout.model import Command, Event, Target
from backout.ports import Screen, Transport
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.objects import LeftHost, Uninstalled
from backout.runs import release_file
from backout.runs.leasing import spent
from backout.runs.parts import side_by_side
from backout.runs.release_file import HostRecord

LOOK = 60.0
_SIZE = "if [ -d {home} ] && [ ! -L {home} ]; then du -sk {home} | cut -f1; fi"
_REMOVE = """
home={home}
if [ ! -d "$home" ] || [ -L "$home" ]; then exit 0; fi
cd "$home"
if [ ! -e fence ] && [ ! -e release.json ]; then ls -A; exit 0; fi
rm -rf -- lock lock.* notes fence kept put-* release.json .gitignore
head=; { IFS= read -r head <.git/HEAD; } 2>/dev/null || :
[ "$head" != 'ref: refs/heads/none' ] || rm -rf .git
cd /
rmdir "$home" 2>/dev/null || { ls -A "$home"; exit 0; }
above=${home%/*}
case $above in */.backout) rmdir "$above" 2>/dev/null || : ;; esac
"""
"""Only what Backout makes goes, by its names: a directory that was chosen may have more in it.
That is printed."""


class Uninstalling:
    """One target, all of its hosts or none."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def uninstall(self, options: Uninstall) -> Answer:
        target = self.workplace.target(options.target)
        with LocalLock(self.workplace.state, target.name).hold(new_run()):
            self._refuse_open(target)
            machines = self.workplace.machines(target)
            hosts = side_by_side(machines.reach, tuple(target.hosts))
            self._refuse_busy(target, hosts)
            sizes = side_by_side(_size, hosts)
            self._confirm(target, hosts, sizes)
            left = side_by_side(_remove, hosts)
            runs = self._forget(target)
        rows = zip(hosts, sizes, left, strict=True)
        told = tuple(LeftHost(h.host.name, _home(h), size, rest) for h, size, rest in rows)
        following = f"invoke schedule.remove --target {target.name}, where something watches it"
        return Answer("uninstalled", Uninstalled(target.name, told, runs, following))

    # --- before anything goes ------------------------------------------------------------

    def _refuse_open(self, target: Target) -> None:
        row = self.workplace.journal.open_run_of(target.name)
        if row is not None:
            raise Held(
                f"run {row.id} ({row.verb}) of {target.name} is unfinished",
                state="nothing was removed: its way back is in what would be",
                next=row.going_on,
            )

    def _refuse_busy(self, target: Target, hosts: Sequence[Transport]) -> None:
        """Somebody else may be at work there, or have left something half done."""
        over = partial(spent, self.workplace.journal)
        for standing in standings(hosts):
            if not (standing.free or standing.left(over)):
                raise held(standing, target.name)
        for transport in hosts:
            record = release_file.read(transport, _home(transport)) or HostRecord()
            if during := record.without(self.workplace.journal.over).during:
                raise Refused(
                    f"run {during[-1]} has begun on {transport.host.name} and not ended",
                    where=transport.host.name,
                    next="finish it, or back it out, where it was started",
                )

    def _confirm(
        self, target: Target, hosts: Sequence[Transport], sizes: Sequence[int | None]
    ) -> None:
        for transport, size in zip(hosts, sizes, strict=True):
            what = "nothing is there" if size is None else f"{_home(transport)} ({size} KiB)"
            name = transport.host.name
            self.screen.listen(Event(datetime.now(UTC), "note", f"{name}: {what}", host=name))
        question = (
            f"remove this from {len(hosts)} hosts, and every run of {target.name} from the"
            " journal here? No release can be rolled back to after that"
        )
        typed = target.name if target.protected else ""
        if not self.screen.operator.confirm(question, typed=typed):
            raise Refused("not confirmed", next=f"invoke uninstall --target {target.name} --yes")

    # --- after it ------------------------------------------------------------------------

    def _forget(self, target: Target) -> int:
        journal = self.workplace.journal
        for run in journal.runs(target.name, limit=-1):
            notes = self.workplace.state / "here" / "notes" / run_name(run.id)
            shutil.rmtree(notes, ignore_errors=True)
        gone = journal.change(partial(pruning.forget_target, target=target.name))
        journal.compact()
        return gone


def _home(transport: Transport) -> str:
    return str(transport.home)  # type: ignore[attr-defined] # every transport of a host has one


def _size(transport: Transport) -> int | None:
    """KiB; None where nothing is. Raises Refused."""
    said = _said(transport, _SIZE.format(home=path(_home(transport))))
    return int(said) if said else None


def _remove(transport: Transport) -> tuple[str, ...]:
    """What was found there beside what Backout makes. Raises Refused."""
    return tuple(_said(transport, _REMOVE.replace("{home}", path(_home(transport)))).splitlines())


def _said(transport: Transport, script: str) -> str:
    done = transport.run(Command(script, timeout=LOOK))
    if not done.ok:
        raise Refused(
            f"{transport.host.name}: {done.stderr.strip() or done.reason}",
            state="what had been removed is removed; the rest is as it was",
            next="put it right, then invoke uninstall again",
        )
    return done.stdout.strip()
