"""Words in, exit codes out: one short Invoke task per verb.

`tasks.py` at the top of a repository re-exports `ns`; the console script `backout` is `main` and
runs the same tasks anywhere. Only Invoke is loaded here: everything else when a task runs, so
that `invoke --list` costs what Invoke costs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.parser.parser import Parser
from invoke.program import Program
from invoke.tasks import Task, task

HELP = {
    "accept_red": "--accept-red NAME: go ahead although this check is red now. Repeatable.",
    "check": "--check NAME: only this check, and those that follow it. Repeatable.",
    "as_": "service (watch, the default), timer or crontab (verify).",
    "every": "How often a timer or crontab verifies: 5m, 1h, 1d.",
    "for_": "How long: 30m, 2h, 1d; 0s ends it.",
    "force": "Take the lock even when its holder may still be alive.",
    "hosts": "Only these hosts or groups, separated by commas.",
    "json": "Print one JSON object on stdout, and nothing else there.",
    "junit": "Also write the checks to this file, as JUnit XML.",
    "listen": "Serve the status page here: 127.0.0.1:8642, or a port alone.",
    "listen_anywhere": "Listen on an address that others can reach.",
    "listen_name": "--listen-name NAME: requests may call the server so. Repeatable.",
    "message": "The runbook's `message` parameter: the commit message.",
    "offline": "Resolve only; ask no host anything.",
    "once": "Look at everything once, tell what there is to tell, and end.",
    "page": "Write the status page into this directory.",
    "param": "--param NAME=VALUE: a parameter of the runbook. Repeatable.",
    "run": "The run's name, as `history` shows it.",
    "runbook": "A name in runbooks/, or a path.",
    "target": "A name in inventories/, or a path. Default: $BACKOUT_TARGET.",
    "user": "Your own systemd units (systemctl --user), also as root.",
    "to": "The release to go back to: its number, or its commit.",
    "yes": "Answer every confirmation with yes.",
}


class Verb(Task):  # type: ignore[type-arg]
    """A task whose words are explained in one place, and whose mistaken words exit 2."""

    def __init__(self, body: Callable[..., None]) -> None:
        words = self.argspec(body).parameters
        super().__init__(
            body,
            help={word: HELP[word] for word in words},
            iterable=[name for name, word in words.items() if "list" in str(word.annotation)],
            auto_shortflags=False,  # `-h` must stay help, not become --hosts
        )

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Invoke asks for these just before it reads the words: see `Doorkeeper`."""
        doorkeeper()
        explained = dict(self.help)
        arguments = super().get_arguments(ignore_unknown_help)
        self.help = explained  # Invoke empties it, and may ask again
        return arguments


def act(c: Context, verb: str, **words: Any) -> None:
    """Do it, and leave with the exit code that it answers."""
    if c.config.run.dry:
        refuse_dry(words)
    # Invoke turns this off for the whole process; compiling everything anew each time is dear.
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    from backout.commands import main

    code = main.main(verb, words)
    if code:
        raise Exit(code=code)


def refuse_dry(words: dict[str, Any]) -> None:
    """Invoke's --dry reaches only Invoke's own runner; a deploy would go ahead all the same."""
    from backout.commands.words import mistaken

    what = "--dry is not honoured here; `plan` shows what would run, and changes nothing"
    following = f"invoke plan --target {words.get('target') or 'TARGET'}"
    raise mistaken(what, next=following, json=bool(words.get("json")))


@task(klass=Verb)
def plan(
    c: Context,
    target: str | None = None,
    runbook: str | None = None,
    hosts: str | None = None,
    message: str | None = None,
    param: list[str] | None = None,
    offline: bool = False,
    json: bool = False,
) -> None:
    """Show what would run where, and every undo.

    Probes the target read-only (not at all with --offline) and names every
    point of no return. The runbook is `deploy` unless --runbook says otherwise.

    Example: invoke plan --target prod

    Exit codes: 0 it could run; 2 a mistake in the words or files;
    3 it would be refused, and why.
    """
    act(
        c,
        "plan",
        target=target,
        runbook=runbook,
        hosts=hosts,
        message=message,
        param=param,
        offline=offline,
        json=json,
    )


