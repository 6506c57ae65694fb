"""Applications under PM2."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from backout.model import Boolean, Identity, Options, Result, State
from backout.model.operands import Operand
from backout.restarters.backend import (
    PATHS_OF,
    Backend,
    log_of,
    nobody_knows,
    paths,
    quote,
    section,
    text_of,
    understood,
)
from backout.restarters.foreign import Foreign, Unreadable, parsed
from backout.restarters.listeners import Holder, judge, scan
from backout.restarters.pm2_file import changed
from backout.restarters.rotated import TAIL

# Keeps the environment of the applications, secrets and all, on the machine: an error must not
# quote it either. A first look at PM2 prints a banner before the list.
_KEPT = """
let text = "";
const instances = () => {
  const list = text.split("\\n").reverse().find((line) => /^\\[(\\{|\\]$)/.test(line));
  return JSON.parse(list).filter(({ name }) => name === process.argv[1]);
};
const kept = ({ pid, pm_id, pm2_env }) => {
  const env = pm2_env || {};
  const { status, pm_uptime, restart_time, exec_mode, wait_ready } = env;
  const { pm_cwd, pm_exec_path, exec_interpreter } = env;
  const uptime = (Date.now() - pm_uptime) / 1000;
  const logs = [env.pm_out_log_path, env.pm_err_log_path].filter((path) => path);
  return JSON.stringify({
    pm_id, pid, status, pm_uptime, uptime, restart_time, exec_mode, wait_ready,
    pm_cwd, pm_exec_path, exec_interpreter, logs,
  });
};
process.stdin.on("data", (part) => (text += part)).on("end", () => {
  try {
    for (const each of instances()) console.log(kept(each));
  } catch {
    console.error("`pm2 jlist` lists nothing that can be read");
    process.exit(1);
  }
});
""".strip()

_DEFINED = """
let text = "";
process.stdin.on("data", (part) => (text += part)).on("end", () => {
  const list = text.split("\\n").reverse().find((line) => /^\\[(\\{|\\]$)/.test(line)) || "[]";
  for (const { name, pm2_env: env = {} } of JSON.parse(list)) {
    if (name !== process.argv[1]) continue;
    for (const key of [
      "pm_exec_path", "pm_cwd", "args", "node_args", "exec_interpreter", "exec_mode", "instances",
      "autorestart", "watch", "max_memory_restart", "cron_restart", "wait_ready", "kill_timeout",
    ]) if (env[key] !== undefined) console.log(key + " = " + JSON.stringify(env[key]));
  }
});
""".strip()
"""How it is started; its environment stays where it is."""

_PATHS = "paths_of $(printf '%s\\n' \"$kept\" | sed -n 's/.*\"pid\":\\([1-9][0-9]*\\).*/\\1/p')"

_NO_DAEMON = "PM2's daemon does not run here"

_DAEMON = """\
daemon=$(LC_ALL=C cat "${PM2_HOME:-$HOME/.pm2}/pm2.pid" 2>&1) || case $daemon in
  *'No such file'*) daemon= ;;
  *) echo "$daemon" >&2; exit 1 ;;
esac
title=$(tr '\\0' ' ' 2>/dev/null <"/proc/$daemon/cmdline") || title=
case $title in
  '' | *node* | *bun* | *PM2*) ;;
  *) daemon= ;; # its number was given to another program
esac
said=$(LC_ALL=C; export LC_ALL; kill -0 "${daemon:-0}" 2>&1) || case $said in
  *permitted*) echo "PM2's daemon, process $daemon, is another user's" >&2; exit 1 ;;
  *) daemon= ;;
