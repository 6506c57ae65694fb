"""Nouns held against what they name: hosts, checks, secrets, parameters, templates, expressions.

What only a target can define is not judged in a runbook on its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from backout.config.yaml_tree import Node, Trail, shown_path
from backout.errors import Mistake
from backout.language import expressions, templates
from backout.language.templates import CannotRender, Known, SecretRef
from backout.model import Check, Host, Param, Runbook, Step, Target
from backout.model.addresses import canonical
from backout.model.operands import variable
from backout.model.validation import did_you_mean
from backout.registry import Tables

_HOST = ("name", "address", "port", "user", "groups", "vars")
_RUN = ("id", "user", "started")
_RELEASE = ("number", "commit", "previous")
_SERVICE = ("name", "directory")
_SOURCE = ("repository", "directory", "branch")
_NOBODYS = re.compile(r"(^|\.)example(\.(org|com|net))?\.?$", re.IGNORECASE)
"""Names that nobody's machine has (RFC 2606)."""
_WAYS = ("undo", "readonly", "irreversible")
_RESULT = {"stdout", "stderr", "exit_code", "commit", "identity"}
_NEEDS = {"restart": "service", "service": "service", "update": "directory", "commit": "source"}
"""What the inventory must have for a kind that does not say so itself by `needs`."""


def runbook(
    noun: Runbook,
    tree: Node,
    tables: Tables,
    target: Target | None = None,
    *,
    said: Sequence[Mistake] = (),
    of_target: Sequence[Mistake] = (),
) -> list[Mistake]:
    """What is wrong with a runbook on its own, or for a target. `said` are the mistakes that
    were found in it before, `of_target` those of the target: what may only follow from them is
    not said."""
    return sorted(set(_RunbookJudge(noun, tree, tables, said, target, of_target).mistakes()))


def target(
    noun: Target, tree: Node, tables: Tables, *, said: Sequence[Mistake] = ()
) -> list[Mistake]:
    """What is wrong with an inventory; `said` as for a runbook."""
    return sorted(set(_TargetJudge(noun, tree, tables, said).mistakes()))


# --- names -------------------------------------------------------------------------------


def _places(target: Target, on: str | None) -> tuple[Host | None, ...]:
    return target.select(on) if on else (None,)


def _vars(target: Target, hosts: Sequence[Host | None]) -> set[str]:
    """The variables that are there on every one of the hosts."""
    each = [{*target.vars, *(host.vars if host else ())} for host in hosts]
    return set.intersection(*each)


