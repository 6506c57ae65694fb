"""How SSH connections are opened: `ssh_config`, keys, gateways, and no unknown host.

Fabric knows all of that but the last, so it makes the connection; here it is given what it has
to know, and whatever it or Paramiko raises becomes an `Unreachable` in words.
"""

from __future__ import annotations

import base64
import logging
import math
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NoReturn

import fabric
import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey
from paramiko.ssh_exception import (
    ConfigParseError,
    CouldNotCanonicalize,
    IncompatiblePeer,
    MessageOrderError,
    NoValidConnectionsError,
    PasswordRequiredException,
    ProxyCommandFailure,
)

from backout.adapters.transports.ssh_agent import Agent
from backout.adapters.transports.ssh_config import Login, SshConfig, files
from backout.adapters.transports.ssh_link import link, settle
from backout.errors import HostKeyRefused, Refused, Unreachable
from backout.model import Host, Ssh
from backout.model.operands import at_home

BROKEN = (paramiko.SSHException, OSError, EOFError)
"""What a connection that fails may raise."""

_HASHED = re.compile(r"\|1\|[A-Za-z0-9+/]{27}=\|[A-Za-z0-9+/]{27}=")

logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Dialer:
    """Makes connections for one inventory; asks once how a host is reached, and for known keys."""

    def __init__(self, ssh: Ssh, config: SshConfig | None = None) -> None:
        self.ssh = ssh
        self.timeout = max(1, math.ceil(ssh.connect_timeout))
        self._config = config or SshConfig(ssh)
        self._fabric = fabric.Config(
            lazy=True,
            ssh_config=paramiko.SSHConfig(),
            overrides={"timeouts": {"connect": self.timeout}},
        )
        self._known: dict[tuple[str, ...], KnownHosts] = {}
        self._lock = threading.Lock()

    def connection(self, host: Host) -> fabric.Connection:
        """A connection that is not open yet, with its gateways, all of them strict."""
        try:
            return self._to(self._config.of(host))
        except (*BROKEN, ValueError, KeyError, Refused) as error:
            raise translated(error, host, self.address(host), self.timeout) from error

    def opened(self, hop: fabric.Connection) -> None:
        """Let go of what only its opening needed; a thousand connections stay open."""
        hop.config, hop.connect_kwargs = self._fabric, {}
        hop.client.get_host_keys().clear()
        settle(hop.transport)

    def agent_of(self, host: Host) -> str:
        """The socket of the agent that is at hand for a host; see `Login.agent`."""
        return self._config.of(host).agent

    def typed(self, host: Host) -> str:
        """How a person would log in."""
        user, port = host.user or self.ssh.user, f"-p {host.port} " if host.port else ""
        return f"ssh {port}{f'{user}@' if user else ''}{host.address or host.name}"

    def address(self, host: Host) -> str:
        """Where a host is said to be, before ssh_config was asked."""
        user = host.user or self.ssh.user
        return f"{user}@" * bool(user) + f"{host.address or host.name}:{host.port or 22}"

    def _to(self, login: Login, before: tuple[Login, ...] = ()) -> fabric.Connection:
        connection = fabric.Connection(
            login.host,
            user=login.user,
            port=login.port,
            config=self._fabric.clone(),  # Fabric writes into it, which others must not see
            gateway=self._gateway(login, before),
            forward_agent=login.forward_agent,
            connect_timeout=self.timeout,
            connect_kwargs={"allow_agent": True},
        )
        self._prepare(connection, login)
        return connection

    def _gateway(self, login: Login, before: tuple[Login, ...]) -> fabric.Connection | str | None:
        """What the connection goes through: the last of the jumps, through those before it. A
        list of jumps ends, whatever machines are in it; what leads on from each need not."""
        if not login.jumps:
            shell = os.environ.get("SHELL") or "/bin/sh"
            return shlex.join((shell, "-c", f"exec {login.proxy}")) if login.proxy else None
        *first, last = login.jumps
        jump = self._config.login(last)
        through = replace(jump, jumps=tuple(first), proxy="") if first else jump
        passed = ((hop.host, hop.port) for hop in (*before, login))
        if through.jumps and not first and (jump.host, jump.port) in passed:
            raise ValueError(f"ProxyJump goes in a circle, via {jump.name}")
        return self._to(through, (*before, login))

    def _prepare(self, hop: fabric.Connection, login: Login) -> None:
        keys = self._keys(login.keys)
        only = frozenset(_public(login.keys)) if login.only_these_keys else None
        hop.connect_kwargs = {
            "pkey": _certified(keys, login.certificates),
            "key_filename": [key for key in keys if not _is_public(key)],
            "look_for_keys": False,
            "allow_agent": login.agent != "none",
            "banner_timeout": self.timeout,
            "auth_timeout": self.timeout,
            "channel_timeout": self.timeout,
            "transport_factory": link,
        }
        hop.client._agent = Agent(login.agent, only)  # Paramiko has no other way in
        known = self._known_hosts(login)
        name = hop.host if hop.port == 22 else f"[{hop.host}]:{hop.port}"
        for key in known.of(login.alias or name) or known.of(login.alias or hop.host):
            hop.client.get_host_keys().add(name, key.get_name(), key)
        hop.client.set_missing_host_key_policy(_Strict(hop, login, known.file))

    def _keys(self, configured: Sequence[str]) -> list[str]:
        own = []
        if self.ssh.identity:
            own = [str(at_home(self.ssh.identity))]
            if not os.access(own[0], os.R_OK):
                raise Refused(f"the SSH key {self.ssh.identity} cannot be read")
        return own + [name for name in configured if name not in own and os.access(name, os.R_OK)]

    def _known_hosts(self, login: Login) -> KnownHosts:
        """The inventory's file, else those of `ssh_config` or the default; then the global ones."""
        user = tuple(files(self.ssh.known_hosts)) or login.known_hosts
        names = (*user, *login.global_known_hosts)
        with self._lock:
            if names not in self._known:
                self._known[names] = KnownHosts(names)
            return self._known[names]


