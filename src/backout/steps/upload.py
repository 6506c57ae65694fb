"""`upload`: a file from this machine to another, or to another place on this one."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import ClassVar

from pydantic import Field

from backout.errors import BackoutError, NotYet, Refused, Unreachable
from backout.model import Command, Mode, Options, Result, State, Undo
from backout.model.operands import at_home
from backout.ports import StepContext
from backout.steps.base import Kind
from backout.steps.script import LOOK, read, told, way_back

LONGEST = 255
"""Bytes that the name of a file may have."""


class UploadOptions(Options):
    """What goes where. Without a mode the file keeps the one it replaces, or gets 0644."""

    told_fields: ClassVar[tuple[str, ...]] = ("from", "to", "mode")
    from_: str = Field(alias="from")
    to: str = Field(min_length=1)
    mode: Mode = ""


class Upload(Kind):
    """The new file is complete before one rename puts it in place; the old one is kept, with its
    owner and mode, among Backout's own files on that machine."""

    Options: ClassVar[type[Options]] = UploadOptions
    brings: ClassVar[bool] = True
    undoes: ClassVar[bool] = True

    def describe(self, work: StepContext) -> str:
        return f"{work.step.kind} {quote(work.options.from_)} to {quote(_target(work))}"

    def reads(self, work: StepContext) -> Sequence[str]:
        return (work.options.from_,)

    def before(self, work: StepContext) -> Undo:
        self._refuse_unreadable(work)
        to = _target(work)
        if len(os.fsencode(posixpath.basename(to))) > LONGEST:
            raise Refused(f"{to}: a name has at most {LONGEST} bytes")
        t, folder = _path(to), _path(posixpath.dirname(to) or ".")
        script = f"""\
if [ -d {t} ]; then echo 'it is a directory' >&2; exit 1; fi
if [ ! -d {folder} ]; then echo missing={folder}; fi"""
        where = f"{to} on {work.transport.host.name}"
        if missing := read(work.transport, script, where)["missing"]:
            words = f"{where}: {missing[0]} does not exist, or is no directory"
            raise NotYet(words, next=f"mkdir -p {folder} on {work.transport.host.name}")
        return way_back(work, _undo(work), summary=f"put {to} back as it was")

    def act(self, work: StepContext) -> Result:
        nonce = secrets.token_hex(8)
        try:
            _deliver(work, self.content(work), f"{_arrival(work)}{nonce}")
            script = _script(work, nonce, self.mode(work))
        except OSError as error:
            where = error.filename or _target(work)
            return Result(State.FAILED, reason=f"{where}: {error.strerror}")
        except BackoutError as error:
            return Result(State.FAILED, reason=error.what)
        result = work.transport.run(
            Command(script, timeout=work.step.timeout, key=work.key, title=work.step.name)
        )
        if result.state is State.FAILED:
            _clear(work)
        return told(result)

    def content(self, work: StepContext) -> bytes:
        """What the file is to hold. Raises OSError, or what a template raises."""
        return Path(work.options.from_).read_bytes()

    def mode(self, work: StepContext) -> str:
        """The mode in octal; empty for the mode of the file that is replaced."""
        return str(work.options.mode)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        return told(super().undo(work, undo))

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        """What never got its place is not left beside it."""
        result = super().recall(work, undo)
        if result is None:
            _clear(work)
        return None if result is None else told(result)

    def _refuse_unreadable(self, work: StepContext) -> None:
        path = Path(work.options.from_)
        try:
            if not stat.S_ISREG(path.stat().st_mode) and str(path) != os.devnull:
                raise Refused(f"{path} on this machine is no file")  # it may never end
            path.open("rb").close()
        except FileNotFoundError as error:
            raise NotYet(f"{path} on this machine: {error.strerror}") from error
        except OSError as error:
            raise Refused(f"{path} on this machine: {error.strerror}") from error


def _target(work: StepContext) -> str:
    return posixpath.join(work.step.cwd, work.options.to)


def _deliver(work: StepContext, content: bytes, path: str) -> None:
    """Raises OSError, and Unreachable."""
    try:
        work.transport.put(content, path, 0o600)
    except FileNotFoundError:
        own = _path(_own(work))
        work.transport.run(Command(f"umask 077; mkdir -p {own}", timeout=LOOK))
        work.transport.put(content, path, 0o600)


# The folder may be somebody else's, who can swap whatever lies in it for a link. So the file comes
# to Backout's own directory first, and gets its mode and owner within a directory beside its place
# that was made for it and that nobody else may enter.


def _own(work: StepContext) -> str:
    """Backout's own directory on that machine."""
    if work.host is None:
        return str(Path(os.environ.get("BACKOUT_STATE") or ".backout").absolute())
    home = work.target.home_on(work.host)
    if work.host.connection == "local":
        return str(at_home(home).absolute())
    return home if home.startswith(("/", "~/")) else f"~/{home}"


def _tag(work: StepContext) -> str:
    """The same for every attempt of this very action, and for its undo."""
    return hashlib.sha256(work.key.partition("#")[0].encode()).hexdigest()[:16]


def _arrival(work: StepContext) -> str:
    """How the names begin under which this action's files arrive."""
    return f"{_own(work)}/put-{_tag(work)}."


