"""JSON Schemas of runbooks and inventories, for editors: generated from the models and tables.

`python -m backout.schemas` writes them beside this file. They describe the form of a file; names,
templates and expressions are for `invoke lint`.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backout.model import Balancer, Check, Cleanup, Host, Options, Runbook, Service, Step, Target
from backout.registry import Tables

Schema = dict[str, Any]
FOLDER = Path(__file__).parent

_WORDS = {
    "on": "A group, a host, or `all`: once per host. Without it: once, on this machine.",
    "when": "A CEL expression; the step is skipped unless it is true.",
    "cwd": "The directory it runs in.",
    "env": "Environment variables; values may be {{ templates }}.",
    "timeout": "How long it may take.",
    "retry": "Try again `every` so often `for` so long.",
    "save": "Name -> CEL expression over the result; later ones use it as `saved.NAME`.",
    "undo": "The way back. It may run where the step never acted, and must do no harm there.",
    "check": "Shell: exit 0 when the step's work is done already, 1 when not.",
    "readonly": "It changes nothing, so it needs no way back.",
    "retry_safe": "It may run twice.",
    "irreversible": "Why there is no way back: a point of no return.",
    "net": "Checks that must pass right before a step that is `irreversible`.",
    "follows": "The lines of the note that it was made from; `lint` tells when they changed.",
    "expect": "CEL expressions that must all be true.",
    "then": "Checks that use what this one saved.",
    "cleanup": "What removes the check's traces, whatever became of it.",
    "baseline": "What it must say before the change.",
    "every": "How often it runs on a schedule.",
    "cron": "When it runs on a schedule: five fields.",
    "alert": "How many bad results open an alert, how many good ones resolve it.",
    "preflight": "Reads only; on every host, before the first change.",
    "steps": "Each knows its way back before it acts.",
    "settle": "Runs after the steps of a batch, and again after backing out.",
    "finally": "Runs at the end, whatever happened.",
    "diagnose": "On a failed check: the first rule that holds speaks.",
    "params": "Words the operator may give with --param.",
    "document": "The note that this runbook encodes.",
    "summary": "What it is for, in one sentence.",
    "extends": "Another inventory, laid under this one; mappings merge.",
    "protected": "Changing it asks for the target's name.",
    "rehearsed": "A runbook is begun only when its way back was rehearsed as it is now.",
    "groups": "Variables and services of the hosts of a group.",
    "hosts": "The machines.",
    "checks": "What proves that the target works.",
    "secrets": "Where secrets are fetched; by reference only, never by value.",
    "notify": "Where alerts and the messages of deploys go: Apprise URLs. A list is of alerts.",
    "severity": "How much it matters: info, warning or critical.",
    "doc": "A link or a sentence for the person who is woken.",
    "maintenance": "Windows by schedule, in which nothing is told.",
    "freeze": "When nothing is deployed, and why; the way back is always open.",
    "vars": "Values for templates, as `vars.NAME`.",
    "bake": "After a deploy: watch harder, and revert once if it goes bad.",
    "balancers": "What stands in front of the hosts, and takes them out of traffic.",
    "rollout": "Batches over the hosts, and how many of them may fail in all.",
}


def runbook(tables: Tables) -> Schema:
    """The schema of `runbooks/*.yaml`."""
    schema = _schema(Runbook, "name", "file")
    defs = schema["$defs"]
    defs["Step"] = _kinds(_schema(Step, "kind", "options"), tables.steps, defs)
    defs["Step"]["required"] = []  # a step without a name has its kind's
    defs["Step"]["oneOf"] = [{"required": [kind]} for kind in tables.steps]
    return _finished(schema, "A runbook", defs)


def inventory(tables: Tables) -> Schema:
    """The schema of `inventories/*.yaml`."""
    schema = _schema(Target, "name", "file")
    defs = schema["$defs"]
    defs["Service"] = _backed(_schema(Service, "options"), tables.backends, defs)
    balancer = _schema(Balancer, "name", "options")
    defs["Balancer"] = _backed(balancer, tables.balancers, defs)
    defs["Host"] = _nullable(_schema(Host, "name"))
    defs["Check"] = _kinds(_schema(Check, "name", "kind", "options"), tables.probes, defs)
    one = [{"required": [kind]} for kind in tables.probes]
    defs["Check"]["oneOf"] = [*one, {"not": {"anyOf": one}}]  # the kind may stand in the base
    defs["Cleanup"] = _kinds(_schema(Cleanup, "kind", "options"), tables.probes, defs)
    zone = schema["$defs"]["Host"]["properties"]["zone"]
    group = {"vars": {"type": "object"}, "service": {"$ref": "#/$defs/Service"}, "zone": zone}
    _destinations(schema)
    schema["properties"] |= {
        "extends": {"type": "string"},
        "groups": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": group,
                "additionalProperties": False,
            },
        },
    }
    return _finished(schema, "An inventory", defs)


def _destinations(schema: Schema) -> None:
    """A URL alone stands for a destination, and a list of destinations for those of alerts."""
    lists = schema["$defs"]["Notices"]["properties"]
    for key, model in (("alerts", "Notify"), ("deploys", "Destination")):
        one = {"anyOf": [{"type": "string"}, {"$ref": f"#/$defs/{model}"}]}
        lists[key] |= {"items": one}
    alerts = {"type": "array", "items": lists["alerts"]["items"]}
    schema["properties"]["notify"] |= {"anyOf": [alerts, {"$ref": "#/$defs/Notices"}]}
    schema["properties"]["notify"].pop("$ref", None)


def write(tables: Tables, folder: Path = FOLDER) -> tuple[Path, ...]:
    """Write both schemas, and say where."""
    written = []
    for name, schema in (("runbook", runbook(tables)), ("inventory", inventory(tables))):
        path = folder / f"{name}.schema.json"
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    return tuple(written)


# --- pieces ------------------------------------------------------------------------------


def _schema(model: type[BaseModel], *without: str) -> Schema:
    """A model's schema, less what a file does not write, with its fields' own words."""
    schema = model.model_json_schema(ref_template="#/$defs/{model}")
    for inner, told in _told(model, schema).items():
        if inner in schema["properties"]:
            schema["properties"][inner]["description"] = told
    for name in without:
        schema["properties"].pop(name, None)
    schema["required"] = [name for name in schema.get("required", ()) if name not in without]
    schema.setdefault("$defs", {})
    return schema


def _told(model: type[BaseModel], schema: Schema) -> dict[str, str]:
    """What is said of each field: the text under it, or the words every author knows."""
    told = {name: _WORDS[name] for name in schema["properties"] if name in _WORDS}
    if issubclass(model, Options):
        told = {}
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    statements = getattr(body, "body", [])
    for field, text in pairwise(statements):
        named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        said = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if named and said:
            alias = model.model_fields.get(field.target.id)
            told[(alias and alias.alias) or field.target.id] = inspect.cleandoc(text.value.value)
    return told


def _kinds(schema: Schema, table: Mapping[str, Any], defs: Schema) -> Schema:
    """Add each kind's key, long and short."""
    for kind, row in table.items():
        schema["properties"][kind] = _options(row, defs)
    defs |= schema.pop("$defs")
    schema["additionalProperties"] = False
    return schema


