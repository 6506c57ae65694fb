"""The composition root: the only room that knows concrete classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backout.adapters.lease import LeaseLock
from backout.adapters.local_lock import LocalLock, owner
from backout.adapters.mirror import Mirror
from backout.adapters.own_directory import prepare, refuse_no_directory
from backout.adapters.storage.journal import RunJournal, SqliteJournal
from backout.adapters.storage.outbox import JournalOutbox
from backout.adapters.storage.spoken import Spoken
from backout.adapters.storage.store import Announce, silent
from backout.adapters.transports import TRANSPORTS
from backout.adapters.transports.following import Follower
from backout.adapters.transports.shell_text import run_name
from backout.adapters.vault import Vault
from backout.balancers import BACKENDS as BALANCERS
from backout.config import loading
from backout.config.files import SUFFIXES, name_of
from backout.errors import Mistakes, Refused
from backout.model import Event, RunRow, SecretSource, Target
from backout.model.operands import at_home
from backout.ports import Listener, Operator
from backout.probes import KINDS as PROBES
from backout.project import completing
from backout.project.ahead import Ahead
from backout.project.beyond import Beyond
from backout.project.completing import root_of
from backout.project.machines import Machines, config_of, redacted
from backout.project.second import SecondPerson
from backout.project.shared_ledger import SharedLedger
from backout.registry import Tables
from backout.restarters import BACKENDS
from backout.runs import release_file
from backout.runs.decisions import Stop
from backout.runs.parts import Parts
from backout.starter import sample
from backout.steps import KINDS as STEPS

TABLES = Tables(STEPS, BACKENDS, PROBES, TRANSPORTS, BALANCERS)


def find_root(start: Path) -> Path:
    """The project's directory: the nearest one at or above `start`; see `completing.root_of`."""
    return Path(root_of(str(start)))


def is_ours(tasks: Path) -> bool:
    """Whether a tasks.py is, or contains, Backout's."""
    return completing.is_ours(str(tasks))


def aimed_at(name: str | None) -> str | None:
    """The target that a command names, or else the environment."""
    return name or os.environ.get("BACKOUT_TARGET") or None


