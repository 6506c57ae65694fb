"""What a person is told to type next can be typed: how the program was called, how it came here."""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from backout.adapters import extras
from backout.adapters.extras import Installed
from backout.commands import typed
from backout.commands.options import VERBS
from backout.commands.typed import Program
from backout.errors import Interrupted, Mistake, Mistakes, Refused, Unreachable
from backout.project import needs
from backout.reports.objects import TargetList
from backout.reports.report import ErrorReport, Report
from backout.reports.states import Diagnosis, DoctorReport


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both programs, which PATH does not name."""
    folder = tmp_path / "Größe und Maß" / "bin"
    folder.mkdir(parents=True)
    for name in ("invoke", "backout"):
        (folder / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(folder.parent)
    return folder


def test_a_program_that_is_on_path_is_typed_by_its_name(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(programs))
    for name in ("invoke", "backout"):
        called = Program.called(str(programs / name), ["python", str(programs / name)])
        assert called.spell("invoke plan --target prod") == f"{name} plan --target prod"


def test_another_of_that_name_on_path_is_not_the_one_that_was_called(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "invoke").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Program.called("bin/invoke", ()).invoke == "bin/invoke"


def test_a_program_off_path_is_typed_as_it_was_and_quoted(programs: Path) -> None:
    assert Program.called("bin/backout", ()).spell("invoke status") == "bin/backout status"
    assert Program.called("bin/invoke", ()).spell("backout demo") == "bin/backout demo"
    called = Program.called(str(programs / "invoke"), ())
    assert called.spell("invoke lint") == f"'{programs}/invoke' lint"


@pytest.mark.parametrize("python", ["python3", ".venv/bin/python"])
@pytest.mark.parametrize("module", ["invoke", "backout"])
def test_a_module_is_typed_as_one(python: str, module: str) -> None:
    words = [python, "-m", module, "lint"]
    called = Program.called(f"/usr/lib/{module}/__main__.py", words)
    assert called.spell("invoke resume --target a") == f"{python} -m {module} resume --target a"
    assert called.spell("backout demo") == f"{python} -m backout demo"


@pytest.mark.parametrize("verb", [each.name for each in VERBS])
def test_every_verb_is_known_wherever_it_stands(verb: str) -> None:
    called = Program("X", "Y")
    said = f"look, then invoke {verb} --target a, or invoke {verb}; or: backout {verb}"
    assert called.spell(said) == f"look, then X {verb} --target a, or X {verb}; or: Y {verb}"


@pytest.mark.parametrize(
    "other", ["invoke nothing", "reinvoke lint", "invoke lint-all", "the backout of invoke"]
)
def test_what_is_no_command_of_ours_stays(other: str) -> None:
    assert Program("X", "Y").spell(other) == other


def test_no_hint_in_the_sources_names_a_verb_that_there_is_not() -> None:
    sources = Path(typed.__file__).parents[1].rglob("*.py")
    named = {
        name
        for s in sources
        for name in re.findall(r'next=f?"invoke ([a-z.]+)[ \"]', s.read_text())
    }
    assert named <= {each.name for each in VERBS}


def test_only_what_names_commands_is_spelled_in_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "program", lambda: Program("X", "Y"))
    said = "invoke lint"
    lacking = DoctorReport("prod", (Diagnosis("git", None, False, said, said),), said)
    cured = DoctorReport("prod", (Diagnosis("git", None, False, said, "X lint"),), "X lint")
    assert typed.told(lacking) == cured
    assert typed.told(TargetList((), said)).next == "X lint"
    run = {"run": "r", "target": "prod", "runbook": "deploy", "outcome": "refused", "exit_code": 3}
    refused = Report.read({**run, "reason": said, "error": {"what": said, "next": said}})
    told = typed.told(refused)
    assert (told.reason, told.error) == (said, ErrorReport(said, next="X lint"))
    assert typed.page(f"    {said}\nall of it: {said}") == f"    {said}\nall of it: X lint"


def test_a_refusal_for_which_nobody_knew_a_command_leads_to_the_next_try() -> None:
    for refusal in (Refused("no port is free"), Unreachable("web1 starts no shell")):
        assert typed.error(refusal).next == "put that right, then the same command again"
    assert typed.error(Interrupted("interrupted")).next == "the same command again"


def test_lint_is_the_cure_for_what_is_wrong_in_files_alone() -> None:
    in_file = Mistakes(mistakes=[Mistake("a.yaml", 3, "x", "no")])
    assert in_file.next == "invoke lint"
    for other in (Mistakes("--for: no"), Mistakes(mistakes=[Mistake("--param", 0, "x", "no")])):
        assert typed.error(other, "deploy").next.endswith(" --help deploy")
    assert typed.error(Mistakes("no", next="git fetch"), "deploy").next == "git fetch"


# --- extras --------------------------------------------------------------------------------


def installed(folder: Path, origin: object = None) -> Installed:
    """A Backout as pip leaves it, with a record of where it came from."""
    about = folder / "backout-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: backout\nVersion: 1\nProvides-Extra: docker\n"
        "Provides-Extra: watch\nRequires-Dist: invoke\n"
        "Requires-Dist: docker<8,>=7.1 ; extra == 'docker'\n"
        "Requires-Dist: no-such-thing>=2; extra == 'watch'\n"
    )
    if origin:
        (about / "direct_url.json").write_text(json.dumps(origin))
    return Installed(Distribution.at(about), folder, "/venv/bin/python")


PIP = "/venv/bin/python -m pip install"


def test_an_install_line_is_for_the_way_it_was_installed(tmp_path: Path) -> None:
    clone = tmp_path / "Größe und Maß"
    clone.mkdir()
    here = {"url": clone.as_uri(), "dir_info": {"editable": True}}
    assert installed(tmp_path / "1", here).getting("docker") == f"{PIP} -e '{clone}[docker]'"
    here = {"url": clone.as_uri(), "dir_info": {}}
    assert installed(tmp_path / "2", here).getting("docker") == f"{PIP} '{clone}[docker]'"
    assert installed(tmp_path / "3").getting("docker") == f"{PIP} 'backout[docker]'"
    gone = {"url": "file:///nowhere/backout-1-py3-none-any.whl", "archive_info": {}}
    assert installed(tmp_path / "4", gone).getting("docker") == f"{PIP} 'backout[docker]'"
    git = {"url": "https://git.invalid/backout.git", "vcs_info": {"vcs": "git"}}
    following = installed(tmp_path / "5", git).getting("docker")
    assert following == f"{PIP} 'backout[docker] @ git+https://git.invalid/backout.git'"


def test_pipx_and_uv_are_asked_in_their_own_words(tmp_path: Path) -> None:
    made = installed(tmp_path)
    (tmp_path / "uv-receipt.toml").touch()
    assert made.getting("docker") == "uv tool install backout --with 'docker<8,>=7.1'"
    both = "--with 'docker<8,>=7.1' --with 'no-such-thing>=2'"
    assert made.getting("watch") == f"uv tool install backout {both}", "docker is there, and stays"
    (tmp_path / "pipx_metadata.json").touch()
    assert made.getting("docker") == "pipx inject backout 'docker<8,>=7.1'"


def test_what_is_missing_of_an_extra_is_told_by_its_own_metadata(tmp_path: Path) -> None:
    made = installed(tmp_path)
    assert made.lacks("docker") == []
    assert made.lacks("watch") == ["no-such-thing"]
    assert made.extra_of("no_such_thing") == "watch"
    assert made.extra_of("nobody") == ""


def test_this_installation_brings_every_extra_that_the_sources_name() -> None:
    here = Installed.here()
    assert here
    for extra in ("docker", "postgres", "watch", "web"):
        assert here.requirements(extra), extra
        assert here.lacks(extra) == []
    told = Refused("no", next="pip install 'backout[docker]'")
    assert "[docker]" in typed.error(told).next
    assert typed.error(told).next != "pip install 'backout[docker]'"


def test_what_is_missing_is_refused_with_the_line_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = installed(tmp_path)
    monkeypatch.setattr(Installed, "here", classmethod(lambda _: made))
    needs.refuse_missing(("", "docker"), "prod")
    with pytest.raises(Refused, match="prod needs what is not installed: no-such-thing") as said:
        needs.refuse_missing(("docker", "watch", "watch"), "prod")
    assert typed.error(said.value).next == f"{PIP} 'backout[watch]'"


def test_sources_that_nobody_installed_know_of_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Installed, "here", classmethod(lambda _: None))
    needs.refuse_missing(("docker",), "prod")
    assert typed.error(Refused("no", next=extras.hint("web"))).next == "pip install 'backout[web]'"
