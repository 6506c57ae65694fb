"""The machines that every contender deploys to and from: hosts with a service under supervisord,
and the laptop of the person who types.

Each is a machine of namespaces with a /srv of its own, an OpenSSH server and the same names for
all others, so that every contender's configuration is what it would be anywhere: `web1`, port 22
by `~/.ssh/config`, `/srv/api/current`, `http://web1:8080/health`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fanout import longer

from support import sample_app
from support.git_origin import GitOrigin
from support.machine import Machine
from support.process import children
from support.sshd import SshdBed, SshdHost
from support.supervisord import Program, Supervisord
from support.tools import node_program, venv_program
from support.wait import eventually

PORT = 8080
NEEDED = Path("schema")
"""A file in a host's /srv, without which a fragile release does not start."""
FRAGILE = f'os.path.exists("/srv/{NEEDED}") or sys.exit("the old schema is gone")\n'
CONFIG = Path("supervisor/supervisord.conf")
"""Of a host's supervisord, in its /srv."""
CTL = "#!{python}\nfrom supervisor.supervisorctl import main\n\nmain()\n"
"""supervisorctl as pip installs it; the file above is where it looks for it."""
LIE = """\
#!/bin/sh
[ "$1" != restart ] || { echo "api: stopped"; echo "api: started"; exit 0; }
exec CTL -c /srv/CONFIG "$@"
"""
"""One whose restart does nothing, and says that it did."""


@dataclass(frozen=True)
class Ended:
    """How a command left, and what it took. `code` is negative for a signal."""

    code: int
    seconds: float
    processor: float
    said: str


class Typed:
    """A command on the laptop, as from a terminal: it leads a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._begun = time.perf_counter()
        self.pid = eventually(lambda: _leader(process), every=0.002, saying="a command")

    @property
    def running(self) -> bool:
        return Path(f"/proc/{self.pid}").exists()

    def interrupt(self) -> None:
        """Ctrl-C: the terminal tells the whole group."""
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(self.pid), signal.SIGINT)

    def kill(self) -> None:
        """`kill -9` of the program, and of nothing that it started."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def end(self, within: float = 300.0) -> Ended:
        """Wait for it. One that takes too long is ended by force."""
        deadline = self._begun + within
        while True:
            pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() > deadline:
                self.kill()
            time.sleep(0.005)
        took = time.perf_counter() - self._begun
        self._process.returncode = os.waitstatus_to_exitcode(status)
        processor = used.ru_utime + used.ru_stime
        said = self._log.read_text(errors="replace")
        return Ended(self._process.returncode, took, processor, said)


