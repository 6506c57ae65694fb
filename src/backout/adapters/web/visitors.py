"""Who comes to the web view, and what they may.

By a token, of which the browser keeps a session's cookie; or by the header of a proxy that is
trusted, when the request comes from its address. Where there are neither tokens nor a proxy
everybody may look, and nobody may do anything.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backout.adapters.storage.tokens import ROLES, Token
from backout.model.people import near

COOKIE = "backout_session"
LASTS = 12 * 3600.0
"""Seconds that a session lasts."""
SESSIONS = 1000
OLD = 2.0
"""Seconds for which whoever follows is not asked about again."""
WRONG, WITHIN = 5, 60.0
"""So many wrong tokens from one address within so many seconds; then none is looked at."""
WRONG_IN_ALL = 50


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody, for one request. Without a name it is anybody."""

    name: str = ""
    role: str = "look"
    csrf: str = ""
    """What every form of theirs brings back."""

    def may(self, role: str) -> bool:
        return bool(self.name) and ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Proxy:
    """Whose word is taken for who somebody is."""

    addresses: tuple[str, ...]
    header: str

    def trusts(self, address: str) -> bool:
        try:
            peer = ipaddress.ip_address(address)
            return any(peer in ipaddress.ip_network(each, strict=False) for each in self.addresses)
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class _Session:
    name: str
    digest: str
    """Of the token by which it began."""
    until: float


class TooMany(Exception):
    """Wrong tokens: nothing is looked at for a while."""


class Door:
    """Lets people in."""

    def __init__(
        self,
        tokens: Callable[[], Sequence[Token]],
        proxy: Proxy | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens, self._proxy, self._monotonic = tokens, proxy, monotonic
        self._key = secrets.token_bytes(32)
        self._sessions: dict[str, _Session] = {}
        self._wrong: deque[tuple[float, str]] = deque()
        self._seen: Sequence[Token] = ()
        self._seen_at = -OLD

    @property
    def stale(self) -> bool:
        """Whether the tokens that were seen last are too old for anything."""
        return self._monotonic() - self._seen_at > OLD

    def look(self) -> None:
        """See which tokens there are."""
        self._seen, self._seen_at = self._tokens(), self._monotonic()

    def visitor(self, cookie: str, address: str, headers: Mapping[str, str]) -> Visitor | None:
        """Who it is; None where they have to show a token first."""
        self.look()
        return self.known(cookie, address, headers)

    def known(self, cookie: str, address: str, headers: Mapping[str, str]) -> Visitor | None:
        """The same, by the tokens that were seen last; without asking anybody."""
        tokens = self._seen
        if self._proxy and self._proxy.trusts(address):
            if name := headers.get(self._proxy.header.lower(), "").strip():
                return self._named(near(name), tokens)
        elif not tokens and not self._proxy:
            return Visitor()
        session = self._sessions.get(_hashed(cookie)) if cookie else None
        if session is None or session.until < self._monotonic():
            return None
        known = (each for each in tokens if each.name == session.name)
        token = next((t for t in known if hmac.compare_digest(t.digest, session.digest)), None)
        return Visitor(token.name, token.role, self._csrf(cookie)) if token else None

    def _named(self, name: str, tokens: Sequence[Token]) -> Visitor:
        """Somebody whom the proxy knows has the role of the token of that name, or may look."""
        role = next((each.role for each in tokens if each.name == name), "look")
        return Visitor(name, role, self._csrf(f"proxy:{name}"))

    def enter(self, text: str, address: str) -> str:
        """A new session's cookie; empty for a wrong token. Raises TooMany."""
        now = self._monotonic()
        while self._wrong and self._wrong[0][0] < now - WITHIN:
            self._wrong.popleft()
        if len(self._wrong) >= WRONG_IN_ALL or sum(a == address for _, a in self._wrong) >= WRONG:
            raise TooMany
        found = [token for token in self._tokens() if token.fits(text)]  # always all of them
        if not found:
            self._wrong.append((now, address))
            return ""
        self._sessions = {k: s for k, s in self._sessions.items() if s.until > now}
        while len(self._sessions) >= SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        cookie = secrets.token_urlsafe(32)
        self._sessions[_hashed(cookie)] = _Session(found[0].name, found[0].digest, now + LASTS)
        return cookie

    def leave(self, cookie: str) -> None:
        self._sessions.pop(_hashed(cookie), None)

    def _csrf(self, of: str) -> str:
        return hmac.new(self._key, of.encode(), hashlib.sha256).hexdigest()


def _hashed(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()
