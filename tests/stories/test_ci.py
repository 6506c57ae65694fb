"""What a CI job is told beside its log: annotations at lines, outputs, a summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from support.project import Project, Said

HOSTILE = "::error file=x::gotcha\n```\n# Deployed\n::set-output name=run::forged ##vso[x]"


@dataclass(frozen=True)
class Job:
    """A project below the top of a repository, in a job of GitHub Actions."""

    top: Path
    project: Project

    def say(self, *words: str) -> Said:
        env = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.top),
            "GITHUB_OUTPUT": str(self.top / "output"),
            "GITHUB_STEP_SUMMARY": str(self.top / "summary"),
            "TOKEN": "hunter:2%3",
        }
        return self.project.say(*words, env=env)

    @property
    def outputs(self) -> dict[str, str]:
        lines = (self.top / "output").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def summary(self) -> str:
        return (self.top / "summary").read_text()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    project = Project(tmp_path / "ops, here")
    project.inventory(
        "prod",
        {
            "hosts": {"here": {"connection": "local"}},
            "secrets": {"token": {"env": "TOKEN"}},
            "checks": {"alive": {"command": "true", "expect": ["exit_code == 0"]}},
        },
    )
    return Job(tmp_path, project)


def commands(said: Said) -> list[str]:
    """What GitHub's runner would obey, groups aside."""
    lines = (line.strip() for line in f"{said.out}\n{said.err}".splitlines())
    return [
        line
        for line in lines
        if line.startswith("::") and not line.startswith(("::group::", "::endgroup::"))
    ]


def test_each_mistake_is_an_annotation_at_its_line_in_the_repository(job: Job) -> None:
    steps = [{"name": "One", "run": "true", "readonly": True, "tmeout": "1s"}]
    job.project.runbook("deploy", {"steps": steps, "sumary": "100 %"})
    said = job.say("lint")
    assert said.code == 2
    told = commands(said)
    assert len(told) == 2
    for line in told:
        assert line.startswith("::error file=ops%2C here/runbooks/deploy.yaml,line="), line
    assert any("tmeout" in line for line in told)
    assert not (job.top / "summary").exists(), "there was no run"


def test_a_run_leaves_its_outputs_and_its_summary(job: Job) -> None:
    step = {"name": "ProbeRequest", "run": "true", "on": "all", "readonly": True}
    job.project.runbook("deploy", {"steps": [step], "settle": [{"verify": "all"}]})
    said = job.say("deploy", "--target", "prod", "--yes")
    assert said.code == 0, said.out + said.err
    assert commands(said) == []
    assert job.outputs["outcome"] == "succeeded"
    assert job.outputs["release"] == "1"
    shown = job.say("show", job.outputs["run"], "--json")
    assert shown.data["run"] == job.outputs["run"]
    assert job.summary.startswith("### Deployed release 1")
    verified = job.say("verify", "--target", "prod", "--json")
    assert verified.code == 0
    assert verified.data["verdict"] == job.outputs["outcome"] == "pass"


def test_what_a_host_says_stays_text_in_all_of_them(job: Job) -> None:
    (job.project.directory / "said").write_text(HOSTILE)
    step = {
        "name": "Say ::error::it",
        "run": 'cat said; echo "$TOKEN"; echo "::warning::no" >&2; exit 7',
        "cwd": str(job.project.directory),
        "on": "all",
        "undo": "true",
        "env": {"TOKEN": "{{ secrets.token }}"},
    }
    job.project.runbook("deploy", {"steps": [step], "settle": [{"verify": "all"}]})
    said = job.say("deploy", "--target", "prod", "--yes")
    assert said.code == 4, said.out + said.err
    (told,) = commands(said)
    assert told.startswith("::error::Backed out: here: Say ::error::it failed")
    assert set(job.outputs) == {"run", "release", "outcome"}
    assert job.outputs["outcome"] == "backed_out"
    fence = next(line for line in job.summary.splitlines() if line.startswith("```"))
    assert fence == "````text"
    assert job.summary.rstrip().endswith("````")
    assert "hunter" not in said.out + said.err + job.summary + told
    assert "gotcha" in job.summary


def test_a_refusal_is_an_annotation_and_without_github_nothing_is_written(job: Job) -> None:
    job.project.runbook("deploy", {"steps": [{"verify": "all"}]})
    said = job.say("status", "--target", "nothing")
    (told,) = commands(said)
    assert told.startswith("::error::no 'nothing' in inventories/")
    assert "%0A" in told, "what to type next is in it"
    assert not (job.top / "output").exists()
    plain = job.project.say("status", "--target", "nothing")
    assert commands(plain) == []