def _is_public(name: str) -> bool:
    with Path(name).open("rb") as file:
        return not file.read(64).startswith(b"-----BEGIN")


def _certified(keys: Sequence[str], certificates: Sequence[str]) -> paramiko.PKey | None:
    """The first key that a certificate is of, with that; none where nobody can tell."""
    for key, certificate in product(keys, certificates):
        with suppress(OSError, ValueError, paramiko.SSHException):
            found = paramiko.PKey.from_path(key)
            found.load_certificate(certificate)
            return found
    return None


def _public(names: Sequence[str]) -> Iterator[bytes]:
    """The public keys that stand in some files, or beside them."""
    for path in (Path(end) for name in names for end in (name, f"{name}.pub")):
        with suppress(OSError, ValueError, IndexError):
            yield base64.b64decode(path.read_text().split()[1], validate=True)


class KnownHosts:
    """The host keys on record in some files. A revoked key is not; lines that are no key, and
    patterns, are passed over, so that they let nobody in. A line is read when its host is asked
    for: a file may have thousands."""

    def __init__(self, files: Sequence[str]) -> None:
        self.file = files[0] if files and files[0] != os.devnull else ""
        """Where a new key would be put on record; none when the records are kept nowhere."""
        self._lines: dict[str, list[str]] = {}
        """By each name that stands before a key, hashed or not."""
        self._hashed: list[str] = []
        self._revoked: set[str] = set()
        for name in files:
            path = at_home(name)
            try:
                lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
            except OSError as error:
                raise Refused(f"{path} cannot be read: {error.strerror}") from error
            for line in lines:
                self._add(line.strip())

    def of(self, name: str) -> list[paramiko.PKey]:
        """The keys of a host: a name, or `[name]:port`."""
        hashed = (h for h in self._hashed if paramiko.HostKeys.hash_host(name, h) == h)
        lines = (line for listed in (name, *hashed) for line in self._lines.get(listed, ()))
        keys = (_key(line) for line in lines)
        return [key for key in keys if key and key.get_base64() not in self._revoked]

    def _add(self, line: str) -> None:
        words = line.split()
        if line.startswith("@revoked") and len(words) >= 4:
            self._revoked.add(words[3])
        if not line or line[0] in "#@":
            return
        for listed in words[0].split(","):
            if _HASHED.fullmatch(listed) and listed not in self._lines:
                self._hashed.append(listed)
            self._lines.setdefault(listed, []).append(line)


def _key(line: str) -> paramiko.PKey | None:
    """The key of a line of known_hosts; None where that is none."""
    with suppress(InvalidHostKey, paramiko.SSHException, ValueError):
        entry = HostKeyEntry.from_line(line)
        return entry.key if entry else None
    return None


class _Strict(paramiko.RejectPolicy):
    """Refuses an unknown host key, and says how it becomes a known one."""

    def __init__(self, hop: fabric.Connection, login: Login, file: str) -> None:
        self._hop = hop
        self._alias = f" | sed 's/^[^ ]*/{login.alias}/'" if login.alias else ""
        self._file = file

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002
        hostname: str,
        key: paramiko.PKey,
    ) -> NoReturn:
        """Raise HostKeyRefused."""
        kind = key.get_name().removeprefix("ssh-").partition("-")[0]
        scan = f"ssh-keyscan -t {kind} -p {self._hop.port} {self._hop.host}{self._alias}"
        record = self._file or "known_hosts, and name that file as ssh.known_hosts in the inventory"
        raise HostKeyRefused(
            f"the host key of {hostname} is unknown: it shows {key.get_name()} {key.fingerprint}",
            state="no command ran there",
            next=f"compare it with `ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub` on the"
            f" machine's console; when they are the same: {scan} >> {record}",
        )


