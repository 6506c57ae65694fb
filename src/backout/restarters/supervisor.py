"""Programs of a supervisord."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from backout.model import Boolean, Identity, Options, Result, Service, State
from backout.ports import Transport
from backout.restarters.backend import (
    END,
    PATHS_OF,
    START_OF,
    Backend,
    Found,
    log_of,
    nobody_knows,
    paths,
    quote,
    script,
    section,
    sections,
    text_of,
    understood,
)
from backout.restarters.listeners import judge, scan
from backout.restarters.rotated import TAIL
from backout.restarters.supervisor_client import FAILED, SEEN
from backout.restarters.supervisor_library import FILES, SECTIONS

_ROW = re.compile(r"(?P<name>\S+) +(?P<state>[A-Z]+)(?: +(?P<words>.*))?")
_RUNNING = re.compile(r"pid (\d+), uptime (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")
_STATES = {"STOPPED", "STARTING", "RUNNING", "BACKOFF"} | {"STOPPING", "EXITED", "FATAL", "UNKNOWN"}
_TRYING = {"STARTING", "BACKOFF", "STOPPING"}
_OVER = {"STOPPED", "EXITED", "FATAL"}
_NOT_THERE = re.compile(r"ERROR \(no such (process|group)\)")
_NO_DAEMON = re.compile(r"(no such file|refused connection)\s*$")
_UNREAD = 77
"""Our exit code for a restart of which nobody knows whether its section is the one on disk."""
_BYTES_A_LINE = 400
_FOLLOWED = 2
"""Seconds that a log is followed which cannot be asked for."""

_LOG = """\
log() {
  name=$1 channel=$2; shift 2
  if text=$("$@" "$name" "$channel" 2>&1)
  then [ -z "$text" ] || printf '%s\\n' "$text"; return 0; fi
  case $text in
    *'ERROR (no log file)') ;;
    *ExpatError*) follow "$name" "$channel" | grep -v '^==> Press Ctrl-C to exit <==$' || : ;;
    *) printf '%s\\n' "$text" >&2; return 1 ;;
  esac
}"""
"""Shell text: a stream that has no file is empty. One with control characters in it (colours)
supervisord cannot put into its XML, but streams as it is. All else that goes wrong is no log."""
_NONE = "\0"
_SHEBANG = """{
  python=; { IFS= read -r python <"$program"; } 2>/dev/null || :
  case $python in '#!'*python*) python=${python#??} ;; *) python= ;; esac
}"""
"""The Python that supervisorctl is run by; nothing where it is no such program."""
_PIDS = """\
pids=
while read -r name state word pid rest; do [ "$word" != pid ] || pids="$pids ${pid%,}"; done <<EOF
$status
EOF"""
_NOW = "now"


class SupervisorOptions(Options):
    """`config` is supervisord's own file; without it supervisorctl looks in its usual places.
    `start: true` starts that supervisord when a restart finds none."""

    config: str = ""
    command: str = "supervisorctl"
    sudo: Boolean = False
    start: Boolean = False

    def misnamed(self, name: str) -> str:
        """supervisorctl takes `all` for every program that there is."""
        if name != "all":
            return ""
        return "all is every program of that supervisord: name one, or a group as `group:*`"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of `supervisorctl status`."""

    name: str
    state: str
    words: str

    @property
    def pid(self) -> int | None:
        running = _RUNNING.match(self.words)
        return int(running[1]) if running else None

    @property
    def uptime(self) -> float | None:
        running = _RUNNING.match(self.words)
        if not running:
            return None
        days, hours, minutes, seconds = (int(part or 0) for part in running.groups()[1:])
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


