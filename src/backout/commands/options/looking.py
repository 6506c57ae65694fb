"""Words of the verbs that look at a target, a run or the files."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.commands.options.base import Aimed, Confirmed, Options, word


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Verify(Aimed):
    """Run the target's checks once.

    Example: invoke verify --target prod --check alive --junit checks.xml

    Exit codes: 0 healthy; 6 unhealthy; 9 could not tell.
    """

    name = "verify"
    writes = False
    room = "backout.commands.inspections:Inspection.verify"
    check: tuple[str, ...] = word(
        "--check NAME: only this check, and those that follow it. Repeatable.", ()
    )
    junit: str | None = word("Also write the checks to this file, as JUnit XML.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Status(Aimed):
    """Ask the hosts what runs where; compare the ledger.

    Example: invoke status --target prod

    Exit codes: 0 as recorded; 3 a host cannot be reached; 6 they differ.
    """

    name = "status"
    writes = False
    room = "backout.commands.inspections:Inspection.status"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class History(Aimed):
    """List past runs, newest first.

    Example: invoke history --target prod

    Exit codes: 0 listed; with --check 6 where a record is missing or was changed.
    """

    name = "history"
    writes = False
    room = "backout.commands.inspections:Inspection.history"
    check: bool = word("Hold every record against the one before it, instead.", False)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Show(Options):
    """Show one run whole: who did what, when and where.

    Example: invoke show 20261122-073403-4f1a

    Exit codes: 0 shown; 2 there is no such run.
    """

    name = "show"
    writes = False
    room = "backout.commands.inspections:Inspection.show"
    run: str = field(metadata={"help": "The run's name, as `history` shows it."})


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Lint(Options):
    """Check every runbook and inventory; name all mistakes.

    Example: invoke lint

    Exit codes: 0 clean; 2 mistakes, each with file, line and path.
    """

    name = "lint"
    writes = False
    room = "backout.commands.inspections:Inspection.lint"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Doctor(Aimed):
    """Say what can be reached, and how to get what is missing.

    Names the version of everything that a run would use.

    Example: invoke doctor --target prod

    Exit codes: 0 all there; 3 something is missing or unreachable.
    """

    name = "doctor"
    writes = False
    room = "backout.commands.beginnings:Beginning.doctor"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Unlock(Aimed, Confirmed):
    """Show who holds the lock; take it when that is safe.

    Example: invoke unlock --target prod

    Exit codes: 0 it is free now; 3 not confirmed; 7 its holder may be alive
    (--force takes it all the same), or a host cannot be reached (--force frees
    the others).
    """

    name = "unlock"
    room = "backout.commands.inspections:Inspection.unlock"
    force: bool = word("Take the lock even when its holder may still be alive.", False)