def hops(connection: fabric.Connection) -> Iterator[fabric.Connection]:
    """The connection and the gateways under it."""
    hop = connection
    while isinstance(hop, fabric.Connection):
        yield hop
        hop = hop.gateway


def translated(error: BaseException, host: Host, address: str, timeout: float) -> Unreachable:
    """Whatever Paramiko, Fabric or a socket raised, in words for the operator."""
    if isinstance(error, Unreachable):
        error.where = error.where or host.name
        return error
    if isinstance(error, Refused):
        return Unreachable(error.what, where=host.name, next=error.next)
    if isinstance(error, paramiko.BadHostKeyException):
        return _changed_key(error, host, address)
    why, what_next = _in_words(error, address, timeout)
    return Unreachable(f"{host.name} cannot be reached: {why}", where=address, next=what_next)


def _changed_key(error: paramiko.BadHostKeyException, host: Host, address: str) -> HostKeyRefused:
    return HostKeyRefused(
        f"the host key of {error.hostname} is not the one on record: it shows "
        f"{error.key.get_name()} {error.key.fingerprint}, on record is "
        f"{error.expected_key.get_name()} {error.expected_key.fingerprint}",
        where=f"{host.name}, {address}",
        state="no command ran there; somebody may be in between, or the machine was set up anew",
        next="ask whoever runs the machine; when the new key is right: "
        f"ssh-keygen -R '{_record(address)}', then add the new key",
    )


def _record(address: str) -> str:
    """An address as known_hosts writes it."""
    name, _, port = address.rpartition("@")[2].rpartition(":")
    return name if port == "22" else f"[{name}]:{port}"


def _greeting(error: BaseException) -> BaseException:
    """What went wrong beneath, where Paramiko says no more than that a server did not greet."""
    cause = error.__context__
    return cause if cause and str(error).startswith("Error reading SSH protocol banner") else error


def _in_words(error: BaseException, address: str, timeout: float) -> tuple[str, str]:
    """Why, and what to try."""
    place = address.rpartition("@")[2]
    name, _, port = place.rpartition(":")
    error = _greeting(error)
    login = f"ssh -p {port or 22} {address.rpartition(':')[0] or address} true"
    match error:
        case NoValidConnectionsError(errors=causes) if causes:
            return _in_words(next(iter(causes.values())), address, timeout)
        case PasswordRequiredException():
            return "its SSH key is encrypted and no agent holds it", "ssh-add the key"
        case paramiko.AuthenticationException():
            return f"it does not let {address} in: {error}", f"{login}; then ssh-copy-id"
        case ProxyCommandFailure():
            return f"its ProxyCommand failed: {error.error}", "run the ProxyCommand by hand"
        case ConfigParseError() | CouldNotCanonicalize() | ValueError() | KeyError():
            return f"its entry in ssh_config or the inventory is wrong: {error}", f"ssh -G {name}"
        case paramiko.ChannelException():
            return f"the gateway does not connect on to {place}: {error.text}", login
        case IncompatiblePeer() | MessageOrderError():
            return f"{place} speaks another SSH: {error}", f"ssh -v {name}"
        case socket.gaierror():
            return f"the name {name} cannot be resolved", f"getent hosts {name}"
        case TimeoutError() | paramiko.SSHException(args=("No existing session",)):
            return f"{place} gave no answer within {timeout:g} s", f"nc -vz {name} {port}"
        case ConnectionRefusedError():
            return f"nothing listens on {place}", "start sshd there, or correct the port"
        case EOFError():
            return f"{place} closed the connection at once", login
    return f"{place}: {error or type(error).__name__}", login


def hang_up(connection: fabric.Connection) -> None:
    """Close a connection and its gateways, in whatever state they are."""
    for hop in hops(connection):
        link = hop.client.get_transport()
        if link is not None and isinstance(link.sock, socket.socket):
            with suppress(OSError):  # its thread wakes up, and lets go of the socket at once
                link.sock.shutdown(socket.SHUT_RDWR)
        with suppress(*BROKEN):
            hop.client.close()
        if link is not None and isinstance(link.sock, paramiko.ProxyCommand):
            _reap(link, link.sock.process)


def _reap(link: paramiko.Transport, process: subprocess.Popen[bytes]) -> None:
    """End a ProxyCommand. Paramiko's thread signals it by its id, so it must end first."""
    with process:
        os.kill(process.pid, signal.SIGKILL)  # Popen.kill might collect it first
        if link.is_alive():
            link.join(5)
