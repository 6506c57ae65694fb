"""A file through the shell: every login that can run a command can receive one.

SFTP is a program of the server's, started through the login's shell: it may be missing, and what a
start-up file prints there breaks it. Here the content comes as text, piece by piece, beside its
place; one rename puts it there when all of it has arrived.
"""

from __future__ import annotations

import base64
import errno
from secrets import token_hex

from backout.adapters.transports.captured import Ran
from backout.adapters.transports.shell_text import path
from backout.errors import Unreachable

PIECE = 57 * 1024
"""Bytes of the content in one piece; a whole number of lines of base64."""
SLOWEST = 20_000
"""Bytes a second that a link carries at least."""
NO_FOLDER, SHORT, NO_DECODER = 66, 67, 68

_BEGIN = r"""
echo MARK $$ put; echo MARK $$ put >&2
set -e; umask 077
to=TO new=$to.TAG.part
case $to in */*) folder=${to%/*}/ ;; *) folder=./ ;; esac
[ -d "$folder" ] || exit 66
if command -v base64; then decoded() { base64 -d; }
elif command -v openssl; then decoded() { openssl base64 -d; }
elif command -v perl; then decoded() { perl -MMIME::Base64 -ne 'print decode_base64($_)'; }
else exit 68; fi >/dev/null
left() { rm -f -- "$new"; }
trap left EXIT; trap 'left; exit 1' HUP INT TERM PIPE
: >"$new"
chmod MODE "$new" # before the content, which may be secret
"""
_END = r"""
{
  size=$(wc -c <"$new")
  if [ "$size" -ne SIZE ]; then
    echo "only $((size)) of SIZE bytes arrived (is the disk full?)" >&2; exit 67
  fi
  mv -f -- "$new" "$to"
  exit 0
}
"""


def script(content: bytes, place: str, mode: int, mark: str) -> str:
    """Shell text, for stdin, that writes a file whole or not at all. What is torn off ends
    without a rename, and leaves nothing."""
    begin = _BEGIN.replace("MARK", mark).replace("TAG", token_hex(8)).replace("MODE", f"{mode:o}")
    pieces = (
        f"decoded >>\"$new\" <<'.'\n{base64.encodebytes(content[at : at + PIECE]).decode()}.\n"
        for at in range(0, len(content), PIECE)
    )
    end = _END.replace("SIZE", str(len(content)))
    return "".join((begin.replace("TO", path(place)), *pieces, end))


def seconds(content: bytes) -> float:
    """How long it may take to arrive."""
    return 60.0 + len(content) / SLOWEST


def judge(ran: Ran, place: str, host: str) -> None:
    """Raise what became of it, if it did not arrive: OSError, or Unreachable."""
    if ran.exit_code == 0:
        return
    where = f"{place} on {host}"
    if ran.exit_code is None:
        raise Unreachable(f"{where}: {ran.cut}", state="the file there may be the new one, or not")
    if ran.exit_code == NO_FOLDER:
        raise FileNotFoundError(
            errno.ENOENT, "No such file or directory; nothing was replaced", where
        )
    said = ran.err.text().strip().rpartition("\n")[2]
    if ran.exit_code == NO_DECODER:
        said = "it has neither base64 nor openssl nor perl to receive a file with"
    raise OSError(None, f"{said or f'exit {ran.exit_code}'}; nothing was replaced", where)
