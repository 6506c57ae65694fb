"""Words of the web view, and of those who may use it."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.commands.options.base import Options, word

NAMES = "--listen-name NAME: requests may call the server so. Repeatable."
PROXY = "--proxy-from ADDRESS: a proxy that says who somebody is. Repeatable."
HEADER = "In which header it says so, such as X-Forwarded-User."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Serve(Options):
    """Serve the web view: runs, incidents, approvals.

    On 127.0.0.1:8643 unless --listen names another address. Without tokens
    everybody on this machine may read, and nobody may do anything; an
    address that others can reach needs a token first, or a proxy.

    Example: invoke serve

    Exit codes: 0 stopped; 2 a mistake in the words; 3 the address cannot be
    had, or others could reach it and there is no token.
    """

    name = "serve"
    room = "backout.commands.serve:Serving.serve"
    listen: str | None = word("Where: 127.0.0.1:8643, or a port alone.")
    listen_name: tuple[str, ...] = word(NAMES, ())
    proxy_from: tuple[str, ...] = word(PROXY, ())
    proxy_header: str | None = word(HEADER)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TokenAdd(Options):
    """Let somebody use the web view; shows the token once.

    Roles, each with what those before it may: look, acknowledge (incidents,
    silences), approve (what others want), deploy (also roll back, stop, resume).

    Example: invoke token.add bob --role approve

    Exit codes: 0 added; 2 that is no name or role; 3 there is one already.
    """

    name = "token.add"
    room = "backout.commands.serve:Keys.add"
    who: str = field(metadata={"help": "A name: letters, digits, . _ + -"})
    role: str = word("look, acknowledge, approve or deploy.", "look")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TokenList(Options):
    """List who may use the web view; no token is shown.

    Example: invoke token.list
    """

    name = "token.list"
    writes = False
    room = "backout.commands.serve:Keys.list"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TokenRemove(Options):
    """Take somebody's token back; they are out at once.

    Example: invoke token.remove bob

    Exit codes: 0 removed; 3 there is none of that name.
    """

    name = "token.remove"
    room = "backout.commands.serve:Keys.remove"
    who: str = field(metadata={"help": "The name, as token.list shows it."})
