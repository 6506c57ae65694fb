"""What GitHub Actions is told beside the log: annotations, the step's outputs, its summary.

Its words are lines that begin with `::`, and files that the environment names. What others said
is put into them so that it stays text: escaped in a line, on one line of an output, fenced in the
summary.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from backout.adapters.terminal.ui import clean, one_line
from backout.errors import BackoutError, Mistakes

_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_MESSAGE, ":": "%3A", ",": "%2C"}
MOST = 50
"""How many annotations one command makes; GitHub shows no more than that of a job."""
LONGEST = 60_000
"""Characters of a summary; GitHub refuses one of more than a mebibyte."""


def is_github(environ: Mapping[str, str]) -> bool:
    return environ.get("GITHUB_ACTIONS") == "true"


def notices(
    error: BackoutError, environ: Mapping[str, str], redact: Callable[[str], str]
) -> Iterator[str]:
    """A line for each mistake, at its place in the repository; else one for the error."""
    mistakes = error.mistakes if isinstance(error, Mistakes) else ()
    for each in mistakes[:MOST]:
        path = f"{each.path}: " if each.path else ""
        place = {"file": _in_repository(each.file, environ)} if each.line else {}
        line = {"line": str(each.line)} if each.line else {}
        yield annotation(redact(f"{path}{each.message}"), **place, **line)
    if not mistakes:
        yield annotation(redact(f"{error.what}\n{error.next}".strip()))


def annotation(message: str, **properties: str) -> str:
    """`::error file=…,line=…::message`."""
    told = ",".join(f"{key}={_escaped(value, _PROPERTY)}" for key, value in properties.items())
    return f"::error{f' {told}' if told else ''}::{_escaped(message, _MESSAGE)}"


def _escaped(text: str, signs: Mapping[str, str]) -> str:
    return "".join(signs.get(sign, sign) for sign in clean(text))


def _in_repository(file: str, environ: Mapping[str, str]) -> str:
    """As GitHub names it: from the top of the repository."""
    path, top = Path(file).absolute(), environ.get("GITHUB_WORKSPACE", "")
    return str(path.relative_to(top)) if top and path.is_relative_to(top) else file


# --- what is left for later steps, and for people -----------------------------------------


def outputs(data: Mapping[str, Any]) -> dict[str, str]:
    """`run`, `release`, `commit` and `outcome`, as far as an answer has them."""
    release = (data.get("release") or {}) if isinstance(data.get("release"), Mapping) else {}
    made = release.get("to", release) or {}
    found = {
        "run": data.get("run"),
        "release": made.get("number"),
        "commit": made.get("commit"),
        "outcome": data.get("outcome") or data.get("verdict"),
    }
    return {name: one_line(str(value)) for name, value in found.items() if value not in (None, "")}


def leave(data: Mapping[str, Any], text: str, environ: Mapping[str, str]) -> None:
    """Append to the files that the environment names. One that cannot be written is no reason
    for another exit code."""
    lines = [f"{name}={value}" for name, value in outputs(data).items()]
    _append(environ.get("GITHUB_OUTPUT", ""), "\n".join(lines))
    _append(environ.get("GITHUB_STEP_SUMMARY", ""), summary(text))


def summary(text: str) -> str:
    """The first line as a title, the whole in a block that nothing in it can end."""
    text = clean(text).strip()[:LONGEST]
    title = re.sub(r"([^\w\s])", r"\\\1", text.partition("\n")[0])
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"### {title}\n\n{fence}text\n{text}\n{fence}\n"


def _append(path: str, text: str) -> None:
    if path and text:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def here() -> Mapping[str, str]:
    """The environment of this process, where GitHub Actions started it; empty elsewhere."""
    return os.environ if is_github(os.environ) else {}
