"""The verbs as Invoke sees them, and what `init` writes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from backout import tasks
from backout.commands import main, options
from backout.commands.options import Deploy, Options
from backout.starter import scaffold
from backout.starter.scaffold.detected import Detected

VERBS = tuple(map(tasks.Verb, options.VERBS))
ROOT = Path(__file__).parents[3]


class Heard(list[Options]):
    """Stands in for the composition root: hears what is asked, and answers a code."""

    code = 0

    def main(self, options: Options) -> int:
        self.append(options)
        return self.code


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()
    monkeypatch.setattr(main, "main", heard.main)
    return heard


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_word_of_a_verb_reaches_it_under_its_own_name(verb: Task[Any], heard: Heard) -> None:
    given = {word: object() for word in verb.argspec(verb.body).parameters}
    verb(Context(), **given)
    assert [vars(each) for each in heard] == [given]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_takes_json_and_explains_itself_and_its_words(verb: Task[Any]) -> None:
    arguments = verb.get_arguments()
    assert "json" in {argument.name for argument in arguments}
    assert all(argument.help for argument in arguments)
    assert verb.get_arguments()[0].help, "asked twice, it still explains its words"
    text = inspect.getdoc(verb) or ""
    assert "Example: " in text
    assert len(text.splitlines()[0]) <= 66, "one line of the list, on 80 columns"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_has_no_short_options_that_hide_invokes_own(verb: Task[Any]) -> None:
    assert not [name for each in verb.get_arguments() for name in each.names if len(name) == 1]


def test_zero_is_silent_and_anything_else_leaves_with_that_code(heard: Heard) -> None:
    tasks.act(Context(), Deploy())
    heard.code = 5
    with pytest.raises(Exit) as left:
        tasks.act(Context(), Deploy())
    assert left.value.code == 5


# --- init ------------------------------------------------------------------------------------


def test_init_writes_what_is_missing_and_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("mine")
    written, kept = scaffold.write(tmp_path, Detected("app"))
    assert (written, kept) == (["runbooks/deploy.yaml", "inventories/prod.yaml"], ["tasks.py"])
    assert (tmp_path / "tasks.py").read_text() == "mine"
    assert scaffold.write(tmp_path, Detected("app"))[0] == []


def test_the_sample_target_gets_the_port_that_is_free(tmp_path: Path) -> None:
    scaffold.write_local(tmp_path, 12345)
    text = (tmp_path / "inventories" / "local.yaml").read_text()
    assert yaml.safe_load(text)["vars"]["port"] == 12345
    assert scaffold.SAMPLE_PORT not in text


@pytest.mark.parametrize("name", ["runbooks/deploy.yaml", "inventories/local.yaml"])
def test_what_is_written_is_what_this_repository_itself_uses(name: str) -> None:
    assert (scaffold.HERE / Path(name).name).read_text() == (ROOT / name).read_text()