class Estate:
    """Hosts web1 … webN, the laptop, and the repository that all fetch from as /srv/api.git."""

    def __init__(self, place: Path, count: int) -> None:
        self.place = place
        self.git = GitOrigin(place / "git")
        self.bed = SshdBed(place / "bed", [f"web{n + 1}" for n in range(count)])
        self.laptop = Machine("laptop", place / "laptop")
        self.supervisors = {host.name: _supervisord(host) for host in self.bed}
        self._logs = 0

    @property
    def names(self) -> list[str]:
        return [host.name for host in self.bed]

    @contextmanager
    def up(self, delay: float = 0.0) -> Iterator[Estate]:
        """With so many milliseconds more for a round trip by SSH."""
        with self.bed, ExitStack() as parts:
            _each(self.settle_in, self.names)
            for supervisord in self.supervisors.values():
                parts.callback(supervisord.stop)
            parts.enter_context(longer(self.bed, delay))
            parts.callback(self.laptop.power_cut)
            self._unpack()
            yield self

    def settle_in(self, name: str) -> None:
        """What a host needs besides sshd, each time that it has been started."""
        host = self.bed[name]
        srv, tools, etc = host.home / "srv", host.home / "bin", host.home / "etc"
        for folder in (srv / "none", tools, etc):
            folder.mkdir(parents=True, exist_ok=True)
        self._share(srv)
        if not (srv / "api").is_symlink():
            (srv / "api").symlink_to("none")
        self.lie(name, False)
        (srv / NEEDED).touch()
        if not (etc / CONFIG.name).is_symlink():
            (etc / CONFIG.name).symlink_to(f"/srv/{CONFIG}")
        places = {srv: "/srv", tools: "/usr/local/bin", etc: "/usr/local/etc"}
        self._mount(host.machine, places)
        self.supervisors[name].start()

    def _share(self, srv: Path) -> None:
        if not (srv / "api.git").is_symlink():
            (srv / "api.git").symlink_to(self.git.origin)

    def _mount(self, machine: Machine, places: Mapping[Path, str]) -> None:
        hosts = self.place / "hosts"
        lines = [f"{host.address} {host.name}\n" for host in self.bed]
        hosts.write_text("".join(["127.0.0.1 localhost laptop\n", *lines]))
        for source, target in {**places, hosts: "/etc/hosts"}.items():
            machine.run("mount", "--bind", str(source), target)

    def _unpack(self) -> None:
        home = self.laptop.boot().home
        ssh = home / ".ssh"
        ssh.mkdir(mode=0o700)
        config = self.bed.ssh_config.read_text().replace("  GlobalKnownHostsFile /dev/null\n", "")
        (ssh / "config").write_text(config)
        shutil.copy(self.bed.known_hosts, ssh / "known_hosts")
        (home / "api").symlink_to(self.git.copy)
        srv = home / "srv"
        srv.mkdir()
        self._share(srv)
        self._mount(self.laptop, {srv: "/srv"})

    def begin(self, argv: Sequence[str], directory: Path) -> Typed:
        """Type a command on the laptop."""
        inside = self.laptop.command(["setsid", *argv])
        inside = [f"--wd={directory}" if w.startswith("--wd=") else w for w in inside]
        tools = [str(Path(venv_program("python")).parent), str(Path(node_program("pm2")).parent)]
        env = self.laptop.environment({"NO_COLOR": "1", "LANG": "C.UTF-8", "TERM": "dumb"})
        env["PATH"] = ":".join([*tools, env["PATH"]])
        env["PYTHONPATH"] = ""
        self._logs += 1
        log = self.place / f"said-{self._logs}"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                inside, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
            )
        return Typed(process, log)

    def give(self, tree: str) -> None:
        """From now on /srv/api of every host is this contender's own; nothing runs there."""

        def hand_over(name: str) -> None:
            srv = self.bed[name].home / "srv"
            (srv / "trees" / tree).mkdir(parents=True, exist_ok=True)
            (srv / "next").symlink_to(f"trees/{tree}")
            (srv / "next").rename(srv / "api")
            (srv / NEEDED).touch()
            self.lie(name, False)
            self.supervisors[name].again("api", bool(self.disk(name)))

        _each(hand_over, self.names)

    def lie(self, name: str, whether: bool) -> None:
        """Whether `supervisorctl restart` on this host does nothing, and says that it did."""
        lie = LIE.replace("CTL", venv_program("supervisorctl")).replace("CONFIG", str(CONFIG))
        text = lie if whether else CTL.format(python=venv_program("python"))
        path = self.bed[name].home / "bin" / "supervisorctl"
        path.write_text(text)
        path.chmod(0o755)

    def publish(self, behaviour: sample_app.Behaviour = "healthy", *, fragile: bool = False) -> str:
        """Commit and push the next release; returns its number."""
        number = self.git.bad_change(behaviour)
        if fragile:
            file = self.git.copy / "app.py"
            file.write_text(file.read_text().replace("\nVERSION = ", f"\n{FRAGILE}\nVERSION = "))
        self.git.commit(f"Release {number}")
        self.git.push()
        return number

    def commit_of(self, number: str) -> str:
        """The commit of a release, as far as people write it."""
        return self.git.git("log", "--format=%h", f"--grep=^Release {number}$", "-1").strip()

    def answer(self, name: str) -> str:
        """The release that answers on a host; nothing when none does."""
        try:
            health = sample_app.health(self.bed[name].address, PORT)
        except ValueError:
            return ""
        return health["release"] if health else ""

    def disk(self, name: str) -> str:
        """The release that `current` names on a host."""
        tree = self.bed[name].home / "srv" / "api"
        with suppress(OSError):
            target = str((tree / "current").readlink()).removeprefix("/srv/api/")
            return (tree / target / "RELEASE").read_text().strip()
        return ""

    def cool(self) -> None:
        """Nobody keeps a connection open from one deploy to the next."""
        for socket in (self.laptop.home / ".ansible" / "cp").glob("*"):
            words = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any"]
            self.laptop.run(*words, check=False)


class Service(Supervisord):
    """The supervisord of a host."""

    def again(self, name: str, start: bool) -> None:
        """Stop a program, and start it, whatever supervisorctl would do."""
        with self._rpc() as rpc:
            with suppress(xmlrpc.client.Fault):  # it did not run
                rpc.supervisor.stopProcess(name)
            if start:
                rpc.supervisor.startProcess(name)


def _supervisord(host: SshdHost) -> Service:
    variables = {"HOST": host.address, "PORT": str(PORT)}
    command = sample_app.command(Path("/srv/api/current/app.py"))
    program = Program("api", command, variables)
    return Service(host.home / "srv" / "supervisor", [program], machine=host.machine)


def _leader(process: subprocess.Popen[bytes]) -> int:
    """The command itself, below what entered the laptop's namespaces."""
    if process.poll() is not None:
        raise RuntimeError("a command could not be typed")
    found = children(process.pid)
    return found[0] if found and os.getpgid(found[0]) == found[0] else 0


def _each(act: Callable[[str], None], names: Sequence[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, names))
