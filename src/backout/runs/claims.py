"""Whose release stands on a run's hosts: asked before anything changes, and kept while it does.

A number or a commit does not tell: two machines that deploy, or a journal that was restored from a
copy, know the same ones. So each host names the run, and a run that goes back, or goes on, does so
only where the host names the one that the journal would have it name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from backout.errors import Outdated, Refused, TakenOver, Unreachable
from backout.model import Event, LedgerRow, Release, State, alike
from backout.ports import PAUSES
from backout.runs import release_file
from backout.runs.decisions import FOUND, UNHEARD, UNNAMED, Decisions, begun, named, unheard
from backout.runs.parts import Parts, side_by_side
from backout.runs.release_file import HostRecord
from backout.runs.saga import Saga

OLD = "this journal does not know of it: is it an older copy?"


@dataclass(frozen=True, slots=True)
class _News:
    """What stands in the way of going on."""

    words: str
    older: bool = True
    """Whether it is of this very run, so that the journal would know it."""


@dataclass(frozen=True, slots=True)
class Brought:
    """One release of the journal, or one run that made none, as hosts may name it."""

    runs: frozenset[str]
    """The run, and the rollbacks that came back to its release."""
    hosts: frozenset[str]
    """Where it was at work."""
    sure: frozenset[str] = frozenset()
    """Where it certainly ended well."""
    found: Mapping[str, str] = field(default_factory=dict)
    """Host -> the run that it named before; as far as that was noted."""


def expected(brought: Iterable[Brought], host: str) -> frozenset[str]:
    """The runs that a host may name when these, newest first, are the last that were there; an
    empty word when it may name none."""
    runs: set[str] = set()
    for each in brought:
        if host in each.hosts:
            runs |= each.runs
            if host in each.sure:
                return frozenset(runs)
    return frozenset((*runs, ""))


def stranger(brought: Sequence[Brought], undoing: int, host: str, last: str) -> str | None:
    """The run that stands in the way of undoing the first `undoing` of `brought` on a host that
    names `last`: it came after them, or between them. None when there is no such one."""
    if last not in expected(brought, host):
        return last
    for index, each in enumerate(brought[:undoing]):
        before = each.found.get(host)
        if before is not None and before not in expected(brought[index + 1 :], host):
            return before
    return None


class Claims:
    """The records on the hosts of one run."""

    def __init__(
        self,
        parts: Parts,
        saga: Saga,
        decisions: Decisions,
        target: str,
        homes: Mapping[str, str],
        machines: Iterable[str] = (),
    ) -> None:
        """`homes` has every host of the run, and where its record is; `machines` also those that
        it only moves traffic on."""
        self.parts = parts
        self.saga = saga
        self.decisions = decisions
        self.target = target
        self.homes = homes
        self.beside = tuple(name for name in machines if name not in homes)
        self.run = saga.run
        self.records = dict.fromkeys(homes, HostRecord())
        self.learned = False
        """Whether every host was asked, and none knows more of this run than the journal."""
        self._elsewhere = 0

    # --- asking --------------------------------------------------------------------------

    def learn(self, *, patient: bool = False) -> None:
        """Ask every host; who goes back is `patient`: what cannot be reached is left out, and where
        nothing was changed yet nobody is beneath. Raises Unreachable, Outdated where the journal
        does not know what became of this run, and Refused where another one came."""
        above = not patient or begun(self.parts.journal.recall(self.run))
        if not patient:
            self._refuse_unheard()

        def ask(host: str) -> list[_News]:
            try:
                return list(self._ask(host, above))
            except Unreachable:
                if not patient:
                    raise
                return []

        beside = () if self.decisions.noted(FOUND) is None else (*self.beside, "")
        found = side_by_side(ask, (*self.homes, *beside))
        news = [each for those in found for each in those]
        older = any(each.older for each in news)
        self._refuse([each.words for each in news], older=older)
        self.learned = not patient

    def _refuse_unheard(self) -> None:
        """Whether to do it there, or for the second time, nobody knows."""
        if silent := [host for host in unheard(self.decisions) if host in self.homes]:
            raise Refused(
                "\n".join(UNHEARD.format(host) for host in silent),
                where=self.target,
                state=f"run {self.run} stands where it stood",
                next=f"invoke abort --target {self.target}, which takes back what is known",
            )

    def _ask(self, host: str, above: bool) -> Iterator[_News]:
        """What a machine, or this one, knows of this run that the journal does not."""
        transport = self.parts.reach(host)
        record = self._on_record(host, self.homes[host]) if host in self.homes else None
        if record is not None:
            self.records[host] = record
            yield from self._news(host, record, above)
        if self.decisions.noted(FOUND) is not None:
            where = host or "this machine"
            for note in transport.unexplained(self.run, self.saga.keys())[:1]:
                yield _News(f"run {self.run} has done {note} on {where}, and {OLD}")

    def _on_record(self, host: str, home: str) -> HostRecord | None:
        """As it was seen when the host was taken, or asked for now."""
        seen = self.parts.lock.found(host)
        if seen is not None:
            record = release_file.parsed(seen)
        else:
            record = release_file.read(self.parts.reach(host), home)
        return record.without(self.parts.journal.over) if record else None

    def look_around(self, homes: Mapping[str, str]) -> None:
        """The numbers that other hosts of the target have seen, those that can be asked."""

        def ask(host: str) -> int:
            if host in self.homes:
                return 0
            try:
                record = self._on_record(host, homes[host])
            except Unreachable:
                return 0
            return record.highest if record else 0

        self._elsewhere = max(side_by_side(ask, tuple(homes)), default=0)

    @property
    def highest(self) -> int:
        """The highest release number that any of the hosts has seen."""
        seen = (record.highest for record in self.records.values())
        return max((self._elsewhere, *seen))

    @property
    def before(self) -> dict[str, str]:
        """Host -> the last run that it names beside this one, or an empty word."""
        return {host: record.before(self.run) for host, record in self.records.items()}

    def _news(self, host: str, record: HostRecord, above: bool) -> Iterator[_News]:
        noted, found = self.decisions.noted, self.decisions.noted(FOUND)
        ended = noted("decided") is not None or noted("back_out") is not None
        if record.over == self.run and not ended:
            yield _News(f"run {self.run} has ended on {host}, and {OLD}")
        elif self.run in record.during and found is None:
            yield _News(f"run {self.run} has begun on {host}, and {OLD}")
        elif record.last == self.run and record.back and not ended:
            yield _News(f"run {self.run} was going back on {host}, and {OLD}")
        elif above and found is not None and record.last not in (self.run, found.get(host, "")):
            since = f"run {record.last or '(none)'} was on {host} since run {self.run} began"
            yield _News(since, older=False)

    def refuse_strangers(self, brought: Sequence[Brought], undoing: int) -> None:
        """Raises Refused when a host names another run than those that are to be undone."""
        problems = []
        for host, last in self.before.items():
            found = stranger(brought, undoing, host, last)
            if found is None:
                continue
            named = f"run {found} was there" if found else "no run is on record there"
            wanted = " or ".join(sorted(expected(brought, host))) or "none"
            problems.append(f"{host}: {named}, where this journal knows {wanted}")
        self._refuse(problems)

    def _refuse(self, problems: Sequence[str], *, older: bool = False) -> None:
        if not problems:
            return
        at = f"--target {self.target}"
        give_up = f"give it up: invoke unlock {at} --force"
        half_done = begun(self.parts.journal.recall(self.run))
        way = f"invoke abort {at}; or {give_up}" if half_done else "deploy what should be there"
        raise (Outdated if older else Refused)(
            "\n".join(problems),
            where=self.target,
            state=f"nothing {'more ' if half_done else ''}was changed; nothing is undone beneath"
            " another run",
            next=f"invoke status {at}; go back where that run was started, or"
            f" {give_up if older else way}",
        )

    # --- keeping -------------------------------------------------------------------------

    def begin(self, number: int = 0) -> None:
        """Every host names this run from now on, and what it named before is noted. Raises
        Refused when one cannot."""
        self.decisions.note(FOUND, self.before)
        problems = self._write(tuple(self.homes), lambda _, each: each.begun(self.run, number))
        if problems:
            raise Refused(
                "\n".join(f"{host}: {words}" for host, words in problems.items()),
                where=self.target,
                next=f"see that {release_file.NAME} can be written there",
            )

    @contextmanager
    def unnamed_if_refused(self) -> Iterator[None]:
        """Before the first change: where the run is refused after all no host names it any more, or
        it stays open, for others take what a host names for half done. Where hosts know more of it
        than the journal it may be just that, and they name it still."""
        try:
            yield
        except TakenOver:
            raise
        except Refused as error:
            if not self.learned or not named(self.parts.journal.recall(self.run)):
                raise
            if left := self._rename(None, HostRecord.unnamed):
                some = alike.some(list(left))
                error.state = f"{error.state}; {some} may still have the run on record as begun"
                abort, resume = (f"invoke {v} --target {self.target}" for v in ("abort", "resume"))
                error.next = f"{abort}, or {resume}"
            else:
                self.decisions.note(UNNAMED, {})
            raise

    def go_back(self) -> None:
        """Before the first undo."""
        self._rename(None, HostRecord.going_back)

    def went_back(self, hosts: Iterable[str] | None = None) -> None:
        """What was there is there again."""
        self._rename(hosts, HostRecord.went_back)

    def _rename(
        self, hosts: Iterable[str] | None, change: Callable[[HostRecord, str], HostRecord]
    ) -> dict[str, str]:
        """On those of these hosts that name this run. Gives those that could not be told so, and
        why."""
        problems = self._write(self._begun(hosts), lambda _, record: change(record, self.run))
        self._say(problems)
        return problems

    def arrived(self, hosts: Sequence[str], release: Release) -> dict[str, str]:
        """The release is there. Gives the hosts whose record cannot be written, and why: who is
        asked later does not know of it, so the run is not over."""
        problems = self._write(hosts, lambda _, record: record.arrived(self.run, release))
        self._say(problems)
        return problems

    def returned(
        self, hosts: Sequence[str], to: Release, below: Mapping[str, LedgerRow]
    ) -> dict[str, str]:
        """What was on each host is there again: `to`, or an older release where that one never
        came, or none. Gives what `arrived` does."""

        def change(host: str, record: HostRecord) -> HostRecord:
            was = below.get(host)
            there = was is not None and was.number >= to.number
            return record.arrived(self.run, to) if there else record.returned(self.run, was)

        problems = self._write(hosts, change)
        self._say(problems)
        return problems

    def _begun(self, hosts: Iterable[str] | None = None) -> list[str]:
        chosen = self.records if hosts is None else hosts
        return [host for host in chosen if self.run in self.records[host].during]

    def _write(
        self, hosts: Sequence[str], change: Callable[[str, HostRecord], HostRecord]
    ) -> dict[str, str]:
        """What could not be written, and why."""

        def write(host: str) -> str:
            record, said = change(host, self.records[host]), ""
            for pause in PAUSES:
                self.parts.clock.sleep(pause)
                try:
                    result = release_file.write(self.parts.reach(host), self.homes[host], record)
                except Unreachable as error:
                    said = error.what
                    continue
                self.records[host] = record  # it may be there, whatever was heard of it
                if result.state is State.DONE:
                    return ""
                said = result.stderr.strip() or result.reason
            return said

        words = zip(hosts, side_by_side(write, hosts), strict=True)
        return {host: why for host, why in words if why}

    def _say(self, problems: Mapping[str, str]) -> None:
        for host, words in problems.items():
            text = f"{host}: its release file could not be written: {words}"
            self.parts.emit(Event(self.parts.clock.now(), "warning", text))
