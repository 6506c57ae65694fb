"""Words of the verbs that move a journal, and that clear up."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.commands.options.base import Aimed, Confirmed, Options, word

ONE = "Only this target's runs."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HistoryExport(Options):
    """Write the journal, or one target's part, to a file.

    For another machine, which then has its runs and releases: it can roll back
    what was deployed from here. The file is new and private, and has secrets
    by reference only.

    Example: invoke history.export prod.history --target prod

    Exit codes: 0 written; 3 no run, or the file is there; 7 a run is unfinished.
    """

    name = "history.export"
    writes = False
    room = "backout.commands.moving:Moving.export"
    file: str = field(metadata={"help": "The file to write."})
    target: str | None = word(ONE)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HistoryImport(Options):
    """Take up the runs of another machine's journal.

    All of them or none; what is here already is not taken twice.

    Example: invoke history.import prod.history

    Exit codes: 0 taken up; 2 no such file; 3 the two have gone different ways.
    """

    name = "history.import"
    room = "backout.commands.moving:Moving.import_"
    file: str = field(metadata={"help": "What history.export wrote."})


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LedgerCopy(Options):
    """Bring this machine's journal into the ledger of the team.

    Runs, records and releases, each record held against its chain; said again it
    copies what is new since. An unfinished run moves too: `resume` goes on with
    it there. The file stays as it is, and nothing reads it any more.

    Example: invoke ledger.copy

    Exit codes: 0 copied, or all of it was there; 2 no ledger is named; 3 the
    two have gone different ways, or a record was changed; 7 a run is at work.
    """

    name = "ledger.copy"
    room = "backout.commands.copying:Copying.copy"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prune(Confirmed):
    """Forget old output, and records nobody comes back to.

    What a rollback, a resume or a known-good release needs stays, however old;
    so does the line of each run in `history`.

    Example: invoke prune --older 90d

    Exit codes: 0 forgotten, or there was nothing; 2 a mistake in the words;
    3 not confirmed.
    """

    name = "prune"
    room = "backout.commands.moving:Moving.prune"
    older: str | None = word("How old: 90d, 12h.")
    target: str | None = word(ONE)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Uninstall(Aimed, Confirmed):
    """Take away what Backout left on hosts, and here.

    Its own directory on every host (notes, lease, release file, kept files) and
    the target's runs in the journal: listed first, and confirmed. What was
    deployed stays as it is, and runs on.

    Example: invoke uninstall --target old

    Exit codes: 0 taken away; 3 not confirmed, or a host cannot be reached;
    7 a run is unfinished, or holds a host.
    """

    name = "uninstall"
    room = "backout.commands.uninstall:Uninstalling.uninstall"
