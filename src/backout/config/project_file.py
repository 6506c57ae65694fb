"""`backout.yaml` beside `tasks.py`: what holds for the whole project. All of it is optional."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from backout.config import freezes, yaml_tree
from backout.config.files import shown
from backout.config.yaml_tree import Node, shown_path
from backout.errors import Mistake, Mistakes
from backout.model import Freeze, Noun, SecretSource
from backout.model.units import Duration, zone_name
from backout.model.validation import did_you_mean, validated

NAME = "backout.yaml"
REFERENCES = "{env: NAME}, {command: …} or {file: PATH}"
"""How a secret is said."""


def _url(value: str) -> str:
    if value and urlsplit(value).scheme not in ("http", "https"):
        raise ValueError(f"{value!r} is no http or https URL")
    return value


def _source(value: Any) -> Any:
    if isinstance(value, str):
        if not value.replace("_", "").isalnum():
            raise ValueError(f"by reference only: {REFERENCES}, or NAME")
        return {"env": value}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(f"exactly one of {REFERENCES}, or NAME")
    return value


WAIT = 120.0
"""Seconds for which a run waits for its ledger, where nothing is said."""


class LedgerPlace(Noun):
    """The PostgreSQL that all machines share."""

    secret: Annotated[SecretSource, BeforeValidator(_source)]
    """Its connection string, by reference, for a password may stand in it: a source as an
    inventory's secrets have it; a word is the variable of the environment that holds it."""
    wait: Duration = WAIT
    """So long a run that is under way waits for a database that is gone."""


def zone_named(word: str) -> str:
    """A zone as it was typed. Raises Mistakes."""
    try:
        return zone_name(word)
    except ValueError as error:
        raise Mistakes(f"--zone: {error}", where="command line") from error


Zone = Annotated[str, AfterValidator(zone_name)]


class Workers(Noun):
    """Those that drive runs instead of whoever asked for them."""

    zone: Zone = "default"
    """Whose workers drive what is handed over, where nothing else is said."""
    rescue: Literal["ask", "back_out", "resume"] = "resume"
    """How a run that was handed over goes on when its driver is gone: a person decides, it is
    backed out, or finished."""
    after: Duration = 30.0
    """After so long without a sign of life a driver is gone."""
    grace: Duration = 600.0
    """So long a worker that is asked to stop drives on what it has begun; then it hands it over."""
    secret: Annotated[SecretSource | None, BeforeValidator(_source)] = None
    """Where workers listen, by reference, when the ledger's own address leads to a pooler: one
    that leads to the database itself."""


class WebView(Noun):
    """What `invoke serve` does where its words do not say; they go before it."""

    listen: str = "127.0.0.1:8643"
    """An address with its port, or a port alone."""
    listen_name: tuple[str, ...] = ()
    """Names that requests may call the server by."""
    proxy_from: tuple[str, ...] = ()
    """The addresses of a proxy that says who somebody is."""
    proxy_header: str = ""
    """In which header it says so."""


class ProjectFile(Noun):
    """What stands in it."""

    ledger: LedgerPlace | None = None
    """Where runs, records and releases are kept. Without it the journal is a file of this
    machine."""

    page: Annotated[str, AfterValidator(_url)] = ""
    """The address of the status page that messages give."""
    freeze: tuple[Freeze, ...] = ()
    """When nothing is deployed to any target."""
    runs: Literal["here", "workers"] = "here"
    """Who drives a run that nobody starts at a terminal, as in CI: whoever starts it, or `workers`,
    which are followed to its end."""
    workers: Workers = Workers()
    """Those who drive what is handed over."""
    zones: tuple[Zone, ...] = ()
    """All zones that there are. Without it a zone is there when a worker of it is, and nobody is
    told of one that is misspelled."""
    serve: WebView = WebView()
    """The web view."""

    def refuse_strange(self, zone: str, where: str) -> None:
        """Raises Mistakes for a zone that is none of those that are named."""
        if words := self.strange(zone):
            raise Mistakes(words, where=where)

    def strange(self, zone: str) -> str:
        """What is wrong with a zone; empty where nothing is, or no zones are named."""
        if not self.zones or zone in self.zones:
            return ""
        near = did_you_mean(zone, self.zones)
        return f"{zone} is none of the zones of {NAME}: {', '.join(self.zones)}{near}"


def load(root: Path) -> ProjectFile:
    """The project's file, or what holds without one. Raises Mistakes."""
    return read(root)[0]


def read(root: Path) -> tuple[ProjectFile, Node]:
    """The same, with its tree. Raises Mistakes."""
    path = root / NAME
    if not path.exists():
        return ProjectFile(), Node({}, NAME, 0)
    mistakes: list[Mistake] = []
    tree = yaml_tree.read(path, shown(path), mistakes)
    result = validated(ProjectFile, tree.data() or {}, lambda at, _: tree.find(at).text)
    if isinstance(result, tuple):
        mistakes += [
            Mistake(tree.file, tree.find(at).line, shown_path(at), message)
            for at, message in result
        ]
    else:
        mistakes += freezes.mistakes(tree, result.freeze, "")
        if words := result.strange(result.workers.zone):
            trail = ("workers", "zone")
            mistakes.append(Mistake(tree.file, tree.find(trail).line, shown_path(trail), words))
    if mistakes or isinstance(result, tuple):
        raise Mistakes(mistakes=mistakes)
    return result, tree
