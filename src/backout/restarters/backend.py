"""What every restart backend does the same way.

Backends are shell text run on the machine. What only reads has no key; what changes something
is given the caller's. A machine that cannot be asked is an answer too: `known=False`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from backout.errors import Refused, Unreachable
from backout.model import Command, Identity, Result, Service, State
from backout.model.values import Partial
from backout.ports import Transport

READING = 30.0
"""Seconds that a look at a service may take."""

_MARK = "=== "
END = "end"
"""The section that ends what a look says."""

Found = Mapping[str, str]
"""What a script printed, by section; what stands before the first mark is under ``""``."""

START_OF = """\
start_of() {
  start=; { IFS= read -r start </proc/"$1"/stat; } 2>/dev/null || :
  if [ -n "$start" ]; then set -- ${start##*) }; echo "${20-}"
  else LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' _; fi
}"""
"""A shell function: when a process started, in a form that only equals itself. Of builtins, for a
fork is what a look costs."""

PATHS_OF = """\
paths_of() {
  for pid in "$@"; do
    readlink "/proc/$pid/cwd" || :
    readlink "/proc/$pid/exe" || :
    tr '\\0' '\\n' < "/proc/$pid/cmdline" | grep ^/ || :
    paths_of $(cat "/proc/$pid/task/$pid/children")
  done 2>/dev/null
}"""
"""A shell function: what processes and their children run from, as far as that may be seen."""


class Backend:
    """A service on a machine, and the two ways to run shell text there."""

    slotted: ClassVar[bool] = False
    """Whether two of its services can stand beside each other, and be one with two slots."""

    def __init__(self, service: Service, transport: Transport) -> None:
        self.service = service
        self.transport = transport
        self.env: tuple[tuple[str, str], ...] = ()

    def astray(self, **variables: str) -> str:
        """Why nobody can tell which service is meant: on this machine a variable of the shell that
        Backout was started in would say what the option of that name does not. Empty where the
        inventory says it, and on other machines, where each login is the same."""
        for variable, option in variables.items():
            said = os.environ.get(variable)
            told = (
                getattr(self.service.options, option) or self.transport.host.connection != "local"
            )
            if said and not told:
                return (
                    f"{variable} of this shell ({said}) would say what is meant, and the inventory"
                    f" does not: write `{option}` of the service, or unset {variable}"
                )
        return ""

    def read(self, *lines: str) -> Result:
        """Run text that only reads."""
        return self._run(Command(script(lines), env=self.env, timeout=READING))

    def look(self, *lines: str) -> Found | Result:
        """What reading text said, by section; its result when it did not say all."""
        result = self.read(*lines, section(END))
        found = sections(result.stdout)
        if result.ok and END not in found:
            return replace(result, state=State.UNKNOWN, reason="the answer was cut short")
        return found if result.ok else result

    def lives(self, seen: Identity) -> bool:
        """Whether all the processes of an identity, which are words `PID.START`, live on."""
        return self.bears(" ".join(seen.value.split()))

    def pids(self, seen: Identity) -> tuple[int, ...]:  # noqa: ARG002 - not every backend has some
        """The processes that an identity is of; none where it does not name them."""
        return ()

    def mark(self, seen: Identity) -> str:
        """Its processes as `PID.START`; empty where they are not all there."""
        mark = self._started(self.pids(seen))
        return "" if any(word.endswith(".") for word in mark.split()) else mark

    def bears(self, mark: str) -> bool:
        parts = [word.partition(".") for word in mark.split()]
        if not parts or not all(start for _, _, start in parts):
            return False
        return self._started([int(pid) for pid, _, _ in parts]) == mark

    def _started(self, pids: Iterable[int]) -> str:
        asked = [f'echo "{pid}.$(start_of {pid})"' for pid in pids]
        result = self.read(START_OF, *asked) if asked else None
        return " ".join(result.stdout.split()) if result and result.ok else ""

    def change(self, key: str, *lines: str) -> Result:
        """Run text that changes something, under the caller's key."""
        return self._run(
            Command(script(lines), env=self.env, key=key, title=f"restart of {self.service.name}")
        )

    def logs(self, lines: int) -> str:
        raise NotImplementedError

    def streams(self, lines: int) -> Mapping[str, str]:
        """One stream, where the log is one; it goes on over its rotations by itself."""
        return {"": self.logs(lines)}

    def _run(self, command: Command) -> Result:
        try:
            return self.transport.run(command)
        except Unreachable as error:
            return Result(State.UNREACHABLE, reason=error.what)


def script(lines: Iterable[str]) -> str:
    """Lines of shell text as one, without the empty ones."""
    return "\n".join(line for line in lines if line)


def quote(*words: str) -> str:
    """Words as a shell reads them back."""
    return shlex.join(words)


def section(name: str) -> str:
    """Shell text that begins a section of a script's output."""
    return f"echo {quote(_MARK + name)}"


def sections(text: str) -> Found:
    """A script's output by section."""
    found = {"": ""}
    name = ""
    for line in text.splitlines():
        if line.startswith(_MARK):
            name = line.removeprefix(_MARK)
            found.setdefault(name, "")
        else:
            found[name] += line + "\n"
    return found


def pairs(text: str) -> dict[str, str]:
    """Lines of `key=value`."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def understood(states: Iterable[str], *known: Collection[str]) -> bool:
    """Whether each word that a manager has for a state is one of these: by any other it does not
    say that something is stopped."""
    return all(any(state in words for words in known) for state in states)


def nobody_knows(result: Result) -> Identity:
    """The identity of a service that could not be asked about."""
    said = result.stderr.strip() or result.stdout.strip()
    words = said or result.reason if result.state is State.FAILED else result.reason
    return Identity(up=False, known=False, detail=words or f"exit code {result.exit_code}")


def paths(found: Found) -> tuple[str, ...]:
    """What a script's section `paths` says."""
    return tuple(sorted(set(found.get("paths", "").splitlines())))


def text_of(result: Result, what: str) -> str:
    """What was read. Raises Refused when it was not, and Unreachable."""
    if result.ok:
        return result.stdout
    kind = Unreachable if result.state is State.UNREACHABLE else Refused
    raise kind(f"{what} cannot be read: {nobody_knows(result).detail}")


def log_of(result: Result, service: Service, lines: int) -> str:
    """The last lines of a log that was read. Raises Refused when it was not, and Unreachable:
    the words of a failure are not the service's."""
    if result.ok:
        return last(result.stdout, lines)
    words = nobody_knows(result).detail.splitlines() or [""]
    kind = Unreachable if result.state is State.UNREACHABLE else Refused
    raise kind(f"the log of {service.name} cannot be read: {words[-1]}")


def last(text: str, lines: int) -> str:
    """The last lines of a text; of one that is not whole they may not be whole either."""
    found = "\n".join(text.splitlines()[-lines:]) if lines > 0 else ""
    return Partial(found) if isinstance(text, Partial) else found
