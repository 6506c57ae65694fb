"""Backout's own directory, on a host and on this machine: nobody else may change it.

Notes, lease and kept files lie there, and are written by whoever deploys, root perhaps. Who can
write there, or put another directory in its place, could have any file overwritten by a link.
"""

from __future__ import annotations

import os
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from backout.errors import Refused

OURS = ".backout"
A_PAGE = 4096
UNSAFE = 77
"""The exit code of `GUARD` when others may change the directory; its output says by which path,
whose that is, and `mode`, `owner` or `home`."""

GUARD = r"""
me=$(id -u) group=$(id -g)
guard() {
  d=$1
  set --
  while :; do set -- "$d" "$@"; [ "$d" != / ] || break; d=${d%/*}; d=${d:-/}; done
  stat -c '%u %g %f %n' -- "$@" 2>/dev/null | while read -r owner g mode name; do
    mode=$((0x$mode))
    if [ "$owner" != 0 ] && [ "$owner" != "$me" ]; then echo "$owner owner $name"; break; fi
    [ $((mode & 0xf000)) != $((0xa000)) ] || continue
    if [ $((mode & 0x200)) != 0 ] && [ "$name" != "$h" ]; then continue; fi
    case $mode.$owner.$name in
      $((0x43ff)).$me.*/.backout|$((0x43ff)).$me.*/.backout/*) chmod 700 -- "$name"; continue ;;
    esac
    [ $((mode & 16)) = 0 ] || [ "$g" = "$group" ] || [ "$g" = 0 ] || mode=2
    if [ $((mode & 2)) != 0 ]; then echo "$owner mode $name"; break; fi
  done
}
moves() {
  d=$1
  while d=${d%/*} && [ -n "$d" ]; do
    over=${d%/*}
    [ -L "$d" ] && [ -n "$over" ] || continue
    over=$(cd -P -- "$over" && pwd) && to=$(cd -P -- "$d" && pwd) || continue
    case $to in "$over"/*) ;; *) continue ;; esac
    case ${d##*/}//${to#"$over"/} in
      current//*|live//*|latest//*|*//releases/*|*//versions/*) echo "0 link $d"; return ;;
    esac
  done
}
case $h in //*) echo "0 home /"; exit UNSAFE ;; esac
unsafe=$(guard "$h")
real=$(cd -P -- "$h" 2>/dev/null && pwd) || real=
[ -n "$unsafe" ] || [ -z "$real" ] || [ "$real" = "$h" ] || unsafe=$(h=$real; guard "$real")
[ -n "$unsafe" ] || unsafe=$(moves "$h" 2>/dev/null)
[ -z "$unsafe" ] || { echo "$unsafe"; exit UNSAFE; }
""".replace("UNSAFE", str(UNSAFE))
"""Shell text that ends with `UNSAFE` when somebody else than root and oneself may change `$h`, or
put something in its place, or when it would lie below `/` for want of a home. One of the usual name
to which everybody may add something (the root of a new file system) is made private. Where `stat`
is not GNU's or busybox's nothing is said of owners. It also ends so behind a link that leads to a
release beside it, by its own name or by theirs: such a link moves, in the middle of a run."""


def refused(host: str, home: str, said: str) -> Refused:
    """The refusal that `GUARD` asks for."""
    owner, why, path = [*said.strip().split(" ", 2), "", ""][:3]
    if why == "home":
        return Refused(
            f"the login of {host} has no home directory to keep {home.removeprefix('~/')} in",
            where=host,
            next="give the inventory a `state:`, for example /var/lib/backout",
        )
    if why == "link":
        over = path.rpartition("/")[0]
        return Refused(
            f"{home} on {host} lies behind the link {path}, and would be another directory as soon"
            " as that is led elsewhere: the lock, and the way back of a run, with it",
            where=host,
            next=f"give the inventory a `state:` elsewhere, for example {over}/.backout",
        )
    if why == "mode":
        words, fix = f"others may write {path}", f"on {host}: chmod go-w {path}"
    else:
        words = f"{path} belongs to user {owner}, who can put anything in its place"
        fix = "give the inventory a `state:` that lies elsewhere, for example /var/lib/backout"
    return Refused(f"{home} on {host} is not Backout's alone: {words}", where=host, next=fix)


def refuse_no_directory(state: Path) -> None:
    """Raises Refused where this machine's own directory is something else, or below a file: that
    nothing is read there is no sign that nothing was ever done."""
    for place in (state, *state.parents):
        if place.exists():
            if not place.is_dir():
                why = "it is none" if place == state else f"{place} is no directory"
                raise _unusable(state, why)
            return


def _unusable(state: Path, why: str) -> Refused:
    return Refused(
        f"{state} cannot be Backout's own directory: {why}",
        next="let BACKOUT_STATE name another directory",
    )


def prepare(state: Path) -> None:
    """Make this machine's own directory, which git never takes up. Raises Refused when that cannot
    be, and when others may write it, but makes one of the usual name private that is a new file
    system's root."""
    refuse_no_directory(state)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(state, str(error.strerror)) from error
    about = state.stat()
    if state.name == OURS and about.st_uid == os.geteuid() and about.st_mode & stat.S_ISVTX:
        state.chmod(0o700)
        about = state.stat()
    private = about.st_gid in (os.getegid(), 0)
    if about.st_mode & stat.S_IWOTH or (about.st_mode & stat.S_IWGRP and not private):
        raise Refused(f"others may write {state}", next=f"chmod go-w {state}")
    ignored = state / ".gitignore"
    with suppress(OSError):
        if not ignored.exists():
            ignored.write_text("*\n")


def refuse_full(state: Path) -> None:
    """Raises Refused where this machine's own directory takes nothing more."""
    try:
        with TemporaryFile(dir=state) as file:
            file.write(b" " * A_PAGE)
    except OSError as error:
        raise Refused(
            f"{state} takes nothing more: {error.strerror}",
            state="nothing was changed",
            next="make it writable, with room for more, then the same command again",
        ) from error


def refuse_tracked(state: Path) -> None:
    """Raise Refused when git knows files of this directory: taking a commit back would rewrite
    the journal of the very run that does so."""
    if not any((above / ".git").exists() for above in state.parents):
        return
    try:
        listed = subprocess.run(
            ["git", "-C", str(state), "ls-files", "--", "."],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:  # nor is there a git that could take a commit back
        return
    if listed.returncode == 0 and listed.stdout:
        raise Refused(
            f"git tracks files of {state}, which is Backout's own and changes with every run",
            next=f"git -C {state} rm -r -q --cached . && git -C {state} commit -m 'Untrack'",
        )
