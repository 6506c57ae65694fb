"""Words of the verbs that ship, and of those that show what would."""

from __future__ import annotations

from dataclasses import dataclass

from backout.commands.options.base import RUNBOOK, Aimed, Confirmed, Followed, word


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Shipping(Aimed):
    """What a plan is made from."""

    message: str | None = word("The runbook's `message` parameter: the commit message.")
    ref: str | None = word("Ship this tag, branch or commit as it is: nothing is committed.")
    hosts: str | None = word(
        "Only these hosts or groups, separated by commas; `failed`: those of the last run."
    )
    param: tuple[str, ...] = word("--param NAME=VALUE: a parameter of the runbook. Repeatable.", ())
    accept_red: tuple[str, ...] = word(
        "--accept-red NAME: go ahead although this check is red now. Repeatable.", ()
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Starting(Shipping, Confirmed):
    """A verb that begins a run."""

    wait: str | None = word("Wait so long for the lock, or an approval, in order: 15m.")
    break_freeze: str | None = word(
        "Go ahead although the target is frozen; the reason, on record."
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Holding(Starting):
    """A verb whose run may be held when something fails."""

    hold: bool = word(
        "On a failure stop, keep the leases, and ask: again, done or back-out.", False
    )
    hold_for: str | None = word("Hold it so long, then back out: 30m. Needed without a terminal.")
    detach: bool = word("Hand the run over to workers, and come back at once.", False)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Plan(Shipping):
    """Show what would run where, and every undo.

    Probes the target read-only (not at all with --offline) and names every
    point of no return. A line tells what a step does, and one its way back;
    with --verbose both are shown whole. The runbook is `deploy` unless --runbook says otherwise.

    Example: invoke plan --target prod

    Exit codes: 0 it could run; 2 a mistake in the words or files;
    3 it would be refused, and why.
    """

    name = "plan"
    writes = False
    room = "backout.commands.foretelling:Foretelling.plan"
    runbook: str | None = word(RUNBOOK)
    offline: bool = word("Resolve only; ask no host anything.", False)
    verbose: bool = word("Show each command and each undo whole.", False)
    out: str | None = word("Save the plan in this file, for `deploy --plan FILE`.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Diff(Aimed):
    """Show what would ship: commits and files.

    Between the release that runs and the working copy, or what --ref names.

    Example: invoke diff --target prod

    Exit codes: 0 shown; 2 a mistake in the words or files.
    """

    name = "diff"
    writes = False
    room = "backout.commands.foretelling:Foretelling.diff"
    ref: str | None = word("To this tag, branch or commit.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Deploy(Holding, Followed):
    """Run runbooks/deploy.yaml: ship, prove, or back out.

    Example: invoke deploy --target prod --message "Fix the timeout"

    Exit codes: 0 deployed and proved; 2 a mistake, nothing was touched;
    3 refused before any change; 4 failed, backed out and healthy;
    5 backing out is incomplete, a person is needed; 7 another run holds the
    target; 8 interrupted (then: invoke resume, or invoke abort).
    """

    plan: str | None = word("Deploy what this file of `plan --out` says, or nothing.")

    name = "deploy"
    room = "backout.commands.deploy:Operation.deploy"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Run(Holding, Followed):
    """Run any runbook: do it, prove it, or back it out.

    Example: invoke run --runbook userconcert-fix --target prod --param ticket=142

    Exit codes: as for deploy (see invoke --help deploy).
    """

    name = "run"
    room = "backout.commands.deploy:Operation.run"
    runbook: str | None = word(RUNBOOK)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Rehearse(Starting):
    """Prove the way back: fail on purpose after each step.

    Deploys until after each step, fails there, and shows that the target is back
    on the release it had, and healthy. What was reverted is taken up again in the
    working copy. `plan` says how old the rehearsal is. With --old-code the code
    before a step that cannot be undone is also proved beside what that step
    leaves: a rollback of that very change may then pass over it.

    Example: invoke rehearse --target staging

    Exit codes: 0 it returned from every step; 2 a mistake, nothing was touched;
    3 refused before any change; 4 the runbook failed by itself, backed out and
    healthy; 5 backing out is incomplete, a person is needed; 7 another run holds
    the target; 9 not every step could be proved.
    """

    name = "rehearse"
    room = "backout.commands.rehearse:Rehearsing.rehearse"
    runbook: str | None = word(RUNBOOK)
    old_code: bool = word(
        "Also do what cannot be undone, once: is the code before it healthy beside it?", False
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Rollback(Aimed, Followed, Confirmed):
    """Go back to the last known-good release, and prove it.

    Or to the release that --to names. Without --target: the target deployed
    last, which is named and confirmed.

    Example: invoke rollback --target prod --to 41

    Exit codes: 0 back and proved; 3 refused (no such release, or a run in
    between cannot be undone); 5 incomplete, a person is needed; 7 another run
    holds the target.
    """

    name = "rollback"
    room = "backout.commands.deploy:Operation.rollback"
    to: str | None = word("The release to go back to: its number, or its commit.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Resume(Aimed, Followed, Confirmed):
    """Finish an unfinished run.

    Continues where the journal ends, with the plan of that run. What may have
    happened unseen is asked of the hosts first; what nobody can tell is backed out.

    Example: invoke resume --target prod

    Exit codes: as for deploy; 3 when there is nothing to resume.
    """

    name = "resume"
    room = "backout.commands.deploy:Operation.resume"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Abort(Aimed, Followed, Confirmed):
    """Back an unfinished run out.

    Example: invoke abort --target prod

    Exit codes: 3 there is nothing to abort; 4 backed out and healthy;
    5 backing out is incomplete, a person is needed.
    """

    name = "abort"
    room = "backout.commands.deploy:Operation.abort"
