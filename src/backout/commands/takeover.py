"""An unfinished run of another machine, taken over from what its hosts have of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from backout.adapters import mirror
from backout.adapters.local_lock import owner
from backout.adapters.mirror import Found
from backout.adapters.standings import held, standings
from backout.adapters.storage.chain import Line, Opening
from backout.commands.claiming import refuse_lost_commit, refuse_without_secrets
from backout.errors import Refused, Unreachable
from backout.model import Outcome, Release, RunRow, Target
from backout.ports import HEARD, READY, TAKEN, Screen, Transport
from backout.project.project import Workplace
from backout.reports.data import run_report
from backout.runs import release_file
from backout.runs.decisions import FOUND, Decisions, unheard
from backout.runs.ended import Ended
from backout.runs.leasing import held_by_nobody_since, reached
from backout.runs.parts import side_by_side

SILENT = "silent"
"""Which of those that told nothing had nothing to tell: what is there later comes from here."""


class Takeover:
    """What the hosts of a target have of runs that this journal does not know."""

    def __init__(self, workplace: Workplace, screen: Screen, target: Target) -> None:
        self.workplace = workplace
        self.screen = screen
        self.target = target
        self.machines = workplace.machines(target)

    def unfinished(self, *, forward: bool) -> RunRow | None:
        """The unfinished run that the hosts hold, in this journal from now on; None when there is
        none. Raises Held while its owner may be alive, Refused when a person says no, when it
        cannot be known whole, and, `forward`, when this machine has not what it ships."""
        hosts, away = reached(self.machines.reach, tuple(self.target.hosts))
        named = self._named(hosts)
        found = standings(hosts)  # after it: who is named is held by then, or has ended
        run = self._one_of(named | {each.lease.run for each in found if each.lease})
        if not run:
            return None
        for standing in found:
            if standing.lease and standing.lease.run == run and not standing.expired:
                raise held(standing, self.target.name)
        known = mirror.read(hosts, run)
        if known is None:
            raise Refused(
                f"run {run} holds {self.target.name}, and no host has its records",
                where=self.target.name,
                state="nothing was changed; what it did is known where it was started",
                next=f"go on there, or: invoke unlock --target {self.target.name}",
            )
        if words := _lacking(known):
            raise Refused(
                f"what is known of run {run} is not whole: {words}",
                where=self.target.name,
                state="nothing was changed",
                next=f"see that {', '.join(away) or 'every host'} can be reached, then try again",
            )
        if forward:
            ends = (json.loads(line.body) for line in known.lines if line.kind == "end")
            refuse_lost_commit(run, self.target, self.machines.reach(""), ends)
        if known.opening.verb == "rollback":
            self.history(besides=run)  # it takes back what only their journal had
            self._refuse_unknown(known.opening)
        refuse_without_secrets(self.workplace, _row(known.opening))
        return self._taken(known, away, _silent(known.lines, hosts, known.hosts))

    def history(self, besides: str = "") -> None:
        """Where nothing was changed from here yet, the runs of other machines that have ended, in
        this journal from now on: what they did can be taken back from here. Histories of two
        machines are never mixed: whoever goes back is told of the stranger. `besides` is a run
        that is taken over, whatever it has on record. Raises Refused when a person says no, and
        while a host is away: what a run did there would be missing for good."""
        if self._changed_from_here():
            return
        hosts, away = reached(self.machines.reach, tuple(self.target.hosts))
        found = [mirror.read(hosts, run) for run in mirror.runs(hosts)]
        ended = [each for each in found if each and _decided(each) and each.opening.run != besides]
        ended.sort(key=lambda each: each.opening.started)
        if not ended:
            return
        if away:
            raise Refused(
                f"what {', '.join(away)} has of other machines' runs is not known: not reached",
                where=self.target.name,
                state="nothing was changed",
                next=f"see that every host can be reached, then: invoke rollback --target"
                f" {self.target.name}",
            )
        self._confirm_history(ended)
        for each in ended:
            self._inherit(each)

    def _changed_from_here(self) -> bool:
        """Whether any run of this journal was more than refused."""
        journal, name = self.workplace.journal, self.target.name
        if any(row.outcome != Outcome.REFUSED for row in journal.runs(name)):
            return True
        return any(of == name and how != Outcome.REFUSED for of, _, how, _ in journal.outcomes())

    def _strange(self, runs: Iterable[str]) -> list[str]:
        """Those that are no runs of the target in this journal."""
        journal, name = self.workplace.journal, self.target.name
        return [run for run in runs if not journal.knows(run, name)]

    def _refuse_unknown(self, opening: Opening) -> None:
        """Raises Refused for a rollback of runs that only another machine's journal has."""
        if strange := self._strange(_row(opening).plan["undoing"]):
            raise Refused(
                f"run {opening.run} takes back {', '.join(strange)}, which this journal does not"
                " know, for it has runs of its own",
                where=self.target.name,
                state="nothing was changed",
                next=f"finish it where {opening.owner} began it; or put right what it left, then"
                f" invoke unlock --target {self.target.name} --force",
            )

    def _confirm_history(self, ended: Sequence[Found]) -> None:
        whose = ", ".join(dict.fromkeys(each.opening.owner for each in ended))
        last = ended[-1].opening.run
        question = f"take up {len(ended)} runs of {whose} from the hosts, up to {last}?"
        if not self.screen.operator.confirm(question):
            raise Refused("not confirmed", next=f"invoke status --target {self.target.name}")

    def _inherit(self, found: Found) -> None:
        opening, decided = found.opening, _decided(found)
        journal = self.workplace.journal_of(self.target)
        release = decided["ledger"]["release"]
        to = release or {"number": decided["ledger"]["restored"], "commit": ""}
        report = run_report(
            run=opening.run,
            verb=opening.verb,
            target=opening.target,
            runbook=opening.runbook,
            started=datetime.fromisoformat(opening.started),
            ended=datetime.fromisoformat(found.lines[-1].at),
            previous=None,
            made=Release(to["number"], to["commit"]),
            outcome=Ended(Outcome.SUCCEEDED, 0),
            records=(),
        )
        journal.inherit(opening, found.lines, Outcome.SUCCEEDED, 0, report.to_data())
        journal.number_seen(opening.target, to["number"])

    def _named(self, hosts: Sequence[Transport]) -> set[str]:
        """The runs that are not done with these hosts, as those have it on record."""

        def begun(transport: Transport) -> tuple[str, ...]:
            home = self.target.home_on(transport.host)
            record = release_file.read(transport, home)
            return record.during if record else ()

        return {run for runs in side_by_side(begun, hosts) for run in runs}

    def _one_of(self, named: set[str]) -> str:
        """Raises Refused where there are several: which of them is half done a person must see."""
        strange = self._strange(sorted(named - {""}))
        if len(strange) > 1:
            raise Refused(
                f"{self.target.name} has {len(strange)} unfinished runs of other machines:"
                f" {', '.join(strange)}",
                where=self.target.name,
                state="nothing was changed",
                next=f"invoke status --target {self.target.name}; finish them where they began",
            )
        return strange[0] if strange else ""

    def _taken(self, found: Found, away: Sequence[str], silent: Sequence[str]) -> RunRow:
        journal, opening = self.workplace.journal_of(self.target), found.opening
        if opening.target != self.target.name:
            raise Refused(
                f"run {opening.run} is one of {opening.target}, which shares hosts with"
                f" {self.target.name}",
                where=self.target.name,
                next=f"invoke status --target {opening.target}",
            )
        self._confirm(found, away, silent)
        epoch = 1 + sum(line.kind == TAKEN for line in found.lines)
        claim = {"epoch": epoch, "claim": secrets.token_hex(8)}
        taken = {**claim, "by": owner(), "from": opening.owner, "away": [*away, *silent]}
        taken |= {SILENT: list(silent)} if silent else {}
        journal.take_over(opening, found.lines, taken)
        row = journal.run(opening.run)
        journal.number_seen(self.target.name, int(row.plan.get("release", {}).get("number", 0)))
        return row

    def completed(self, run: str) -> None:
        """What hosts have of a run that was taken over and this journal has not, in it from now
        on: of those that were away then, as far as they are there again, and of all while none was
        held since, for until then its own machine may have gone on. What was decided here since
        stands. Raises Refused."""
        journal = self.workplace.journal_of(self.target)
        decisions, untouched = Decisions(run, journal), held_by_nobody_since(journal.recall(run))
        away, noted = unheard(decisions), decisions.noted
        hosts, still = self._there(tuple(self.target.hosts) if untouched else away)
        if not hosts:
            return
        found = mirror.read(hosts, run)
        if found and found.opening != journal.opening(run):
            raise mirror.disagree(run, "this machine", found.hosts[0], "the plan")
        known = {line.link.hash for line in journal.lines(run)}
        decided = decisions.noted("back_out") is not None and not untouched
        lines = found.lines if found else ()
        silent = {*_silent(journal.lines(run), hosts, found.hosts if found else ())}
        silent |= {host for kind in (TAKEN, HEARD) for host in (noted(kind) or {}).get(SILENT, ())}
        new = [line for line in lines if line.link.hash not in known]
        if any(line.kind == TAKEN for line in new):
            return  # by yet another machine, which those hosts know: they let this one take nothing
        told = [line for line in new if line.key or not decided]
        if told or away:
            claim, left = (noted(TAKEN) or {})["claim"], {*still, *silent} & {*away}
            heard = {"claim": claim, "away": sorted(left), SILENT: sorted(silent & left)}
            journal.hear(run, told, heard)

    def _there(self, names: Sequence[str]) -> tuple[list[Transport], list[str]]:
        try:
            return reached(self.machines.reach, names)
        except Unreachable:
            return [], list(names)

    def _confirm(self, found: Found, away: Sequence[str], silent: Sequence[str]) -> None:
        opening, name = found.opening, self.target.name
        missing = ((away, "not reached"), (silent, "nothing of the run is there"))
        unknown = "".join(
            f" What {', '.join(names)} did is not known: {why}." for names, why in missing if names
        )
        question = (
            f"take over run {opening.run} ({opening.verb} of {name}), begun by {opening.owner} at"
            f" {opening.started[:19].replace('T', ' ')} UTC, as {', '.join(found.hosts)} have it?"
            f"{unknown}"
        )
        if not self.screen.operator.confirm(question):
            raise Refused("not confirmed", next=f"invoke status --target {name}")


