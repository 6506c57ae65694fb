"""One verb from its words to its exit code: every answer is shown, every error is told."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backout.adapters import environment
from backout.adapters.terminal import ui
from backout.errors import BackoutError, Interrupted
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.text import (
    doctor_text,
    error_json,
    error_text,
    history_text,
    init_text,
    json_text,
    lint_text,
    plan_text,
    run_text,
    show_text,
    status_text,
    unlock_text,
    verify_text,
)
from backout.reports.watch_text import alert_text, schedule_text, watch_text

CHANGING = ("deploy", "run", "rollback", "resume", "abort")
WATCHING = (
    "watch",
    "alert.ack",
    "alert.silence",
    "schedule.install",
    "schedule.remove",
    "schedule.show",
)
TEXTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "run": run_text,
    "plan": plan_text,
    "verify": verify_text,
    "status": status_text,
    "history": history_text,
    "show": lambda data: show_text(data, data["records"]),
    "lint": lint_text,
    "doctor": doctor_text,
    "unlock": unlock_text,
    "watch": watch_text,
    "alert": alert_text,
    "schedule": schedule_text,
    "init": init_text,
    "demo": lambda _: "",
    "gigz": lambda _: "",
}


def main(verb: str, words: Mapping[str, Any]) -> int:
    """Do `verb` and show what it answers. Returns the exit code; raises nothing."""
    environment.settle()
    json = bool(words.get("json"))
    screen = Console(ui.choose(sys.stdout, json, os.environ), yes=bool(words.get("yes")))
    workplace = Workplace(Path.cwd())
    os.chdir(workplace.root)
    try:
        with screen.ui:
            answer = _answer(verb, workplace, screen, words)
        return _show(answer, screen, workplace, json=json)
    except BackoutError as error:
        return _tell(error, screen, workplace)
    except KeyboardInterrupt:
        return _tell(Interrupted("interrupted", state="nothing was changed"), screen, workplace)
    except Exception:  # noqa: BLE001 - the last resort: a bug, told as one
        sys.stderr.write(workplace.redact(traceback.format_exc()))
        return 1
    finally:
        workplace.close()


def _answer(verb: str, workplace: Workplace, screen: Console, words: Mapping[str, Any]) -> Answer:
    if verb in CHANGING:
        from backout.commands.deploy import Operation

        return _call(Operation(workplace, screen, words), verb)
    if verb in ("doctor", "init", "demo"):
        from backout.commands import beginnings

        return _call(beginnings.Beginning(workplace, screen, words), verb)
    if verb == "gigz":
        from backout.commands import example

        return _call(example.Example(workplace, screen, words), verb)
    if verb in WATCHING:
        from backout.commands.watch import Watching
        from backout.status_page import publisher

        beside = publisher.companions(workplace, screen, words) if verb == "watch" else ()
        return _call(Watching(workplace, screen, words, beside), verb.replace(".", "_"))
    from backout.commands.inspections import Inspection

    return _call(Inspection(workplace, screen, words), verb)


def _call(room: object, verb: str) -> Answer:
    answer: Answer = getattr(room, verb)()
    return answer


def _show(answer: Answer, screen: Console, workplace: Workplace, *, json: bool) -> int:
    if json:
        screen.print(workplace.redact(json_text(answer.data)))
    elif answer.kind == "refused":
        screen.ui.error(workplace.redact(_three_lines(answer.data["error"])))
    else:
        screen.print(workplace.redact(TEXTS[answer.kind](answer.data)))
    return answer.exit_code


def _three_lines(words: Mapping[str, str]) -> str:
    return error_text(BackoutError(**words))


def _tell(error: BackoutError, screen: Console, workplace: Workplace) -> int:
    if screen.ui.json:
        screen.ui.print(workplace.redact(error_json(error)))
    else:
        screen.ui.error(workplace.redact(error_text(error)))
    return error.exit_code


class Console:
    """`ports.Screen`: the screen that suits the output, and the person at it."""

    def __init__(self, screen: ui.Ui, *, yes: bool) -> None:
        self.ui = screen
        self.operator = ui.TerminalOperator(screen, sys.stdin, yes=yes)
        self.listen = screen.listen
        self.print = screen.print

    def interrupted(self) -> None:
        """Say that the run stops, and that a second signal leaves at once."""
        self.ui.error(
            "Stopping: what has begun is awaited, then everything is backed out."
            " Once more leaves at once."
        )

    def left(self, what: str, *, state: str, next: str) -> None:
        """Say, from a signal handler, that the process leaves now."""
        _tell_at_once(Interrupted(what, state=state, next=next), self.ui)


def _tell_at_once(error: BackoutError, screen: ui.Ui) -> None:
    """Without a lock that the interrupted thread may hold."""
    text = error_json(error) if screen.json else error_text(error)
    stream = screen.out if screen.json else screen.err
    os.write(stream.fileno(), f"{text}\n".encode())
