"""Words of the verbs between notes and runbooks."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.commands.options.base import RUNBOOK, Confirmed, Options, word


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DocumentImport(Confirmed):
    """Turn a Markdown note into a runbook, line by line.

    Writes runbooks/NAME.yaml and inventories/NAME.yaml, and overwrites nothing.
    Both lint. What the note leaves open is asked, and refuses the run until it
    is decided. The note stays as it is, and nothing in it is run. With --update
    an edited note is merged in, and what people changed by hand stays; with
    --interactive the open questions are asked here.

    Example: invoke document.import docs/release.md

    Exit codes: 0 imported, also with open questions; 2 no such note, or nothing
    to update; with --rehearse those of rehearse.
    """

    name = "document.import"
    room = "backout.commands.document:Document.import_"
    file: str = field(metadata={"help": "The note, a Markdown file."})
    as_: str | None = word("The name of the runbook and inventory. Default: the note's own.")
    interactive: bool = word("Ask the open questions on the terminal; write the answers.", False)
    update: bool = word("Merge the note, as it is now, into the runbook that is there.", False)
    rehearse: str | None = word("Rehearse the runbook on this target afterwards.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DocumentRender(Options):
    """Write a runbook as a note to follow by hand.

    With the preconditions, the steps, the checks as curl lines where --target
    names an inventory, the way back in order, and what to do when it fails.

    With --run the note as that run executed it, for the ticket: times, who,
    evidence, files changed, what was undone.

    Example: invoke document.render deploy --target prod

    Exit codes: 0 written to stdout; 2 a mistake in the words or files.
    """

    name = "document.render"
    writes = False
    room = "backout.commands.document:Document.render"
    spared = {"runbook": "run"}  # noqa: RUF012 - of the class, and nobody changes it
    runbook: str | None = field(metadata={"help": f"{RUNBOOK} Not needed with --run."})
    run: str | None = word("The run whose note is written: its name, or the beginning of it.")
    target: str | None = word("The inventory that the checks and hosts come from.")
