"""What judges of runbooks and of inventories have in common: names, secrets, doubts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from backout.config.yaml_tree import Node, Trail, shown_path
from backout.errors import Mistake
from backout.language import expressions, template_names, templates
from backout.language.jinja import CannotRender, Known
from backout.model import Check, Host, Options, Step, Target
from backout.model.validation import did_you_mean
from backout.registry import Tables

_HOST = ("name", "address", "port", "user", "groups", "vars")
_RUN = ("id", "user", "started")
_RELEASE = ("number", "commit", "previous")
SERVICE = ("name", "directory")
SOURCE = ("repository", "directory", "branch")
NOBODYS = re.compile(r"(^|\.)example(\.(org|com|net))?\.?$", re.IGNORECASE)
"""Names that nobody's machine has (RFC 2606)."""
WAYS = ("undo", "readonly", "irreversible")
_TEXTS = ("env", "cwd")
"""Keys below which everything is text, whoever reads it."""
RESULT = {"stdout", "stderr", "exit_code", "commit", "identity"}
_NEEDS = {"restart": "service", "service": "service", "update": "directory", "commit": "source"}
"""What the inventory must have for a kind that does not say so itself by `needs`."""


def _places(target: Target, on: str | None) -> tuple[Host | None, ...]:
    return target.select(on) if on else (None,)


def _vars(target: Target, hosts: Sequence[Host | None]) -> set[str]:
    """The variables that are there on every one of the hosts."""
    own = [host.vars if host else {} for host in hosts]
    return {*target.vars, *(set.intersection(*map(set, own)) if all(own) else ())}


def names_known(
    target: Target | None, on: str | None, saved: Collection[str] | None, **more: Collection[str]
) -> dict[str, Collection[str] | None]:
    """What templates may use in a step or check that runs `on` some hosts, or on none."""
    known: dict[str, Collection[str] | None] = {
        "target": ("name",),
        "run": _RUN,
        "release": _RELEASE,
        "saved": saved,
        "vars": None,
        "secrets": None,
        "service": SERVICE,
        "source": SOURCE,
        **more,
    }
    if on is not None:
        known["host"] = _HOST
    if target is not None:
        hosts = _places(target, on)
        known |= {"vars": _vars(target, hosts) if hosts else None, "secrets": target.secrets}
        if not all(target.service_on(host) for host in hosts):
            known.pop("service")
    return known


def bare(known: Known) -> dict[str, Collection[str] | None]:
    """What expressions may use: the same but secrets, whose values are not there; and `now`."""
    return {**{name: known[name] for name in known if name != "secrets"}, "now": ()}


def secret_holders(target: Target) -> dict[str, str]:
    """The target's variables that hold a secret, by themselves or through others."""
    hosts = target.hosts.values()
    every = [*target.vars.items(), *(item for host in hosts for item in host.vars.items())]
    hidden: dict[str, str] = {}
    for _ in every:
        for name, value in every:
            through = (hidden[other] for other in uses(value, "vars") if other in hidden)
            if secret := next(iter((*uses(value, "secrets"), *through)), ""):
                hidden.setdefault(name, secret)
    return hidden


def without_value(target: Target) -> frozenset[str]:
    """The target's variables that are null wherever they are set: `api:` with nothing behind it."""
    every = [target.vars, *(host.vars for host in target.hosts.values())]
    said = {name for each in every for name, value in each.items() if value is not None}
    return frozenset(name for each in every for name in each if name not in said)


def uses(value: Any, root: str) -> tuple[str, ...]:
    """The attributes of `root` in its templates; none where they are no templates."""
    try:
        return tuple(templates.uses(value, root))
    except CannotRender:
        return ()


def _told(text: str, hidden: Mapping[str, str]) -> Iterator[str]:
    fix = "this is shown and kept; use it in env:, in a shell text or in a check instead"
    for name in uses(text, "secrets"):
        yield f"the secret {name} cannot stand here: {fix}"
    for name in uses(text, "vars"):
        if name in hidden:
            yield f"vars.{name} holds the secret {hidden[name]}, which cannot stand here: {fix}"


def is_doubted(said: Sequence[Mistake], trail: Trail, *keys: str, below: bool = True) -> bool:
    """Whether one of the mistakes may be why one of `keys` is not there at `trail`: it is at or
    `below` one of them, or at a key that was meant as one of them."""
    start = f"{shown_path(trail)}." if trail else ""
    inner = (m.path.removeprefix(start) for m in said if m.path.startswith(start))
    found = (re.split(r"[.\[]", path, maxsplit=1) for path in inner)
    return any(
        (key in keys or did_you_mean(key, keys)) and (below or not rest) for key, *rest in found
    )


def unsure_checks(target: Target, said: Sequence[Mistake]) -> Iterator[str]:
    """Which parts of a target with mistakes may hold more than what was understood of them."""
    for key in ("hosts", "checks", "secrets"):
        if is_doubted(said, (), key, below=False):
            yield key
    for key in ("vars", "service", "source"):
        if is_doubted(said, (), key):
            yield key
    places = [("hosts", name) for name in target.hosts]
    groups = {group for host in target.hosts.values() for group in host.groups}
    if any(is_doubted(said, place, "groups") for place in places):
        yield from ("hosts", "vars")
    if any(is_doubted(said, p, "vars") for p in (*places, *(("groups", name) for name in groups))):
        yield "vars"
    if any(is_doubted(said, ("checks", name), "save") for name in target.checks):
        yield "saved"


