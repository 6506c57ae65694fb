"""Machines over SSH: Fabric opens the connection, Paramiko's channels carry the commands.

There is one connection a host; a lost one is opened again by the next use, and nothing that may
have begun is ever run a second time. Commands go through a shell that stays. One that meets
another there, or brings a secret, has a channel of its own.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)

import fabric
import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from backout.adapters.transports import receiving
from backout.adapters.transports.captured import Capture, Ran
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.transports.shell_text import LOOK, end_group, plain
from backout.adapters.transports.ssh_agent import Forwarding
from backout.adapters.transports.ssh_channels import Answer, gather, pieces
from backout.adapters.transports.ssh_connect import BROKEN, Dialer, hang_up, hops, translated
from backout.adapters.transports.ssh_shell import PersistentShell
from backout.errors import Unreachable
from backout.model import Command, Host, Ssh
from backout.ports import Vault

SHELL = "exec /bin/sh"
LONG = 60_000
"""A longer text does not fit into one variable of a process everywhere."""
PATIENCE = 3
"""So many connect timeouts without an answer to what was sent, and the link counts as lost."""


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
        self._speaking = threading.Lock()
        self._shell: PersistentShell | None = None
        self._kept = ExitStack()
        self._keeps_shell = True
        self._greeted = False
        """Whether this connection's login has shown that it starts a shell."""

    def open(self) -> None:
        """Connect now rather than at the first use, and have a shell answer: of many machines it
        is not to be waited for one after the other. Raises Unreachable."""
        self._link()
        if not self._keeps_shell or not self._speaking.acquire(blocking=False):
            return
        try:
            shell = self._persistent()
            if not self._greeted:
                self._greet(shell)
        except BROKEN:
            self._retire()  # whoever needs it finds out
        finally:
            self._speaking.release()

    def close(self) -> None:
        """Close the connection and its gateways."""
        self._retire()
        with self._opening:
            self._hang_up()

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file, whole or not at all."""
        text = receiving.script(content, path, mode, self._mark)
        ran = self._alone(text, receiving.seconds(content))
        receiving.judge(ran, path, self.host.name)

    # --- the connection

    def _link(self) -> paramiko.Transport:
        """The open connection; opened, or opened again, when there is none."""
        with self._opening:
            connection = self._connection
            if connection is None or not connection.is_connected:
                self._hang_up()
                connection = self._connection = self._dial()
                self._greeted = False
            link: paramiko.Transport = connection.transport
            return link

    def _dial(self) -> fabric.Connection:
        deadline = time.monotonic() + self._dialer.timeout
        for pause in (0.2, 0.6, 0.0):
            connection = self._dialer.connection(self.host)
            try:
                connection.open()
                break
            except (*BROKEN, ValueError, Unreachable) as error:
                hang_up(connection)
                if not (pause and _may_pass(error) and time.monotonic() + pause < deadline):
                    raise self._unreachable(error, connection) from error
            time.sleep(pause)
        for hop in hops(connection):
            self._dialer.opened(hop)
            _watch_over(hop.transport, self._dialer.timeout)
        return connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            hang_up(self._connection)
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
                channel.event = Answer(self._patience)
                return channel
            except paramiko.ChannelException as error:
                if time.monotonic() > deadline:
                    raise self._unreachable(error) from error
                if self._speaking.acquire(blocking=False):
                    self._retire()
                    self._speaking.release()
                time.sleep(0.1)  # MaxSessions: another command of ours is about to end
            except BROKEN as error:
                self._drop(link)
                if not again:
                    raise self._unreachable(error) from error
                again = False

    @contextmanager
    def _channel(self) -> Iterator[paramiko.Channel]:
        """A session that is closed at the end, whatever became of the link."""
        channel = self._session()
        try:
            yield channel
        finally:
            with suppress(*BROKEN):
                channel.close()

    def _unreachable(
        self, error: BaseException, connection: fabric.Connection | None = None
    ) -> Unreachable:
        at = connection or self._connection
        address = f"{at.user}@{at.host}:{at.port}" if at else self._dialer.address(self.host)
        return translated(error, self.host, address, self._dialer.timeout)

    # --- commands

    def _execute(
        self, text: str, timeout: float, *, private: bool = False, brief: bool = False
    ) -> Ran:
        shared = not private and len(text) <= LONG
        ran = (shared and self._say(text, timeout, brief)) or self._alone(text, timeout)
        if ran.timed_out:
            ran.cut = f"timed out after {timeout:g} s; {self._ended(ran.pid)}"
        return ran

    def _say(self, text: str, timeout: float, brief: bool) -> Ran | None:
        """Run a text in the shell that stays; None, and nothing began, where none is to be had."""
        if not self._keeps_shell or not self._speaking.acquire(blocking=False):
            return None
        try:
            shell = self._persistent()
            if not self._greeted and not self._greet(shell):
                return None
            ran = Ran(Capture(self._mark), Capture(self._mark))  # its time begins on the host
            if not shell.run(text, ran, timeout, brief=brief):
                self._retire()
        except BROKEN:  # what was sent is torn, and a shell runs nothing of a torn text
            self._retire()
            return None
        finally:
            self._speaking.release()
        if ran.exit_code is None and not ran.timed_out:
            ran.cut = self._link_lost()
            if not ran.pid:
                self.close()  # what gives no answer is not asked again
        if ran.exit_code is not None and not ran.pid:
            self._keeps_shell = False
            return None
        return ran

    def _greet(self, shell: PersistentShell) -> bool:
        """Wait for a new connection's first shell; False where none may stay. Nothing was sent
        that could begin later. Raises Unreachable."""
        self._greeted = shell.greet()
        if self._greeted:
            return True
        status = shell.ended()
        self._retire()
        if status >= 0:
            self._keeps_shell = False
            return False
        self.close()
        raise Unreachable(
            f"{self.host.name} lets us in, and its login starts no shell within"
            f" {self._patience:g} s",
            where=self.host.name,
            next=self._see_its_login(),
        )

    def _see_its_login(self) -> str:
        return (
            "see what its .bashrc, .profile or login shell do without a terminal:"
            f" {self._dialer.typed(self.host)} true"
        )

    def _persistent(self) -> PersistentShell:
        if self._shell is None or not self._shell.fresh:
            self._retire()
            with ExitStack() as stack:
                channel = stack.enter_context(self._channel())
                stack.enter_context(self._agent(channel))
                channel.exec_command(SHELL)
                self._shell = PersistentShell(channel, self._mark, self._patience)
                self._kept = stack.pop_all()
        return self._shell

    def _retire(self) -> None:
        """Let go of the shell that stays; a command that still runs there goes on."""
        self._shell = None
        with suppress(*BROKEN):
            self._kept.close()

    def _alone(self, text: str, timeout: float) -> Ran:
        """Run a text on a channel of its own."""
        ran = self._converse(text, timeout)
        if ran.exit_code is not None and not ran.pid:
            said = ran.err.preamble or ran.out.preamble or f"exit {ran.exit_code}"
            what = f"{self.host.name} lets us in, and its login starts no shell: {said[-300:]}"
            raise Unreachable(what, where=self.host.name, next=self._see_its_login())
        return ran

    def _ended(self, pid: int) -> str:
        if not pid:
            return "its shell had not answered yet"
        try:
            self._end(pid)
        except Unreachable as error:
            return f"its process group could not be ended: {error.what}"
        return "its process group was ended"

    def _end(self, pid: int) -> None:
        text = plain(Command(end_group(pid)), (), self._mark)
        try:
            self._converse(text, LOOK)
        except Unreachable:
            spare = SshTransport(self.host, self._dialer.ssh, self.home, self._vault, self._dialer)
            try:
                spare._converse(text, LOOK)
            finally:
                spare.close()

    def _converse(self, text: str, timeout: float) -> Ran:
        """One exec request. The text goes over stdin: every login shell understands that much,
        and in an argument everybody on the host could read it."""
        with self._channel() as channel, self._agent(channel):
            ran = Ran(Capture(self._mark), Capture(self._mark))
            try:
                channel.exec_command(SHELL)
                channel.settimeout(self._patience)
                for piece in pieces(text.encode()):
                    channel.sendall(piece)
            except BROKEN as error:
                if not channel.exit_status_ready():  # the shell never sees the end of the text
                    raise self._unreachable(error) from error
            self._listen(channel, ran, ran.began + timeout)
        return ran

    def _glance(self, text: str) -> Ran | None:
        """On a channel of its own. A link in trouble is left to those who need it: nothing is
        opened anew for a glance, nothing dropped, and nobody waits for it."""
        connection = self._connection
        if connection is None or not connection.is_connected or not self._turn.acquire(False):
            return None
        ran = Ran(Capture(self._mark), Capture(self._mark))
        try:
            try:
                channel = connection.transport.open_session(timeout=self._patience)
            finally:
                self._turn.release()
            with closing(channel):
                channel.event = Answer(self._patience)
                channel.exec_command(SHELL)
                channel.settimeout(self._patience)
                channel.sendall(text.encode())
                self._listen(channel, ran, ran.began + self._patience)
        except BROKEN:
            return None
        return ran

    def _agent(self, channel: paramiko.Channel) -> AbstractContextManager[object]:
        """The agent at hand on the host, where ssh_config says ForwardAgent."""
        if self._connection is None or not self._connection.forward_agent:
            return nullcontext()
        return closing(Forwarding(channel, self._dialer.agent_of(self.host)))

    def _listen(self, channel: paramiko.Channel, ran: Ran, deadline: float) -> None:
        """Gather what a command says, to its end or to the deadline."""
        try:
            ran.timed_out = not gather(channel, ran, deadline)
        except BROKEN:  # Paramiko acknowledges what it read, over a link that is lost
            ran.cut = self._link_lost()
            return
        if ran.timed_out:
            return
        status = channel.recv_exit_status()
        if status >= 0:
            ran.exit_code = status
        else:
            ran.cut = self._link_lost()

    def _link_lost(self) -> str:
        name = self.host.name
        return f"the link to {name} was lost, or its shell killed, before the end was seen"


def connect(
    hosts: Sequence[Host], ssh: Ssh, home: Callable[[Host], str], vault: Vault
) -> tuple[SshTransport, ...]:
    """Transports that share what is read once; each opens at its first use."""
    dialer = Dialer(ssh)
    return tuple(SshTransport(host, ssh, home(host), vault, dialer) for host in hosts)


def _watch_over(link: paramiko.Transport, timeout: float) -> None:
    """Notice a link that is down although nobody hangs up: the kernel ends a connection whose
    data nobody acknowledges. While nothing comes, its thread wakes only to send some: as often as
    Paramiko has it wake, ten times a second, is all that a thousand of them have a processor do."""
    silence = max(1, round(timeout / 2))
    link.set_keepalive(silence)
    if not isinstance(link.sock, socket.socket):
        return
    link.sock.settimeout(silence)
    link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        patience = round(timeout * PATIENCE * 1000)
        link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)


def _may_pass(error: BaseException) -> bool:
    """Whether another try may help: a server that is just starting, or dropped us (MaxStartups)."""
    return type(error) is paramiko.SSHException or isinstance(
        error, ConnectionError | NoValidConnectionsError | EOFError
    )