def _silent(lines: Sequence[Line], there: Sequence[Transport], known: Sequence[str]) -> list[str]:
    """Those of these hosts that had the run on record before it changed anything, and have nothing
    of it now: their notes were lost, or another machine is in their place (the one that drove the
    run, where a host is the very machine one is on)."""
    if not any(line.kind == READY for line in lines):
        return []
    told = {host for line in lines if line.kind == FOUND for host in json.loads(line.body)}
    return sorted(told & {transport.host.name for transport in there} - {*known})


def _row(opening: Opening) -> RunRow:
    id, target, verb, runbook, plan, owner, started, options = opening.values
    since = datetime.fromisoformat(started)
    return RunRow(id, target, verb, runbook, json.loads(plan), owner, since, json.loads(options))


def _decided(found: Found) -> Mapping[str, Any]:
    """The outcome of a run that has ended well, with its part of the ledger; else nothing."""
    bodies = (json.loads(line.body) for line in found.lines if line.kind == "decided")
    return next((body for body in bodies if "ledger" in body), {})


def _lacking(found: Found) -> str:
    """What a run that has begun to change something must have on record, and has not."""
    kinds = {line.kind for line in found.lines}
    begun = found.opening.verb != "rollback" and "ready" in kinds
    return "its baseline is not there" if begun and "baseline" not in kinds else ""
