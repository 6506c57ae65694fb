"""YAML -> nouns, or every mistake at once, each with file, line and path.

A file is read in three turns: its text becomes a tree (`documents`), the tree becomes nouns
(here), and the nouns are held against what they name (`judging`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from backout.config import rules, yaml_tree
from backout.config.files import files, name_of, names, resolve, shown, twin
from backout.config.frozen import dump, thaw
from backout.config.yaml_tree import Node, Trail, merged, shown_path
from backout.errors import Mistake, Mistakes
from backout.model import (
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
)
from backout.model.validation import as_text, did_you_mean, instead_of, validated
from backout.registry import Tables

__all__ = [
    "dump",
    "lint",
    "load_pair",
    "load_params",
    "load_runbook",
    "load_target",
    "names",
    "resolve",
    "targets",
    "thaw",
]

N = TypeVar("N", bound=Noun)
T = TypeVar("T")

PHASES = ("preflight", "steps", "settle", "finally")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# --- loading -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read(Generic[N]):
    """What was understood of a file, its tree, and every mistake in it."""

    noun: N | None
    tree: Node
    unread: Sequence[Mistake]
    """Where it was not understood."""
    wrong: Sequence[Mistake]
    """Where it was, and is wrong."""

    @property
    def mistakes(self) -> Sequence[Mistake]:
        return (*self.unread, *self.wrong)

    def whole(self) -> N:
        return _whole(self.noun, self.mistakes)


def load_runbook(path: Path, tables: Tables, root: Path | None = None) -> Runbook:
    """One runbook, checked on its own; `root` is the project's directory, which it is named
    after. Raises Mistakes, with every mistake in it."""
    return _read_runbook(path, tables, root).whole()


def load_target(
    path: Path, tables: Tables, root: Path | None = None, *, base: bool = False
) -> Target:
    """One inventory laid over what it extends, checked; `root` as for a runbook. A `base` need not
    be whole: the names in it are not judged. Raises Mistakes, with every mistake in it."""
    return _read_target(path, tables, root, base=base).whole()


def _read_runbook(path: Path, tables: Tables, root: Path | None) -> _Read[Runbook]:
    reader = _Reader(tables)
    tree = yaml_tree.read(path, shown(path), reader.mistakes)
    _alone(path, reader.mistakes)
    noun = reader.runbook(tree, name_of(path, root / "runbooks") if root else path.stem)
    wrong = rules.runbook(noun, tree, tables, said=reader.mistakes) if noun else []
    return _Read(noun, tree, reader.mistakes, wrong)


def _read_target(
    path: Path, tables: Tables, root: Path | None, *, base: bool = False
) -> _Read[Target]:
    reader = _Reader(tables)
    folder = root / "inventories" if root else path.parent
    tree = _extended(path, folder, (), reader.mistakes)
    _alone(path, reader.mistakes)
    noun = reader.target(tree, name_of(path, folder))
    judged = noun is not None and not base
    wrong = rules.target(noun, tree, tables, said=reader.mistakes) if noun and judged else []
    return _Read(noun, tree, reader.mistakes, wrong)


def _alone(path: Path, mistakes: list[Mistake]) -> None:
    """Two files of one name would be one target with two faces."""
    if other := twin(path):
        said = f"{other.name} beside it has the same name: keep one of them"
        mistakes.append(Mistake(shown(path), 0, "", said))


def _whole(noun: T | None, mistakes: Sequence[Mistake]) -> T:
    if mistakes or noun is None:
        raise Mistakes(mistakes=mistakes)
    return noun


def load_pair(
    target: Callable[[], Path],
    runbook: Callable[[], Path],
    words: Sequence[str],
    tables: Tables,
    root: Path | None = None,
) -> tuple[Target, Runbook, dict[str, Any]]:
    """Target, runbook (each where its path is found) and the runbook's parameters (`k=v` words),
    held against each other; `root` as for `load_target`. Raises Mistakes, with every mistake of
    all three."""
    mistakes: list[Mistake] = []
    nameless: list[Mistakes] = []
    a = _attempt(lambda: _read_target(target(), tables, root), mistakes, nameless)
    b = _attempt(lambda: _read_runbook(runbook(), tables, root), mistakes, nameless)
    mistakes += [mistake for read in (a, b) if read for mistake in read.mistakes]
    made, book = a.noun if a else None, b.noun if b else None
    params = _attempt(lambda: load_params(book, words), mistakes) if book else {}
    if a and b:
        mistakes += _held(b, a, tables)
    if nameless and len(mistakes) == 1:
        raise nameless[0]
    return _whole(made, mistakes), _whole(book, mistakes), _whole(params, mistakes)


def load_params(runbook: Runbook, words: Sequence[str]) -> dict[str, Any]:
    """The runbook's parameters from `k=v` words and their defaults. Lists are given as
    `k=a,b`, as `k=["a","b"]` or word by word. Raises Mistakes."""
    mistakes: list[Mistake] = []
    given: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            mistakes.append(Mistake("--param", 0, word, "write NAME=VALUE"))
        elif name not in runbook.params:
            hint = did_you_mean(name, runbook.params)
            mistakes.append(
                Mistake("--param", 0, name, f"the runbook {runbook.name} has no such param{hint}")
            )
        else:
            given.setdefault(name, []).append(value)
    params = {}
    for name, param in runbook.params.items():
        try:
            params[name] = _param(param, given.get(name))
        except ValueError as error:
            mistakes.append(Mistake("--param", 0, name, str(error)))
    return _whole(params, mistakes)


def lint(root: Path, tables: Tables) -> tuple[Mistake, ...]:
    """Every mistake of every runbook and inventory under `root`, each on its own, and each runbook
    held against the targets; an inventory that others extend need not be whole."""
    mistakes: list[Mistake] = []
    folder = root / "inventories"
    bases = _bases(folder)
    books = [
        _attempt(partial(_read_runbook, path, tables, root), mistakes)
        for path in files(root / "runbooks")
    ]
    targets = []
    for path in files(folder):
        base = path.resolve() in bases
        read = _attempt(partial(_read_target, path, tables, root, base=base), mistakes)
        mistakes += read.mistakes if read else ()
        targets += [read] if read and not base else []
    for book in books:
        mistakes += book.mistakes or _nowhere(book, targets, tables) if book else ()
    return tuple(sorted(set(mistakes)))


def _nowhere(
    book: _Read[Runbook], targets: Sequence[_Read[Target]], tables: Tables
) -> Sequence[Mistake]:
    """What keeps a runbook from the targets that it is for, or, where it does not say, from the
    one that it fits best, when it fits none."""
    noun = book.noun
    held = [
        _held(book, target, tables)
        for target in targets
        if noun and target.noun and noun.is_for(target.noun.name)
    ]
    if noun and noun.targets:
        return [mistake for mistakes in held for mistake in mistakes]
    return min(held, key=len, default=())


def _held(book: _Read[Runbook], target: _Read[Target], tables: Tables) -> Sequence[Mistake]:
    """What is wrong with a runbook on a target, both of which are there."""
    made, noun = target.noun, book.noun
    if made is None or noun is None:
        return ()
    if not noun.is_for(made.name):
        at = book.tree.find(("targets",))
        meant = f"it is for {', '.join(noun.targets)}, and not for {made.name}"
        return (Mistake(at.file, at.line, "targets", meant),)
    return rules.runbook(noun, book.tree, tables, made, said=book.unread, of_target=target.unread)


def targets(folder: Path) -> list[str]:
    """The names of the inventories in `folder` that stand for themselves: others may extend an
    inventory that need not be whole."""
    bases = _bases(folder)
    whole = (path for path in files(folder) if path.resolve() not in bases)
    return sorted({name_of(path, folder) for path in whole})


def _attempt(
    load: Callable[[], T], mistakes: list[Mistake], nameless: list[Mistakes] | None = None
) -> T | None:
    """What `load` gives, or None and its mistakes among the others. An error that is of no file
    is kept as it is, too: alone, it has its own next command."""
    try:
        return load()
    except Mistakes as error:
        mistakes += error.mistakes or [Mistake(error.where or "command line", 0, "", error.what)]
        if nameless is not None and not error.mistakes:
            nameless.append(error)
        return None


def _bases(folder: Path) -> set[Path]:
    """The inventories that others extend, as far as they can be read."""
    found = set()
    for path in files(folder):
        try:
            name = yaml_tree.read(path, shown(path), []).get("extends")
            found |= {_base(as_text(name.value), path, folder).resolve()} if name else set()
        except Mistakes:
            continue
    return found


def _base(name: str, path: Path, folder: Path) -> Path:
    """What an inventory extends: beside it, else from the top. Raises Mistakes."""
    try:
        return resolve(name, path.parent, path.parent)
    except Mistakes:
        return resolve(name, folder, path.parent)


# --- parameters --------------------------------------------------------------------------

_EMPTY: Mapping[str, Any] = {"str": "", "int": None, "bool": False, "list": []}
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def _param(param: Param, given: Sequence[str] | None) -> Any:
    if given is None:
        if param.required:
            raise ValueError(f"must be given{f': {param.help}' if param.help else ''}")
        return _EMPTY[param.type] if param.default is None else param.default
    if param.type == "list":
        return [item for value in given for item in _listed(value)]
    if len(given) > 1:
        raise ValueError("is given twice")
    return _typed(param.type, given[0])


def _typed(kind: str, value: str) -> Any:
    if kind == "int":
        if not re.fullmatch(r"[-+]?\d{1,18}", value):
            raise ValueError(f"must be a whole number, not {value!r}")
        return int(value)
    if kind == "bool":
        if value.lower() not in _YES | _NO:
            raise ValueError(f"must be true or false, not {value!r}")
        return value.lower() in _YES
    return value


def _listed(value: str) -> list[str]:
    if not value.startswith("["):
        return [item for item in value.split(",") if item]
    try:
        items = json.loads(value)
    except ValueError:
        raise ValueError(f"is no JSON list: {value!r}") from None
    return [as_text(item) for item in items]


# --- trees -> nouns ----------------------------------------------------------------------


def _extended(path: Path, folder: Path, inner: tuple[Path, ...], mistakes: list[Mistake]) -> Node:
    """The tree of an inventory laid over the one that it extends."""
    place = shown(path)
    tree = yaml_tree.read(path, place, mistakes)
    base = tree.get("extends")
    if base is None:
        return tree
    try:
        below = _base(as_text(base.value), path, folder)
    except Mistakes as error:
        raise Mistakes(mistakes=[Mistake(place, base.line, "extends", error.what)]) from None
    chain = (*inner, path.resolve())
    if below.resolve() in chain:
        circle = " -> ".join(link.stem for link in (*chain, below))
        message = f"inventories extend each other in a circle: {circle}"
        raise Mistakes(mistakes=[Mistake(place, base.line, "extends", message)])
    return _laid_over(_extended(below, folder, chain, mistakes), tree.without("extends"))


def _laid_over(base: Node, over: Node) -> Node:
    """A host of which only the name is said again stays what it is: without its address it would
    be whatever machine its name leads to."""
    whole, known = merged(base, over), base.get("hosts")
    hosts = whole.get("hosts")
    if hosts and isinstance(hosts.value, dict):
        for name, node in known.items() if known else ():
            if hosts.value[name].value is None:
                hosts.value[name] = node
    return whole


def _keys(model: type[Noun], *besides: str) -> frozenset[str]:
    fields = {field.alias or name for name, field in model.model_fields.items()}
    return frozenset(fields - {"kind", "options", *besides})


_STEP, _CHECK, _SERVICE = _keys(Step), _keys(Check, "name"), _keys(Service)


class _Group(Noun):
    vars: Mapping[str, Any] = {}


class _Reader:
    """Makes nouns of trees, and keeps every mistake it meets.

    What is wrong is left out, so that the rest can be judged too: the nouns of a tree with
    mistakes are there to find more of them, and go no further.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.mistakes: list[Mistake] = []

    def mistake(self, node: Node, path: Trail, message: str) -> None:
        self.mistakes.append(Mistake(node.file, node.line, shown_path(path), message))

    def noun(self, model: type[N], node: Node, path: Trail, **ready: Any) -> N | None:
        """`node` as a `model`, whose fields in `ready` are made already."""
        if not isinstance(node.value, dict):
            self.mistake(node, path, "must be a mapping (name: value)")
            return None
        aliases = {field.alias or name: name for name, field in model.model_fields.items()}
        made = {name: ready[field] for name, field in aliases.items() if field in ready}
        data = {key: inner.data() for key, inner in node.items() if key not in made}
        result = validated(model, {**data, **made}, lambda p, _value: node.find(p).text)
        if not isinstance(result, tuple):
            return result
        for where, message in result:
            self.mistake(node.find(where), (*path, *where), message)
        wrong = {where[0] for where, _message in result if where}
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
            key: self.noun(Param, inner, path) or Param()
            for key, inner, path in self.each(tree.get("params"), ("params",))
        }
        rules = tree.get("diagnose")
        if rules and isinstance(rules.value, list):
            made = enumerate(rules.value)
            phases["diagnose"] = tuple(self.rule(node, ("diagnose", i)) for i, node in made)
        self.reserved(tree, (), "name", "file")
        return self.noun(Runbook, tree, (), name=name, file=tree.file, params=params, **phases)

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
        service, checks = tree.get("service"), self.each(tree.get("checks"), ("checks",))
        self.reserved(tree, (), "name", "file")
        return self.noun(
            Target,
            tree.without("groups"),
            (),
            name=name,
            file=tree.file,
            service=self.service(service, ("service",)) if service else None,
            hosts=self.hosts(tree),
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
        service, changed = tree.get("service"), False
        for layer in (*(groups[key] for key in host.groups if key in groups), node):
            if (own := layer.get("vars")) is not None:
                variables |= own.data() if isinstance(own.value, dict) else {}
            if (over := layer.get("service")) is not None:
                service, changed = _overlaid(service, over), True
        made = self.service(service, (*path, "service")) if service and changed else None
        address = host.address or ("" if host.connection == "local" else name)
        return host.model_copy(update={"vars": variables, "service": made, "address": address})

    def connection(self, host: Host, node: Node, path: Trail) -> None:
        if host.connection not in self.tables.transports:
            known = ", ".join(self.tables.transports)
            hint = did_you_mean(host.connection, self.tables.transports)
            where = node.get("connection") or node
            self.mistake(where, (*path, "connection"), f"must be one of: {known}{hint}")

    def service(self, node: Node, path: Trail) -> Service:
        unknown = Service(name="", backend="")
        if not isinstance(node.value, dict):
            self.mistake(node, path, "must be a mapping (name: value)")
            return unknown
        backend = node.get("backend")
        if backend is None or backend.text not in self.tables.backends:
            known = ", ".join(self.tables.backends)
            hint = did_you_mean(backend.text, self.tables.backends) if backend else ""
            self.mistake(backend or node, (*path, "backend"), f"must be one of: {known}{hint}")
            return unknown
        self.reserved(node, path, "options")
        own = [key for key in node.value if key not in _SERVICE]
        model = self.tables.backends[backend.text].Options
        options = self.noun(model, node.without(*_SERVICE), path)
        return self.noun(Service, node.without(*own), path, options=options) or unknown

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
                self.mistake(inner, path, f"by reference only, never by value: {_REFERENCES}")
            elif len(inner.value) != 1:
                self.mistake(inner, path, f"exactly one of {_REFERENCES}")
            else:
                secrets[key] = self.noun(SecretSource, inner, path) or SecretSource()
        return secrets


_REFERENCES = "{env: NAME}, {command: …} or {file: PATH}"


def _overlaid(service: Node | None, over: Node) -> Node:
    """A service laid over another one; over one of another backend it stands for itself."""
    backend, other = over.get("backend"), service.get("backend") if service else None
    if service is None or (backend and other and backend.text != other.text):
        return over
    return merged(service, over)


def _without_last(mistake: Mistake, key: str) -> Mistake:
    """A short form's mistake: the key that the author did not write is not shown."""
    path = mistake.path.removesuffix(f".{key}")
    return Mistake(mistake.file, mistake.line, path, mistake.message)
