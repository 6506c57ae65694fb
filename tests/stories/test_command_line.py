"""The command line under the real `invoke` and `backout`, with a stand-in for what they call."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit
from invoke.program import Program

from backout.commands import words
from backout.commands.options import VERBS, Options, refuse_unmeant
from backout.commands.options.base import MAY_BE_EMPTY
from backout.errors import Mistakes
from backout.tasks import ns
from support import warm
from support.measured import modules
from support.tools import venv_program

STAND_IN = """
import json, os, sys, types
app = types.ModuleType("backout.commands.main")
def main(options):
    print(json.dumps({"verb": options.name, "words": vars(options)}))
    return int(os.environ.get("STAND_IN_CODE", "0"))
app.main = main
import backout.commands
backout.commands.main = sys.modules["backout.commands.main"] = app
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.err, self.err

    @property
    def words(self) -> dict[str, Any]:
        told = json.loads(self.out)
        return {"verb": told["verb"], **{k: v for k, v in told["words"].items() if v}}


@dataclass(frozen=True)
class CommandLine:
    """One of the two programs, somewhere."""

    argv: tuple[str, ...]
    directory: Path
    name: str

    @property
    def typed(self) -> str:
        """How a person types it who called it so."""
        return self.argv[0] if self.name == "invoke" else "backout"

    def __call__(self, *words: str, env: Mapping[str, str] | None = None) -> Said:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory), **(env or {})}
        environment |= warm.about_python(os.environ)
        return Said(*warm.run(words, self.directory, environment, 60, self.argv))


@pytest.fixture(params=["invoke", "backout"])
def cli(request: pytest.FixtureRequest, tmp_path: Path) -> CommandLine:
    if request.param == "invoke":
        (tmp_path / "tasks.py").write_text(STAND_IN + "\nfrom backout.tasks import ns\n")
        return CommandLine((venv_program("invoke"),), tmp_path, "invoke")
    program = STAND_IN + "\nfrom backout.tasks import main\nsys.argv[0] = 'backout'\nmain()\n"
    return CommandLine((sys.executable, "-c", program), tmp_path, "backout")


def test_the_words_reach_the_verb(cli: CommandLine) -> None:
    said = cli("deploy", "--target", "prod", "--hosts", "web1,web2", "--message=Fix = it", "--yes")
    assert said.code == 0
    assert said.words == {
        "verb": "deploy",
        "target": "prod",
        "hosts": "web1,web2",
        "message": "Fix = it",
        "yes": True,
    }


def test_repeatable_words_add_up(cli: CommandLine) -> None:
    said = cli("run", "--runbook", "r", "--param", "a=1", "--param=b=2", "--accept-red", "alive")
    assert said.words["param"] == ["a=1", "b=2"]
    assert said.words["accept_red"] == ["alive"]


@pytest.mark.parametrize("code", range(1, 10))
def test_every_exit_code_reaches_the_shell(cli: CommandLine, code: int) -> None:
    assert cli("verify", env={"STAND_IN_CODE": str(code)}).code == code


def test_a_failing_verb_stops_the_ones_after_it(cli: CommandLine) -> None:
    said = cli("lint", "deploy", "--target", "prod", env={"STAND_IN_CODE": "2"})
    assert said.code == 2
    assert said.words["verb"] == "lint"


@pytest.mark.parametrize(
    ("words", "what", "next"),
    [
        (("deploy", "--taget", "prod"), "did you mean --target?", "--help deploy"),
        (("deplyo",), "did you mean deploy?", "--list"),
        (("--help", "deplyo"), "did you mean deploy?", "--list"),
        (("deploy", "--target"), "--target needs a value", "--help deploy"),
        (("deploy", "--target", "--yes"), "--target needs a value", "--help deploy"),
        (("deploy", "--yes=maybe"), "--yes takes no value", "--help deploy"),
        (("deploy", "prod"), "'prod'; did you mean --target prod?", "--help deploy"),
        (("--target", "prod", "deploy"), "--target stands behind the verb", "--list"),
        (("help", "deploy"), "there is no task 'help'; it is an option", "--help deploy"),
        (("help",), "there is no task 'help'", "--list"),
        (("show",), "show needs RUN", "--help show"),
        (("show", "--jsn"), "show needs RUN", "--help show"),
        (("logs", "--lines", "abc"), "--lines needs a whole number, and got 'abc'", "--help"),
        (("logs", "--lines=3x"), "--lines needs a whole number, and got '3x'", "--help"),
        (("--lst",), "did you mean --list?", "--list"),
        (("deploy", "--target", "prod", "--dry"), "--dry is not honoured", "plan --target prod"),
    ],
)
def test_mistaken_words_exit_2_with_three_lines(
    cli: CommandLine, words: tuple[str, ...], what: str, next: str
) -> None:
    said = cli(*words)
    assert said.code == 2
    assert said.out == ""
    first, state, following = said.err.splitlines()
    assert what in first
    assert state == "state: nothing was touched"
    assert following.startswith("next:  ")
    assert following.endswith(next)


