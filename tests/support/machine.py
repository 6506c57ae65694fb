"""A machine made of namespaces: its own processes, mounts, host name and home directory.

Its first process is a plain collector of orphans, so that services can die and be started
again while the machine stays up. Killing that process is a power cut: the kernel ends
everything in the machine at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from .guard import guard
from .process import children
from .tools import program, system_python
from .wait import eventually

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_BOOT = f"""\
mount --bind "$1" /etc/passwd && hostname "$2" || exit
[ -z "$3" ] || mount --bind "$3" {_BOOT_ID} || exit
shift 3; exec "$@"
"""


class Machine:
    """Process, mount, host name and, when `network` names one, network namespaces.

    `home` is root's home directory inside, for every program that looks it up.
    """

    def __init__(self, name: str, directory: Path, *, network: str | None = None) -> None:
        self.name = name
        self.directory = directory
        self.home = directory / "home"
        self.network = network
        self.tells_boots = False
        """Whether each boot has a name of its own; otherwise it is that of the one kernel."""
        self._popen: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._token = 0

    def boot(self) -> Machine:
        """Start the machine; it has no services yet."""
        assert os.geteuid() == 0, "test machines are made of namespaces: run the tests as root"
        self.home.mkdir(parents=True, exist_ok=True)
        argv = [*_in_network(self.network), program("unshare")]
        argv += ["--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
        argv += ["sh", "-c", _BOOT, "sh", str(self._passwd()), self.name]
        argv += [str(self._boot_id()) if self.tells_boots else ""]
        argv += [system_python(), "-S", "-E", str(Path(__file__).with_name("machine_init.py"))]
        with (self.directory / "boot.log").open("wb") as log:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._token = guard.add(["kill", "-KILL", str(self._popen.pid)])
        assert self._popen.stdout is not None
        if self._popen.stdout.readline() != b"ready\n":
            self.power_cut()
            said = (self.directory / "boot.log").read_text()
            raise RuntimeError(f"machine {self.name} did not start: {said}")
        (self._init,) = children(self._popen.pid)
        return self

    @property
    def up(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def power_cut(self) -> None:
        """End everything in the machine at once, without warning."""
        if self._popen is None:
            return
        if self._init:
            # Its parent, `unshare`, collects it and ends; the other way round leaves a zombie.
            with suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
        else:
            self._popen.kill()
        self._popen.wait(60)
        self._init = 0
        if self._popen.stdout is not None:
            # The pipe's other end is held by the machine's processes: it closes when all are gone.
            self._popen.stdout.read()
            self._popen.stdout.close()
        self._popen = None
        guard.remove(self._token)

    def stand_still(self) -> None:
        """Nothing in it begins anything, or says anything, from when this returns until the end.
        What the kernel does for whoever waits in it comes to its end, and nobody hears of it."""
        self.run("kill", "-STOP", "-1", check=False)
        still = ["ps", "-ww", "-eo", "pid=,stat=,args="]

        def moving() -> list[str]:
            rows = (line.split(None, 2) for line in self.run(*still).stdout.splitlines())
            return [
                f"{pid} {args}"
                for pid, stat, args in rows
                if pid != "1" and stat[0] not in "TtZD" and not args.startswith("ps -ww -eo")
            ]

        eventually(lambda: not moving(), saying=f"stillness of {self.name}")

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` inside the machine."""
        spaces = ["--mount", "--uts", "--pid", *(["--net"] if self.network else [])]
        return [program("nsenter"), "-t", str(self._init), *spaces, f"--wd={self.home}", *argv]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a service of this machine finds in its environment."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"HOME": str(self.home), "USER": "root", "PATH": path, **(extra or {})}

    def run(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 90.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the machine, beside sshd rather than through it."""
        return subprocess.run(
            self.command(argv),
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
        )

    def processes(self) -> dict[int, str]:
        """The machine's processes as it sees them: id and command line."""
        lines = self.run("ps", "-ww", "-eo", "pid=,args=").stdout.splitlines()
        pairs = (line.split(None, 1) for line in lines)
        return {int(pid): args for pid, args in pairs if not args.startswith("ps -ww -eo")}

    def children(self) -> list[int]:
        """What the first process has taken on, as it is seen from outside."""
        path = Path(f"/proc/{self._init}/task/{self._init}/children")
        return [int(pid) for pid in path.read_text().split()]

    def _boot_id(self) -> Path:
        path = self.directory / "boot_id"
        path.write_text(f"{uuid.uuid4()}\n")
        return path

    def _passwd(self) -> Path:
        lines = Path("/etc/passwd").read_text().splitlines(keepends=True)
        root = f"root:x:0:0:root:{self.home}:/bin/bash\n"
        kept = [line for line in lines if not line.startswith("root:")]
        path = self.directory / "passwd"
        path.write_text("".join([root, *kept]))
        return path

    def __enter__(self) -> Machine:
        return self.boot()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.power_cut()


def _in_network(name: str | None) -> list[str]:
    return [program("ip"), "netns", "exec", name] if name else []