def _known(
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
        "service": _SERVICE,
        "source": _SOURCE,
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


def _bare(known: Known) -> dict[str, Collection[str] | None]:
    """What expressions may use: the same but secrets, whose values are not there; and `now`."""
    return {**{name: known[name] for name in known if name != "secrets"}, "now": ()}


# --- secrets -----------------------------------------------------------------------------


def _hidden(target: Target) -> dict[str, str]:
    """The target's variables that hold a secret, by themselves or through others."""
    hosts = target.hosts.values()
    every = [*target.vars.items(), *(item for host in hosts for item in host.vars.items())]
    hidden: dict[str, str] = {}
    for _ in every:
        for name, value in every:
            through = (hidden[other] for other in _uses(value, "vars") if other in hidden)
            if secret := next(iter((*_uses(value, "secrets"), *through)), ""):
                hidden.setdefault(name, secret)
    return hidden


def _uses(value: Any, root: str) -> tuple[str, ...]:
    try:
        return tuple(templates.uses(value, root))
    except CannotRender:
        return ()


def _told(text: str, hidden: Mapping[str, str]) -> Iterator[str]:
    fix = "this is shown and kept; use it in env:, in a shell text or in a check instead"
    for name in _uses(text, "secrets"):
        yield f"the secret {name} cannot stand here: {fix}"
    for name in _uses(text, "vars"):
        if name in hidden:
            yield f"vars.{name} holds the secret {hidden[name]}, which cannot stand here: {fix}"


# --- what is known to be wrong already -----------------------------------------------------


def _doubted(said: Sequence[Mistake], trail: Trail, *keys: str, below: bool = True) -> bool:
    """Whether one of the mistakes may be why one of `keys` is not there at `trail`: it is at or
    `below` one of them, or at a key that was meant as one of them."""
    start = f"{shown_path(trail)}." if trail else ""
    inner = (m.path.removeprefix(start) for m in said if m.path.startswith(start))
    found = (re.split(r"[.\[]", path, maxsplit=1) for path in inner)
    return any(
        (key in keys or did_you_mean(key, keys)) and (below or not rest) for key, *rest in found
    )


def _unsure(target: Target, said: Sequence[Mistake]) -> Iterator[str]:
    """Which parts of a target with mistakes may hold more than what was understood of them."""
    for key in ("hosts", "checks", "secrets"):
        if _doubted(said, (), key, below=False):
            yield key
    for key in ("vars", "service", "source"):
        if _doubted(said, (), key):
            yield key
    places = [("hosts", name) for name in target.hosts]
    groups = {group for host in target.hosts.values() for group in host.groups}
    if any(_doubted(said, place, "groups") for place in places):
        yield from ("hosts", "vars")
    if any(_doubted(said, p, "vars") for p in (*places, *(("groups", name) for name in groups))):
        yield "vars"
    if any(_doubted(said, ("checks", name), "save") for name in target.checks):
        yield "saved"


# --- what both judge ---------------------------------------------------------------------


class _Judge:
    def __init__(self, tree: Node, tables: Tables, said: Sequence[Mistake]) -> None:
        self.tree = tree
        self.tables = tables
        self.said = said
        self.hidden: Mapping[str, str] = {}
        """The variables that hold a secret, and which."""

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
            wrong = templates.mistakes(node.value, known, in_shell=in_shell)
            for line, message in wrong:
                yield Mistake(node.file, node.first + line - 1, shown_path(inner), message)
            if told and not wrong:
                yield from (self.at(inner, words) for words in _told(node.value, self.hidden))

    def options(self, trail: Trail, kind: Any, known: Known) -> Iterator[Mistake]:
        """The templates in a kind's options, written long or short."""
        node, model = self.tree.find(trail), kind.Options
        short = [(trail, model.short)] if not isinstance(node.value, dict) else []
        for inner, key in short or [((*trail, key), key) for key, _inner in node.items()]:
            in_shell, told = key in model.shell_fields, key in model.told_fields
            yield from self.template(inner, known, in_shell=in_shell, told=told)

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
            yield self.at((*trail, "on"), f"{target.name} has no host and no group {on!r}{hint}")

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


# --- a runbook ---------------------------------------------------------------------------


class _RunbookJudge(_Judge):
    def __init__(
        self,
        noun: Runbook,
        tree: Node,
        tables: Tables,
        said: Sequence[Mistake],
        target: Target | None,
        of_target: Sequence[Mistake],
    ) -> None:
        super().__init__(tree, tables, said)
        self.noun = noun
        self.target = target
        self.unsure = frozenset(_unsure(target, of_target) if target else ())
        self.saved = self.saves_of(target) if target else None
        self.hidden = _hidden(target) if target else {}

    def saves_of(self, target: Target) -> set[str] | None:
        """The names that steps and checks save; None when that cannot be told."""
        doubted = any(_doubted(self.said, trail, "save") for trail, _step in self.steps())
        if doubted or "saved" in self.unsure:
            return None
        steps = {name for _trail, step in self.steps() for name in step.save}
        return steps | {name for check in target.checks.values() for name in check.save}

    def known(self, step: Step) -> dict[str, Collection[str] | None]:
        """What the templates of a step may use."""
        known = _known(self.target, step.on, self.saved, params=self.noun.params)
        known |= {name: None for name in ("vars", "secrets") if name in self.unsure}
        if "service" in self.unsure:
            known["service"] = _SERVICE
        return known

    def steps(self) -> Iterator[tuple[Trail, Step]]:
        for phase in ("preflight", "steps", "settle", "finally"):
            found: tuple[Step, ...] = getattr(
                self.noun, "finally_" if phase == "finally" else phase
            )
            for index, step in enumerate(found):
                yield (phase, index), step

    def mistakes(self) -> Iterator[Mistake]:
        if not any(step for _trail, step in self.steps()) and not self.said:
            yield self.at((), "a runbook needs steps")
        for name, param in self.noun.params.items():
            if not _default_fits(param):
                yield self.at(("params", name, "default"), f"must be {_OF_TYPE[param.type]}")
            if not name.isidentifier():
                yield self.at(("params", name), "a parameter's name is letters, digits and '_'")
        for key in ("summary", "document", "params", "targets"):
            yield from self.plain((key,)) if self.tree.get(key) else ()
        for trail, step in self.steps():
            if step.kind:
                yield from self.step(trail, step)
        yield from self.order()
        if self.target is not None and "checks" not in self.unsure:
            yield from self.expected(self.target)
        for index, rule in enumerate(self.noun.diagnose):
            trail = ("diagnose", index)
            inner = (*trail, "when")
            yield from self.expression(inner, rule.when, {"failure": None}, wanted="a boolean")
            yield from self.plain(trail)

    def step(self, trail: Trail, step: Step) -> Iterator[Mistake]:
        kind = self.tables.steps[step.kind]
        known = self.known(step)
        if not _doubted(self.said, trail, *_WAYS):
            yield from self.way_back(trail, step, kind)
        yield from self.words(trail, step, kind, known)
        for name in step.env:
            if not variable(name):
                wrong = f"{name!r} is not a variable's name: letters, digits and '_'"
                yield self.at((*trail, "env", name), wrong)
        if step.when is not None:
            inner = (*trail, "when")
            yield from self.expression(inner, step.when, _bare(known), wanted="a boolean")
        results = dict.fromkeys({*_RESULT, *getattr(kind, "names", ())})
        yield from self.saves((*trail, "save"), step.save, results)
        if self.target is not None:
            if "hosts" not in self.unsure:
                yield from self.selects(trail, step.on, self.target)
            if self.unsure.isdisjoint(("hosts", "service", "source")):
                yield from self.needs(trail, step, kind, self.target)
            if "checks" not in self.unsure:
                yield from self.named_checks(trail, step, self.target)

    def words(self, trail: Trail, step: Step, kind: Any, known: Known) -> Iterator[Mistake]:
        for key, _node in self.tree.find(trail).items():
            inner = (*trail, key)
            if key == step.kind:
                yield from self.options(inner, kind, known)
            elif key in ("undo", "check"):
                shell, told = getattr(kind, "shell", True), key in kind.Options.told_fields
                yield from self.template(inner, known, in_shell=shell, told=told)
            elif key in ("cwd", "env"):
                yield from self.template(inner, known, told=key == "cwd")
            else:
                yield from self.plain(inner)

    def order(self) -> Iterator[Mistake]:
        """What must be done before a step of another kind stands before it."""
        passed: set[str] = set()
        for trail, step in self.steps():
            later = getattr(self.tables.steps[step.kind], "precedes", "") if step.kind else ""
            if later and (later in passed or trail[0] != "steps"):
                yield self.at(trail, f"a {step.kind} step stands in `steps`, before {later}")
            passed.add(step.kind)

    def expected(self, target: Target) -> Iterator[Mistake]:
        for name in self.noun.baseline:
            if name not in target.checks:
                hint = did_you_mean(name, target.checks)
                yield self.at(("baseline", name), f"{target.name} has no check {name!r}{hint}")

    def way_back(self, trail: Trail, step: Step, kind: Any) -> Iterator[Mistake]:
        changes = kind.changes and not step.readonly
        if trail[0] == "preflight" and changes:
            yield self.at(trail, "preflight only reads: say readonly: true, or move the step")
        known = kind.undoes or step.undo or step.irreversible
        if trail[0] == "steps" and changes and not known:
            told = "it changes something: give undo:, or readonly: true, or irreversible: why"
            yield self.at(trail, f"step {step.name!r} has no way back; {told}")

    def named_checks(self, trail: Trail, step: Step, target: Target) -> Iterator[Mistake]:
        names = getattr(step.options, "checks", ())
        for name in names if isinstance(names, tuple) else ():
            if name not in target.checks and "{{" not in name:
                hint = did_you_mean(name, target.checks)
                yield self.at((*trail, step.kind), f"{target.name} has no check {name!r}{hint}")


_OF_TYPE = {"str": "text", "int": "a whole number", "bool": "true or false", "list": "a list"}
_TYPES: Mapping[str, Any] = {"str": str, "int": int, "bool": bool, "list": list}


def _default_fits(param: Param) -> bool:
    value = param.default
    typed = isinstance(value, _TYPES[param.type]) and (
        param.type == "bool" or not isinstance(value, bool)
    )
    return value is None or typed


# --- an inventory ------------------------------------------------------------------------


class _TargetJudge(_Judge):
    def __init__(self, noun: Target, tree: Node, tables: Tables, said: Sequence[Mistake]) -> None:
        super().__init__(tree, tables, said)
        self.noun = noun
        self.unsure = frozenset(_unsure(noun, said))
        self.hidden = _hidden(noun)
        self.saved = {name for check in noun.checks.values() for name in check.save}

    def mistakes(self) -> Iterator[Mistake]:
        yield from self.hosts()
        yield from self.twins()
        yield from self.variables()
        for key, node in self.tree.items():
            if key in ("hosts", "groups"):
                for name, _inner in node.items():
                    yield from self.place((key, name))
            elif key == "service":
                yield from self.service((key,), _known(self.noun, None, ()))
            elif key in ("notify", "deadman"):
                yield from self.template((key,), _known(self.noun, None, ()))
            elif key == "source":
                yield from self.source()
            elif key not in ("vars", "checks"):
                yield from self.plain((key,))
        for number, window in enumerate(self.noun.maintenance):
            if reason := _no_cron(window.cron):
                yield self.at(("maintenance", number, "cron"), reason)
            for place, name in enumerate(window.checks):
                if name not in self.noun.checks:
                    hint = did_you_mean(name, self.noun.checks)
                    yield self.at(
                        ("maintenance", number, "checks", place), f"no check {name!r}{hint}"
                    )
        for name, check in self.noun.checks.items():
            if check.kind:
                yield from self.check(("checks", name), check)
        yield from self.circles()

    def source(self) -> Iterator[Mistake]:
        """Only the image's name is rendered: it may hold the release's commit."""
        for name, _node in self.tree.find(("source",)).items():
            if name == "image":
                yield from self.template(("source", name), _known(self.noun, None, ()), told=True)
            else:
                yield from self.plain(("source", name))

    def hosts(self) -> Iterator[Mistake]:
        for name, host in self.noun.hosts.items():
            trail: Trail = ("hosts", name)
            if host.port is not None and not 0 < host.port < 65536:
                yield self.at((*trail, "port"), "must be a port, 1 to 65535")
            if _NOBODYS.search(host.address) and not self.noun.example:
                wrong = f"{host.address} is a placeholder: write your host's own name or address"
                yield self.at((*trail, "address"), wrong)
            if "all" in (name, *host.groups):
                yield self.at(trail, "'all' names every host; choose another name")
            for group in host.groups:
                if group in self.noun.hosts:
                    yield self.at(trail, f"{group!r} is a host, it cannot be a group too")

    def twins(self) -> Iterator[Mistake]:
        """A host is a machine: two that share an address, or that both are this machine."""
        seen: dict[tuple[str, int | None], str] = {}
        for name, host in self.noun.hosts.items():
            local = host.connection == "local"
            if not local and host.connection != "ssh":
                continue
            place = ("", None) if local else (canonical(host.address or name), host.port)
            if (other := seen.setdefault(place, name)) != name:
                words = "both are this machine" if local else "both have the same address"
                yield self.at(("hosts", name), f"{other} and {name} are one machine: {words}")

    def place(self, trail: Trail) -> Iterator[Mistake]:
        """A host's or a group's own words."""
        known = _known(self.noun, "all", ())
        for key, _node in self.tree.find(trail).items():
            if key == "service":
                yield from self.service((*trail, key), known)
            elif key != "vars":
                yield from self.plain((*trail, key))

    def service(self, trail: Trail, known: Known) -> Iterator[Mistake]:
        backends = {host.service.backend for host in self.noun.hosts.values() if host.service}
        backends |= {self.noun.service.backend} if self.noun.service else set()
        kinds = [self.tables.backends[name] for name in backends if name in self.tables.backends]
        secret = {field for kind in kinds for field in kind.Options.secret_fields}
        for key, _node in self.tree.find(trail).items():
            yield from self.template((*trail, key), known, told=key not in secret)

    def variables(self) -> Iterator[Mistake]:
        """Variables depend on nothing that is not in the file, so they are resolved here."""
        scope = {
            "secrets": {name: SecretRef(name) for name in self.noun.secrets},
            "target": {"name": self.noun.name},
            "source": dict.fromkeys(_SOURCE, ""),
        }
        every = {*self.noun.vars, *(name for h in self.noun.hosts.values() for name in h.vars)}
        known = {
            "vars": every,
            "secrets": self.noun.secrets,
            "target": ("name",),
            "source": _SOURCE,
        }
        trails = [("vars",), *(("hosts", n, "vars") for n in self._keys("hosts"))]
        trails += [("groups", name, "vars") for name in self._keys("groups")]
        wrong = [
            mistake
            for trail in trails
            if self._has(trail)
            for mistake in self.template(trail, known)
        ]
        yield from wrong
        told: set[str] = set()
        for host in () if wrong else self.noun.hosts.values() or (None,):
            try:
                templates.resolve_vars({**self.noun.vars, **(host.vars if host else {})}, scope)
            except CannotRender as error:
                told.add(error.what)
        yield from (self.at(("vars",), what) for what in told)

    def _keys(self, key: str) -> list[str]:
        node = self.tree.get(key)
        return [name for name, _inner in node.items()] if node else []

    def _has(self, trail: tuple[str, ...]) -> bool:
        node: Node | None = self.tree
        for key in trail:
            node = node.get(key) if node else None
        return node is not None

    def check(self, trail: Trail, check: Check) -> Iterator[Mistake]:
        kind = self.tables.probes[check.kind]
        known = _known(self.noun, check.on, self.saved, run=("id",))
        facts = {**_bare(known), **dict.fromkeys(("baseline", *kind.names))}
        proves = check.expect or getattr(kind, "judges_itself", False)
        if not proves and not _doubted(self.said, trail, "expect"):
            yield self.at(trail, "a check without expect proves nothing; add expect: […]")
        listed = isinstance(self.tree.find((*trail, "expect")).value, list)
        kinds = getattr(kind, "kinds", {})
        for index, text in enumerate(check.expect):
            inner = (*trail, "expect", index) if listed else (*trail, "expect")
            yield from self.expression(inner, text, facts, kinds, wanted="a boolean")
        yield from self.saves((*trail, "save"), check.save, facts)
        yield from self.options((*trail, check.kind), kind, known)
        if check.cleanup is not None:
            cleaner = self.tables.probes[check.cleanup.kind]
            yield from self.options((*trail, "cleanup", check.cleanup.kind), cleaner, known)
        for key, _node in self.tree.find(trail).items():
            if key not in (check.kind, "cleanup"):
                yield from self.plain((*trail, key))
        if "hosts" not in self.unsure:
            yield from self.selects(trail, check.on, self.noun)
        if self.unsure.isdisjoint(("hosts", "service", "source")):
            yield from self.needs(trail, check, kind, self.noun)
        yield from self.schedule(trail, check)
        for name in check.then:
            if name not in self.noun.checks:
                hint = did_you_mean(name, self.noun.checks)
                yield self.at((*trail, "then"), f"there is no check {name!r}{hint}")

    def schedule(self, trail: Trail, check: Check) -> Iterator[Mistake]:
        if check.every is not None and check.cron is not None:
            yield self.at((*trail, "cron"), "every and cron are two schedules; keep one")
        if check.every is not None and check.every <= 0:
            yield self.at((*trail, "every"), "must be longer than nothing")
        if check.cron is not None and (reason := _no_cron(check.cron)):
            yield self.at((*trail, "cron"), reason)

    def circles(self) -> Iterator[Mistake]:
        """Checks that lead back to themselves."""
        for name in self.noun.checks:
            reached, ahead = [name], list(self.noun.checks[name].then)
            while ahead:
                following = ahead.pop()
                if following == name:
                    yield self.at(("checks", name, "then"), "leads back to itself")
                    break
                if following in self.noun.checks and following not in reached:
                    reached.append(following)
                    ahead += self.noun.checks[following].then


def _no_cron(text: str) -> str:
    """Why a text is no cron schedule, or nothing."""
    if len(text.split()) != 5:
        return "cron takes five fields: minute, hour, day of month, month, day of week"
    try:
        import cronsim
    except ImportError:
        return ""
    from datetime import UTC, datetime

    try:
        cronsim.CronSim(text, datetime(2024, 1, 1, tzinfo=UTC))
    except cronsim.CronSimError as error:
        return f"no cron schedule: {error}"
    return ""