@task(klass=Verb)
def deploy(
    c: Context,
    target: str | None = None,
    message: str | None = None,
    hosts: str | None = None,
    param: list[str] | None = None,
    accept_red: list[str] | None = None,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Run runbooks/deploy.yaml: ship, prove, or back out.

    Example: invoke deploy --target prod --message "Fix the timeout"

    Exit codes: 0 deployed and proved; 2 a mistake, nothing was touched;
    3 refused before any change; 4 failed, backed out and healthy;
    5 backing out is incomplete, a person is needed; 7 another run holds the
    target; 8 interrupted (then: invoke resume, or invoke abort).
    """
    act(
        c,
        "deploy",
        target=target,
        message=message,
        hosts=hosts,
        param=param,
        accept_red=accept_red,
        yes=yes,
        json=json,
    )


@task(klass=Verb)
def run(
    c: Context,
    runbook: str | None = None,
    target: str | None = None,
    hosts: str | None = None,
    param: list[str] | None = None,
    accept_red: list[str] | None = None,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Run any runbook: do it, prove it, or back it out.

    Example: invoke run --runbook userconcert-fix --target prod --param ticket=142

    Exit codes: as for deploy (see invoke --help deploy).
    """
    act(
        c,
        "run",
        runbook=runbook,
        target=target,
        hosts=hosts,
        param=param,
        accept_red=accept_red,
        yes=yes,
        json=json,
    )


@task(klass=Verb)
def rollback(
    c: Context,
    target: str | None = None,
    to: str | None = None,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Go back to the last known-good release, and prove it.

    Or to the release that --to names. Without --target: the target deployed
    last, which is named and confirmed.

    Example: invoke rollback --target prod --to 41

    Exit codes: 0 back and proved; 3 refused (no such release, or a run in
    between cannot be undone); 5 incomplete, a person is needed; 7 another run
    holds the target.
    """
    act(c, "rollback", target=target, to=to, yes=yes, json=json)


@task(klass=Verb)
def resume(c: Context, target: str | None = None, yes: bool = False, json: bool = False) -> None:
    """Finish an unfinished run.

    Continues where the journal ends, with the plan of that run. What may have
    happened unseen is asked of the hosts first; what nobody can tell is backed out.

    Example: invoke resume --target prod

    Exit codes: as for deploy; 3 when there is nothing to resume.
    """
    act(c, "resume", target=target, yes=yes, json=json)


@task(klass=Verb)
def abort(c: Context, target: str | None = None, yes: bool = False, json: bool = False) -> None:
    """Back an unfinished run out.

    Example: invoke abort --target prod

    Exit codes: 3 there is nothing to abort; 4 backed out and healthy;
    5 backing out is incomplete, a person is needed.
    """
    act(c, "abort", target=target, yes=yes, json=json)


@task(klass=Verb)
def verify(
    c: Context,
    target: str | None = None,
    check: list[str] | None = None,
    junit: str | None = None,
    json: bool = False,
) -> None:
    """Run the target's checks once.

    Example: invoke verify --target prod --check alive --junit checks.xml

    Exit codes: 0 healthy; 6 unhealthy; 9 could not tell.
    """
    act(c, "verify", target=target, check=check, junit=junit, json=json)


@task(klass=Verb)
def status(c: Context, target: str | None = None, json: bool = False) -> None:
    """Ask the hosts what runs where; compare the ledger.

    Example: invoke status --target prod

    Exit codes: 0 as recorded; 3 a host cannot be reached; 6 they differ.
    """
    act(c, "status", target=target, json=json)


@task(klass=Verb)
def history(c: Context, target: str | None = None, json: bool = False) -> None:
    """List past runs, newest first.

    Example: invoke history --target prod
    """
    act(c, "history", target=target, json=json)


@task(klass=Verb)
def show(c: Context, run: str, json: bool = False) -> None:
    """Show one run whole: who did what, when and where.

    Example: invoke show 20261122-073403-4f1a

    Exit codes: 0 shown; 2 there is no such run.
    """
    act(c, "show", run=run, json=json)


@task(klass=Verb)
def lint(c: Context, json: bool = False) -> None:
    """Check every runbook and inventory; name all mistakes.

    Example: invoke lint

    Exit codes: 0 clean; 2 mistakes, each with file, line and path.
    """
    act(c, "lint", json=json)


@task(klass=Verb)
def doctor(c: Context, target: str | None = None, json: bool = False) -> None:
    """Say what can be reached, and how to get what is missing.

    Names the version of everything that a run would use.

    Example: invoke doctor --target prod

    Exit codes: 0 all there; 3 something is missing or unreachable.
    """
    act(c, "doctor", target=target, json=json)


@task(klass=Verb)
def unlock(
    c: Context,
    target: str | None = None,
    force: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Show who holds the lock; take it when that is safe.

    Example: invoke unlock --target prod

    Exit codes: 0 it is free now; 3 not confirmed; 7 its holder may be alive
    (--force takes it all the same).
    """
    act(c, "unlock", target=target, force=force, yes=yes, json=json)


@task(klass=Verb)
def init(c: Context, json: bool = False) -> None:
    """Write a tasks.py, a runbook and an inventory.

    Overwrites nothing.

    Example: invoke init (or, where there is no tasks.py yet: backout init)
    """
    act(c, "init", json=json)


@task(klass=Verb)
def demo(c: Context, yes: bool = False, json: bool = False) -> None:
    """Take a two-minute tour: deploy, break, come back.

    All of it happens on this machine, in a directory of its own.

    Example: backout demo
    """
    act(c, "demo", yes=yes, json=json)


@task(klass=Verb)
def watch(
    c: Context,
    target: list[str] | None = None,
    once: bool = False,
    listen: str | None = None,
    listen_anywhere: bool = False,
    listen_name: list[str] | None = None,
    page: str | None = None,
    json: bool = False,
) -> None:
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
    act(
        c,
        "watch",
        target=target,
        once=once,
        listen=listen,
        listen_anywhere=listen_anywhere,
        listen_name=listen_name,
        page=page,
        json=json,
    )


@task(klass=Verb)
def alert_ack(
    c: Context, target: str | None = None, check: str | None = None, json: bool = False
) -> None:
    """Acknowledge what is open now: no more reminders of it.

    Of all targets and checks, or those that are named (alive, or alive@web1).

    Example: invoke alert.ack --target prod --check alive

    Exit codes: 0 acknowledged; 3 there is no such open alert.
    """
    act(c, "alert.ack", target=target, check=check, json=json)


@task(klass=Verb)
def alert_silence(
    c: Context,
    for_: str | None = None,
    target: str | None = None,
    check: str | None = None,
    json: bool = False,
) -> None:
    """Keep quiet about a target or check for a while.

    What is still wrong when the silence ends is told then.

    Example: invoke alert.silence --target prod --check alive --for 2h

    Exit codes: 0 silenced; 2 a mistake in the words.
    """
    act(c, "alert.silence", target=target, check=check, for_=for_, json=json)


@task(klass=Verb)
def schedule_install(
    c: Context,
    target: str | None = None,
    as_: str | None = None,
    every: str | None = None,
    listen: str | None = None,
    listen_anywhere: bool = False,
    listen_name: list[str] | None = None,
    page: str | None = None,
    user: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Have the machine watch, or verify regularly.

    --as service keeps `watch` running under systemd; --as timer verifies by a
    systemd timer, --as crontab by a line in your crontab, each --every so
    often. Shows exactly what it writes, and asks. --listen and --page go to
    `watch`.

    Example: invoke schedule.install --target prod --as timer --every 5m

    Exit codes: 0 installed, or was installed already; 2 a mistake in the words;
    3 not confirmed, or the machine refused.
    """
    act(
        c,
        "schedule.install",
        target=target,
        as_=as_,
        every=every,
        listen=listen,
        listen_anywhere=listen_anywhere,
        listen_name=listen_name,
        page=page,
        user=user,
        yes=yes,
        json=json,
    )


@task(klass=Verb)
def schedule_remove(
    c: Context,
    target: str | None = None,
    as_: str | None = None,
    user: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Remove what schedule.install wrote, and nothing else.

    Example: invoke schedule.remove --target prod

    Exit codes: 0 removed; 3 not confirmed, or the machine refused.
    """
    act(c, "schedule.remove", target=target, as_=as_, user=user, yes=yes, json=json)


@task(klass=Verb)
def schedule_show(c: Context, user: bool = False, json: bool = False) -> None:
    """Show what is installed for this directory.

    Example: invoke schedule.show
    """
    act(c, "schedule.show", user=user, json=json)


@task(klass=Verb)
def example_gigz(c: Context, json: bool = False) -> None:
    """Watch a note fail, and a runbook cure.

    Starts a real PostgreSQL, Parse Server and PM2 in a directory of their own,
    deploys the old code of examples/gigz-api, follows the note to the letter,
    runs userconcert-fix, and rolls back.

    Example: invoke example.gigz
    """
    act(c, "gigz", json=json)


def _within(name: str, **tasks: Task) -> Collection:  # type: ignore[type-arg]
    """Tasks under a common name: `alert.ack`."""
    collection = Collection(name)
    for own, each in tasks.items():
        collection.add_task(each, name=own)
    return collection


ns = Collection(
    "backout",
    plan,
    deploy,
    run,
    rollback,
    resume,
    abort,
    verify,
    status,
    history,
    show,
    lint,
    doctor,
    unlock,
    watch,
    init,
    demo,
)
ns.add_collection(_within("example", gigz=example_gigz))
ns.add_collection(_within("alert", ack=alert_ack, silence=alert_silence))
ns.add_collection(
    _within("schedule", install=schedule_install, remove=schedule_remove, show=schedule_show)
)


class Doorkeeper:
    """Looks at the words of plain `invoke` before Invoke does.

    Invoke leaves with 1 on words it does not know, where 1 means a bug in Backout. Just before
    it reads them it asks each task for its arguments, and there it lets an `Exit` through.
    Another repository's `ns` that merely contains these tasks is left to Invoke.
    """

    def __init__(self) -> None:
        self.looked = False

    def __call__(self) -> None:
        if self.looked:
            return
        self.looked = True
        program = Program()
        reader = Parser(initial=program.initial_context, ignore_unknown=True)
        try:
            core = reader.parse_argv(sys.argv[1:])
        except Exception:  # noqa: BLE001 - whatever it is, Invoke itself says it better
            return
        loaded = sys.modules.get(core[0].args.collection.value or "tasks")
        if getattr(loaded, "ns", None) is ns and (core.unparsed or core[0].args.help.value):
            from backout.commands.words import check

            check(core, program.initial_context, ns, binary="invoke")


doorkeeper = Doorkeeper()


class Backout(Program):
    """Invoke's program, bound to these tasks."""

    def parse_core(self, argv: list[str] | None) -> None:
        from backout.commands.words import translated

        with translated(argv or sys.argv):
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        from backout.commands.words import check

        check(self.core, self.initial_context, self.collection, binary="backout")
        super().parse_tasks()

    def no_tasks_given(self) -> None:
        self.list_tasks()
        raise Exit


def main() -> None:
    """The console script `backout`."""
    from backout import __version__

    Backout(
        name="Backout",
        binary="backout",
        binary_names=["backout"],
        namespace=ns,
        version=__version__,
    ).run()