class Supervisor(Backend):
    """`service.name` is a program as supervisorctl spells it: `api`, `group:api`, `group:*`."""

    Options: ClassVar[type[Options]] = SupervisorOptions

    def __init__(self, service: Service, transport: Transport) -> None:
        super().__init__(service, transport)
        self._now: Identity | None = None
        """Who served when the restart was over; good for one look."""

    def identity(self) -> Identity:
        """Its processes and when they started. Exit codes are not asked: `status` has 0 with a
        program in BACKOFF. supervisord does not count restarts."""
        now, self._now = self._now, None
        if now:
            return now
        found = self.look(self._path(), self._client(), *self._looking())
        return nobody_knows(found) if isinstance(found, Result) else self._seen(found, found[""])

    def _looking(self) -> Iterable[str]:
        return (
            START_OF,
            PATHS_OF,
            'status=${seen-}; [ -n "$status" ] || status=$(client status) ||'
            f" status=$({self._ctl('status', self.service.name)} 2>&1) || :",
            "printf '%s\n' \"$status\"",
            _PIDS,
            section("started"),
            'for pid in $pids; do echo "$pid.$(start_of "$pid")"; done',
            section("paths"),
            "paths_of $pids",
            scan(self.service.port, sudo=self.service.options.sudo),
        )

    def _seen(self, found: Found, status: str) -> Identity:
        rows = _rows(status)
        told = rows and not _strange(status)
        identity = _identity(rows, found["started"]) if told else self._without(status.strip())
        pids = [row.pid for row in rows if row.pid]
        identity = replace(identity, paths=paths(found))
        return judge(found, self.service.port, identity, lambda holder: holder.descends_from(pids))

    def _client(self) -> str:
        """A shell function that asks supervisord as supervisorctl would; it fails where only that
        can, as behind sudo, which lets supervisorctl pass and no Python."""
        options = self.service.options
        if options.sudo:
            return "client() { false; }"
        words = quote(options.config), '"$1"', quote(self.service.name)
        return script(
            (
                f"program=$(command -v {quote(options.command)}) && {_SHEBANG} || python=",
                f"program_of_client={quote(_client_text())}",
                'client() { [ -n "$python" ] && $python -I -S -c "$program_of_client" "$program"'
                f" {' '.join(words)} 2>/dev/null; }}",
            )
        )

    def _without(self, said: str) -> Identity:
        """No program was listed: there is none, or supervisord could not be asked."""
        nobody = Identity(up=False, known=False, detail=said)
        if _NOT_THERE.search(said):
            lacks = f"supervisord has no program {self.service.name}: {self._alike()}"
            return replace(nobody, absent=True, obstacle=lacks)
        if _NO_DAEMON.search(said) and self._daemon():
            return replace(nobody, absent=True)
        return nobody

    def _alike(self) -> str:
        """What may be meant: supervisorctl knows a member, and a program of several processes, by
        its group's name before it."""
        names = [row["name"] for row in self.find()]
        groups = sorted({f"{name.partition(':')[0]}:*" for name in names})
        return f"name it {' or '.join((*names, *groups))}" if names else "supervisorctl status"

    def still(self, seen: Identity) -> bool:
        """Asked of the kernel, at once: each supervisorctl is a Python that has to start."""
        return self.lives(seen)

    def restart(self, key: str) -> Result:
        """A section that changed, or is new, is taken first: `restart` alone would start the
        command that supervisord read long ago, also of a section that is gone. Only this program's
        group is concerned."""
        name = self.service.name
        done = self.change(
            key,
            self._path(),
            self._client(),
            self._daemon(),
            "code=0; said=$(client restart) || code=$?",
            f"mark={quote(SEEN)}",
            'case $said in *"$mark"*) seen=${said#*"$mark"} ;; esac',
            'printf \'%s\\n\' "${said%%"$mark"*}"',
            f"case $code in 0) ;; {FAILED}) exit {FAILED} ;; *)",
            *self._by_supervisorctl(name, name.partition(":")[0]),
            ";; esac",
            section(_NOW),
            *self._looking(),
            section(END),
        )
        found = sections(done.stdout)
        if done.ok and END in found:
            self._now = self._seen(found, found[_NOW])
        done = replace(done, stdout=found[""])
        if done.exit_code != _UNREAD:
            return done
        return replace(done, saved={"doubt": done.stderr.strip()})

    def _by_supervisorctl(self, name: str, group: str) -> Iterable[str]:
        return (
            f"doubt= read=$({self._ctl('reread')} 2>&1) ||"
            ' doubt="supervisord cannot read its configuration: $read"',
            'says() { printf \'%s\\n\' "$read" | grep -qxF "$@"; }',
            f"if says {quote(f'{group}: disappeared')}; then",
            f"  doubt={quote(f'the configuration of supervisord has no {group} any more')}",
            "fi",
            f"if says -e {quote(f'{group}: changed')} -e {quote(f'{group}: available')}; then",
            f"  {self._ctl('update', group)}",
            f"  {self._ctl('start', name)} || :",
            f"else {self._ctl('restart', name)}; fi",
            f'[ -z "$doubt" ] || {{ printf "%s\\n" "$doubt" >&2; exit {_UNREAD}; }}',
        )

    def stop(self, key: str) -> Result:
        return self.change(key, self._path(), self._ctl("stop", self.service.name))

    def logs(self, lines: int) -> str:
        return self._read(self._tails(lines).values(), lines)

    def streams(self, lines: int) -> Mapping[str, str]:
        """From the files, on from those that were rotated away; of a file that cannot be read
        here, what supervisord has of it."""
        files = self._files()

        def text(stream: str, tail: str) -> str:
            file = quote(files.get(stream, ""))
            return (
                f"if [ -f {file} ] && [ -r {file} ]; then tail_of {file} {lines}; else {tail}; fi"
            )

        return {
            stream: self._read((TAIL, text(stream, tail)), lines)
            for stream, tail in self._tails(lines).items()
            if files.get(stream) != _NONE
        }

    def _files(self) -> Mapping[str, str]:
        """Where supervisord writes its programs' streams, as far as it tells; _NONE for a stream
        that it writes nowhere."""
        told = self._library(FILES)
        rows = (line.partition("\t") for line in told.stdout.splitlines())
        return {stream: file or _NONE for stream, tab, file in rows if tab}

    def _library(self, program: str, *words: str) -> Result:
        """What a program says that uses the library which supervisorctl is made of."""
        options = self.service.options
        return self.read(
            self._path(),
            f"program=$(command -v {quote(options.command)})",
            _SHEBANG,
            f"$python -c {quote(program, options.config, *words)}",
        )

    def _read(self, tails: Iterable[str], lines: int) -> str:
        follow = f'follow() {{ timeout {_FOLLOWED} {self._ctl("tail", "-f")} "$@" 2>&1 || :; }}'
        return log_of(self.read(self._path(), follow, _LOG, *tails), self.service, lines)

    def _tails(self, lines: int) -> Mapping[str, str]:
        """What reads each program's two streams."""
        status = self.read(self._path(), f"{self._ctl('status', self.service.name)} 2>&1 || :")
        names = [row.name for row in _rows(status.stdout)]
        if not names:
            log_of(replace(status, state=State.FAILED) if status.ok else status, self.service, 0)
        size = f"-{lines * _BYTES_A_LINE:d}"
        return {
            f"{name} {channel}": f"log {quote(name)} {channel} {self._ctl('tail', size)}"
            for name in names
            for channel in ("stdout", "stderr")
        }

    def definition(self) -> Mapping[str, str | None]:
        """Its sections, in whichever of supervisord's files they stand."""
        read = self._library(SECTIONS, self.service.name)
        text = text_of(read, f"the configuration of {self.service.name}")
        if not text.strip():
            return {"program": None}
        return {"program": text}

    def find(self) -> Sequence[Mapping[str, str]]:
        """The program by that name, also as a member of a group or as the group itself."""
        rows = self._status("all")
        return tuple(
            {"backend": "supervisor", "name": row.name}
            for row in rows
            if self.service.name in (row.name, *row.name.split(":"))
        )

    def _status(self, name: str) -> list[Row]:
        status = self.read(self._path(), f"{self._ctl('status', name)} || :")
        return _rows(status.stdout)

    def _ctl(self, *words: str) -> str:
        options = self.service.options
        sudo = ("sudo", "-n") if options.sudo else ()
        config = ("-c", options.config) if options.config else ()
        return quote(*sudo, *shlex.split(options.command), *config, *words)

    def _daemon(self) -> str:
        options = self.service.options
        if not (options.start and options.config):
            return ""
        daemon = quote(*(("sudo", "-n") if options.sudo else ()), "supervisord")
        return f"{self._ctl('pid')} >/dev/null 2>&1 || {daemon} -c {quote(options.config)}"

    def _path(self) -> str:
        """On this machine, the supervisor that was installed with Backout will do."""
        if self.transport.host.connection != "local":
            return ""
        return f'PATH="$PATH":{quote(str(Path(sys.executable).parent))}'