def _clear(work: StepContext) -> None:
    """Remove what this action put there and beside its target; that is nobody else's, whoever
    holds the host by now."""
    with suppress(Unreachable):
        work.transport.run(Command(f'{_names(work)}\ncd -P -- "$folder"\nclear', timeout=LOOK))


def _kept(work: StepContext) -> str:
    """Where the file is kept that is replaced, as shell text; the same for every attempt."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", work.keeps)
    return _path(f"{_own(work)}/kept/{name}")


def _script(work: StepContext, nonce: str, mode: str) -> str:
    return f"""\
{_names(work, nonce)}
enter
if [ -d "$name" ]; then echo "$name is a directory" >&2; exit 1; fi
(umask 077; mkdir -p "${{kept%/*}}")
if [ ! -e "$kept" ] && [ ! -L "$kept" ] && [ ! -e "$kept.none" ]; then
  if [ -e "$name" ] || [ -L "$name" ]; then
    ln -P "$name" "$kept" 2>/dev/null ||
      {{ cp -pP "$name" "$kept.part"; mv -f "$kept.part" "$kept"; }}
  else : >"$kept.none"; fi
fi
mode=0644 owner=
if [ -e "$name" ]; then mode=$(stat -L -c %a "$name") owner=$(stat -L -c %u:%g "$name"); fi
{f"mode={mode}" if mode else ":"}
fill() {{
  mv -f -- "$arrival$nonce" "$new"
  [ -z "$owner" ] || chown "$owner" "$new" 2>/dev/null || :
  chmod "$mode" "$new"
  (umask 077; cksum <"$new" >"$kept.put")
}}
place"""


def _undo(work: StepContext) -> str:
    return f"""\
set -e
{_names(work, secrets.token_hex(8))}
{_SPARE}
if [ ! -d "$folder" ] && [ ! -e "$kept" ] && [ ! -L "$kept" ]; then rm -f "$arrival"*; exit 0; fi
enter
clear
if [ -e "$kept" ] || [ -L "$kept" ]; then
  fill() {{ ln -P "$kept" "$new" 2>/dev/null || cp -pP "$kept" "$new"; }}
  inode() {{ stat -c %d:%i -- "$1" 2>/dev/null || :; }}
  same=$(inode "$kept")
  if [ -z "$same" ] || [ "$same" != "$(inode "$name")" ]; then # it may be there still
    spare
    place
  fi
  rm -f "$kept"
elif [ -e "$kept.none" ]; then
  spare
  rm -f "$name"
  rm -f "$kept.none"
fi
rm -f "$kept.put"
"""


def _names(work: StepContext, nonce: str = "") -> str:
    """The names that the scripts use. `place` puts what `fill` makes into the folder in hand, by
    one rename; `clear` removes what this action, and nobody else, left there."""
    folder, name = posixpath.split(_target(work))
    stages = quote(f"./.{name[:40]}.backout.{_tag(work)}.")
    return f"""\
folder={_path(folder or ".")} name={quote(f"./{name}")} nonce={nonce}
arrival={_path(_arrival(work))} kept={_kept(work)} stages={stages}
run={quote(work.run)}
{_PLACE}"""


_PLACE = """\
enter() {
  cd -P -- "$folder" 2>/dev/null || { echo "$folder cannot be entered" >&2; exit 1; }
}
clear() {
  rm -f -- "$arrival"*
  for stage in "$stages"*; do
    new=.backout.${stage#"$stages"}
    if (cd -P -- "$stage" && [ -O . ] && rm -f -- "$new") 2>/dev/null; then
      rmdir -- "$stage" 2>/dev/null || :
    fi
  done
}
place() {
  stage=$stages$nonce new=.backout.$nonce
  mkdir -m 700 -- "$stage"
  (
    cd -P -- "$stage"
    [ -O . ] && [ -z "$(ls -A)" ] || { echo "$stage was changed by somebody" >&2; exit 1; }
    fill
  )
  mv -f -T -- "$stage/$new" "$name" 2>/dev/null || {
    if [ -d "$name" ]; then echo "$name is a directory" >&2; exit 1; fi
    mv -f -- "$stage/$new" "$name"
  }
  clear
}"""
"""What is in hand is entered once, and looked at there: whoever owns the folder can rename the
stage, or put a link in its place, at any moment."""


_SPARE = """\
sum() { cksum <"$1" 2>/dev/null || :; }
spare() {
  [ -f "$name" ] && [ ! -L "$name" ] && [ -e "$kept.put" ] || return 0
  now=$(sum "$name")
  if [ "$now" = "$(cat "$kept.put")" ]; then return 0; fi
  if [ -f "$kept" ] && [ "$now" = "$(sum "$kept")" ]; then return 0; fi
  ln -P -- "$name" "$name.$run" 2>/dev/null || [ "$now" = "$(sum "$name.$run")" ] ||
    mv -f -T -- "$name" "$name.$run"
  echo "${name#./} was changed since: that is kept as ${name#./}.$run"
}"""
"""What is there and is neither what was put there nor what was there before is somebody's work."""


def _path(path: str) -> str:
    """A path as shell text that no command takes for an option; `~/` is the login home."""
    if path == "~" or path.startswith("~/"):
        return f'"$HOME"/{quote(path[2:] or ".")}'
    return quote(path if path.startswith("/") else f"./{path}")
