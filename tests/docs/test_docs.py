"""What the documents say is held against the product: files load, verbs and links exist.

A YAML block in a document is told by what is in it. A list is steps of a runbook; a mapping is a
runbook or an inventory, whole when it has `steps` or `hosts` and else a part. A part of an
inventory is laid over the annotated one in docs/inventories.md, and a part of a runbook is held
against that. A whole runbook is held against the whole inventory before it in the same document.
A block under `<!-- refused: words -->` must be refused in these words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from backout import model, tasks
from backout.config import loading, project_file
from backout.config.project_file import ProjectFile
from backout.errors import Mistakes
from backout.project.project import TABLES
from backout.steps.update import STRATEGIES

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = (ROOT / "docs" / "runbooks.md", ROOT / "docs" / "inventories.md")

RUNBOOK = {field.alias or name for name, field in model.Runbook.model_fields.items()}
INVENTORY = {*model.Target.model_fields, "extends", "groups"}

_FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?(?P<fence>```+)(?P<kind>[^\n]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\((?P<path>[^)\s#]*)(?:#(?P<anchor>[^)\s]*))?\)")


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    file: Path
    line: int
    kind: str
    text: str
    note: str = ""

    @property
    def place(self) -> str:
        return f"{self.file.name}:{self.line}"

    @property
    def data(self) -> Any:
        return yaml.safe_load(self.text)

    @property
    def refused(self) -> str:
        """The words in which it must be refused; none for most."""
        before, mark, words = self.note.partition("refused: ")
        return words if mark and not before else ""


def blocks(file: Path) -> Iterator[Block]:
    text = file.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("fence")) + 1
        yield Block(file, line, found["kind"].strip(), found["text"], found["note"] or "")


def prose(file: Path) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", file.read_text(encoding="utf-8"))


def code(file: Path) -> Iterator[str]:
    """Everything in a document that is set as code: lines of blocks, and spans in the text."""
    for block in blocks(file):
        yield from block.text.splitlines()
    yield from re.findall(r"(?m)^    (.+)$", prose(file))
    for span in _SPAN.finditer(prose(file)):
        yield span[2]


YAMLS = [block for file in DOCUMENTS for block in blocks(file) if block.kind == "yaml"]


def is_whole(block: Block, key: str) -> bool:
    return isinstance(block.data, dict) and key in block.data and not block.refused


STOCK = next(block for block in YAMLS if block.file == GUIDES[1] and is_whole(block, "hosts"))


# --- the files -----------------------------------------------------------------------------


def before(block: Block) -> Block:
    """The inventory that a runbook is meant for."""
    own = [
        other
        for other in YAMLS
        if other.file == block.file and other.line < block.line and is_whole(other, "hosts")
    ]
    return own[-1] if own and is_whole(block, "steps") else STOCK


def load(block: Block, root: Path) -> None:
    """Load what a block holds. Raises Mistakes."""
    write(root / "base.yaml", STOCK.text)
    keys = set(block.data) if isinstance(block.data, dict) else set()
    if isinstance(block.data, list):
        load_runbook(f"steps:\n{block.text}", block, root)
    elif keys <= RUNBOOK:
        rest = "" if keys & {"steps", "settle"} else PROOF
        load_runbook(block.text + rest, block, root)
    elif keys <= INVENTORY:
        rest = "" if keys & {"hosts", "extends"} else "extends: base\n"
        loading.load_target(write(root / "inventory.yaml", block.text + rest), TABLES)
    elif keys <= ProjectFile.model_fields.keys():
        write(root / project_file.NAME, block.text)
        project_file.load(root)
    else:
        pytest.fail(f"{block.place} is no file of a project: {sorted(keys)}")


PROOF = "settle: [{verify: all}]\n"


def load_runbook(text: str, block: Block, root: Path) -> None:
    """A runbook for its inventory; a part has the parameters that it mentions, and builds for the
    strategy that has releases."""
    if "params:" not in text and (named := set(re.findall(r"params\.(\w+)", text))):
        text += f"params: {{{', '.join(f'{name}: {{}}' for name in sorted(named))}}}\n"
    runbook = write(root / "runbook.yaml", text)
    meant = before(block).text
    if "build:" in text:
        meant = meant.replace("strategy: checkout", "strategy: releases")
    inventory = write(root / "inventory.yaml", meant)
    loading.load_pair(lambda: inventory, lambda: runbook, (), TABLES)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("block", YAMLS, ids=lambda block: block.place)
def test_every_yaml_block_loads_without_mistakes(block: Block, tmp_path: Path) -> None:
    if block.data is None:
        assert all(line.startswith("#") for line in block.text.split("\n") if line)
    elif block.refused:
        with pytest.raises(Mistakes) as refusal:
            load(block, tmp_path)
        assert block.refused in str(refusal.value)
    else:
        load(block, tmp_path)


# --- the verbs -----------------------------------------------------------------------------

VERBS = tasks.ns.task_names
DEV = ("dev.check", "dev.quick")
"""The tasks of this repository itself, in its tasks.py."""
OPTIONS = {
    verb: {name for each in tasks.ns[verb].get_arguments() for name in each.names} for verb in VERBS
}
_COMMAND = re.compile(
    r"(?<!from )\b(?:invoke|backout) (?!import)(?P<words>(?:--help )?[a-z][a-z.]*(?: .*)?)$"
)


def commands(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Every verb that a document has somebody type, and the options it is given."""
    for text in code(file):
        for part in re.split(r"(?<=.)(?=\b(?:invoke|backout) )|[;|]| && |, or ", text):
            if found := _COMMAND.search(part.strip()):
                words = found["words"].removeprefix("--help ").partition(" #")[0]
                verb, _, rest = words.partition(" ")
                yield verb, re.findall(r"--([a-z][a-z-]*)", rest)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_every_verb_that_is_named_exists_with_those_options(file: Path) -> None:
    for verb, options in commands(file):
        if verb in DEV:
            continue
        assert verb in VERBS, f"{file.name}: no verb {verb!r}"
        unknown = set(options) - OPTIONS[verb]
        assert not unknown, f"{file.name}: {verb} has no --{', --'.join(sorted(unknown))}"


