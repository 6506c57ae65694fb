"""One verb from its words to its exit code: every answer is shown, every error is told."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backout import reporting, telling
from backout.adapters import environment, ui
from backout.answer import Answer
from backout.errors import BackoutError, Interrupted
from backout.workplace import Workplace

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
    "run": reporting.run_text,
    "plan": reporting.plan_text,
    "verify": reporting.verify_text,
    "status": reporting.status_text,
    "history": reporting.history_text,
    "show": lambda data: reporting.show_text(data, data["records"]),
    "lint": reporting.lint_text,
    "doctor": reporting.doctor_text,
    "unlock": reporting.unlock_text,
    "watch": telling.watch_text,
    "alert": telling.alert_text,
    "schedule": telling.schedule_text,
    "init": reporting.init_text,
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
        from backout.operations import Operation

        return _call(Operation(workplace, screen, words), verb)
    if verb in ("doctor", "init", "demo"):
        from backout import beginnings

        return _call(beginnings.Beginning(workplace, screen, words), verb)
    if verb == "gigz":
        from backout import example

        return _call(example.Example(workplace, screen, words), verb)
    if verb in WATCHING:
        from backout import publishing
        from backout.watching import Watching

        beside = publishing.companions(workplace, screen, words) if verb == "watch" else ()
        return _call(Watching(workplace, screen, words, beside), verb.replace(".", "_"))
    from backout.inspections import Inspection

    return _call(Inspection(workplace, screen, words), verb)


def _call(room: object, verb: str) -> Answer:
    answer: Answer = getattr(room, verb)()
    return answer


def _show(answer: Answer, screen: Console, workplace: Workplace, *, json: bool) -> int:
    if json:
        screen.print(workplace.redact(reporting.json_text(answer.data)))
    elif answer.kind == "refused":
        screen.ui.error(workplace.redact(_three_lines(answer.data["error"])))
    else:
        screen.print(workplace.redact(TEXTS[answer.kind](answer.data)))
    return answer.exit_code


def _three_lines(words: Mapping[str, str]) -> str:
    return reporting.error_text(BackoutError(**words))


def _tell(error: BackoutError, screen: Console, workplace: Workplace) -> int:
    if screen.ui.json:
        screen.ui.print(workplace.redact(reporting.error_json(error)))
    else:
        screen.ui.error(workplace.redact(reporting.error_text(error)))
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
    text = reporting.error_json(error) if screen.json else reporting.error_text(error)
    stream = screen.out if screen.json else screen.err
    os.write(stream.fileno(), f"{text}\n".encode())