class Judge:
    """Looks for what a file says wrong beyond its form; what is said already is not said again."""

    def __init__(self, tree: Node, tables: Tables, said: Sequence[Mistake]) -> None:
        self.tree = tree
        self.tables = tables
        self.said = said
        self.hidden: Mapping[str, str] = {}
        """The variables that hold a secret, and which."""
        self.empty: Collection[str] = ()
        """The variables that have no value."""

    def at(self, trail: Trail, message: str, *, line: int = 0) -> Mistake:
        node = self.tree.find(trail)
        return Mistake(node.file, line or node.line, shown_path(trail), message)

    def template(
        self, trail: Trail, known: Known, *, in_shell: bool = False, told: bool = False
    ) -> Iterator[Mistake]:
        """The templates in everything at and below `trail`. What is `told`, to people or in
        places that keep it, must hold no secret."""
        for inner, node in self.tree.find(trail).scalars(trail):
            if not isinstance(node.value, str):
                continue
            wrong = template_names.mistakes(node.value, known, in_shell=in_shell)
            for line, message in wrong:
                yield Mistake(node.file, node.first + line - 1, shown_path(inner), message)
            if self.empty and not wrong:
                alone = in_shell or any(key in _TEXTS for key in inner)
                for name in template_names.printed(node.value, "vars", alone=alone):
                    if name in self.empty:
                        yield self.at(inner, f"vars.{name} has no value")
            if told and not wrong:
                yield from (self.at(inner, words) for words in _told(node.value, self.hidden))

    def options(self, trail: Trail, kind: Any, known: Known) -> Iterator[Mistake]:
        """The templates in a kind's options, written long or short."""
        node, model = self.tree.find(trail), kind.Options
        short = [(trail, model.short)] if not isinstance(node.value, dict) else []
        for inner, key in short or [((*trail, key), key) for key, _inner in node.items()]:
            in_shell, told = key in model.shell_fields, key in model.told_fields
            yield from self.template(inner, known, in_shell=in_shell, told=told)

    def slips(self, trail: Trail, options: Options | None) -> Iterator[Mistake]:
        """What a kind's options can never mean."""
        for field, said in options.slips() if options else ():
            yield self.at((*trail, field), said)

    def plain(self, trail: Trail) -> Iterator[Mistake]:
        """Nothing at or below `trail` is rendered, so nothing there may look like it."""
        for inner, node in self.tree.find(trail).scalars(trail):
            if isinstance(node.value, str) and "{{" in node.value:
                yield self.at(inner, "{{ … }} is not rendered here")

    def expression(
        self,
        trail: Trail,
        text: str,
        known: Known,
        kinds: Mapping[str, str] = MappingProxyType({}),
        wanted: str = "",
    ) -> Iterator[Mistake]:
        kinds = {"now": "a time", "exit_code": "a number", **kinds}
        for message in expressions.mistakes(text, known, kinds, wanted=wanted):
            yield self.at(trail, message)

    def saves(self, trail: Trail, save: Mapping[str, str], known: Known) -> Iterator[Mistake]:
        for name, text in save.items():
            if not name.isidentifier():
                yield self.at((*trail, name), "a saved name is letters, digits and '_'")
            yield from self.expression((*trail, name), text, known)

    def selects(self, trail: Trail, on: str | None, target: Target) -> Iterator[Mistake]:
        if on is not None and not target.select(on):
            groups = {group for host in target.hosts.values() for group in host.groups}
            hint = did_you_mean(on, {"all", *target.hosts, *groups})
            wrong = f"no host and no group {on!r}{hint}" if target.hosts else "no host at all"
            yield self.at((*trail, "on"), f"{target.name} has {wrong}")

    def needs(
        self, trail: Trail, noun: Step | Check, kind: Any, target: Target
    ) -> Iterator[Mistake]:
        need = getattr(kind, "needs", _NEEDS.get(noun.kind, ""))
        source = target.source
        if need == "service":
            for host in _places(target, noun.on):
                if target.service_on(host) is None:
                    where = f" for {host.name}" if host else ""
                    yield self.at(
                        trail, f"{noun.kind} needs a service, and {target.name} has none{where}"
                    )
        elif need and source is None:
            yield self.at(trail, f"{noun.kind} needs a source, and {target.name} has none")
        elif need == "directory" and source and source.strategy in ("checkout", "releases"):
            lacks = f"{noun.kind} needs source.directory, and {target.name} has none"
            yield from () if source.directory else (self.at(trail, lacks),)
        strategies = getattr(kind, "strategies", ())
        if source and strategies and source.strategy not in strategies:
            fit = " or ".join(strategies)
            lacks = f"{noun.kind} needs source.strategy: {fit}, and {target.name} has"
            yield self.at(trail, f"{lacks} {source.strategy}")
