"""Machines over SSH: Fabric opens the connection, Paramiko's channels carry the commands.

Fabric knows `ssh_config`, gateways, keys and agents, so it makes the connection. Unlike Fabric
by default, no host key is accepted that is not on record, for gateways neither. Commands go
over the channels underneath, which cost a tenth of Fabric's `run` and start no threads.
There is one connection a host; a lost one is opened again by the next use, and nothing that
may have begun is ever run a second time.
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
import secrets
import select
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NoReturn

import fabric
import paramiko
from paramiko.agent import AgentRequestHandler
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

from backout.adapters.shell import LOOK, Capture, Ran, ShellTransport, end_group, plain, quote
from backout.errors import HostKeyRefused, Refused, Unreachable
from backout.model import Command, Host, Ssh
from backout.ports import Vault

GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
SHELL = "exec /bin/sh"
DIRECT = 60_000
"""A longer text does not fit into the argument of one exec request everywhere."""
QUIET = 0.3
"""How long a finished command's output may stay open, held by a child it left behind."""
PATIENCE = 3
"""So many connect timeouts without an answer to what was sent, and the link counts as lost."""
AT_ONCE = 16
"""How many connections are opened at the same time; sshd drops more (MaxStartups)."""

_HASHED = re.compile(r"\|1\|[A-Za-z0-9+/]{27}=\|[A-Za-z0-9+/]{27}=")
_BROKEN = (paramiko.SSHException, OSError, EOFError)

logging.getLogger("paramiko").addHandler(logging.NullHandler())


# --- opening -----------------------------------------------------------------------------


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
                config=self._config,
                connect_timeout=self.timeout,
                connect_kwargs={"allow_agent": True},
            )
            for hop in hops(connection):
                self._prepare(hop)
        except (*_BROKEN, ValueError, KeyError) as error:
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
            if entry.key.get_base64() not in self._revoked
            and any(_same_host(name, listed) for listed in entry.hostnames)
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


# --- using -------------------------------------------------------------------------------


