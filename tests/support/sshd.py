"""Private OpenSSH hosts on loopback addresses, with their own keys and a client configuration."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import ports
from .machine import Machine
from .ssh_bed import SshBed, make_key
from .tools import program
from .wait import eventually

FIRST_ADDRESS = 10


class SshdHost:
    """One machine with an OpenSSH server, and the faults that it can be given."""

    def __init__(
        self,
        machine: Machine,
        address: str,
        port: int,
        authorized_keys: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.machine = machine
        self.address = address
        self.port = port
        self.environment = dict(environment or {})
        self._authorized_keys = authorized_keys
        self._options: dict[str, str] = {}
        self._key = machine.directory / "host_key"

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def home(self) -> Path:
        """Root's home directory on this host, reachable from the test by the same path."""
        return self.machine.home

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self.machine.directory / "sshd.log").read_text(errors="replace")

    @property
    def server(self) -> int:
        """The server's process, as it is seen from outside of the machine."""
        return next(pid for pid in self.machine.children() if program_of(pid) == "sshd")

    @property
    def public_key(self) -> str:
        return self._key.with_suffix(".pub").read_text()

    @property
    def listening(self) -> bool:
        """Whether the server's socket accepts connections (a frozen server's still does)."""
        return self.machine.up and ports.accepts(self.address, self.port)

    def start(self) -> None:
        """Start the server; it accepts connections when this returns."""
        if not self.machine.up:
            self.machine.boot()
        if not self._key.exists():
            make_key(self._key, self.name)
        Path("/run/sshd").mkdir(exist_ok=True)
        config = self.machine.directory / "sshd_config"
        config.write_text(self._config())
        self._pid_file.unlink(missing_ok=True)
        log = str(self.machine.directory / "sshd.log")
        # -r: it forks for a connection and is not begun anew, which is a third of what one takes.
        self.machine.run(program("sshd"), "-r", "-f", str(config), "-E", log)
        eventually(self._pid_file.read_text, saying=f"sshd of {self.name}")

    def stop(self) -> None:
        """Stop listening; sessions that are open go on."""
        self._signal(signal.SIGTERM)
        eventually(lambda: not self.listening, saying=f"end of sshd of {self.name}")

    def kill(self) -> None:
        """Kill the server and every session and command under it; the machine stays up."""
        self.machine.run("kill", "-KILL", "-1", check=False)
        eventually(lambda: not self.listening, saying=f"end of sshd of {self.name}")

    def kill_sessions(self) -> None:
        """Kill the open sessions only: the server and the sessions' commands live on."""
        sessions = [pid for pid, args in self.machine.processes().items() if _is_session(args)]
        if sessions:
            self.machine.run("kill", "-KILL", *map(str, sessions), check=False)

    def freeze(self) -> None:
        """Stop the server's process: connections are accepted by the kernel and never answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def power_cut(self) -> None:
        """End the whole machine at once."""
        self.machine.power_cut()

    def end(self) -> None:
        """End the machine, whatever state it is in."""
        self.machine.power_cut()

    def change_host_key(self) -> None:
        """Answer with a new host key from now on; the bed's known_hosts keeps the old one."""
        self.stop()
        self._key.unlink()
        self._key.with_suffix(".pub").unlink()
        self.start()

    def restore(self) -> None:
        """Listen again with the default options, after whatever faults."""
        self._options.clear()
        self.machine.power_cut()
        self.start()

    def configure(self, **options: str | int) -> None:
        """Restart the server with other options, for example `configure(MaxSessions=1)`."""
        self._options.update({name: str(value) for name, value in options.items()})
        self.stop()
        self.start()

    @property
    def _pid_file(self) -> Path:
        return self.machine.directory / "sshd.pid"

    def _signal(self, number: signal.Signals) -> None:
        self.machine.run("kill", f"-{number.name[3:]}", self._pid_file.read_text().strip())

    def _config(self) -> str:
        options = {
            "ListenAddress": f"{self.address}:{self.port}",
            "HostKey": str(self._key),
            "PidFile": str(self._pid_file),
            "AuthorizedKeysFile": str(self._authorized_keys),
            "StrictModes": "no",
            "UsePAM": "no",
            "UseDNS": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "KexAlgorithms": "-sntrup761*",  # it alone is three quarters of what `ssh` takes
            "PermitRootLogin": "prohibit-password",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "MaxStartups": "100:30:200",
            "MaxSessions": "64",
            "Subsystem": "sftp internal-sftp",
            "LogLevel": "VERBOSE",
            **self._options,
        }
        lines = [f"{name} {value}\n" for name, value in options.items()]
        if self.environment:
            pairs = " ".join(f'"{name}={value}"' for name, value in self.environment.items())
            lines.append(f"SetEnv {pairs}\n")
        return "".join(lines)


class SshdBed(SshBed[SshdHost]):
    """Hosts on the loopback addresses 127.0.0.10 and up, all on one free port."""

    def __init__(
        self,
        directory: Path,
        names: Sequence[str] = ("web1", "web2"),
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        addresses = [f"127.0.0.{FIRST_ADDRESS + index}" for index in range(len(names))]
        self.port = ports.free_port(addresses)
        self._cleanup.callback(ports.release, self.port)
        for name, address in zip(names, addresses, strict=True):
            machine = Machine(name, directory / name)
            host = SshdHost(machine, address, self.port, self.authorized_keys, environment)
            self._hosts[name] = host


def program_of(pid: int) -> str:
    return Path(f"/proc/{pid}/exe").readlink().name


def _is_session(args: str) -> bool:
    return args.startswith(("sshd: root@", "sshd: root [", "sshd-session: root@"))