@cache
def _client_text() -> str:
    return files(__package__).joinpath("supervisor_client.py").read_text(encoding="utf-8")


def _strange(text: str) -> bool:
    """Whether nobody can tell the state of a program that is listed, or the list was cut short."""
    lines = [line.rstrip() for line in text.splitlines()]
    begun = next((n for n, line in enumerate(lines) if _rows(line)), len(lines))
    states = (row["state"] for line in lines[begun:] if (row := _ROW.fullmatch(line)))
    cut = any(re.match(r"error:|.*ERROR \(", line) for line in lines[begun:])
    return cut or not understood(states, _STATES - {"UNKNOWN"})


def _rows(text: str) -> list[Row]:
    matches = (_ROW.fullmatch(line.rstrip()) for line in text.splitlines())
    rows = (Row(m["name"], m["state"], m["words"] or "") for m in matches if m)
    return [row for row in rows if row.state in _STATES]


def _identity(rows: Sequence[Row], started: str) -> Identity:
    uptimes = [row.uptime for row in rows if row.uptime is not None]
    return Identity(
        up=all(row.state == "RUNNING" for row in rows),
        trying=any(row.state in _TRYING for row in rows),
        over=any(row.state in _OVER for row in rows),
        value=" ".join(started.split()),
        uptime=min(uptimes, default=None),
        detail="; ".join(f"{row.name} {row.state} {row.words}".strip() for row in rows),
    )
