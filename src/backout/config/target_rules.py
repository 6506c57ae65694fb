"""What is wrong with an inventory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backout.config import balancers, comparing, freezes, slots
from backout.config.cron import no_cron
from backout.config.judge import (
    NOBODYS,
    SOURCE,
    Judge,
    bare,
    is_doubted,
    names_known,
    secret_holders,
    unsure_checks,
    without_value,
)
from backout.config.yaml_tree import Node, Trail
from backout.errors import Mistake
from backout.language import templates
from backout.language.jinja import CannotRender, Known, SecretRef
from backout.model import Check, Service, Target
from backout.model.validation import did_you_mean
from backout.registry import Tables


class TargetJudge(Judge):
    """Of an inventory."""

    def __init__(self, noun: Target, tree: Node, tables: Tables, said: Sequence[Mistake]) -> None:
        super().__init__(tree, tables, said)
        self.noun = noun
        self.unsure = frozenset(unsure_checks(noun, said))
        self.hidden = secret_holders(noun)
        self.empty = without_value(noun)
        self.saved = {name for check in noun.checks.values() for name in check.save}

    def mistakes(self) -> Iterator[Mistake]:  # noqa: C901 - a branch for each key
        yield from self.hosts()
        yield from self.twins()
        yield from self.variables()
        for key, node in self.tree.items():
            if key in ("hosts", "groups"):
                for name, _inner in node.items():
                    yield from self.place((key, name))
            elif key == "service":
                yield from self.service((key,), names_known(self.noun, None, ()))
            elif key == "balancers":
                for name, _inner in node.items():
                    yield from self.balancer((key, name))
            elif key in ("notify", "deadman"):
                yield from self.template((key,), names_known(self.noun, None, ()))
            elif key == "source":
                yield from self.source()
            elif key == "rollout":
                yield from self.rollout()
            elif key not in ("vars", "checks"):
                yield from self.plain((key,))
        for number, window in enumerate(self.noun.maintenance):
            if reason := no_cron(window.cron):
                yield self.at(("maintenance", number, "cron"), reason)
            for place, name in enumerate(window.checks):
                if name not in self.noun.checks:
                    hint = did_you_mean(name, self.noun.checks)
                    yield self.at(
                        ("maintenance", number, "checks", place), f"no check {name!r}{hint}"
                    )
        if self.tree.get("notify"):
            yield from self.destinations()
        zone = self.noun.timezone if self.tree.get("timezone") else ""
        yield from freezes.mistakes(self.tree, self.noun.freeze, zone)
        for name, check in self.noun.checks.items():
            if check.kind:
                yield from self.check(("checks", name), check)
        yield from self.circles()
        yield from balancers.mistakes(self.noun, self.at)
        yield from comparing.mistakes(self.noun, self.tables.balancers, self.at)
        yield from slots.mistakes(self.noun, self.tables.backends, self.at)

    def balancer(self, trail: Trail) -> Iterator[Mistake]:
        """What a balancer's words may use: `member` and its own options, those of each host."""
        known = names_known(self.noun, "all", ())
        options = self.noun.balancers[str(trail[-1])].options
        shell = [name.rstrip("_") for name in options.shell_fields] if options else []
        for key, _node in self.tree.find(trail).items():
            yield from self.template((*trail, key), known, in_shell=key in shell, told=True)

    def rollout(self) -> Iterator[Mistake]:
        """Only what Prometheus is asked is rendered: for each host."""
        for key, _node in self.tree.find(("rollout",)).items():
            if key != "compare":
                yield from self.plain(("rollout", key))
        compare = self.noun.rollout.comparing
        if not (compare and compare.prometheus):
            yield from self.plain(("rollout", "compare"))
            return
        asked: Trail = ("rollout", "compare", "prometheus")
        each = names_known(self.noun, "all", (), window=())
        for key, _node in self.tree.find(asked).items():
            own = key in ("requests", "errors", "latency")
            known = each if own else names_known(self.noun, None, ())
            yield from self.template((*asked, key), known)

    def destinations(self) -> Iterator[Mistake]:
        for trail, node in self.tree.find(("notify",)).scalars(("notify",)):
            text = str(node.value or "")
            if node.unwritten:
                continue
            if trail[-1] != "severity" and "://" not in text and "{{" not in text:
                wrong = f"{text!r} is no address to write to, such as slack://… or mailto://…"
                yield self.at(trail, wrong)

    def source(self) -> Iterator[Mistake]:
        """Only the image's name is rendered: it may hold the release's commit."""
        for name, _node in self.tree.find(("source",)).items():
            if name == "image":
                yield from self.template(
                    ("source", name), names_known(self.noun, None, ()), told=True
                )
            else:
                yield from self.plain(("source", name))

    def hosts(self) -> Iterator[Mistake]:
        for name, host in self.noun.hosts.items():
            trail: Trail = ("hosts", name)
            if NOBODYS.search(host.address) and not self.noun.example:
                wrong = f"{host.address} is a placeholder: write your host's own name or address"
                yield self.at((*trail, "address"), wrong)
            if host.zone and host.connection != "ssh":
                wrong = "workers of a zone reach it over SSH: leave zone out, or connection"
                yield self.at((*trail, "zone"), wrong)
            if "all" in (name, *host.groups):
                yield self.at(trail, "'all' names every host; choose another name")
            for group in host.groups:
                if group in self.noun.hosts:
                    yield self.at(trail, f"{group!r} is a host, it cannot be a group too")

    def twins(self) -> Iterator[Mistake]:
        """A host is a machine: two that share an address, or that both are this machine."""
        seen: dict[tuple[str, int | None], str] = {}
        for name, host in self.noun.hosts.items():
            if (machine := host.machine) and (other := seen.setdefault(machine, name)) != name:
                local = host.connection == "local"
                words = "both are this machine" if local else "both have the same address"
                yield self.at(("hosts", name), f"{other} and {name} are one machine: {words}")

    def place(self, trail: Trail) -> Iterator[Mistake]:
        """A host's or a group's own words."""
        known = names_known(self.noun, "all", ())
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
        if any(each.bluegreen for each in self._services()):
            known = {**known, "slot": slots.NAMES}
        for key, _node in self.tree.find(trail).items():
            in_shell = key in slots.IN_SHELL
            told = key not in secret and not in_shell
            yield from self.template((*trail, key), known, told=told, in_shell=in_shell)
        yield from self.misnamed(trail)

    def misnamed(self, trail: Trail) -> Iterator[Mistake]:
        """A name that its backend takes for several services, or for another one."""
        named = self.tree.find(trail).get("name")
        for service in self._services() if named else ():
            mine = named and named.value == service.name and "{{" not in service.name
            if mine and (words := service.options.misnamed(service.name)):
                yield self.at((*trail, "name"), words)
                return

    def _services(self) -> Iterator[Service]:
        found = (self.noun.service, *(host.service for host in self.noun.hosts.values()))
        yield from (each for each in found if each and each.options)

    def variables(self) -> Iterator[Mistake]:
        """Variables depend on nothing that is not in the file, so they are resolved here."""
        scope = {
            "secrets": {name: SecretRef(name) for name in self.noun.secrets},
            "target": {"name": self.noun.name},
            "source": dict.fromkeys(SOURCE, ""),
        }
        every = {*self.noun.vars, *(name for h in self.noun.hosts.values() for name in h.vars)}
        known = {
            "vars": every,
            "secrets": self.noun.secrets,
            "target": ("name",),
            "source": SOURCE,
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
        known = names_known(self.noun, check.on, self.saved, run=("id",))
        facts = {**bare(known), **dict.fromkeys(("baseline", *kind.names))}
        yield from self.expectations(trail, check, kind, facts)
        yield from self.saves((*trail, "save"), check.save, facts)
        yield from self.options((*trail, check.kind), kind, known)
        yield from self.slips((*trail, check.kind), check.options)
        if check.cleanup is not None:
            cleaner = self.tables.probes[check.cleanup.kind]
            yield from self.options((*trail, "cleanup", check.cleanup.kind), cleaner, known)
        for key, _node in self.tree.find(trail).items():
            if key not in (check.kind, "cleanup"):
                yield from self.plain((*trail, key))
        if getattr(kind, "per_host", False) and check.on is None:
            yield self.at(trail, f"{check.kind} looks at hosts; add on: all, a group or a host")
        if "hosts" not in self.unsure:
            yield from self.selects(trail, check.on, self.noun)
        if self.unsure.isdisjoint(("hosts", "service", "source")):
            yield from self.needs(trail, check, kind, self.noun)
        yield from self.schedule(trail, check)
        yield from self.zones(trail, check)
        for name in check.then:
            if name not in self.noun.checks:
                hint = did_you_mean(name, self.noun.checks)
                yield self.at((*trail, "then"), f"there is no check {name!r}{hint}")

    def expectations(
        self, trail: Trail, check: Check, kind: Any, facts: Known
    ) -> Iterator[Mistake]:
        proves = check.expect or getattr(kind, "judges_itself", False)
        if not proves and not is_doubted(self.said, trail, "expect"):
            yield self.at(trail, "a check without expect proves nothing; add expect: […]")
        listed = isinstance(self.tree.find((*trail, "expect")).value, list)
        kinds = getattr(kind, "kinds", {})
        for index, text in enumerate(check.expect):
            inner = (*trail, "expect", index) if listed else (*trail, "expect")
            yield from self.expression(inner, text, facts, kinds, wanted="a boolean")

    def schedule(self, trail: Trail, check: Check) -> Iterator[Mistake]:
        if check.every is not None and check.cron is not None:
            yield self.at((*trail, "cron"), "every and cron are two schedules; keep one")
        if check.every is not None and check.every <= 0:
            yield self.at((*trail, "every"), "must be longer than nothing")
        if check.cron is not None and (reason := no_cron(check.cron)):
            yield self.at((*trail, "cron"), reason)

    def zones(self, trail: Trail, check: Check) -> Iterator[Mistake]:
        """Who looks, and how many of them have to agree."""
        for number, zone in enumerate(check.from_):
            if zone in check.from_[:number]:
                yield self.at((*trail, "from"), f"zone {zone} is named twice; keep one")
        if check.agree is not None and not check.from_:
            wrong = "agree counts zones, and there is no from; add from: [eu, us], or remove it"
            yield self.at((*trail, "agree"), wrong)
        elif check.agree is not None and check.agree > len(check.from_):
            wrong = f"{check.agree} zones cannot agree where from names {len(check.from_)}"
            yield self.at((*trail, "agree"), f"{wrong}; name more of them, or ask for fewer")
        ahead = [other.name for other in self.noun.checks.values() if check.name in other.then]
        if check.from_ and ahead:
            wrong = f"it is looked at with {ahead[0]}, from wherever that is; say from there"
            yield self.at((*trail, "from"), wrong)

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
