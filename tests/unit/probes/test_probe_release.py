"""`release`: how a service is defined is a part of what is on a host; a change of it is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from importlib.resources import files

import pytest

from backout.checks import drift
from backout.model import Check, Finding, Host, Service, Target, Verdict
from backout.model import Release as Made
from backout.ports import ProbeRequest, Recorded
from backout.probes.release import Release, ReleaseOptions
from support.git_origin import GitOrigin
from support.looks import Backend, Secrets
from support.transports import Shell

UNIT = "# /etc/systemd/system/api.service\n[Service]\nExecStart=/srv/api/run\n"
HOST = Host(name="web1")


class Defining(Backend):
    """A backend whose service is defined so."""

    def __init__(self, **texts: str | None) -> None:
        super().__init__()
        self.texts = texts

    def definition(self) -> Mapping[str, str | None]:
        return self.texts


def standing(backend: Defining) -> tuple[str, ...]:
    options = ReleaseOptions()
    look = ProbeRequest(
        check=Check(name="left", kind="release", options=options),
        options=options,
        host=HOST,
        timeout=30.0,
        transport=Shell(),
        restarter=lambda: backend,
        vault=Secrets(),
        target=Target(
            name="prod", hosts={"web1": HOST}, service=Service(name="api", backend="systemd")
        ),
        memory={},
        known_good=None,
    )
    seen = Release().observe(look)
    assert not seen.error
    return tuple(seen.facts["standing"])


def judged(before: Defining, now: Defining) -> Finding:
    made = Made(3, "")
    recorded = Recorded(release=made, says=made, same_run=True, standing=standing(before))
    found = Finding("left", "web1", Verdict.PASS, facts={"standing": list(standing(now))})
    return drift.held(found, recorded)


def test_a_service_that_is_defined_as_it_was_passes() -> None:
    assert judged(Defining(unit=UNIT), Defining(unit=UNIT)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("before", "now", "line"),
    [
        (
            Defining(unit=UNIT),
            Defining(unit=UNIT.replace("run", "other")),
            "definition unit: ExecStart=/srv/api/other",
        ),
        (Defining(unit=UNIT), Defining(unit=None), "definition unit: (absent)"),
        (
            Defining(unit=UNIT),
            Defining(unit=f"{UNIT}# /etc/systemd/system/api.service.d/hand.conf\n"),
            "definition unit: # /etc/systemd/system/api.service.d/hand.conf",
        ),
        (
            Defining(images="/api sha256:aaaa"),
            Defining(images="/api sha256:bbbb"),
            "definition images: /api sha256:bbbb",
        ),
    ],
)
def test_another_unit_file_or_image_is_a_finding_with_its_difference(
    before: Defining, now: Defining, line: str
) -> None:
    finding = judged(before, now)
    assert finding.verdict is Verdict.FAIL
    assert "release 3" in finding.reason
    assert f"+ {line}" in finding.excerpt


def test_a_secret_in_a_definition_is_never_told_and_another_one_is_noticed() -> None:
    before, now = (
        standing(Defining(unit=f"Environment=API_TOKEN={word}\n")) for word in ("hunter22", "other")
    )
    assert before != now
    assert "hunter22" not in "".join(before)


def test_what_git_warns_of_is_neither_the_commit_nor_a_changed_file(git_origin: GitOrigin) -> None:
    """As where the login's home has settings of git that it may not read."""
    text = files("backout.probes").joinpath("standing.sh").read_text(encoding="utf-8")
    script = f"{text}\ncheckout_of {git_origin.copy}"
    env = {**os.environ, "GIT_TRACE": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    said = subprocess.run(
        ["sh", "-c", script], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    ).stdout.decode()

    assert f"=== commit\n|{git_origin.head()}\n+\n=== changed\n+\n" in said