esac"""
"""Shell text that sets `daemon` to the process of PM2's daemon, to nothing where none runs, and
fails where that cannot be seen."""

_OVER = ("errored", "stopped")
_TRYING = ("launching", "waiting restart", "stopping", "one-launch-status")
_UNFOUND = re.compile(r"(pm2|node): .*not found|not found: (pm2|node)", re.IGNORECASE)


_LED_ELSEWHERE = """\
real=$(pwd -P)
[ "$real" = "$PWD" ] || for path in KEPT; do
  case $path/ in "$real"/* | "$PWD"/*) ;; "${real%/*}"/*) stale=yes ;; esac
done
"""


class Row(Foreign):
    """An instance. One that is between two processes is listed without its `pid`."""

    pm_id: int | None = None
    pid: int = 0
    status: str = ""
    pm_uptime: float = 0
    uptime: float | None = None
    restart_time: int = 0
    exec_mode: str = ""
    exec_interpreter: str = ""
    wait_ready: Boolean = False
    pm_cwd: str = ""
    pm_exec_path: str = ""
    logs: tuple[str, ...] = ()

    @property
    def kept(self) -> dict[str, str]:
        """What a restart uses again."""
        cwd, script = self.pm_cwd, self.pm_exec_path
        mode, interpreter = self.exec_mode, self.exec_interpreter
        return {"cwd": cwd, "script": script, "mode": mode, "interpreter": interpreter}

    @property
    def lost(self) -> bool:
        """Called online without a process: its directory or its program is not there."""
        return self.status == "online" and not self.pid


class Pm2Options(Options):
    """`home` is PM2_HOME; `path` is put before PATH, for a Node.js that a login would find;
    `ecosystem` is the file that the application is started from."""

    home: str = ""
    path: str = ""
    ecosystem: Operand = ""

    def misnamed(self, name: str) -> str:
        """PM2 takes some words for other applications than the one of that name."""
        if name == "all":
            return "all is every application that PM2 has: name one"
        if name.isdigit():
            return f"{name} is an id to PM2, whatever the application is called: name it otherwise"
        if name.startswith("/"):
            return f"{name} is a pattern to PM2: name one application"
        return ""


class Pm2(Backend):
    """`service.name` is the application's name; all its instances count."""

    Options: ClassVar[type[Options]] = Pm2Options
    slotted: ClassVar[bool] = True

    def identity(self) -> Identity:
        """Every instance's process and when it started. PM2 calls a crash looper online, with
        exit code 0: its restarts tell."""
        if words := self.astray(PM2_HOME="home"):
            return Identity(up=False, known=False, detail=words)
        port = self.service.port
        found = self.look(PATHS_OF, *self._list(), section("paths"), _PATHS, scan(port))
        if isinstance(found, Result):
            return self._unasked(nobody_knows(found))
        try:
            rows, daemon = _rows(found[""]), found["daemon"].strip()
        except Unreadable as error:
            return Identity(up=False, known=False, detail=error.what)
        identity = self._identity(rows) if rows else self._without(daemon)
        return judge(found, port, replace(identity, paths=paths(found)), _owner(rows, daemon))

    def _unasked(self, nobody: Identity) -> Identity:
        """A login that is no terminal's often lacks the directory of Node.js."""
        if not _UNFOUND.search(nobody.detail):
            return nobody
        cure = "`path` of the service says where pm2 and node are: there, `command -v pm2 node`"
        return replace(nobody, obstacle=cure)

    def _without(self, daemon: str) -> Identity:
        """No instance was listed. A PM2 that does not run knows of none, and there may be one of
        another user's: only an ecosystem file makes that a service which can be started."""
        words = f"PM2 knows no {self.service.name}" if daemon else _NO_DAEMON
        makes = bool(self.service.options.ecosystem)
        cure = "`ecosystem` would start it; `home` or the SSH user may be another PM2's"
        return Identity(
            up=False,
            known=False,
            absent=bool(daemon) or makes,
            detail=words,
            obstacle="" if makes else f"{words}: {cure}",
        )

    def _identity(self, rows: Sequence[Row]) -> Identity:
        running = [row for row in rows if row.pid]
        kept = (path for row in rows for path in (row.pm_cwd, row.pm_exec_path) if path)
        return Identity(
            up=all(row.status == "online" and row.pid for row in rows),
            value=" ".join(sorted(f"{row.pid}.{row.pm_uptime:.0f}" for row in running)),
            restarts=sum(row.restart_time for row in rows),
            uptime=min((row.uptime for row in running if row.uptime is not None), default=None),
            trying=any(row.status in _TRYING or row.lost for row in rows),
            over=any(row.status in _OVER or row.lost for row in rows),
            detail="; ".join(
                f"instance {row.pm_id} {row.status or 'has no status'}" for row in rows
            ),
            known=understood((row.status for row in rows), ("online",), _TRYING, _OVER),
            pinned=() if self._recreated else tuple(dict.fromkeys(kept)),
        )

    def restart(self, key: str) -> Result:
        """A cluster that says when it is ready is reloaded; all else is restarted, which also
        starts what is stopped. The environment is taken anew."""
        found = self.look(*self._list())
        if isinstance(found, Result):
            return found
        rows = _rows(found[""])
        if not rows and not self.service.options.ecosystem:
            reason = f"PM2 knows no {self.service.name}, and no ecosystem file says how to start it"
            return Result(State.FAILED, reason=reason)
        verbs = self._verb(all(map(_reloads, rows)) and rows)
        place = f"cd {quote(self.service.directory)}" if self._recreated else ""
        return self.change(key, *self._setting(), place, self._anew(rows, verbs))

    def pids(self, seen: Identity) -> tuple[int, ...]:
        return tuple(int(word.partition(".")[0]) for word in seen.value.split())

    def stop(self, key: str) -> Result:
        """Stop every instance; where PM2 or the application is not there, it is stopped."""
        found = self.look(*self._list())
        if isinstance(found, Result):
            return found
        if not _rows(found[""]):
            return Result(State.DONE, exit_code=0)
        return self.change(key, *self._setting(), quote("pm2", "stop", self.service.name))

    def logs(self, lines: int) -> str:
        files = self._files()
        if not files:
            return ""
        newest_last = f"ls -tr {quote(*sorted(files))} 2>/dev/null"
        tail = f'tail -n {lines:d} "$file"'
        read = self.read(f"{newest_last} | while read -r file; do {tail}; done")
        return log_of(read, self.service, lines)

    def streams(self, lines: int) -> Mapping[str, str]:
        return {
            file: log_of(self.read(TAIL, quote("tail_of", file, str(lines))), self.service, lines)
            for file in sorted(self._files())
        }

    def _files(self) -> Collection[str]:
        """The files that its instances write to. Raises as `logs` does."""
        found = self.look(*self._list())
        if isinstance(found, Result):
            log_of(found, self.service, 0)
            return ()
        rows = _rows(found[""])
        return {path for row in rows for path in row.logs if path != "/dev/null"}

    def definition(self) -> Mapping[str, str | None]:
        """How PM2 starts it, each instance once."""
        what = f"PM2's definition of {self.service.name}"
        text = text_of(self.read(*self._list(_DEFINED)), what).partition("=== daemon")[0]
        lines = dict.fromkeys(filter(None, text.splitlines()))
        return {"application": "\n".join(lines) if lines else None}

    def find(self) -> Sequence[Mapping[str, str]]:
        directories = dict.fromkeys(row.pm_cwd for row in self._instances())
        return tuple(
            {"backend": "pm2", "name": self.service.name, "directory": directory}
            for directory in directories
        )

    def _instances(self) -> Sequence[Row]:
        """The application's instances; none when nobody can tell."""
        found = self.look(*self._list())
        return () if isinstance(found, Result) else _rows(found[""])

    def _list(self, keeps: str = _KEPT) -> tuple[str, ...]:
        """Shell text that lists the instances. A look must not start PM2's daemon, as any
        command to a PM2 that does not run would."""
        keep = quote("node", "-e", keeps, "--", self.service.name)
        return (
            *self._setting(),
            _DAEMON,
            'if [ -n "$daemon" ]',
            f"then list=$(pm2 jlist); kept=$(printf '%s\\n' \"$list\" | {keep})",
            "else kept=; fi",
            "printf '%s\\n' \"$kept\"",
            section("daemon"),
            'echo "$daemon"',
        )

    def _setting(self) -> tuple[str, ...]:
        options = self.service.options
        return (
            f'export PATH={quote(options.path)}:"$PATH"' if options.path else "",
            f"export PM2_HOME={quote(options.home)}" if options.home else "",
        )

    def _anew(self, rows: Sequence[Row], verbs: str) -> str:
        """PM2 keeps what an application was first started with, and the directory that a link
        then led to. From its file an application is made anew where that says otherwise by now,
        or the link leads elsewhere."""
        name, ecosystem = self.service.name, self.service.options.ecosystem
        if not (ecosystem and rows):
            return verbs
        kept = " ".join(quote(path) for row in rows for path in (row.pm_cwd, row.pm_exec_path))
        start = quote("pm2", "start", ecosystem, "--only", name, "--update-env")
        return f"""\
stale=$({changed(ecosystem, name, [row.kept for row in rows])}) || stale=
{_LED_ELSEWHERE.replace("KEPT", kept) if self._recreated else ""}\
if [ -n "$stale" ]; then pm2 delete {quote(name)}; {start}
else {verbs}; fi"""

    @property
    def _recreated(self) -> bool:
        return bool(self.service.directory and self.service.options.ecosystem)

    def _verb(self, reload: object) -> str:
        name, ecosystem = self.service.name, self.service.options.ecosystem
        if ecosystem:
            verb = "startOrReload" if reload else "startOrRestart"
            return quote("pm2", verb, ecosystem, "--only", name, "--update-env")
        return quote("pm2", "reload" if reload else "restart", name, "--update-env")


def _rows(text: str) -> list[Row]:
    """Raises Unreadable."""
    return [parsed(Row, line) for line in text.splitlines() if line.startswith("{")]


def _reloads(row: Row) -> bool:
    return row.exec_mode == "cluster_mode" and row.wait_ready and row.status == "online"


def _owner(rows: Sequence[Row], daemon: str) -> Callable[[Holder], bool]:
    """In a cluster the daemon holds the port for its workers."""
    pids = {row.pid for row in rows if row.pid}
    cluster = any(row.exec_mode == "cluster_mode" for row in rows)
    master = int(daemon) if cluster and daemon.isdigit() else None

    def ours(holder: Holder) -> bool:
        return holder.descends_from(pids) or holder.line[0] == master

    return ours