class SshTransport(ShellTransport):
    """One machine over one SSH connection, opened at the first use."""

    def __init__(
        self, host: Host, ssh: Ssh, home: str, vault: Vault, dialer: Dialer | None = None
    ) -> None:
        super().__init__(host, home, vault)
        self._dialer = dialer or Dialer(ssh)
        self._patience = self._dialer.timeout
        self._connection: fabric.Connection | None = None
        self._opening = threading.Lock()
        self._turn = threading.Lock()
        self._by_stdin = False

    def open(self) -> None:
        """Connect now rather than at the first use. Raises Unreachable."""
        self._link()

    def close(self) -> None:
        """Close the connection and its gateways."""
        with self._opening:
            self._hang_up()

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file, whole or not at all."""
        target = path.removeprefix("~/")
        temporary = f"{target}.{secrets.token_hex(4)}.part"
        where = f"{path} on {self.host.name}"
        channel = self._session()
        channel.settimeout(self._patience * PATIENCE)
        with channel, self._sftp(channel) as sftp:
            try:
                _write(sftp, content, temporary, mode)
                sftp.posix_rename(temporary, target)
            except (paramiko.SSHException, EOFError, TimeoutError) as error:
                raise self._unreachable(error) from error
            except OSError as error:
                if channel.closed:
                    raise self._unreachable(error) from error
                with suppress(*_BROKEN):
                    sftp.remove(temporary)
                why = error.strerror or str(error)
                raise OSError(error.errno, f"{why}; nothing was replaced", where) from error

    @contextmanager
    def _sftp(self, channel: paramiko.Channel) -> Iterator[paramiko.SFTPClient]:
        try:
            channel.invoke_subsystem("sftp")
            sftp = paramiko.SFTPClient(channel)
        except _BROKEN as error:
            raise self._unreachable(error) from error
        try:
            yield sftp
        finally:
            with suppress(*_BROKEN):
                sftp.close()

    # --- the connection

    def _link(self) -> paramiko.Transport:
        """The open connection; opened, or opened again, when there is none."""
        with self._opening:
            connection = self._connection
            if connection is None or not connection.is_connected:
                self._hang_up()
                connection = self._connection = self._dial()
            link: paramiko.Transport = connection.transport
            return link

    def _dial(self) -> fabric.Connection:
        connection = self._dialer.connection(self.host)
        deadline = time.monotonic() + self._dialer.timeout
        for pause in (0.2, 0.6, 0.0):
            try:
                connection.open()
                break
            except (*_BROKEN, ValueError, Unreachable) as error:
                _close(connection)
                if not (pause and _may_pass(error) and time.monotonic() + pause < deadline):
                    raise self._unreachable(error, connection) from error
            time.sleep(pause)
        for hop in hops(connection):
            _watch_over(hop.transport, self._dialer.timeout)
        return connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            _close(self._connection)
            self._connection = None

    def _drop(self, link: paramiko.Transport) -> None:
        """Let go of a connection that failed, unless another thread opened a new one."""
        with self._opening:
            if self._connection is not None and self._connection.transport is link:
                self._hang_up()

    def _session(self) -> paramiko.Channel:
        """A new channel; over a new connection when the old one turns out to be dead."""
        deadline = time.monotonic() + self._patience
        again = True
        while True:
            link = self._link()
            try:
                with self._turn:  # Paramiko mixes up the failures of openings that overlap
                    channel = link.open_session(timeout=self._patience)
                channel.event = _Answer(self._patience)
                return channel
            except paramiko.ChannelException as error:
                if time.monotonic() > deadline:
                    raise self._unreachable(error) from error
                time.sleep(0.1)  # MaxSessions: another command of ours is about to end
            except _BROKEN as error:
                self._drop(link)
                if not again:
                    raise self._unreachable(error) from error
                again = False

    def _unreachable(
        self, error: BaseException, connection: fabric.Connection | None = None
    ) -> Unreachable:
        at = connection or self._connection
        address = f"{at.user}@{at.host}:{at.port}" if at else self._dialer.address(self.host)
        return translated(error, self.host, address, self._dialer.timeout)

    # --- commands

    def _execute(self, text: str, timeout: float, *, private: bool = False) -> Ran:
        ran = self._converse(text, timeout, by_stdin=private or self._by_stdin)
        if ran.exit_code is not None and not ran.pid:
            # The login shell did not understand the request (csh, fish): no line of ours ran.
            self._by_stdin = True
            ran = self._converse(text, timeout, by_stdin=True)
            if ran.exit_code is not None and not ran.pid:
                said = ran.err.preamble or ran.out.preamble or f"exit {ran.exit_code}"
                raise Unreachable(f"{self.host.name} starts no shell: {said[-300:]}")
        if ran.timed_out:
            ran.cut = f"timed out after {timeout:g} s; {self._ended(ran.pid)}"
        return ran

    def _ended(self, pid: int) -> str:
        if not pid:
            return "its login shell never got to it"
        try:
            self._end(pid)
        except Unreachable as error:
            return f"its process group could not be ended: {error.what}"
        return "its process group was ended"

    def _end(self, pid: int) -> None:
        text = plain(Command(end_group(pid)), (), self._mark)
        try:
            self._converse(text, LOOK, by_stdin=self._by_stdin)
        except Unreachable:
            spare = SshTransport(self.host, self._dialer.ssh, self.home, self._vault, self._dialer)
            try:
                spare._converse(text, LOOK, by_stdin=self._by_stdin)
            finally:
                spare.close()

    def _converse(self, text: str, timeout: float, *, by_stdin: bool) -> Ran:
        """One exec request. A text with a secret goes over stdin; so does one that some login
        shells would read differently."""
        by_stdin = by_stdin or "\\" in text or len(text) > DIRECT
        ran = Ran(Capture(self._mark), Capture(self._mark))
        with self._session() as channel, self._agent(channel):
            try:
                channel.exec_command(SHELL if by_stdin else f"{SHELL} -c {quote(text)}")
                if by_stdin:
                    channel.settimeout(self._patience)
                    channel.sendall(text.encode())
            except _BROKEN as error:
                if by_stdin:  # the shell waits for the end of the text, and will never see it
                    raise self._unreachable(error) from error
                ran.cut = self._lost()
                return ran
            self._listen(channel, ran, ran.began + timeout)
        return ran

    def _agent(self, channel: paramiko.Channel) -> AbstractContextManager[object]:
        """The agent at hand on the host, where ssh_config says ForwardAgent."""
        if self._connection is None or not self._connection.forward_agent:
            return nullcontext()
        return closing(AgentRequestHandler(channel))

    def _listen(self, channel: paramiko.Channel, ran: Ran, deadline: float) -> None:
        """Gather what a command says, to its end or to the deadline."""
        ran.timed_out = not _gather(channel, ran, deadline)
        if ran.timed_out:
            return
        status = channel.recv_exit_status()
        if status >= 0:
            ran.exit_code = status
        else:
            ran.cut = self._lost()

    def _lost(self) -> str:
        return f"the link to {self.host.name} was lost before the command's end was seen"


def connect(
    hosts: Sequence[Host], ssh: Ssh, home: Callable[[Host], str], vault: Vault
) -> tuple[SshTransport, ...]:
    """Transports that share what is read once; each opens at its first use."""
    dialer = Dialer(ssh)
    return tuple(SshTransport(host, ssh, home(host), vault, dialer) for host in hosts)


def open_all(transports: Sequence[SshTransport]) -> dict[str, Unreachable]:
    """Open many connections at once; what could not be reached, by host."""

    def attempt(transport: SshTransport) -> Unreachable | None:
        try:
            transport.open()
        except Unreachable as error:
            return error
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        errors = pool.map(attempt, transports)
        return {t.host.name: error for t, error in zip(transports, errors, strict=True) if error}


def _gather(channel: paramiko.Channel, ran: Ran, deadline: float) -> bool:
    """Read both streams until the command has ended; False when the deadline came first."""
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        over = channel.eof_received or channel.closed
        while channel.recv_ready():
            ran.out.feed(channel.recv(65536))
        while channel.recv_stderr_ready():
            ran.err.feed(channel.recv_stderr(65536))
        left = deadline - time.monotonic()
        if over:
            return channel.status_event.wait(max(0.0, left))
        if left <= 0:
            return False
        if not poll.poll(min(left, QUIET) * 1000) and channel.exit_status_ready():
            return True


class _Answer(threading.Event):
    """Paramiko waits for the answer to a request without end. Here the wait has one, after
    which Paramiko finds that there is no answer and raises."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, but not for ever."""
        if not super().wait(timeout or self._patience):
            self.set()
        return True


