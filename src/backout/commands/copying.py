"""`ledger.copy`: the journal of one machine into the ledger of the team."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from backout.adapters.local_lock import LocalLock
from backout.adapters.storage import chain, health_moving, moving
from backout.adapters.storage.journal import RunJournal, SqliteJournal
from backout.adapters.storage.moving import Packed
from backout.commands.options import LedgerCopy
from backout.config import project_file
from backout.errors import Held, Mistakes, Refused
from backout.model import Event
from backout.ports import Screen
from backout.project.project import Workplace
from backout.project.shared_ledger import VARIABLE
from backout.reports.answer import Answer
from backout.reports.objects import Moved


class Copying:
    """What stands in the file of this working copy, in the database that all share."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def copy(self, _: LedgerCopy) -> Answer:
        if not self.workplace.shared.address():
            raise Mistakes(
                f"no ledger is named: neither in {project_file.NAME} nor by {VARIABLE}",
                where="command line",
                next="see docs/team.md",
            )
        file = self.workplace.state / "journal.db"
        if not file.exists():
            raise Refused(f"there is no journal here: {file}", next="invoke history")
        ledger = self.workplace.journal
        with self._unwatched(), SqliteJournal(file, str) as journal, ExitStack() as held:
            packed = self._packed(journal, held)
            new = ledger.take_copy(packed)
            self._copy_health()
        return Answer("moved", Moved(ledger.where, packed.targets, len(new), "invoke history"))

    @contextmanager
    def _unwatched(self) -> Iterator[None]:
        """While nobody watches here, for what he writes would not be copied. Raises Held."""
        from backout.watch.alone import alone

        with alone(self.workplace.state):
            yield

    def _copy_health(self) -> None:
        """What its checks have said, too. Raises Unwritten."""
        from backout.watch import rollups, stores

        if (here := stores.here(self.workplace)) is None:
            return
        with here as old, stores.open_store(self.workplace, self.workplace.redact) as shared:
            packed = health_moving.pack(old)
            with shared.write() as change:
                looks = health_moving.take_up(change, packed, rollups.fold, rollups.join)
        text = f"{looks} looks at checks were copied, with what was made of them"
        self.screen.listen(Event(datetime.now(UTC), "note", text))

    def _packed(self, journal: RunJournal, held: ExitStack) -> Packed:
        """All of it, while no run is at work on any of its targets: from here on, until `held` is
        over. Raises Refused when a record is not what it was, and Held while a run is at work."""
        for run, words in journal.look(lambda db: list(chain.faults(db, None))):
            raise Refused(
                f"run {run} is not what was written: {words}",
                where=journal.where,
                state="nothing was copied",
                next="see docs/team.md: the journal as it is stays readable without a ledger",
            )
        ours = set[str]()
        while True:
            packed = journal.look(lambda db: moving.pack(db, None, unfinished=True))
            if not (others := set(packed.targets) - ours):
                return packed
            for target in sorted(others):
                held.enter_context(self._alone(target))
            ours |= others

    @contextmanager
    def _alone(self, target: str) -> Iterator[None]:
        """Nothing is run there meanwhile from here. Raises Held."""
        lock = LocalLock(self.workplace.state, target)
        if lock.holder() is not None:
            raise Held(
                f"a run of {target} is at work on this machine",
                where=target,
                state="nothing was copied",
                next="when it has ended: invoke ledger.copy",
            )
        with lock.hold("ledger.copy"):
            yield
