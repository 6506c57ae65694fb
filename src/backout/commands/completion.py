"""`completion`: the script that completes words in a shell."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from importlib.resources import files
from typing import Any

from backout.commands.options import VERBS, Completion, Options
from backout.errors import Mistakes
from backout.ports import Screen
from backout.project import completing
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.objects import Script
from backout.restarters import BACKENDS

SHELLS = ("bash", "zsh", "fish")
KINDS = {
    "target": "targets",
    "runbook": "runbooks",
    "run": "runs",
    "check": "checks",
    "accept_red": "checks",
    "host": "host",
    "answer": "again|done|back-out",
    "hosts": "hosts",
    "to": "releases",
    "file": "files",
    "junit": "files",
    "out": "files",
    "deploy plan": "files",
    "page": "files",
    "shell": "|".join(SHELLS),
    "backend": "|".join(BACKENDS),
    "schedule.install as_": "service|timer|crontab",
    "schedule.remove as_": "service|timer|crontab",
}
"""What a word is a name of, for every verb that has it, or for that verb alone."""


class Completing:
    """Writes the script; see `project.completing` for what it calls."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def completion(self, options: Completion) -> Answer:
        if options.shell not in SHELLS:
            raise Mistakes(
                f"there is no completion for {options.shell!r}; there is for {', '.join(SHELLS)}",
                where="command line",
                next="invoke --help completion",
            )
        return Answer("completion", Script(options.shell, script(options.shell)))


def script(shell: str) -> str:
    """The shell's script, with the words of every verb and where they are completed."""
    text = files("backout.commands").joinpath(f"shells/complete.{shell}").read_text()
    called = shlex.join([sys.executable, "-I", "-S", str(completing.__file__)])
    return text.replace("@COMPLETER@", called).replace("@WORDS@", f"'{table()}'").rstrip()


def table() -> str:
    """A line a verb, with its options and what kind of value they take."""
    return "\n".join(" ".join((verb.name, *_words(verb))) for verb in VERBS)


def _words(verb: type[Options]) -> Iterator[str]:
    for each in fields(verb):
        kind = KINDS.get(f"{verb.name} {each.name}") or KINDS.get(each.name, "")
        if each.default is MISSING:
            yield f"{completing.POSITIONAL}={kind}"
        else:
            yield f"--{each.name.strip('_').replace('_', '-')}" + _value(each, kind)


def _value(word: Field[Any], kind: str) -> str:
    return "" if isinstance(word.default, bool) else f"={kind}"
