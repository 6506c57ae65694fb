"""One verb from its words to its exit code: every answer is shown, every error is told."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from backout.adapters import environment, extras
from backout.adapters.terminal import ci, streams, ui
from backout.adapters.terminal.operator import TerminalOperator
from backout.commands import typed
from backout.commands.options import Confirmed, Options, refuse_unmeant
from backout.commands.signals import ending
from backout.errors import BackoutError, Interrupted, Mistakes, Refused
from backout.ports import Screen
from backout.project.project import Workplace
from backout.registry import Table
from backout.reports.answer import Answer
from backout.reports.errors_text import error_json, error_text, json_text

TEXTS = Table(
    {
        "run": "backout.reports.text:run_text",
        "refused": "backout.reports.text:refused_text",
        "plan": "backout.reports.plan_text:plan_text",
        "diff": "backout.reports.ships_text:diff_text",
        "held": "backout.reports.targets_text:hold_text",
        "approved": "backout.reports.approvals:approval_text",
        "rehearsed": "backout.reports.rehearsal_text:rehearsed_text",
        "verify": "backout.reports.checks_text:verify_text",
        "status": "backout.reports.targets_text:status_text",
        "history": "backout.reports.text:history_text",
        "chain": "backout.reports.text:chain_text",
        "show": "backout.reports.text:show_text",
        "lint": "backout.reports.text:lint_text",
        "doctor": "backout.reports.targets_text:doctor_text",
        "unlock": "backout.reports.targets_text:unlock_text",
        "watch": "backout.reports.watch_text:watch_text",
        "alert": "backout.reports.watch_text:alert_text",
        "alerts": "backout.reports.watch_text:alerts_text",
        "token": "backout.reports.watch_text:token_text",
        "tokens": "backout.reports.watch_text:tokens_text",
        "schedule": "backout.reports.watch_text:schedule_text",
        "init": "backout.reports.text:init_text",
        "targets": "backout.reports.around_text:targets_text",
        "logs": "backout.reports.around_text:logs_text",
        "looked": "backout.reports.around_text:looked_text",
        "moved": "backout.reports.keeping_text:moved_text",
        "pruned": "backout.reports.keeping_text:pruned_text",
        "uninstalled": "backout.reports.keeping_text:uninstalled_text",
        "handed": "backout.reports.handed_text:handed_text",
        "zones": "backout.reports.handed_text:zones_text",
        "imported": "backout.reports.document_text:import_text",
    }
)
"""How each kind of answer is put into words: of a verb's answer, by what it needs alone."""
OWN: Mapping[str, Callable[[Any], str]] = {
    "plan whole": lambda told: TEXTS["plan"](told, whole=True),
    "completion": lambda told: told.script,
    "import": lambda told: TEXTS["imported"](told, _columns()),
    "render": lambda told: told.text.rstrip("\n"),
    "demo": lambda _: "",
    "nothing": lambda _: "",
    "gigz": lambda _: "",
}


SCARCE = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),
}
"""What a machine says that has no more of something, or that has lost its disk."""
RUNNING = ("deploy", "run", "resume", "abort", "rollback")
"""Verbs that have a run."""


def main(options: Options) -> int:
    """Do it and show what it answers. Returns the exit code; raises nothing."""
    environment.settle()
    streams.settle()
    typed.program.cache_clear()  # one process may be called several times
    typed.program()
    if not options.json:
        return _main(options, sys.stdout)
    with streams.apart() as out:
        return _main(options, out)


def _main(options: Options, out: TextIO) -> int:
    yes = isinstance(options, Confirmed) and options.yes
    screen = Console(ui.choose(out, options.json, os.environ), yes=yes)
    try:
        workplace = Workplace(Path.cwd())
    except OSError as error:
        return _tell(_nowhere(error), screen, Workplace(Path("/")))
    os.chdir(workplace.root)
    with interruptible(screen):
        try:
            return _answered(options, workplace, screen)
        finally:
            screen.over()
            workplace.close()
            screen.ui.close()


def _answered(options: Options, workplace: Workplace, screen: Console) -> int:
    try:
        with screen.ui:
            answer = do(options, workplace, screen)
        screen.over()
        return _show(answer, screen, workplace, json=options.json)
    except BackoutError as error:
        return _tell(typed.error(error, options.name), screen, workplace)
    except KeyboardInterrupt:
        return _tell(_interrupted(options), screen, workplace)
    except BaseException as error:  # noqa: BLE001 - the last resort: a bug, SystemExit(0) too
        known = isinstance(error, Exception) and (_not_installed(error) or _out_of(error))
        if known:
            return _tell(typed.error(known), screen, workplace)
        sys.stderr.write(ui.clean(workplace.redact(traceback.format_exc())))
        return 1


def _nowhere(error: OSError) -> Mistakes:
    """Where it was started is no directory any more, or one that may not be looked into."""
    return Mistakes(
        f"the directory that this was started in cannot be read: {error.strerror}",
        where=os.environ.get("PWD", ""),
        next="the same command, in the project's directory",
    )


def _interrupted(options: Options) -> BackoutError:
    """What was interrupted had no run yet, or only looks; see `signals` for the others."""
    kind = Refused if options.name in RUNNING else Interrupted
    again = "the same command again"
    return kind("interrupted", state="nothing was changed", next=again)


