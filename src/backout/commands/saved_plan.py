"""A plan in a file: made by `plan --out`, deployed as it is by `deploy --plan`.

The file holds what was typed and the plan's picture, and nothing that runs: what it deploys is the
project's own runbook, and only where the picture that is taken then is the one in the file.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backout import __version__
from backout.adapters.local_lock import owner
from backout.commands.options import Deploy, Shipping
from backout.errors import Mistake, Mistakes
from backout.model.files import content_of
from backout.reports.data import stamp
from backout.runs.picture import PARTS, Picture

KIND = "backout plan"
FORMAT = 1
LARGEST = 16 << 20
"""Bytes of such a file, at most."""


@dataclass(frozen=True, slots=True)
class Words:
    """What was typed to make a plan, and makes it again."""

    target: str
    runbook: str
    hosts: str | None = None
    ref: str | None = None
    message: str | None = None
    param: tuple[str, ...] = ()
    accept_red: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Shipping, target: str, runbook: str) -> Words:
        said = {name: getattr(options, name) for name in SAID}
        return cls(target, runbook, **said)


SAID = ("hosts", "ref", "message", "param", "accept_red")


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """Such a file, read."""

    words: Words
    picture: Picture
    file: str
    by: str = ""
    at: str = ""


def again(saved: SavedPlan, given: Deploy, reveal: Callable[[str], str]) -> Deploy:
    """The words that made the plan, with what only concerns how it is run. Raises Mistakes where
    others were given beside it."""
    also = [name for name in SAID if getattr(given, name) != getattr(Deploy(), name)]
    if given.target not in (None, saved.words.target):
        also.append("target")
    if also:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in also)
        raise Mistakes(
            f"--plan says all of it: {names} cannot be said beside it",
            where="command line",
            next=f"invoke deploy --plan {saved.file}",
        )
    said: dict[str, Any] = {name: getattr(saved.words, name) for name in SAID}
    said["param"] = tuple(map(reveal, saved.words.param))
    return replace(given, target=saved.words.target, **said)


def anew(saved: SavedPlan) -> str:
    """What to type to make that plan again, as things are now."""
    words = ["invoke", "plan", "--target", saved.words.target]
    if saved.words.runbook != "deploy":
        words += ["--runbook", saved.words.runbook]
    for name in SAID:
        said = getattr(saved.words, name) or ()
        for each in (said,) if isinstance(said, str) else said:
            words += [f"--{name.replace('_', '-')}", each]
    return shlex.join([*words, "--out", saved.file])


def write(path: Path, words: Mapping[str, Any], picture: Picture) -> None:
    """Write it whole or not at all, private. Raises Mistakes, also where something else lies."""
    heading = {
        "format": FORMAT,
        "kind": KIND,
        "digest": picture.digest,
        "made_at": stamp(datetime.now(UTC)),
        "made_by": owner(),
        "version": __version__,
        "words": words,
    }
    text = json.dumps({**heading, **{part: picture.parts[part] for part in PARTS}}, indent=1)
    if path.exists() or path.is_symlink():
        _refuse_another(path)
    try:
        _put(path, f"{text}\n".encode())
    except OSError as error:
        raise Mistakes(f"--out {path}: {error.strerror}", where="command line") from error


def _put(path: Path, content: bytes) -> None:
    """A new file under another name, renamed: no link that lies there is followed."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def _refuse_another(path: Path) -> None:
    try:
        read(path)
    except Mistakes:
        raise Mistakes(
            f"--out {path}: something lies there that is no saved plan of this Backout",
            where="command line",
            next="name another file, or remove it",
        ) from None


def read(path: Path) -> SavedPlan:
    """Raises Mistakes, with the line where it can be told, for what is no saved plan, is not whole
    or was changed."""
    try:
        text = content_of(path, LARGEST).decode()
    except OSError as error:
        raise _not_one(path, 0, error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise _not_one(path, 0, "not text in UTF-8") from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        raise _not_one(path, line, f"not JSON: {getattr(error, 'msg', error)}") from None
    return _read(path, text, data)


def _read(path: Path, text: str, data: Any) -> SavedPlan:
    if not isinstance(data, Mapping) or data.get("kind") != KIND:
        raise _not_one(path, _line(text, "kind"), f"no saved plan: `kind` is not {KIND!r}")
    if data.get("format") != FORMAT:
        words = f"format {data.get('format')!r}, this Backout knows {FORMAT}"
        raise _not_one(path, _line(text, "format"), words)
    for part in PARTS:
        facts = data.get(part)
        plain = str | int | float | None
        if not isinstance(facts, Mapping) or not all(isinstance(v, plain) for v in facts.values()):
            raise _not_one(path, _line(text, part), f"`{part}` is missing, or not what it must be")
    said = _words(data.get("words"))
    if said is None:
        raise _not_one(path, _line(text, "words"), "`words` are not those of a plan")
    picture = Picture({part: data[part] for part in PARTS})
    if picture.digest != data.get("digest"):
        words = f"it was changed after it was made: its digest is {picture.digest[:12]}… now"
        raise _not_one(path, _line(text, "digest"), words)
    return SavedPlan(said, picture, str(path), str(data.get("made_by")), str(data.get("made_at")))


def _words(data: Any) -> Words | None:
    try:
        lists = {name: tuple(data[name]) for name in ("param", "accept_red")}
        said = Words(**{**data, **lists})
    except (TypeError, KeyError):
        return None
    return said if all(_is_word(getattr(said, each.name)) for each in fields(said)) else None


def _is_word(value: object) -> bool:
    texts = value if isinstance(value, tuple) else (value,)
    return all(isinstance(each, str | None) for each in texts)


def _line(text: str, key: str) -> int:
    """Where a key of the file stands; the file is written with each in a line of its own."""
    found = re.search(rf'^\s*"{key}"\s*:', text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def _not_one(path: Path, line: int, words: str) -> Mistakes:
    return Mistakes(
        mistakes=[Mistake(str(path), line, "", words)],
        next=f"make it anew: invoke plan --target TARGET --out {path}",
    )