def _options(row: Any, defs: Schema) -> Schema:
    long = _schema(row.Options)
    defs |= long.pop("$defs")
    told = inspect.cleandoc(row.__doc__ or long.get("description", ""))
    forms = [_nullable(long) if not long.get("required") else long]
    if row.Options.short:
        name = row.Options.short
        others = [field for field in long.get("required", []) if field != name]
        forms += [] if others else [long["properties"][name]]
    return {"description": told, "anyOf": forms}


def _backed(common: Schema, table: Mapping[str, Any], defs: Schema) -> Schema:
    """A whole one of one backend, or a part of one that is laid over another."""
    properties = common["properties"]
    part = {key: value for key, value in properties.items() if key != "backend"}
    whole = []
    for backend, row in table.items():
        options = _schema(row.Options)
        defs |= options.pop("$defs")
        part |= options["properties"]
        own = {**properties, **options["properties"], "backend": {"const": backend}}
        whole.append(_closed(own, ["backend"], options.get("description", "")))
    return {"description": common["description"], "anyOf": [*whole, _closed(part, [], "")]}


def _closed(properties: Schema, required: list[str], told: str) -> Schema:
    return {
        "type": "object",
        **({"description": told} if told else {}),
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": ["object", "null"]}


def _finished(schema: Schema, title: str, defs: Schema) -> Schema:
    inner = {name: _loosened(definition) for name, definition in sorted(defs.items())}
    outer = _loosened({key: value for key, value in schema.items() if key != "$defs"})
    used = _used(outer, inner)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{title} of Backout",
        **outer,
        "$defs": {name: value for name, value in inner.items() if name in used},
    }


def _used(schema: Any, defs: Schema) -> set[str]:
    """The definitions that a schema refers to, and those refer to."""
    found: set[str] = set()
    waiting = list(_refs(schema))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _refs(defs[name])
    return found


def _refs(schema: Any) -> Iterable[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield str(schema["$ref"]).rpartition("/")[2]
        for inner in schema.values():
            yield from _refs(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _refs(inner)


def _loosened(schema: Any) -> Any:
    """As the loader takes it: a number may stand for text, one word for a list of one."""
    if isinstance(schema, list):
        return [_loosened(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        key: {name: _loosened(inner) for name, inner in value.items()}
        if key == "properties"
        else _loosened(value)
        for key, value in schema.items()
        if key not in ("title", "default", "$defs")
    }
    if found.get("type") == "string" and not {"enum", "const", "pattern"} & found.keys():
        return {**found, "type": ["string", "number", "boolean"]}
    if found.get("type") == "array" and "items" in found:
        told = {"description": found.pop("description")} if "description" in found else {}
        return {**told, "anyOf": [found, found["items"]]}
    return found
