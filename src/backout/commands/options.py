"""The words of every verb: one frozen class each.

The Invoke task with its help is made from it, `lint` of the words and `backout.Project` use it, and
a test holds docs/commands.md against it. A class's docstring is what `--help` says; a tuple is a
word that may be said several times; a field without a default is said without its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from backout.errors import Mistakes


def word(help: str, default: Any = None) -> Any:
    """A field with its line of help."""
    return field(default=default, metadata={"help": help})


TARGET = "A name in inventories/, or a path. Default: $BACKOUT_TARGET."
LISTEN = "Serve the status page here: 127.0.0.1:8642, or a port alone."
ANYWHERE = "Listen on an address that others can reach."
NAMES = "--listen-name NAME: requests may call the server so. Repeatable."
PAGE = "Write the status page into this directory."
RUNBOOK = "A name in runbooks/, or a path."
USER = "Your own systemd units (systemctl --user), also as root."
KEEPER = "service (watch, the default), timer or crontab (verify)."
ONLY = "Only this check (alive, or alive@web1)."


@dataclass(frozen=True, kw_only=True, eq=False)
class Options:
    """What every verb may be told."""

    name: ClassVar[str]
    """As it is typed: `deploy`, `alert.ack`."""
    room: ClassVar[str]
    """Who does it: `module:Class.method`, made with the project and the screen."""
    writes: ClassVar[bool] = True
    """False for verbs that leave no file behind, not even a journal."""
    json: bool = word("Print one JSON object on stdout, and nothing else there.", False)


MAY_BE_EMPTY = frozenset({"message"})


def refuse_empty(options: Options) -> None:
    """Raises Mistakes for a word that was said and is empty, as `--hosts "$HOSTS"` is when nobody
    set it: it would mean all of them."""
    for each in fields(options):
        value = getattr(options, each.name)
        told = isinstance(value, str) and value != each.default and each.name not in MAY_BE_EMPTY
        if told and not value.strip(", "):
            raise Mistakes(
                f"--{each.name.strip('_').replace('_', '-')} is empty",
                where="command line",
                next=f"invoke --help {options.name}",
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Aimed(Options):
    """A verb about one target."""

    target: str | None = word(TARGET)


@dataclass(frozen=True, kw_only=True, eq=False)
class Confirmed(Options):
    """A verb that may ask."""

    yes: bool = word("Answer every confirmation with yes.", False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shipping(Aimed):
    """What a plan is made from."""

    message: str | None = word("The runbook's `message` parameter: the commit message.")
    ref: str | None = word("Ship this tag, branch or commit as it is: nothing is committed.")
    hosts: str | None = word("Only these hosts or groups, separated by commas.")
    param: tuple[str, ...] = word("--param NAME=VALUE: a parameter of the runbook. Repeatable.", ())
    accept_red: tuple[str, ...] = word(
        "--accept-red NAME: go ahead although this check is red now. Repeatable.", ()
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan(Shipping):
    """Show what would run where, and every undo.

    Probes the target read-only (not at all with --offline) and names every
    point of no return. The runbook is `deploy` unless --runbook says otherwise.

    Example: invoke plan --target prod

    Exit codes: 0 it could run; 2 a mistake in the words or files;
    3 it would be refused, and why.
    """

    name = "plan"
    writes = False
    room = "backout.commands.inspections:Inspection.plan"
    runbook: str | None = word(RUNBOOK)
    offline: bool = word("Resolve only; ask no host anything.", False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Diff(Aimed):
    """Show what would ship: commits and files.

    Between the release that runs and the working copy, or what --ref names.

    Example: invoke diff --target prod

    Exit codes: 0 shown; 2 a mistake in the words or files.
    """

    name = "diff"
    writes = False
    room = "backout.commands.inspections:Inspection.diff"
    ref: str | None = word("To this tag, branch or commit.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Deploy(Shipping, Confirmed):
    """Run runbooks/deploy.yaml: ship, prove, or back out.

    Example: invoke deploy --target prod --message "Fix the timeout"

    Exit codes: 0 deployed and proved; 2 a mistake, nothing was touched;
    3 refused before any change; 4 failed, backed out and healthy;
    5 backing out is incomplete, a person is needed; 7 another run holds the
    target; 8 interrupted (then: invoke resume, or invoke abort).
    """

    name = "deploy"
    room = "backout.commands.deploy:Operation.deploy"


@dataclass(frozen=True, kw_only=True, eq=False)
class Run(Shipping, Confirmed):
    """Run any runbook: do it, prove it, or back it out.

    Example: invoke run --runbook userconcert-fix --target prod --param ticket=142

    Exit codes: as for deploy (see invoke --help deploy).
    """

    name = "run"
    room = "backout.commands.deploy:Operation.run"
    runbook: str | None = word(RUNBOOK)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollback(Aimed, Confirmed):
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Resume(Aimed, Confirmed):
    """Finish an unfinished run.

    Continues where the journal ends, with the plan of that run. What may have
    happened unseen is asked of the hosts first; what nobody can tell is backed out.

    Example: invoke resume --target prod

    Exit codes: as for deploy; 3 when there is nothing to resume.
    """

    name = "resume"
    room = "backout.commands.deploy:Operation.resume"


@dataclass(frozen=True, kw_only=True, eq=False)
class Abort(Aimed, Confirmed):
    """Back an unfinished run out.

    Example: invoke abort --target prod

    Exit codes: 3 there is nothing to abort; 4 backed out and healthy;
    5 backing out is incomplete, a person is needed.
    """

    name = "abort"
    room = "backout.commands.deploy:Operation.abort"


@dataclass(frozen=True, kw_only=True, eq=False)
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Status(Aimed):
    """Ask the hosts what runs where; compare the ledger.

    Example: invoke status --target prod

    Exit codes: 0 as recorded; 3 a host cannot be reached; 6 they differ.
    """

    name = "status"
    writes = False
    room = "backout.commands.inspections:Inspection.status"


@dataclass(frozen=True, kw_only=True, eq=False)
class History(Aimed):
    """List past runs, newest first.

    Example: invoke history --target prod
    """

    name = "history"
    writes = False
    room = "backout.commands.inspections:Inspection.history"


@dataclass(frozen=True, kw_only=True, eq=False)
class Show(Options):
    """Show one run whole: who did what, when and where.

    Example: invoke show 20261122-073403-4f1a

    Exit codes: 0 shown; 2 there is no such run.
    """

    name = "show"
    writes = False
    room = "backout.commands.inspections:Inspection.show"
    run: str = field(metadata={"help": "The run's name, as `history` shows it."})


@dataclass(frozen=True, kw_only=True, eq=False)
class Lint(Options):
    """Check every runbook and inventory; name all mistakes.

    Example: invoke lint

    Exit codes: 0 clean; 2 mistakes, each with file, line and path.
    """

    name = "lint"
    writes = False
    room = "backout.commands.inspections:Inspection.lint"


@dataclass(frozen=True, kw_only=True, eq=False)
class Unlock(Aimed, Confirmed):
    """Show who holds the lock; take it when that is safe.

    Example: invoke unlock --target prod

    Exit codes: 0 it is free now; 3 not confirmed; 7 its holder may be alive
    (--force takes it all the same).
    """

    name = "unlock"
    room = "backout.commands.inspections:Inspection.unlock"
    force: bool = word("Take the lock even when its holder may still be alive.", False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Doctor(Aimed):
    """Say what can be reached, and how to get what is missing.

    Names the version of everything that a run would use.

    Example: invoke doctor --target prod

    Exit codes: 0 all there; 3 something is missing or unreachable.
    """

    name = "doctor"
    writes = False
    room = "backout.commands.beginnings:Beginning.doctor"


@dataclass(frozen=True, kw_only=True, eq=False)
class Init(Options):
    """Write a tasks.py, a runbook and an inventory.

    Overwrites nothing. The branch, the remote and the restart backend are told
    from what lies there; --backend says it otherwise.

    Example: invoke init (or, where there is no tasks.py yet: backout init)

    Exit codes: 0 written; 2 there is no such backend.
    """

    name = "init"
    room = "backout.commands.beginnings:Beginning.init"
    backend: str | None = word("How the service is restarted: systemd, pm2, docker-compose …")


@dataclass(frozen=True, kw_only=True, eq=False)
class Demo(Confirmed):
    """Take a two-minute tour: deploy, break, come back.

    All of it happens on this machine, in a directory of its own.

    Example: backout demo
    """

    name = "demo"
    room = "backout.commands.beginnings:Beginning.demo"


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleGigz(Options):
    """Watch a note fail, and a runbook cure.

    Starts a real PostgreSQL, Parse Server and PM2 in a directory of their own,
    deploys the old code of examples/gigz-api, follows the note to the letter,
    runs userconcert-fix, and rolls back.

    Example: invoke example.gigz
    """

    name = "example.gigz"
    room = "backout.commands.example:Example.gigz"


@dataclass(frozen=True, kw_only=True, eq=False)
class Watch(Options):
    """Run checks on schedule; tell when one goes bad.

    Watches every inventory that has checks, or those that --target names
    (repeatable). SIGHUP or a changed file: the inventories are read again.
    SIGTERM or Ctrl-C: what is under way is finished and written.

    The status page is .backout/status/index.html, or in the directory that
    --page names. --listen 127.0.0.1:8642 serves it, with /metrics and /health.

    Example: invoke watch --target prod

    Exit codes: 0 stopped; 2 a mistake in the files; 7 another watcher runs
    here. With --once as for verify: 0, 6 or 9.
    """

    name = "watch"
    room = "backout.commands.watch:Watching.watch"
    target: tuple[str, ...] = word(TARGET, ())
    once: bool = word("Look at everything once, tell what there is to tell, and end.", False)
    listen: str | None = word(LISTEN)
    listen_anywhere: bool = word(ANYWHERE, False)
    listen_name: tuple[str, ...] = word(NAMES, ())
    page: str | None = word(PAGE)


@dataclass(frozen=True, kw_only=True, eq=False)
class AlertAck(Aimed):
    """Acknowledge what is open now: no more reminders of it.

    Of all targets and checks, or those that are named (alive, or alive@web1).

    Example: invoke alert.ack --target prod --check alive

    Exit codes: 0 acknowledged; 3 there is no such open alert.
    """

    name = "alert.ack"
    room = "backout.commands.watch:Watching.ack"
    check: str | None = word(ONLY)
    note: str | None = word("What the others should know: 'on it', a ticket.")


@dataclass(frozen=True, kw_only=True, eq=False)
class AlertList(Aimed):
    """List the open alerts: what, since when, who knows.

    Example: invoke alert.list --target prod

    Exit codes: 0 listed, also when there is none.
    """

    name = "alert.list"
    room = "backout.commands.watch:Watching.list"


@dataclass(frozen=True, kw_only=True, eq=False)
class AlertSilence(Aimed):
    """Keep quiet about a target or check for a while.

    What is still wrong when the silence ends is told then.

    Example: invoke alert.silence --target prod --check alive --for 2h

    Exit codes: 0 silenced; 2 a mistake in the words.
    """

    name = "alert.silence"
    room = "backout.commands.watch:Watching.silence"
    check: str | None = word(ONLY)
    for_: str | None = word("How long: 30m, 2h, 1d; 0s ends it.")


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduleInstall(Aimed, Confirmed):
    """Have the machine watch, or verify regularly.

    --as service keeps `watch` running under systemd; --as timer verifies by a
    systemd timer, --as crontab by a line in your crontab, each --every so
    often. Shows exactly what it writes, and asks. --listen and --page go to
    `watch`.

    Example: invoke schedule.install --target prod --as timer --every 5m

    Exit codes: 0 installed, or was installed already; 2 a mistake in the words;
    3 not confirmed, or the machine refused.
    """

    name = "schedule.install"
    room = "backout.commands.schedule:Schedules.install"
    as_: str | None = word(KEEPER)
    every: str | None = word("How often a timer or crontab verifies: 5m, 1h, 1d.")
    listen: str | None = word(LISTEN)
    listen_anywhere: bool = word(ANYWHERE, False)
    listen_name: tuple[str, ...] = word(NAMES, ())
    page: str | None = word(PAGE)
    user: bool = word(USER, False)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduleRemove(Aimed, Confirmed):
    """Remove what schedule.install wrote, and nothing else.

    Example: invoke schedule.remove --target prod

    Exit codes: 0 removed; 3 not confirmed, or the machine refused.
    """

    name = "schedule.remove"
    room = "backout.commands.schedule:Schedules.remove"
    as_: str | None = word(KEEPER)
    user: bool = word(USER, False)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduleShow(Options):
    """Show what is installed for this directory.

    Example: invoke schedule.show
    """

    name = "schedule.show"
    room = "backout.commands.schedule:Schedules.show"
    user: bool = word(USER, False)


VERBS: tuple[type[Options], ...] = (
    *(Plan, Diff, Deploy, Run, Rollback, Resume, Abort),
    *(Verify, Status, History, Show, Lint, Doctor, Unlock),
    *(Watch, Init, Demo, ExampleGigz, AlertAck, AlertList, AlertSilence),
    *(ScheduleInstall, ScheduleRemove, ScheduleShow),
)
"""Every verb; a new one is a class here and a method where it is done."""
