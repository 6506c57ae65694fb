"""The SSH agent that `ssh_config` names, for logging in and for forwarding."""

from __future__ import annotations

import socket
from collections.abc import Collection

import paramiko
from paramiko.agent import (
    AgentClientProxy,
    AgentKey,
    AgentRequestHandler,
    AgentSSH,
    get_agent_connection,
)


class Agent(AgentSSH):
    """The agent behind a socket (empty: the environment's), and of its keys those allowed.
    Paramiko has no public way to either."""

    def __init__(self, path: str = "", only: Collection[bytes] | None = None) -> None:
        """`only` are the public keys that may be offered; None for all."""
        super().__init__()
        self._path = path
        self._only = only

    def get_keys(self) -> tuple[AgentKey, ...]:
        """The keys that may be offered; the agent is asked now. Raises SSHException."""
        if self._conn is None and (link := connected(self._path)):  # type: ignore[attr-defined]
            self._connect(link)  # type: ignore[attr-defined]
        keys = super().get_keys()
        return tuple(key for key in keys if self._only is None or key.asbytes() in self._only)

    def close(self) -> None:
        self._close()  # type: ignore[attr-defined]


class Forwarding(AgentRequestHandler):
    """Lets a session on the host talk to the agent behind a socket, while it is open."""

    def __init__(self, channel: paramiko.Channel, path: str) -> None:
        self._path = path
        self._proxies: list[AgentClientProxy] = []
        super().__init__(channel)

    def _forward_agent_handler(self, remote: paramiko.Channel) -> None:
        self._proxies.append(_Proxy(remote, self._path))

    def close(self) -> None:
        """End what was begun for it."""
        for proxy in self._proxies:
            proxy.close()


class _Proxy(AgentClientProxy):
    def __init__(self, remote: paramiko.Channel, path: str) -> None:
        self._path = path
        super().__init__(remote)

    def connect(self) -> None:
        self._conn = connected(self._path)


def connected(path: str) -> socket.socket | None:
    """A link to the agent; None where there is none."""
    if path == "none":
        return None
    if not path:
        link: socket.socket | None = get_agent_connection()
        return link
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(path)
    except OSError:
        link.close()
        return None
    return link