@contextmanager
def interruptible(screen: Console) -> Iterator[None]:
    """The first signal stops a verb that only looks, as soon as what has begun is over; the
    second leaves at once. While something is changed, or watched, signals are that one's. When
    it is over they change nothing of what is told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopping = False

    def handle(_number: int, _frame: object) -> None:
        nonlocal stopping
        if screen.is_over:
            return
        if stopping:
            left = "nothing was changed; what had begun may still be running"
            screen.left("interrupted twice: left at once", state=left, next="")
            os._exit(Interrupted.exit_code)
        stopping = True
        _say_at_once("Stopping: what has begun is awaited. Once more leaves.", sys.stderr)
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, handle)) for number in ending()]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def do(options: Options, workplace: Workplace, screen: Screen) -> Answer:
    """One verb, by whoever does it. Raises what the verb raises."""
    refuse_unmeant(options)
    workplace.only_reads = not options.writes
    module, _, place = options.room.partition(":")
    room, _, method = place.partition(".")
    doer = getattr(import_module(module), room)(workplace, screen)
    answer: Answer = getattr(doer, method)(options)
    return answer


def text_of(answer: Answer) -> str:
    """The answer in words, with the commands that it names as they are typed here."""
    words = OWN.get(answer.kind) or TEXTS[answer.kind]
    return typed.page(words(typed.told(answer.told)))


def _show(answer: Answer, screen: Console, workplace: Workplace, *, json: bool) -> int:
    data = typed.told(answer.told).to_data()
    if ci.here() and (data.get("run") or "verdict" in data):
        _tell_github(answer, data, screen, workplace)
    if json:
        screen.print(workplace.redact(json_text(data)))
    elif answer.kind == "refused":
        screen.ui.error(workplace.redact(text_of(answer)))
    else:
        screen.print(workplace.redact(text_of(answer)))
    return answer.exit_code


def _not_installed(error: Exception) -> BackoutError | None:
    """What to say where a library of an extra is missing; None for any other error."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    package = (name or "").partition(".")[0]
    extra = extras.extra_of(package) if package else ""
    if not extra:
        return None
    state = "what had begun, if anything, is in the journal"
    return Refused(f"{package} is not installed", state=state, next=extras.hint(extra))


def _out_of(error: Exception) -> BackoutError | None:
    """What to say where this machine has no more of something; None for any other error."""
    match error:
        case OSError() if error.errno == errno.ENAMETOOLONG and error.filename:
            state = "what had begun, if anything, is in the journal"
            return Mistakes(f"{error.strerror}: {str(error.filename)[:200]}", state=state)
        case OSError() if error.errno in SCARCE:
            why = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        case MemoryError():
            why = os.strerror(errno.ENOMEM)
        case RuntimeError() if "can't start new thread" in str(error):
            why = "no more threads"
        case _:
            return None
    return Interrupted(
        f"this machine cannot go on: {why}",
        state="what had begun, if anything, is in the journal",
        next="make room for it, then: invoke status",
    )


def _tell_github(
    answer: Answer, data: Mapping[str, Any], screen: Console, workplace: Workplace
) -> None:
    """A run, or a look: its outputs and its summary; what went wrong at the top of the page."""
    text = workplace.redact(text_of(answer))
    if answer.exit_code:
        screen.ui.mark(ci.annotation(text.partition("\n")[0]))
    ci.leave(data, text, ci.here())


def _columns() -> int:
    """How wide the terminal is; 0 where there is none."""
    return shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0


def _tell(error: BackoutError, screen: Console, workplace: Workplace) -> int:
    if ci.here():
        for line in ci.notices(error, ci.here(), workplace.redact):
            screen.ui.mark(line)
    if screen.ui.json:
        screen.ui.print(workplace.redact(error_json(error)))
    else:
        screen.ui.error(workplace.redact(error_text(error)))
    return error.exit_code


class Console:
    """`ports.Screen`: the screen that suits the output, and the person at it."""

    def __init__(self, screen: ui.Ui, *, yes: bool) -> None:
        self.ui = screen
        self.operator = TerminalOperator(screen, sys.stdin, yes=yes)
        self.live = screen.live
        self.listen = screen.listen
        self.print = screen.print
        self.is_over = False

    def over(self) -> None:
        """What was typed has come to its end; only the answer is still to be told."""
        self.is_over = True

    def interrupted(self) -> None:
        """Say that the run stops, and that a second signal leaves at once."""
        self.ui.error_soon(
            "Stopping: what has begun is awaited, then everything is backed out."
            " Once more leaves at once."
        )

    def left(self, what: str, *, state: str, next: str) -> None:
        """Say, from a signal handler, that the process leaves now."""
        _tell_at_once(typed.error(Interrupted(what, state=state, next=next)), self.ui)


def _tell_at_once(error: BackoutError, screen: ui.Ui) -> None:
    text = error_json(error) if screen.json else error_text(error)
    _say_at_once(text, screen.out if screen.json else screen.err)


def _say_at_once(text: str, stream: TextIO) -> None:
    """Without a lock that the interrupted thread may hold, to whoever still reads."""
    with suppress(OSError):
        os.write(stream.fileno(), f"{text}\n".encode())
