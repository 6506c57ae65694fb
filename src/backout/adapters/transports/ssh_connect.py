"""How SSH connections are opened: `ssh_config`, keys, gateways, and no unknown host.

Fabric knows all of that but the last, so it makes the connection; here it is given what it has
to know, and whatever it or Paramiko raises becomes an `Unreachable` in words.
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

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

from backout.errors import HostKeyRefused, Refused, Unreachable
from backout.model import Host, Ssh

GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"

BROKEN = (paramiko.SSHException, OSError, EOFError)
"""What a connection that fails may raise."""

_HASHED = re.compile(r"\|1\|[A-Za-z0-9+/]{27}=\|[A-Za-z0-9+/]{27}=")

logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Dialer:
    """Makes connections for one inventory; reads `ssh_config` and known hosts once."""

    def __init__(self, ssh: Ssh) -> None:
        self.ssh = ssh
        self.timeout = max(1, math.ceil(ssh.connect_timeout))
        self._known: dict[str, KnownHosts] = {}
        self._lock = threading.Lock()
        try:
            self._config = fabric.Config(
                lazy=True,
                ssh_config=_ssh_config(ssh.config),
                overrides={"timeouts": {"connect": self.timeout}},
            )
        except (paramiko.SSHException, OSError, ValueError) as error:
            raise Refused(f"{ssh.config} cannot be read: {error}") from error

    def connection(self, host: Host) -> fabric.Connection:
        """A connection that is not open yet, with its gateways, all of them strict."""
        try:
            connection = fabric.Connection(
                host.address or host.name,
                user=host.user or self.ssh.user,
                port=host.port,
                config=self._config.clone(),  # Fabric writes into it, which others must not see
                connect_timeout=self.timeout,
                connect_kwargs={"allow_agent": True},
            )
            for hop in hops(connection):
                self._prepare(hop)
        except (*BROKEN, ValueError, KeyError) as error:
            raise translated(error, host, self.address(host), self.timeout) from error
        return connection

    def address(self, host: Host) -> str:
        """Where a host is said to be, before ssh_config was asked."""
        user = host.user or self.ssh.user
        return f"{user}@" * bool(user) + f"{host.address or host.name}:{host.port or 22}"

    def _prepare(self, hop: fabric.Connection) -> None:
        keys = self._keys(hop.ssh_config.get("identityfile", []))
        hop.connect_kwargs = {
            "key_filename": keys,
            "look_for_keys": not keys,
            "allow_agent": hop.ssh_config.get("identitiesonly") != "yes",
            "banner_timeout": self.timeout,
            "auth_timeout": self.timeout,
            "channel_timeout": self.timeout,
            "transport_factory": _link,
        }
        known = self._known_hosts(hop.ssh_config)
        name = hop.host if hop.port == 22 else f"[{hop.host}]:{hop.port}"
        for key in known.of(name):
            hop.client.get_host_keys().add(name, key.get_name(), key)
        hop.client.set_missing_host_key_policy(_Strict(hop, known.file))

    def _keys(self, configured: str | list[str]) -> list[str]:
        own = []
        if self.ssh.identity:
            own = [str(Path(self.ssh.identity).expanduser())]
            if not os.access(own[0], os.R_OK):
                raise Refused(f"the SSH key {self.ssh.identity} cannot be read")
        listed = [configured] if isinstance(configured, str) else configured
        files = [str(Path(name).expanduser()) for name in listed]
        return own + [name for name in files if name not in own and os.access(name, os.R_OK)]

    def _known_hosts(self, config: Mapping[str, str]) -> KnownHosts:
        """The inventory's file, else that of `ssh_config`, else the default; then the global."""
        user = self.ssh.known_hosts
        if "known_hosts" not in self.ssh.model_fields_set:
            user = config.get("userknownhostsfile", user)
        files = f"{user} {config.get('globalknownhostsfile', GLOBAL_KNOWN_HOSTS)}"
        with self._lock:
            if files not in self._known:
                self._known[files] = KnownHosts(files.split())
            return self._known[files]


class KnownHosts:
    """The host keys on record in some files. A revoked key is not; lines that are no key, and
    patterns, are passed over, so that they let nobody in."""

    def __init__(self, files: Sequence[str]) -> None:
        self.file = files[0]
        self._entries: list[HostKeyEntry] = []
        self._revoked: set[str] = set()
        for name in files:
            path = Path(name).expanduser()
            try:
                lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
            except OSError as error:
                raise Refused(f"{path} cannot be read: {error.strerror}") from error
            for line in lines:
                self._add(line.strip())

    def of(self, name: str) -> list[paramiko.PKey]:
        """The keys of a host: a name, or `[name]:port`."""
        return [
            entry.key
            for entry in self._entries
            if any(_same_host(name, listed) for listed in entry.hostnames)
            and entry.key.get_base64() not in self._revoked
        ]

    def _add(self, line: str) -> None:
        words = line.split()
        if line.startswith("@revoked") and len(words) >= 4:
            self._revoked.add(words[3])
        if not line or line[0] in "#@":
            return
        with suppress(InvalidHostKey, paramiko.SSHException, ValueError):
            entry = HostKeyEntry.from_line(line)
            if entry is not None:
                self._entries.append(entry)