def test_commands_are_found_in_the_readme() -> None:
    assert ("rollback", ["target", "to"]) in list(commands(ROOT / "README.md"))


# --- the links -----------------------------------------------------------------------------


def anchors(file: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"(?m)^#+ (.+)$", prose(file))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_every_relative_link_leads_somewhere(file: Path) -> None:
    for link in _LINK.finditer(prose(file)):
        if "://" in link["path"]:
            continue
        to = (file.parent / link["path"]).resolve() if link["path"] else file
        assert to.exists(), f"{file.name}: there is no {link['path']}"
        if link["anchor"]:
            assert link["anchor"] in anchors(to), f"{file.name}: no heading {link[0]}"


@pytest.mark.parametrize("folder", ["docs", "docs/decisions"])
def test_the_index_of_a_folder_names_every_document_in_it(folder: str) -> None:
    index = (ROOT / folder / "index.md").read_text(encoding="utf-8")
    named = {link["path"] for link in _LINK.finditer(index)}
    assert {file.name for file in (ROOT / folder).glob("*.md")} - {"index.md"} <= named


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_of_commands_names_every_verb_with_all_its_words(verb: str) -> None:
    rows = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").splitlines()
    cells = [
        row.split("|") for row in rows if re.match(rf"\| .*`{re.escape(verb)}( [A-Z]+)?`", row)
    ]
    assert cells, f"docs/commands.md: no row for {verb}"
    told = set(re.findall(r"`--([a-z-]+)`", cells[0][-2]))
    given = {each.name for each in tasks.ns[verb].get_arguments() if each.positional}
    options = {name for name in OPTIONS[verb] if len(name) > 1} - {"json", *given}
    assert {name.replace("_", "-") for name in options} <= told


# --- the keys ------------------------------------------------------------------------------

NOUNS = (
    model.Target,
    model.Host,
    model.Ssh,
    model.Source,
    model.SecretSource,
    model.Rollout,
    model.Retry,
    model.Alert,
    model.Check,
    model.Bake,
    model.Service,
    model.Runbook,
    model.Param,
    model.Step,
    model.Rule,
)
MADE = {"file", "kind", "options"}
"""Fields that are not written in a file."""


def keys_of(noun: type[model.Noun]) -> Iterator[str]:
    for name, field in noun.model_fields.items():
        if name not in MADE:
            yield field.alias or name


def kinds() -> Iterator[tuple[str, type[model.Noun]]]:
    for table in (TABLES.steps, TABLES.probes, TABLES.backends):
        for kind in table:
            yield kind, table[kind].Options


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Every word that the two guides set as code."""
    texts = [text for file in GUIDES for text in code(file)]
    return {word for text in texts for word in re.findall(r"[A-Za-z][\w-]*", text)}


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_every_key_of_a_file_is_explained(noun: type[model.Noun], words: set[str]) -> None:
    assert set(keys_of(noun)) <= words


@pytest.mark.parametrize(
    ("kind", "options"), list(kinds()), ids=lambda it: getattr(it, "__name__", it)
)
def test_every_kind_and_its_options_are_explained(
    kind: str, options: type[model.Noun], words: set[str]
) -> None:
    wanted = {kind, *(field.alias or name for name, field in options.model_fields.items())}
    assert wanted <= words


@pytest.mark.parametrize("kind", TABLES.probes)
def test_every_name_that_an_expectation_may_use_is_explained(kind: str) -> None:
    text = GUIDES[1].read_text(encoding="utf-8")
    section = text.partition(f"\n### `{kind}`\n")[2].partition("\n### ")[0]
    said = {word for span in _SPAN.finditer(section) for word in re.findall(r"\w+", span[2])}
    names: Mapping[str, str] = TABLES.probes[kind].names
    assert set(names) <= said


def test_every_strategy_of_update_is_explained(words: set[str]) -> None:
    assert set(STRATEGIES) <= words
