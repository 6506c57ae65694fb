"""`unlock`: who holds a target, and its hosts freed when that is safe, or by force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from backout.adapters import mirror
from backout.adapters.local_lock import LocalLock, owner
from backout.adapters.standings import Living, Standing, end_here, standings, take
from backout.commands.options import Unlock
from backout.errors import ExitCode, Refused, Unreachable
from backout.model import Outcome, RunRow
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import stamp
from backout.reports.states import AtWork, EndedCommand, HeldLock, UnlockReport
from backout.reports.story import unfinished
from backout.runs.leasing import spent
from backout.runs.parts import side_by_side


class Unlocking:
    """One look at the locks of a target, and what follows from it."""

    def __init__(self, workplace: Workplace, screen: Screen, options: Unlock) -> None:
        self.workplace = workplace
        self.screen = screen
        self.force = options.force
        self.target = workplace.target(options.target)
        self.machines = workplace.machines(self.target)
        self.open_run = workplace.journal.open_run_of(self.target.name)

    def answer(self) -> Answer:
        known, away = self._asked()
        held = [standing for standing in known if not standing.free]
        unfinished = self.open_run
        if unfinished and not self.force and (remains := [each for each in held if each.remains]):
            held, unfinished = remains, None  # it goes on once they are gone
        alive = LocalLock(self.workplace.state, self.target.name).holder() is not None
        reason = _why_not(held, alive, unfinished, self._spent, force=self.force)
        if away and not (reason or self.force):
            reason = f"{', '.join(away)} cannot be reached, and may be held"
        freed, ended, given_up = bool(held) and not reason, list[EndedCommand](), ""
        goes_on = self._goes_on(held) if freed and self.force else ()
        if freed:
            ended = self._free(held, goes_on)
        if self.force and self.open_run is not None and not reason:
            given_up = self.open_run.id
            ended += self._give_up(self.open_run)
            self.open_run = None
        told = UnlockReport(
            target=self.target.name,
            held=tuple(_held(standing, alive, self._spent) for standing in held),
            ended=tuple(ended),
            goes_on=goes_on,
            freed=freed,
            reason=reason,
            given_up=given_up,
            unreachable=away,
            next=self._next(reason, tuple(away)),
        )
        return Answer("unlock", told, 7 if reason or away else 0)

    def _spent(self, run: str) -> bool:
        return spent(self.workplace.journal, run)

    def _asked(self) -> tuple[list[Standing], dict[str, str]]:
        """The lease of each host that can be asked, and why the others cannot. Raises Unreachable
        when that is none of them."""

        def ask(name: str) -> Standing | Unreachable:
            try:
                return standings([self.machines.reach(name)])[0]
            except Unreachable as error:
                return error

        names = tuple(self.target.hosts)
        found = dict(zip(names, side_by_side(ask, names), strict=True))
        away = {host: why for host, why in found.items() if isinstance(why, Unreachable)}
        if away and len(away) == len(found):
            raise next(iter(away.values()))
        known = [each for each in found.values() if isinstance(each, Standing)]
        return known, {host: why.what for host, why in away.items()}

    def _goes_on(self, held: Sequence[Standing]) -> tuple[str, ...]:
        """What the holders may be at on their own machines, as far as their mirrors tell: what is
        at work here is seen, and ended."""
        ours = self.open_run.id if self.open_run else ""
        owners = {each.lease.run: each.lease.owner for each in held if each.lease}
        hosts = [self.machines.reach(standing.host) for standing in held]
        told = list[str]()
        for run, whose in owners.items():
            if run in ("", ours):
                continue
            try:
                found = mirror.read(hosts, run)
            except Refused:
                continue  # what cannot be read tells nothing; the lock is taken all the same
            steps = mirror.under_way(found) if found else ()
            told += [f"{step}, on the machine of {whose or run}" for step in steps]
        return tuple(told)

    def _free(self, held: Sequence[Standing], goes_on: Sequence[str]) -> list[EndedCommand]:
        name = self.target.name
        ends = [f"{each} on {standing.host}" for standing in held for each in standing.living]
        words = f" This ends {'; '.join(ends)}." if ends else ""
        words += f" It does not end {'; '.join(goes_on)}." if goes_on else ""
        if not self.screen.operator.confirm(f"free the lock of {name}?{words}"):
            raise Refused("not confirmed", next=f"invoke unlock --target {name}")
        reach = [self.machines.reach(standing.host) for standing in held]
        ended = take(reach, name, force=self.force, over=self._spent)
        return [_ended(host, each) for host, each in ended]

    def _give_up(self, row: RunRow) -> list[EndedCommand]:
        """End an unfinished run as it is, and what it still does on this machine: a person has
        put right what it left."""
        question = f"give run {row.id} up as it is? It can be neither resumed nor aborted then."
        if not self.screen.operator.confirm(question):
            raise Refused("not confirmed", next=f"invoke show {row.id}")
        ended = end_here(self.machines.reach(""), row.id, self.target.name)
        known = unfinished(row, self.workplace.journal.recall(row.id))
        report = replace(
            known,
            outcome=Outcome.BACKOUT_INCOMPLETE,
            exit_code=ExitCode.INCOMPLETE,
            reason=f"given up by {owner()}; a person put things right",
        )
        now = datetime.now(UTC)
        journal = self.workplace.journal
        if not (driving := journal.driving(row.id)).ours:
            journal.claim(row.id, driving)
        journal.close_run(row.id, report.outcome, report.exit_code, report.to_data(), now)
        return [_ended(None, each) for each in ended]

    def _next(self, reason: str, away: Sequence[str]) -> str:
        unlock = f"invoke unlock --target {self.target.name}"
        if self.open_run is not None:
            return self.workplace.going_on(self.open_run)
        if away:
            later = f"when {', '.join(away)} can be reached: {unlock}"
            return f"{later}; or now, for the others: {unlock} --force" if reason else later
        return f"{unlock} --force" if reason else ""


def at_work(living: Living) -> AtWork:
    """A command that is alive on a host, as it is told."""
    return AtWork(living.run, living.step, living.pid, stamp(living.since))


def _ended(host: str | None, living: Living) -> EndedCommand:
    return EndedCommand(host, living.run, living.step, living.pid, stamp(living.since))


def _why_not(
    held: Sequence[Standing],
    alive: bool,
    open_run: RunRow | None,
    over: Callable[[str], bool],
    *,
    force: bool,
) -> str:
    """Why the lock is not taken; nothing when it may be."""
    if alive:
        return "a process on this machine is at work on it"
    if force:
        return ""
    if open_run is not None:
        return f"run {open_run.id} ({open_run.verb}) is unfinished: finish it instead"
    at_work = [f"{each} on {standing.host}" for standing in held for each in standing.living]
    if at_work:
        return f"still at work: {'; '.join(at_work)}. Wait for its end, or --force ends it"
    lasting = (each for each in held if not (each.expired or each.left(over)))
    living = ", ".join(standing.host for standing in lasting)
    return f"the lease on {living} has not expired: its holder may be alive" if living else ""


def _held(standing: Standing, alive: bool, over: Callable[[str], bool]) -> HeldLock:
    lease, working = standing.lease, tuple(map(at_work, standing.living))
    past = standing.left(over)
    living = True if alive or working else (False if standing.expired or past else None)
    if lease is None:  # it was let go of, and a command goes on all the same
        last = working[-1]
        known = HeldLock(standing.host, "", last.run, last.since, step=last.step)
    else:
        since, expires = stamp(lease.since), stamp(lease.expires)
        about = (standing.host, lease.owner, lease.run, since, expires)
        known = HeldLock(*about, step=lease.step, fence=lease.fence, over=past)
    return replace(known, alive=living, at_work=working)