class Workplace:
    """One project: its files, its state, its journal. Relative paths in it begin at the root."""

    def __init__(self, start: Path) -> None:
        self.started_in = start
        self.root = find_root(start)
        self.home = self.root
        """Where its secrets lie, whichever checkout its files are read from."""
        self.state = Path(os.environ.get("BACKOUT_STATE") or self.root / ".backout").absolute()
        self.only_reads = False
        """Whether nothing may be written, not even a journal that is not there yet."""
        self._open = ExitStack()
        self.ahead = Ahead()
        """Connections that are on their way before a run needs them."""
        self.close_later(self.ahead.close)
        self.ssh_config = cache(config_of)
        """Asked once for each host, by all that goes there."""
        self._owners: list[tuple[tuple[str, Mapping[str, SecretSource]], Vault]] = []

    def close(self) -> None:
        self._open.close()

    def move(self, root: Path) -> None:
        """From now on its files are those of another checkout; its state and secrets stay."""
        self.root = self.started_in = root
        os.chdir(root)

    def close_later(self, close: Callable[[], object]) -> None:
        self._open.callback(close)

    # --- files ---------------------------------------------------------------------------

    def target(self, name: str | None) -> Target:
        """Raises Mistakes, with every mistake of the file."""
        return self.on_its_port(loading.load_target(self.target_file(name), TABLES, self.root))

    def target_file(self, name: str | None) -> Path:
        """The inventory of a target, or of the one that the environment names. Raises
        Mistakes."""
        name = aimed_at(name)
        if not name:
            known = ", ".join(loading.names(self.root / "inventories"))
            raise Mistakes(
                f"which target? inventories/ has: {known or 'none'}",
                where="command line",
                next="name one with --target, or set BACKOUT_TARGET" if known else "invoke init",
            )
        return self._path(name, "inventories")

    def aimed(self, word: str | None) -> str:
        """The name of the target that a command names, or else the environment; empty where
        neither does."""
        named = aimed_at(word)
        return self.target_name(named) if named else ""

    def target_name(self, word: str) -> str:
        """The name of the target that `word` means, a name or a path, whether its file is there
        or not."""
        folder = self.root / "inventories"
        try:
            return name_of(self._path(word, "inventories"), folder)
        except Mistakes:
            typed = self.started_in / at_home(word)
            return name_of(typed, folder) if word.endswith(SUFFIXES) else word

    def runbook_file(self, name: str) -> Path:
        """Raises Mistakes."""
        return self._path(name, "runbooks")

    def _path(self, name: str, folder: str) -> Path:
        return loading.resolve(name, self.root / folder, self.started_in)

    # --- state ---------------------------------------------------------------------------

    @cached_property
    def journal(self) -> RunJournal:
        """Without any target's secrets: what it recalls has references where values stood. The
        ledger of the team where there is one, else a file of this working copy. Raises Refused."""
        if address := self.shared.address():
            prepare(self.state)
            journal = self.shared.opened(address, self.state, self._hide)
        else:
            journal = SqliteJournal(self._journal_file(), self._hide)
        self.close_later(journal.close)
        return journal

    @cached_property
    def shared(self) -> SharedLedger:
        """Where the ledger of the team is, if there is one."""
        return SharedLedger(self.home)

    def _journal_file(self) -> Path:
        """Where there is none and nothing may be written, an empty one is read elsewhere. Raises
        Refused where there can be none."""
        refuse_no_directory(self.state)
        if self.only_reads and not (self.state / "journal.db").exists():
            return Path(self._open.enter_context(TemporaryDirectory())) / "journal.db"
        prepare(self.state)
        return self.state / "journal.db"

    def journal_of(self, target: Target) -> RunJournal:
        """The journal as this target sees it: its own secrets are referred to and revealed, those
        of others are hidden."""
        vault = self.vault(target)
        return self.journal.through(
            lambda text: self._hide(vault.refer(text), but=vault), revealing(vault)
        )

    def outbox(self, targets: Callable[[], Collection[str]]) -> JournalOutbox:
        """The messages of runs that wait, of those targets."""
        return JournalOutbox(self.journal, targets, self.redact)

    def forget_output(self, run: str) -> None:
        """Remove what a run that has ended printed on this machine."""
        notes = self.state / "here" / "notes" / run_name(run)
        for file in (*notes.glob("*.out"), *notes.glob("*.err")):
            file.unlink(missing_ok=True)

    def redact(self, text: str) -> str:
        """`text` without the secrets of any target that was in hand."""
        for vault in self._vaults or (Vault({}),):
            text = vault.redact(text)
        return text

    def _hide(self, text: str, but: Vault | None = None) -> str:
        """The journal knows secrets by name only, whoever writes to it."""
        for vault in self._vaults:
            text = text if vault is but else vault.hide(text)
        return text

    def vault(self, target: Target, *, anew: bool = False) -> Vault:
        """The target's own secrets; from now on they are redacted in every sink. `anew` fetches
        them again."""
        about = (target.name, target.secrets)
        known = [vault for owner, vault in self._owners if owner == about]
        if known and not anew:
            return known[-1]
        made = Vault(target.secrets, self.home)
        self._owners.append((about, made))
        return made

    @property
    def _vaults(self) -> list[Vault]:
        return [*self.shared.vaults, *(vault for _, vault in self._owners)]

    def going_on(self, row: RunRow) -> str:
        """What to type about a run that is unfinished: while its process lives, nothing but a
        look."""
        if LocalLock(self.state, row.target).holder() is None:
            return row.going_on
        return f"wait for its end, or look: invoke status --target {row.target}"

    # --- a target at work ----------------------------------------------------------------

    def lacks_sample(self, target: Target) -> bool:
        """Whether the sample application that the target asks for has yet to be made."""
        return bool(target.sample) and not (self.root / target.sample / "work").exists()

    def ensure_sample(self, target: Target) -> Target:
        """Make the sample application that the target asks for, unless it is there. Returns the
        target, with the port that the sample got."""
        if target.sample:
            sample.ensure(self.root / target.sample, _wanted_port(target))
        return self.on_its_port(target)

    def on_its_port(self, target: Target) -> Target:
        """The target, with the port that its sample got when it was made."""
        port = sample.port(self.root / target.sample) if target.sample else None
        if port is None or "port" not in target.vars:
            return target
        return target.model_copy(update={"vars": {**target.vars, "port": port}})

    def parts(
        self,
        target: Target,
        run: str,
        emit: Listener,
        operator: Operator,
        stop: Stop,
        follow: str = "",
        announce: Announce = silent,
        *,
        leaves: bool = False,
    ) -> Parts:
        """Everything that a run of `target` is put together from. `follow` is what is told of a
        command while it runs: nothing, its last line so far (`last`), or all of it (`whole`).
        `announce` says who is told what of its records; `leaves` is `Parts.leaves`."""
        machines = self.machines(target)
        machines.records = None
        emit = redacted(emit, machines.vault)
        if follow:
            machines.follower = Follower(emit, machines.vault, whole=follow == "whole")

        def warn(text: str) -> None:
            emit(Event(machines.clock.now(), "warning", text))

        journal = self.journal_of(target)
        mirror = Mirror(journal.opening(run), journal.lines(run), _changes_from_here)
        return Parts(
            journal=journal.copied(mirror.keep).told_by(announce),
            lock=LeaseLock(
                target.name,
                warn=warn,
                mirror=mirror,
                record=release_file.NAME,
                clock=machines.clock,
            ),
            clock=machines.clock,
            vault=machines.vault,
            operator=operator,
            emit=emit,
            steps=STEPS,
            reach=machines.reach,
            restarter=machines.restarter,
            pool=machines.pool,
            metrics=machines.metrics,
            examine=machines.examine(run, emit),
            stop=stop,
            said=Spoken(journal, run),
            me=owner(),
            leaves=leaves,
            second=SecondPerson(journal.told_by(announce), target.name, run, machines.clock, stop),
        )

    def machines(self, target: Target) -> Machines:
        known_good = cache(lambda: self._snapshots(target))
        journal = cache(lambda: self.journal_of(target))
        here, vault = self.state / "here", self.vault(target)
        ways = self.beyond, self.ahead, self.ssh_config
        machines = Machines(target, vault, here, known_good, journal, *ways)
        machines.base = self.home if self.root != self.home else None
        self.close_later(machines.close)
        return machines

    @cached_property
    def beyond(self) -> Beyond:
        """What other zones reach."""
        beyond = Beyond(self.shared)
        self.close_later(beyond.close)
        return beyond

    def _snapshots(self, target: Target) -> Mapping[str, Any]:
        """What the checks saw when the last known-good release had proved itself."""
        journal = self.journal_of(target)
        row = journal.known_good(target.name)
        records = journal.recall(row.run) if row else ()
        decided = next((record.body for record in records if record.kind == "decided"), {})
        found: Mapping[str, Any] = decided.get("snapshots", {})
        return found


def _changes_from_here(kind: str, host: str) -> bool:
    """Whether a step of this kind, for that host, changes something from this machine."""
    step = STEPS[kind]
    return step.changes and (not host or step.acts_here)


def _wanted_port(target: Target) -> int:
    """The sample's port as the inventory has it."""
    given = target.vars.get("port", target.service.port if target.service else 0)
    return int(given or 0)


def revealing(vault: Vault) -> Callable[[str], str]:
    """For a run that goes on: a path in which a secret's value happened to stand is that path
    again. A secret that can no longer be fetched stays a reference."""

    def reveal(text: str) -> str:
        try:
            return vault.reveal(text)
        except Refused:
            return text

    return reveal
