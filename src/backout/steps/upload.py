"""`upload`: a file from this machine to another, or to another place on this one."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import secrets
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import ClassVar

from pydantic import Field

from backout.errors import BackoutError, Refused, Unreachable
from backout.model import Command, Options, Result, State, Undo
from backout.ports import Work
from backout.steps.base import Kind
from backout.steps.script import LOOK, read, told, way_back


class UploadOptions(Options):
    """What goes where. Without a mode the file keeps the one it replaces, or gets 0644."""

    told_fields: ClassVar[tuple[str, ...]] = ("from", "to", "mode")
    from_: str = Field(alias="from")
    to: str = Field(min_length=1)
    mode: str = Field(default="", pattern=r"^(0?[0-7]{3,4})?$|\{\{")


class Upload(Kind):
    """The new file is complete beside the old one before one rename puts it in place; the old
    one is kept, with its owner and mode, among Backout's own files on that machine."""

    Options: ClassVar[type[Options]] = UploadOptions
    undoes: ClassVar[bool] = True

    def describe(self, work: Work) -> str:
        return f"{work.step.kind} {quote(work.options.from_)} to {quote(_target(work))}"

    def before(self, work: Work) -> Undo:
        self._refuse_unreadable(work)
        to = _target(work)
        t, folder = _path(to), _path(posixpath.dirname(to) or ".")
        script = f"""\
if [ -d {t} ]; then echo 'it is a directory' >&2; exit 1; fi
if [ ! -d {folder} ]; then echo {folder} 'does not exist, or is no directory' >&2; exit 1; fi"""
        read(work.transport, script, f"{to} on {work.transport.host.name}")
        return way_back(work, _undo(work), summary=f"put {to} back as it was")

    def act(self, work: Work) -> Result:
        new = _staged(work)
        try:
            work.transport.put(self.content(work), new, 0o600)
            script = _script(work, new, self.mode(work))
        except OSError as error:
            where = error.filename or _target(work)
            return Result(State.FAILED, reason=f"{where}: {error.strerror}")
        except BackoutError as error:
            return Result(State.FAILED, reason=error.what)
        result = work.transport.run(Command(script, timeout=work.step.timeout, key=work.key))
        if result.state is State.FAILED:
            _clear(work)
        return told(result)

    def content(self, work: Work) -> bytes:
        """What the file is to hold. Raises OSError, or what a template raises."""
        return Path(work.options.from_).read_bytes()

    def mode(self, work: Work) -> str:
        """The mode in octal; empty for the mode of the file that is replaced."""
        return str(work.options.mode)

    def undo(self, work: Work, undo: Undo) -> Result:
        return told(super().undo(work, undo))

    def recall(self, work: Work, undo: Undo) -> Result | None:
        """What never got its place is not left beside it."""
        result = super().recall(work, undo)
        if result is None:
            _clear(work)
        return None if result is None else told(result)

    def _refuse_unreadable(self, work: Work) -> None:
        path = Path(work.options.from_)
        try:
            path.open("rb").close()
        except OSError as error:
            raise Refused(f"{path} on this machine: {error.strerror}") from error


def _target(work: Work) -> str:
    return posixpath.join(work.step.cwd, work.options.to)


def _staging(work: Work) -> str:
    """How the names begin under which this very action puts a file beside its target."""
    folder, name = posixpath.split(_target(work))
    tag = hashlib.sha256(work.key.partition("#")[0].encode()).hexdigest()[:16]
    return posixpath.join(folder, f".{name[:40]}.backout.{tag}.")


def _staged(work: Work) -> str:
    """A name that nobody else has, nor can guess: what is renamed is what was put there."""
    return f"{_staging(work)}{secrets.token_hex(8)}"


def _clear(work: Work) -> None:
    """Remove what this action put beside its target; that is nobody else's, whoever holds the
    host by now."""
    with suppress(Unreachable):
        work.transport.run(Command(f"rm -f {_path(_staging(work))}*", timeout=LOOK))


def _kept(work: Work) -> str:
    """Where the file is kept that is replaced, as shell text; the same for every attempt."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", work.key.partition("#")[0])
    if work.host is None:
        return quote(
            str(Path(os.environ.get("BACKOUT_STATE") or ".backout").absolute() / "kept" / name)
        )
    home = work.target.home_on(work.host)
    if work.host.connection == "local":
        return quote(str(Path(home).expanduser().absolute() / "kept" / name))
    start = "" if home.startswith("/") else '"$HOME"/'
    return start + quote(f"{home.removeprefix('~/')}/kept/{name}")


def _script(work: Work, new: str, mode: str) -> str:
    like_before = 'chmod "$(stat -L -c %a "$to")" "$new"'
    return f"""\
{_names(work, new)}
if [ -d "$to" ]; then echo "$to is a directory" >&2; exit 1; fi
(umask 077; mkdir -p "${{kept%/*}}")
if [ ! -e "$kept" ] && [ ! -L "$kept" ] && [ ! -e "$kept.none" ]; then
  if [ -e "$to" ] || [ -L "$to" ]; then
    ln -P "$to" "$kept" 2>/dev/null || {{ cp -pP "$to" "$kept.part"; mv -f "$kept.part" "$kept"; }}
  else : >"$kept.none"; fi
fi
chmod {mode or "0644"} "$new"
if [ -e "$to" ]; then
  chown "$(stat -L -c %u:%g "$to")" "$new" 2>/dev/null || :
  {f"chmod {mode}" + ' "$new"' if mode else like_before}
fi
mv -f "$new" "$to"
rm -f "$staging"*"""


def _undo(work: Work) -> str:
    return f"""\
set -e
{_names(work, _staged(work))}
rm -f "$staging"*
if [ -e "$kept" ] || [ -L "$kept" ]; then
  ln -P "$kept" "$new" 2>/dev/null || cp -pP "$kept" "$new"
  mv -f "$new" "$to"
  rm -f "$kept"
elif [ -e "$kept.none" ]; then
  rm -f "$to"
  rm -f "$kept.none"
fi
"""


def _names(work: Work, new: str) -> str:
    """The names that the scripts use."""
    to, staging = _path(_target(work)), _path(_staging(work))
    return f"to={to} new={_path(new)} staging={staging} kept={_kept(work)}"


def _path(path: str) -> str:
    """A path as shell text that no command takes for an option; `~/` is the login home."""
    if path == "~" or path.startswith("~/"):
        return f'"$HOME"/{quote(path[2:] or ".")}'
    return quote(path if path.startswith("/") else f"./{path}")