def _write(sftp: paramiko.SFTPClient, content: bytes, path: str, mode: int) -> None:
    with sftp.open(path, "wb") as file:
        file.set_pipelined(True)
        file.write(content)
    sftp.chmod(path, stat.S_IMODE(mode))
    size = sftp.stat(path).st_size
    if size != len(content):
        raise OSError(None, f"only {size} of {len(content)} bytes arrived (is the disk full?)")


def _watch_over(link: paramiko.Transport, timeout: float) -> None:
    """Notice a link that is down although nobody hangs up: the kernel ends a connection whose
    data nobody acknowledges."""
    link.set_keepalive(max(1, round(timeout / 2)))
    if not isinstance(link.sock, socket.socket):
        return
    link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        patience = round(timeout * PATIENCE * 1000)
        link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)


def _may_pass(error: BaseException) -> bool:
    """Whether another try may help: a server that is just starting, or dropped us (MaxStartups)."""
    return type(error) is paramiko.SSHException or isinstance(
        error, ConnectionError | NoValidConnectionsError | EOFError
    )


def _close(connection: fabric.Connection) -> None:
    for hop in hops(connection):
        link = hop.client.get_transport()
        with suppress(*_BROKEN):
            hop.client.close()
        if link is not None and isinstance(link.sock, paramiko.ProxyCommand):
            _reap(link, link.sock.process)


def _reap(link: paramiko.Transport, process: subprocess.Popen[bytes]) -> None:
    """End a ProxyCommand. Paramiko's thread signals it by its id, so it must end first."""
    with process:
        process.kill()
        if link.is_alive():
            link.join(5)
