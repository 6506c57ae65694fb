"""A shell that stays on the machine: one channel, and in it one command after another.

A channel of its own costs a command ten packets here, and there a fork of sshd and a login
shell. Here it costs one packet there and a few back. A command still runs in a fresh `sh` that
leads a session, and so a process group, of its own (util-linux and busybox have `setsid`; a host
without it keeps to the other way). A brief one, which leaves no process behind, is a fork and
shares the shell's group. What is said on each stream ends with a line of ours.

The text of a command stands in no argument on the machine: `pgrep -f` would find it there.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from backout.adapters.transports.captured import Capture, Ran
from backout.adapters.transports.shell_text import LIBRARY, quote
from backout.adapters.transports.ssh_connect import BROKEN

if TYPE_CHECKING:
    import paramiko

IDLE = 5.0
"""After so many seconds without a word, the link may have died unnoticed: better ask it anew."""

GLANCE = 0.3
"""How long, in seconds, one stream is listened to before the other one is looked at."""

# A status above 128 may be a signal's, and then the command may have left a part of itself
# running: whether its group is empty is said beside the status.
_START = r"""
bo_kept=1; echo "MARK begun" >&2
bo_run() {
  BACKOUT_TEXT=$1 setsid sh -c 'bo_kept=1 bo_text=$BACKOUT_TEXT
    unset BACKOUT_TEXT; eval "$bo_text"' </dev/null &
  wait $!; set -- $?; kill -0 -$! 2>/dev/null; bo_over "$1" $?
}
bo_brief() { (eval "$1") </dev/null; bo_over $? 1; }
bo_over() { echo "MARK over $1 $2"; echo "MARK over" >&2; }
bo_lib='LIBRARY'
""".replace("'LIBRARY'", quote(LIBRARY))


class PersistentShell:
    """One shell at the other end of a channel, for one command at a time."""

    def __init__(self, channel: paramiko.Channel, mark: str, patience: float) -> None:
        """Use a `channel` whose shell has just been asked for; `patience` in seconds."""
        self._channel = channel
        self._mark = mark.encode()
        self._patience = patience
        self._opening = _START.replace("MARK", mark)
        self._spoke = time.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether it may be given a command without asking whether the link still stands."""
        return not self._channel.closed and time.monotonic() - self._spoke < IDLE

    def greet(self) -> bool:
        """Whether a shell answers at all: what was sent asks nothing of it yet. False as well when
        the login ended instead, which the channel's exit status tells."""
        self._channel.settimeout(self._patience)
        self._channel.sendall(self._opening.encode())
        self._opening = ""
        heard, deadline = b"", time.monotonic() + self._patience
        while self._mark + b" begun\n" not in heard:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._channel.settimeout(left)
            with suppress(TimeoutError):
                data = self._channel.recv_stderr(65536)
                if not data:
                    return False
                heard += data
        return True

    def run(self, text: str, ran: Ran, timeout: float, *, brief: bool = False) -> bool:
        """Run a text and gather what it says into `ran`; False when the shell is of no more use:
        the time was up, the link was lost or gave no answer, or the command left somebody who
        may still speak. A text that certainly never began has an exit status and no process id.
        """
        self._channel.settimeout(self._patience)
        before, common, after = text.partition(LIBRARY)
        words = f'{quote(before)}"$bo_lib"{quote(after)}' if common else quote(text)
        how = "bo_brief" if brief else "bo_run"
        if not self._opening:
            ran.err.begin()
        self._channel.sendall(f"{self._opening}{how} {words}\n".encode())
        self._opening = ""
        out, err = _Stream(ran.out, self._mark), _Stream(ran.err, self._mark)
        deadline = ran.began + timeout
        while out.last is None or err.last is None:
            limit = deadline if ran.pid else min(deadline, ran.began + self._patience)
            left = limit - time.monotonic()
            ran.timed_out = left <= 0 and limit == deadline
            if left <= 0 or not self._listen(out, err, min(left, GLANCE)):
                out.flush()
                err.flush()
                self._see_it_fail(ran)
                return False
        self._spoke = time.monotonic()
        status, alone = (int(word) for word in out.last.split())
        if status <= 128 or (alone and ran.word != "run"):
            ran.exit_code = status
        return bool(alone)

    def _listen(self, out: _Stream, err: _Stream, seconds: float) -> bool:
        """Take what comes, the other stream as it comes by; False at the end of the channel."""
        self._channel.settimeout(seconds)
        try:
            with suppress(TimeoutError):
                if out.last is None:
                    data = self._channel.recv(65536)
                    out.feed(data)
                else:
                    data = self._channel.recv_stderr(65536)
                    err.feed(data)
                if not data:
                    return False
            while self._channel.recv_stderr_ready():
                err.feed(self._channel.recv_stderr(65536))
        except BROKEN:  # Paramiko acknowledges what it read, over a link that is lost
            return False
        return True

    def _see_it_fail(self, ran: Ran) -> None:
        if not ran.pid and (status := self.ended()) >= 0:
            ran.exit_code = status

    def ended(self) -> int:
        """The status of a login that is not allowed a shell, and ends before any text is read;
        -1 when that is not it."""
        if not self._channel.eof_received:
            return -1
        self._channel.status_event.wait(self._patience)
        return self._channel.exit_status


class _Stream:
    """What one command says on one stream, up to the line `MARK over …` that ends it."""

    def __init__(self, capture: Capture, mark: bytes) -> None:
        self.last: bytes | None = None
        """What stood in that line; None until it came."""
        self._capture = capture
        self._mark = mark
        self._over = re.compile(re.escape(mark) + rb" over ?([^\n]*)\n")
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes; what may be the beginning of that line is held back."""
        data = self._held + data
        found = self._over.search(data)
        cut = found.start() if found else self._sure(data)
        self._capture.feed(data[:cut])
        self._held = data[cut:]
        if found:
            self.last = found[1]

    def flush(self) -> None:
        """No more will come: nothing is held back."""
        self._capture.feed(self._held)

    def _sure(self, data: bytes) -> int:
        at = data.rfind(self._mark)
        if at >= 0 and b"\n" not in data[at:]:
            return at
        torn = (n for n in range(len(self._mark) - 1, 0, -1) if data.endswith(self._mark[:n]))
        return len(data) - next(torn, 0)
