"""`serve`, the web view; `token.add` and the like, who may use it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from backout.adapters.local_lock import owner
from backout.adapters.storage.tokens import ROLES, Tokens
from backout.adapters.web.address import Address
from backout.adapters.web.console import Console
from backout.adapters.web.server import Server
from backout.adapters.web.visitors import Door, Proxy
from backout.commands.chosen import know_secrets
from backout.commands.desk import Desk
from backout.commands.options import Serve, TokenAdd, TokenList, TokenRemove
from backout.commands.signals import heard
from backout.config import loading
from backout.config.project_file import WebView
from backout.errors import BackoutError, Mistakes, Refused
from backout.model import Event
from backout.model.people import name_of
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import stamp
from backout.reports.watched import Key, Keyring, KeyShown, Stopped

PAUSE = 0.2


class Serving:
    """The web view of one project."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def serve(self, options: Serve) -> Answer:
        said = _said(options, self.workplace.shared.file.serve)
        tokens, proxy = Tokens(self.workplace.journal), _proxy(said)
        address = Address.of(said.listen, anywhere=True, names=said.listen_name)
        if not (address.loopback or tokens.all() or proxy):
            raise Refused(
                f"--listen {said.listen}: everybody who reaches {address.host} could read all of"
                " it, for there is no token",
                state="nothing is served",
                next="invoke token.add NAME --role look, for everybody who may",
            )
        self._know_secrets()
        desk = Desk(self.workplace, self.screen)
        desk.acting.errands.tidy()
        server = Server(Console(desk, Door(tokens.all, proxy), address), gives_way=True)
        server.start()
        with heard() as signals:
            self._say(f"the web view is at {replace(address, port=server.port).url}")
            while not signals:
                desk.acting.errands.start()
                time.sleep(PAUSE)
        server.stop()
        return Answer("watch", Stopped())

    def _know_secrets(self) -> None:
        """What can be had without asking anybody is redacted in all that is shown; what a command
        gives was never written in the first place."""
        for name in loading.names(self.workplace.root / "inventories"):
            with suppress(BackoutError):
                know_secrets(self.workplace, self.workplace.target(name))

    def _say(self, text: str) -> None:
        self.screen.listen(Event(datetime.now(UTC), "note", text))


def _said(options: Serve, here: WebView) -> WebView:
    """The words that were typed, and for those that were not what the project's file says."""
    return WebView(
        listen=options.listen or here.listen,
        listen_name=options.listen_name or here.listen_name,
        proxy_from=options.proxy_from or here.proxy_from,
        proxy_header=options.proxy_header or here.proxy_header,
    )


def _proxy(said: WebView) -> Proxy | None:
    """Raises Mistakes for one without the other."""
    if not said.proxy_from and not said.proxy_header:
        return None
    if not (said.proxy_from and said.proxy_header):
        raise Mistakes(
            "--proxy-from and --proxy-header go together: whose word is taken, and in which header",
            where="command line",
        )
    proxy = Proxy(said.proxy_from, said.proxy_header)
    for each in said.proxy_from:
        if not proxy.trusts(each.partition("/")[0]):
            raise Mistakes(f"--proxy-from {each!r} is no address", where="command line")
    return proxy


class Keys:
    """Who may use the web view."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.screen = screen
        self.tokens = Tokens(workplace.journal)

    def add(self, options: TokenAdd) -> Answer:
        if options.role not in ROLES:
            raise Mistakes(
                f"--role {options.role}: it is one of {', '.join(ROLES)}", where="command line"
            )
        try:
            name = name_of(options.who)
        except ValueError as error:
            raise Mistakes(str(error), where="command line") from error
        token = self.tokens.add(name, options.role, owner())
        if not token:
            raise Refused(
                f"{name} has a token", next=f"invoke token.remove {name}, then add it again"
            )
        return Answer("token", KeyShown(name, options.role, token))

    def list(self, _: TokenList) -> Answer:
        known = self.tokens.all()
        told = (Key(each.name, each.role, stamp(each.at), each.by) for each in known)
        return Answer("tokens", Keyring(tuple(told)))

    def remove(self, options: TokenRemove) -> Answer:
        if not self.tokens.remove(options.who):
            known = _listed(each.name for each in self.tokens.all())
            raise Refused(f"{options.who} has no token", where=known, next="invoke token.list")
        return Answer("tokens", self.list(TokenList()).told)


def _listed(names: Iterable[str]) -> str:
    return f"there are: {', '.join(names) or 'none'}"