def checked(*said: str) -> None:
    """The words as `backout` reads them. Raises Exit for mistaken ones."""
    program = Program(version="", namespace=ns)
    program.parse_core(["backout", *said])
    words.check(program.core, program.initial_context, ns, binary="backout")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_no_option_that_needs_a_value_goes_without_one(
    verb: type[Options], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not at the end, not before another option, not as nothing: it would mean all of them."""
    needed: Any = {each.name: "x" for each in fields(verb) if each.default is MISSING}
    for each in fields(verb):
        if each.default is MISSING or isinstance(each.default, bool | int):
            continue
        option = f"--{each.name.strip('_').replace('_', '-')}"
        for said in ([option], [option, "--json"]):
            with pytest.raises(Exit) as left:
                checked(verb.name, *needed.values(), *said)
            assert left.value.code == 2, said
            assert f"{option} needs a value" in str(left.value) + capsys.readouterr().out, said
        if each.name not in MAY_BE_EMPTY:
            empty: Any = {each.name: (" ",) if each.default == () else " "}
            with pytest.raises(Mistakes, match=f"{option} is empty"):
                refuse_unmeant(verb(**needed, **empty))
        odd = "Gr\udcfc\udcdfe"  # as a terminal in Latin-1 types it
        said_so: Any = {each.name: (odd,) if each.default == () else odd}
        with pytest.raises(Mistakes, match=f"{option} is not text in UTF-8"):
            refuse_unmeant(verb(**needed, **said_so))


def test_with_json_a_mistaken_word_is_one_object_on_stdout(cli: CommandLine) -> None:
    said = cli("deploy", "--taget", "prod", "--json")
    assert (said.code, said.err) == (2, "")
    told = json.loads(said.out)
    assert told["exit_code"] == 2
    assert told["error"] == {
        "what": "deploy has no option --taget; did you mean --target?",
        "where": "command line",
        "next": f"{cli.typed} --help deploy",
    }


def test_the_list_names_every_verb_on_one_line_each(cli: CommandLine) -> None:
    said = cli("--list")
    assert said.code == 0
    verbs = [line.split()[0] for line in said.out.splitlines() if line.startswith("  ")]
    own = sorted(options.name for options in VERBS if "." not in options.name)
    families = sorted(options.name for options in VERBS if "." in options.name)
    assert verbs == [*own, *families]


@pytest.mark.parametrize("words", [("--help", "deploy"), ("deploy", "--help")])
def test_help_tells_what_a_verb_does_and_what_its_words_mean(
    cli: CommandLine, words: tuple[str, ...]
) -> None:
    said = cli(*words)
    assert said.code == 0
    assert "Example: invoke deploy --target prod" in said.out
    assert "5 backing out is incomplete" in said.out
    assert "--param NAME=VALUE: a parameter of the runbook." in said.out


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_is_not_taken_for_the_name_of_a_run(cli: CommandLine, word: str) -> None:
    said = cli("show", word)
    assert said.code == 0
    assert "The run's name" in said.out


def test_tasks_and_their_options_are_completed(cli: CommandLine) -> None:
    names = cli("--complete", "--", f"{cli.name} ro").out.split()
    assert "rollback" in names
    options = cli("--complete", "--", f"{cli.name} rollback --").out.split()
    assert {"--to", "--target", "--yes", "--json"} <= set(options)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(cli: CommandLine, shell: str) -> None:
    said = cli("--print-completion-script", shell)
    assert said.code == 0
    assert cli.name in said.out


def test_invokes_own_options_keep_working(cli: CommandLine, tmp_path: Path) -> None:
    if cli.name == "invoke":
        cli = CommandLine((*cli.argv, "-r", str(cli.directory), "-c", "tasks"), Path("/"), "invoke")
    assert cli("lint").words == {"verb": "lint"}


def test_the_bare_program_lists_its_verbs(tmp_path: Path) -> None:
    said = CommandLine((venv_program("backout"),), tmp_path, "backout")()
    assert said.code == 0
    assert "rollback" in said.out
    assert "--prompt-for-sudo-password" not in said.out


def test_the_version_is_backouts_own(tmp_path: Path) -> None:
    said = CommandLine((venv_program("backout"),), tmp_path, "backout")("--version")
    assert said.out.startswith("Backout 0.")


def test_a_core_option_without_its_value_exits_2(tmp_path: Path) -> None:
    said = CommandLine((venv_program("backout"),), tmp_path, "backout")("--list-depth", "x")
    assert said.code == 2
    assert len(said.err.splitlines()) == 3


def test_another_repositorys_tasks_that_contain_these_are_left_to_invoke(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        textwrap.dedent(STAND_IN)
        + "from invoke import Collection, task\n"
        + "from backout.tasks import ns as backout_tasks\n"
        + "@task\ndef build(c, fast=False):\n    print(fast)\n"
        + "ns = Collection(build, backout=backout_tasks)\n"
    )
    cli = CommandLine((venv_program("invoke"),), tmp_path, "invoke")
    assert cli("build", "--fast").out == "True\n"
    assert cli("backout.deploy", "--target", "prod").words["target"] == "prod"


def test_a_repository_may_add_tasks_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from invoke import task\nfrom backout.tasks import ns\n"
        "@task\ndef build(c, fast=False):\n    print(fast)\nns.add_task(build)\n"
    )
    cli = CommandLine((venv_program("invoke"),), tmp_path, "invoke")
    assert cli("build", "--fast").out == "True\n"
    assert "did you mean build?" in cli("biuld").err


def test_listing_loads_nothing_heavy() -> None:
    heavy = {"fabric", "paramiko", "docker", "cel", "psycopg", "jinja2", "rich", "pycurl"}
    heavy |= {"pydantic", "procrastinate", "sqlite3"}
    heavy |= {"backout.model", "backout.errors", "backout.commands.main"}
    assert heavy.isdisjoint(modules("import backout.tasks"))


# --- with everything behind it ---------------------------------------------------------------


@pytest.fixture(params=["invoke", "backout"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> CommandLine:
    """A directory that `init` has just been run in."""
    backout = CommandLine((venv_program("backout"),), tmp_path, "backout")
    assert backout("init").code == 0
    return CommandLine((venv_program(request.param),), tmp_path, request.param)


def filled_in(project: CommandLine) -> CommandLine:
    """What a person does after `init`: their own host instead of the placeholder."""
    prod = project.directory / "inventories" / "prod.yaml"
    prod.write_text(prod.read_text().replace("web1.example.org", "203.0.113.11"))
    return project


def test_what_init_writes_is_free_of_mistakes_but_for_its_placeholder(
    project: CommandLine,
) -> None:
    said = project("lint")
    wrong = "web1.example.org is a placeholder: write your host's own name or address"
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[0] == f"inventories/prod.yaml:8 hosts.web1.address: {wrong}"
    said = filled_in(project)("lint")
    assert (said.code, said.err) == (0, "")
    assert "no mistake" in said.out


def test_init_keeps_what_is_there(project: CommandLine) -> None:
    runbook = project.directory / "runbooks" / "deploy.yaml"
    runbook.write_text("mine")
    told = json.loads(project("init", "--json").out)
    assert told["written"] == []
    assert runbook.read_text() == "mine"


def test_a_deploy_without_a_target_is_told_which_there_are(project: CommandLine) -> None:
    said = project("deploy")
    assert (said.code, said.out) == (2, "")
    assert "prod" in said.err
    assert len(said.err.splitlines()) == 3


@pytest.mark.parametrize("verb", ["plan", "verify", "status", "history", "rollback", "logs"])
def test_the_default_target_is_in_the_environment(project: CommandLine, verb: str) -> None:
    said = project(verb, env={"BACKOUT_TARGET": "nowhere"})
    assert said.code == 2
    assert "nowhere" in said.err


@pytest.mark.parametrize("words", [("deploy",), ("show", "nope"), ("run", "--target", "prod")])
def test_with_json_every_error_is_one_object(project: CommandLine, words: tuple[str, ...]) -> None:
    said = project(*words, "--json")
    told = json.loads(said.out)
    assert said.code == told["exit_code"] == 2
    assert set(told["error"]) == {"what", "where", "next"}
    assert told["error"]["next"]


def test_mistakes_are_told_all_at_once_with_file_and_line(project: CommandLine) -> None:
    bad = project.directory / "runbooks" / "bad.yaml"
    bad.write_text("steps:\n  - {name: One, run: rm x}\n  - {name: Two, rum: x}\n")
    said = project("lint")
    assert said.code == 2
    assert "runbooks/bad.yaml:2" in said.err
    assert "runbooks/bad.yaml:3" in said.err


def test_a_history_without_runs_says_so(project: CommandLine) -> None:
    assert project("history").out == "No run yet.\n"
    assert json.loads(project("history", "--json").out) == {"format": 1, "runs": []}


def test_the_history_of_no_target_is_a_mistake_and_no_empty_one(project: CommandLine) -> None:
    said = project("history", "--target", "typo")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("no 'typo' in inventories/")
