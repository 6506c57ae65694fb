"""The machines that a note names, as the inventory's hosts; and which step is for which of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

from backout.config.judge import NOBODYS
from backout.documents.bindings import Data
from backout.documents.nouns import Found
from backout.documents.placeholders import found
from backout.documents.words import Simple


@dataclass(slots=True)
class Machines:
    """Those that are known so far."""

    hosts: Data = field(default_factory=dict)
    identities: set[str] = field(default_factory=set)
    """The key files that logins name."""
    reached: dict[str, set[str]] = field(default_factory=dict)
    """Whom a step or a check was told for, by its place before anything moved."""
    guessed: set[str] = field(default_factory=set)
    """Those that only a prompt names: there may be more."""

    def takes(self, host: str, options: Sequence[str] = ()) -> bool:
        """Whether `user@machine` is the name of one; it is a host of the inventory then."""
        user, _, name = host.rpartition("@")
        named = re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) and not NOBODYS.search(name)
        if not named or list(found(name, 1)):
            return False
        said = {**_options(options), **({"user": user} if user else {})}
        if re.fullmatch(r"[\w./~-]+", said.get("identity", "")):
            self.identities.add(said["identity"])
        known = {"address": name}
        if re.fullmatch(r"[a-z_][\w-]*", said.get("user", "")):
            known["user"] = said["user"]
        number = re.fullmatch(r"[1-9][0-9]{0,4}", said.get("port", ""))
        port = {"port": int(number[0])} if number and int(number[0]) < 65536 else {}
        self.hosts[name] = {**self.hosts.get(name, {}), **known, **port}
        return True

    @property
    def ssh(self) -> Data:
        """The key file that all logins name."""
        return {"identity": min(self.identities)} if len(self.identities) == 1 else {}

    def guesses(self, host: str) -> None:
        """Machines, blanks between, that a prompt names, or the sentence before."""
        for one in host.split():
            if name_of(one) not in self.hosts and self.takes(one):
                self.guessed.add(name_of(one))

    def reaches(self, place: str, each: Found) -> None:
        """What stands there is for the machine that the note is on here, or logs in to."""
        if there := names_in(each.commands) or {*map(name_of, each.host.split())}:
            self.reached.setdefault(place, set()).update(there)

    def on(self, there: set[str]) -> str:
        """What a step says that is for some machines: `all`, a host, or a group of theirs."""
        if not there < {*self.hosts}:
            return "all"
        return min(there) if len(there) == 1 else self._group(there)

    def _group(self, there: set[str]) -> str:
        name = next(name for name in _titles(there) if self._may_be(name, there))
        for host in there:
            if name in self.hosts[host].get("groups", ()):
                continue
            self.hosts[host]["groups"] = [*self.hosts[host].get("groups", ()), name]
        return name

    def _may_be(self, name: str, there: set[str]) -> bool:
        members = {host for host, said in self.hosts.items() if name in said.get("groups", ())}
        return name not in (*self.hosts, "all") and members in (set(), there)


def name_of(host: str) -> str:
    """`user@machine` without whom it is entered as."""
    return host.rpartition("@")[2]


def names_in(commands: Iterable[Simple]) -> set[str]:
    """The machines that commands log in to by themselves."""
    return {name_of(command.host) for command in commands if command.host}


def _titles(there: set[str]) -> Iterator[str]:
    """What a group of them may be called: what their names begin with, where that is one word."""
    heads = {re.split(r"[^a-z]", host, maxsplit=1)[0] for host in there}
    title = heads.pop() if len(heads) == 1 and heads != {""} else "some"
    yield title
    yield from (f"{title}-{number}" for number in count(2))


_OPTIONS = {"-p": "port", "-l": "user", "-i": "identity"}


def _options(words: Sequence[str]) -> dict[str, str]:
    """What a login's options say of a machine."""
    apart = [part for word in words for part in re.sub(r"^(-[pli])(?=.)", r"\1 ", word).split()]
    return {_OPTIONS[one]: other for one, other in pairwise(apart) if one in _OPTIONS}