def _same_host(name: str, listed: str) -> bool:
    if _HASHED.fullmatch(listed):
        return paramiko.HostKeys.hash_host(name, listed) == listed
    return name == listed


class _Strict(paramiko.RejectPolicy):
    """Refuses an unknown host key, and says how it becomes a known one."""

    def __init__(self, hop: fabric.Connection, file: str) -> None:
        self._hop = hop
        self._file = file

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002
        hostname: str,
        key: paramiko.PKey,
    ) -> NoReturn:
        """Raise HostKeyRefused."""
        kind = key.get_name().removeprefix("ssh-").partition("-")[0]
        scan = f"ssh-keyscan -t {kind} -p {self._hop.port} {self._hop.host} >> {self._file}"
        raise HostKeyRefused(
            f"the host key of {hostname} is unknown: it shows {key.get_name()} {key.fingerprint}",
            state="no command ran there",
            next="compare it with `ssh-keygen -lf /etc/ssh/ssh_host_"
            f"{kind}_key.pub` on the machine's console; when they are the same: {scan}",
        )


def _link(*place: Any, **words: Any) -> paramiko.Transport:
    """A transport that prefers the ciphers which seal a packet by themselves: the others need
    a code for each packet (MAC), which Paramiko checks byte by byte in Python."""
    link = paramiko.Transport(*place, **words)
    options = link.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return link


def hops(connection: fabric.Connection) -> Iterator[fabric.Connection]:
    """The connection and the gateways under it."""
    hop = connection
    while isinstance(hop, fabric.Connection):
        yield hop
        hop = hop.gateway


def _ssh_config(user: str) -> paramiko.SSHConfig:
    config = paramiko.SSHConfig()
    for name in (user, "/etc/ssh/ssh_config"):
        config.parse(io.StringIO("".join(_lines(Path(name).expanduser()))))
    return config


def _lines(path: Path, depth: int = 0) -> Iterator[str]:
    """The lines of an `ssh_config` with its `Include`s, which Paramiko does not know."""
    if not path.is_file() or depth > 16:
        return
    block = "Host *\n"
    for line in path.read_text().splitlines(keepends=True):
        word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() in ("host", "match"):
            block = line
        if word.lower() != "include":
            yield line
            continue
        for pattern in rest.replace('"', "").split():
            base = Path("/etc/ssh" if path.is_relative_to("/etc/ssh") else "~/.ssh").expanduser()
            found = base / Path(pattern).expanduser()
            for file in sorted(Path("/").glob(str(found.relative_to("/")))):
                yield from _lines(file, depth + 1)
        yield "\n" + block
    yield "\n"


def translated(error: BaseException, host: Host, address: str, timeout: float) -> Unreachable:
    """Whatever Paramiko, Fabric or a socket raised, in words for the operator."""
    if isinstance(error, Unreachable):
        error.where = error.where or host.name
        return error
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


def _in_words(error: BaseException, address: str, timeout: float) -> tuple[str, str]:
    """Why, and what to try."""
    place = address.rpartition("@")[2]
    name, _, port = place.rpartition(":")
    login = f"ssh -p {port or 22} {address.rpartition(':')[0] or address} true"
    match error:
        case NoValidConnectionsError(errors=causes) if causes:
            return _in_words(next(iter(causes.values())), address, timeout)
        case PasswordRequiredException():
            return "its SSH key is encrypted and no agent holds it", "ssh-add the key"
        case paramiko.AuthenticationException():
            return f"it does not let {address} in: {error}", f"{login}; then ssh-copy-id"
        case ProxyCommandFailure():
            return f"its ProxyCommand failed: {error}", "run the ProxyCommand by hand"
        case ConfigParseError() | CouldNotCanonicalize() | ValueError() | KeyError():
            return f"its entry in ssh_config or the inventory is wrong: {error}", f"ssh -G {name}"
        case paramiko.ChannelException():
            return f"the gateway does not connect on to {place}: {error.text}", login
        case IncompatiblePeer() | MessageOrderError():
            return f"{place} speaks another SSH: {error}", f"ssh -v {name}"
        case socket.gaierror():
            return f"the name {name} cannot be resolved", f"getent hosts {name}"
        case TimeoutError():
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
