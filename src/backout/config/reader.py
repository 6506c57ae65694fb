"""Trees to nouns, or every mistake on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from backout.config.empties import NOTHING, unwritten, with_sections
from backout.config.layers import overlaid, said_of
from backout.config.project_file import REFERENCES
from backout.config.yaml_tree import Node, Trail, shown_path
from backout.errors import Mistake, Mistakes
from backout.model import (
    HERE,
    Balancer,
    Check,
    Cleanup,
    Host,
    Noun,
    Param,
    Rule,
    Runbook,
    SecretSource,
    Service,
    Step,
    Target,
    ZoneName,
)
from backout.model.operands import variable
from backout.model.validation import as_text, did_you_mean, instead_of, validated
from backout.registry import Tables

N = TypeVar("N", bound=Noun)
T = TypeVar("T")


PHASES = ("preflight", "steps", "settle", "finally")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _keys(model: type[Noun], *besides: str) -> frozenset[str]:
    fields = {field.alias or name for name, field in model.model_fields.items()}
    return frozenset(fields - {"kind", "options", *besides})


_STEP, _CHECK, _SERVICE = _keys(Step), _keys(Check, "name"), _keys(Service)
_BALANCER = _keys(Balancer, "name")


class _Group(Noun):
    vars: Mapping[str, Any] = {}
    zone: ZoneName = ""


class Reader:
    """Makes nouns of trees, and keeps every mistake it meets.

    What is wrong is left out, so that the rest can be judged too: the nouns of a tree with
    mistakes are there to find more of them, and go no further.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.mistakes: list[Mistake] = []

    def mistake(self, node: Node, path: Trail, message: str) -> None:
        self.mistakes.append(Mistake(node.file, node.line, shown_path(path), message))

    def noun(
        self, model: type[N], node: Node, path: Trail, also: Iterable[str] = (), **ready: Any
    ) -> N | None:
        """`node` as a `model`, whose fields in `ready` are made already. `also`: other keys that
        may stand beside its own."""
        node = with_sections(model, node)
        if not isinstance(node.value, dict):
            self.mistake(node, path, "must be a mapping (name: value)")
            return None
        aliases = {field.alias or name: name for name, field in model.model_fields.items()}
        made = {name: ready[field] for name, field in aliases.items() if field in ready}
        data = {key: inner.data() for key, inner in node.items() if key not in made}
        result = validated(model, {**data, **made}, lambda p, _value: node.find(p).text)
        empty = [where for where in unwritten(model, node) if where[0] in data]
        if not isinstance(result, tuple) and not empty:
            return result
        told = dict.fromkeys(empty, "") | dict(result if isinstance(result, tuple) else ())
        for where, message in told.items():
            found = node.find(where)
            words = _hinted(message, where, [*_keys(model), *also])
            empty_one = found.unwritten and not words.startswith("unknown key")
            self.mistake(found, (*path, *where), NOTHING if empty_one else words)
        wrong = {where[0] for where in told if where}
        rest = {key: value for key, value in {**data, **made}.items() if key not in wrong}
        saved = validated(model, rest)
        return None if isinstance(saved, tuple) else saved

    def each(self, node: Node | None, path: Trail) -> Iterator[tuple[str, Node, Trail]]:
        """The pairs of a mapping whose keys are names."""
        if node is not None and node.value is not None and not isinstance(node.value, dict):
            self.mistake(node, path, "must be a mapping (name: value)")
        for name, inner in node.items() if node else ():
            if not _NAME.fullmatch(name):
                words = "must begin with a letter or digit, then letters, digits, '.', '_', '-'"
                self.mistake(inner, (*path, name), f"the name {words}")
            yield name, inner, (*path, name)

    # --- runbook -------------------------------------------------------------------------

    def runbook(self, tree: Node, name: str) -> Runbook | None:
        if not isinstance(tree.value, dict):
            empty = "the file is empty; a runbook needs steps"
            self.mistake(tree, (), "must be a mapping (name: value)" if tree.value else empty)
            return None
        phases: dict[str, Any] = {
            f"{phase}_" if phase == "finally" else phase: self.steps(tree.get(phase), (phase,))
            for phase in PHASES
        }
        params = {
            key: self.param(inner, path)
            for key, inner, path in self.each(tree.get("params"), ("params",))
        }
        rules = tree.get("diagnose")
        if rules and (rules.unwritten or isinstance(rules.value, list)):
            made = enumerate(rules.value or ())
            phases["diagnose"] = tuple(self.rule(node, ("diagnose", i)) for i, node in made)
        self.reserved(tree, (), "name", "file")
        return self.noun(Runbook, tree, (), name=name, file=tree.file, params=params, **phases)

    def param(self, node: Node, path: Trail) -> Param:
        if isinstance(node.value, dict) or node.unwritten:
            return self.noun(Param, node, path) or Param()
        wrong = f"must be a mapping; a default is written {{default: {node.text or '…'}}}"
        self.mistake(node, path, wrong)
        return Param()

    def rule(self, node: Node, path: Trail) -> Rule:
        when = node.get("when")
        return self.noun(Rule, node, path) or Rule(when=when.text if when else "true", say="")

    def reserved(self, node: Node, path: Trail, *keys: str) -> None:
        """Refuse what a file cannot say of itself: its fields are made, not written."""
        for key in keys:
            if (inner := node.get(key)) is not None:
                self.mistake(inner, (*path, key), f"unknown key {key!r}; it is given by its place")

    def steps(self, node: Node | None, path: Trail) -> tuple[Step, ...]:
        if node is None or node.value is None:
            return ()
        if not isinstance(node.value, list):
            self.mistake(node, path, "must be a list of steps (- run: …)")
            return ()
        return tuple(self.step(inner, (*path, index)) for index, inner in enumerate(node.value))

    def step(self, node: Node, path: Trail) -> Step:
        kind = self.kind(node, path, self.tables.steps, _STEP, "step")
        if not kind:
            return Step(name="", kind="", options=None)
        options = self.options(self.tables.steps[kind], node.value[kind], (*path, kind))
        ready = {} if node.get("name") else {"name": kind}
        self.reserved(node, path, "kind", "options")
        step = self.noun(Step, node.without(kind), path, kind=kind, options=options, **ready)
        return step or Step(name=kind, kind=kind, options=options)

    def kind(
        self, node: Node, path: Trail, table: Mapping[str, Any], common: frozenset[str], what: str
    ) -> str:
        """The one key of a mapping that says what it is; empty when there is no such one."""
        if not isinstance(node.value, dict):
            self.mistake(node, path, f"a {what} must be a mapping, such as {next(iter(table))}: …")
            return ""
        kinds = [key for key, _inner in node.items() if key in table]
        if len(kinds) == 1:
            return kinds[0]
        unknown = [key for key in node.value if key not in table and key not in common]
        for key in unknown:
            hint = instead_of(key, [*table, *common])
            self.mistake(node.value[key], (*path, key), f"unknown key {key!r}{hint}")
        if kinds:
            self.mistake(node, path, f"one {what} is one kind; this one is {' and '.join(kinds)}")
        elif not unknown:
            self.mistake(node, path, f"what kind of {what}? one of: {', '.join(table)}")
        return ""

    def options(self, kind: Any, node: Node, path: Trail) -> Any:
        model, value = kind.Options, node.value
        if value is None:
            return self.noun(model, Node({}, node.file, node.line), path)
        if isinstance(value, dict):
            return self.noun(model, node, path)
        if not model.short:
            self.mistake(node, path, "must be a mapping (name: value)")
            return None
        count = len(self.mistakes)
        made = self.noun(model, Node({model.short: node}, node.file, node.line), path)
        self.mistakes[count:] = [_without_last(m, model.short) for m in self.mistakes[count:]]
        return made

    # --- inventory -----------------------------------------------------------------------

    def target(self, tree: Node, name: str) -> Target | None:
        if not isinstance(tree.value, dict):
            empty = "the file is empty; an inventory needs hosts or a service"
            self.mistake(tree, (), "must be a mapping (name: value)" if tree.value else empty)
            return None
        service, checks = said_of(tree, "service"), self.each(tree.get("checks"), ("checks",))
        balancers = self.each(tree.get("balancers"), ("balancers",))
        self.reserved(tree, (), "name", "file")
        return self.noun(
            Target,
            tree.without("groups"),
            (),
            also=("groups",),
            name=name,
            file=tree.file,
            service=self.service(service, ("service",)) if service else None,
            hosts=self.hosts(tree),
            balancers={key: self.balancer(node, path) for key, node, path in balancers},
            checks={key: self.check(node, path) for key, node, path in checks},
            secrets=self.secrets(tree.get("secrets")),
        )

    def hosts(self, tree: Node) -> dict[str, Host]:
        groups = {key: node for key, node, _ in self.each(tree.get("groups"), ("groups",))}
        for key, node in groups.items():
            self.noun(_Group, node.without("service"), ("groups", key))
        hosts = {}
        for key, node, path in self.each(tree.get("hosts"), ("hosts",)):
            empty = Node({}, node.file, node.line)
            hosts[key] = self.host(key, empty if node.value is None else node, path, tree, groups)
        used = {group for host in hosts.values() for group in host.groups}
        for key, node in groups.items():
            if key not in used:
                self.mistake(node, ("groups", key), f"no host is in it{did_you_mean(key, used)}")
        return hosts

    def host(
        self, name: str, node: Node, path: Trail, tree: Node, groups: Mapping[str, Node]
    ) -> Host:
        self.reserved(node, path, "name")
        if not isinstance(node.value, dict):
            wrong = f"must be a mapping; an address is written {{address: {node.text or '…'}}}"
            self.mistake(node, path, wrong)
            node = Node({}, node.file, node.line)
        host = self.noun(Host, node.without("service"), path, name=name) or Host(name=name)
        self.connection(host, node, path)
        variables: dict[str, Any] = {}
        service, changed, zone = said_of(tree, "service"), False, ""
        for layer in (*(groups[key] for key in host.groups if key in groups), node):
            if (own := layer.get("vars")) is not None:
                variables |= own.data() if isinstance(own.value, dict) else {}
            if (over := said_of(layer, "service")) is not None:
                service, changed = overlaid(service, over), True
            zone = as_text(said.value) if (said := layer.get("zone")) else zone
        made = self.service(service, (*path, "service")) if service and changed else None
        address = host.address or ("" if host.connection == "local" else name)
        whole = {"vars": variables, "service": made, "address": address, "zone": zone}
        return host.model_copy(update=whole)

    def connection(self, host: Host, node: Node, path: Trail) -> None:
        if host.connection not in self.tables.transports:
            known = ", ".join(self.tables.transports)
            hint = did_you_mean(host.connection, self.tables.transports)
            where = node.get("connection") or node
            self.mistake(where, (*path, "connection"), f"must be one of: {known}{hint}")

    def service(self, node: Node, path: Trail) -> Service:
        made = self.backed(Service, _SERVICE, self.tables.backends, node, path)
        return made or Service.model_construct(name="", backend="")

    def balancer(self, node: Node, path: Trail) -> Balancer:
        name = str(path[-1])
        self.reserved(node, path, "name")
        made = self.backed(Balancer, _BALANCER, self.tables.balancers, node, path, name=name)
        return made or Balancer(name=name, backend="", on=(HERE,))

    def backed(
        self,
        model: type[N],
        common: frozenset[str],
        table: Mapping[str, Any],
        node: Node,
        path: Trail,
        **ready: Any,
    ) -> N | None:
        """What has a backend; the keys that are not `common` are the backend's own options."""
        if not isinstance(node.value, dict):
            self.mistake(node, path, "must be a mapping (name: value)")
            return None
        backend = node.get("backend")
        if backend is None or backend.text not in table:
            hint = did_you_mean(backend.text, table) if backend else ""
            said = f"must be one of: {', '.join(table)}{hint}"
            self.mistake(backend or node, (*path, "backend"), said)
            for key, inner in node.without(*common).items() if backend is None else ():
                if hint := did_you_mean(key, common):
                    self.mistake(inner, (*path, key), f"unknown key {key!r}{hint}")
            return None
        self.reserved(node, path, "options")
        own = [key for key in node.value if key not in common]
        options = self.noun(table[backend.text].Options, node.without(*common), path, common)
        return self.noun(model, node.without(*own), path, options=options, **ready)

    def check(self, node: Node, path: Trail) -> Check:
        name = str(path[-1])
        kind = self.kind(node, path, self.tables.probes, _CHECK, "check")
        if not kind:
            return Check(name=name, kind="", options=None)
        options = self.options(self.tables.probes[kind], node.value[kind], (*path, kind))
        cleanup = node.get("cleanup")
        ready = {"cleanup": self.cleanup(cleanup, (*path, "cleanup"))} if cleanup else {}
        self.reserved(node, path, "name", "kind", "options")
        made = {"name": name, "kind": kind, "options": options, **ready}
        return self.noun(Check, node.without(kind), path, **made) or Check(**made)

    def cleanup(self, node: Node, path: Trail) -> Cleanup | None:
        kind = self.kind(node, path, self.tables.probes, frozenset(), "cleanup")
        if not kind:
            return None
        for key, other in node.without(kind).items():
            self.mistake(other, (*path, key), f"unknown key {key!r}")
        options = self.options(self.tables.probes[kind], node.value[kind], (*path, kind))
        return Cleanup(kind=kind, options=options)

    def secrets(self, node: Node | None) -> dict[str, SecretSource]:
        secrets: dict[str, SecretSource] = {}
        for key, inner, path in self.each(node, ("secrets",)):
            secrets[key] = SecretSource()
            if not _IDENTIFIER.fullmatch(key):
                self.mistake(inner, path, "a secret's name is letters, digits and '_'")
            if not isinstance(inner.value, dict):
                self.mistake(inner, path, f"by reference only, never by value: {REFERENCES}")
            elif len(inner.value) != 1:
                self.mistake(inner, path, f"exactly one of {REFERENCES}")
            else:
                made = self.noun(SecretSource, inner, path) or SecretSource()
                secrets[key] = made
                if made.env is not None and not variable(made.env):
                    wrong = "not a variable's name: letters, digits and '_'"
                    self.mistake(inner, (*path, "env"), wrong)
        return secrets


def _hinted(message: str, where: Trail, keys: Iterable[str]) -> str:
    """What is said of an unknown key, with all keys in mind that may stand in its place."""
    known = f"unknown key {where[-1]!r}" if where else ""
    told = len(where) == 1 and message.startswith(known)
    return f"{known}{instead_of(str(where[0]), keys)}" if told else message


def _without_last(mistake: Mistake, key: str) -> Mistake:
    """A short form's mistake: the key that the author did not write is not shown."""
    path = mistake.path.removesuffix(f".{key}")
    return Mistake(mistake.file, mistake.line, path, mistake.message)


def sound(noun: T | None, mistakes: Sequence[Mistake]) -> T:
    """The noun, when nothing is wrong. Raises Mistakes."""
    if mistakes or noun is None:
        raise Mistakes(mistakes=mistakes)
    return noun
