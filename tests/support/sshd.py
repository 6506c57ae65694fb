"""Private OpenSSH hosts on loopback addresses, with their own keys and a client configuration."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from . import ports
from .machine import Machine, require_root
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
    def known_hosts_line(self) -> str:
        kind, key = self._key.with_suffix(".pub").read_text().split()[:2]
        place = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        return f"{place} {kind} {key}\n"

    @property
    def listening(self) -> bool:
        """Whether the server's socket accepts connections (a frozen server's still does)."""
        return self.machine.up and ports.accepts(self.address, self.port)

    def start(self) -> None:
        """Start the server; it accepts connections when this returns."""
        if not self.machine.up:
            self.machine.boot()
        if not self._key.exists():
            _keygen(self._key, self.name)
        Path("/run/sshd").mkdir(exist_ok=True)
        config = self.machine.directory / "sshd_config"
        config.write_text(self._config())
        self._pid_file.unlink(missing_ok=True)
        log = str(self.machine.directory / "sshd.log")
        self.machine.run(program("sshd"), "-f", str(config), "-E", log)
        eventually(self._pid_file.exists, saying=f"sshd of {self.name}")

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

    def change_host_key(self) -> None:
        """Answer with a new host key from now on; the bed's known_hosts keeps the old one."""
        self.stop()
        self._key.unlink()
        self._key.with_suffix(".pub").unlink()
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


class SshdBed:
    """Several hosts that one client key opens, with the files that a client needs."""

    def __init__(
        self,
        directory: Path,
        names: Sequence[str] = ("web1", "web2"),
        *,
        environment: Mapping[str, str] | None = None,
        first_address: int = FIRST_ADDRESS,
    ) -> None:
        self.directory = directory
        self.identity = directory / "id_ed25519"
        self.known_hosts = directory / "known_hosts"
        self.ssh_config = directory / "ssh_config"
        addresses = [f"127.0.0.{first_address + index}" for index in range(len(names))]
        self.port = ports.free_port(addresses)
        keys = directory / "authorized_keys"
        self._hosts = {
            name: SshdHost(Machine(name, directory / name), address, self.port, keys, environment)
            for name, address in zip(names, addresses, strict=True)
        }

    def __getitem__(self, name: str) -> SshdHost:
        return self._hosts[name]

    def __iter__(self) -> Iterator[SshdHost]:
        return iter(self._hosts.values())

    def __len__(self) -> int:
        return len(self._hosts)

    def start(self) -> SshdBed:
        """Start every host and write the client's files."""
        require_root()
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.identity.exists():
            _keygen(self.identity, "client")
        shutil.copy(self.identity.with_suffix(".pub"), self.directory / "authorized_keys")
        for host in self:
            host.start()
        write_client_files(self.known_hosts, self.ssh_config, self.identity, list(self))
        return self

    def stop(self) -> None:
        """End every host, whatever state a test left it in."""
        with ExitStack() as stack:
            stack.callback(ports.release, self.port)
            for host in self:
                stack.callback(host.machine.power_cut)

    def restore(self) -> None:
        """Bring every host back to listening, as after `start`, with default options."""
        for host in self:
            host.machine.power_cut()
            host._options.clear()
            host.start()
        write_client_files(self.known_hosts, self.ssh_config, self.identity, list(self))

    def ssh(
        self, name: str, command: str, *, timeout: float = 20.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the OpenSSH client: an independent witness of what a host says."""
        return subprocess.run(
            [program("ssh"), "-F", str(self.ssh_config), name, command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def inventory_hosts(self, groups: Sequence[str] = ("web",)) -> dict[str, dict[str, object]]:
        """The `hosts` mapping of an inventory that names these hosts."""
        return {
            host.name: {"address": host.address, "port": host.port, "groups": list(groups)}
            for host in self
        }

    def inventory_ssh(self) -> dict[str, object]:
        """The `ssh` mapping of an inventory that reaches these hosts."""
        return {
            "user": "root",
            "identity": str(self.identity),
            "known_hosts": str(self.known_hosts),
        }

    def __enter__(self) -> SshdBed:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def write_client_files(
    known_hosts: Path, ssh_config: Path, identity: Path, hosts: Sequence[SshdHost]
) -> None:
    """Write the known_hosts and ssh_config that reach `hosts` by name with pinned keys."""
    known_hosts.write_text("".join(host.known_hosts_line for host in hosts))
    blocks = [
        f"Host {host.name}\n  HostName {host.address}\n  Port {host.port}\n" for host in hosts
    ]
    blocks.append(
        "Host *\n  User root\n"
        f"  IdentityFile {identity}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 5\n"
    )
    ssh_config.write_text("".join(blocks))


def _keygen(path: Path, comment: str) -> None:
    command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", comment]
    subprocess.run([*command, "-f", str(path)], check=True)


def _is_session(args: str) -> bool:
    return args.startswith(("sshd: root@", "sshd: root [", "sshd-session: root@"))
