"""What went wrong comes with its evidence, in the report and on the screen, before it is gone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.project import Project, Said
from support.sshd import SshdBed

SESSION = "r:0123456789abcdef"
LINES = "\n".join(f"line {number}" for number in range(1, 126))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[str]:
    """An application that sends everybody to its login as soon as it is `sick`."""

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sick = (tmp_path / "sick").exists()
            self.send_response(302 if sick else 200)
            if sick:
                self.send_header("Location", "/login?next=health")
            self.end_headers()
            self.wfile.write(f'{{"code": 142, "sessionToken": "{SESSION}"}}'.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project under a systemd that says what it is told to say."""
    tools = tmp_path / "tools"
    tools.mkdir()
    says = {
        "systemctl": "echo 'Id=api.service\nLoadState=loaded\nActiveState=active\nMainPID=1'",
        "journalctl": f"cat {tmp_path}/journal",
    }
    for name, script in says.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    (tmp_path / "journal").write_text(f"{LINES}\nsession={SESSION}\nsessionToken={SESSION}\n")
    return Project(tmp_path / "project", {"PATH": f"{tools}:{os.environ['PATH']}"})


@pytest.fixture(params=["no hosts", "two hosts"])
def reach(
    request: pytest.FixtureRequest, project: Project, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """What an inventory says of its hosts: none, or this machine and another one like it."""
    if request.param == "no hosts":
        yield {"hosts": {}}
        return
    with SshdBed(tmp_path / "bed", ("web2",), environment={"PATH": project.env["PATH"]}) as bed:
        hosts = {"web1": {"connection": "local"}, **bed.inventory_hosts()}
        yield {"hosts": hosts, "ssh": bed.inventory_ssh()}


def deploy(project: Project, app: str, reach: dict[str, Any], *words: str) -> Said:
    hosts = reach["hosts"]
    check = {"http": f"{app}/health", "expect": ["status == 200"], "timeout": "5s"}
    check |= {"on": "web1"} if hosts else {}
    project.inventory(
        "t",
        {
            **reach,
            "service": {"name": "api", "backend": "systemd"},
            "secrets": {"session": {"env": "SESSION"}},
            "checks": {"alive": check},
        },
    )
    sick = project.directory.parent / "sick"
    where = {"on": "all"} if hosts else {}
    project.runbook(
        "deploy",
        {
            "steps": [{"name": "Break", "run": f"touch {sick}", "undo": f"rm -f {sick}", **where}],
            "settle": [{"name": "Prove it", "verify": "all"}],
            "diagnose": [
                {"when": "failure.log.contains('line 125')", "say": "Restart every instance."}
            ],
        },
    )
    return project.say("deploy", "--target", "t", *words)


def test_a_red_check_brings_status_redirect_body_log_and_advice(
    project: Project, app: str, reach: dict[str, Any]
) -> None:
    said = deploy(project, app, reach, "--json")
    place = "web1" if reach["hosts"] else ""
    assert said.code == 4, said.out + said.err
    report = said.data
    assert "status == 200 (status is 302)" in report["failures"][0]["reason"]
    output = report["failures"][0]["output"]
    assert f"redirects to {app}/login?next=health" in output
    assert '302 {"code": 142, "sessionToken": "[redacted]"}' in output
    assert list(report["logs"]) == [place]
    log = report["logs"][place].splitlines()
    assert (len(log), log[0], log[97]) == (100, "line 28", "line 125")
    assert SESSION not in said.out.replace(f"session={SESSION}", "")
    assert report["advice"] == "Restart every instance."
    shown = project.say("show", report["run"]).out
    assert "line 125" in shown
    assert "redirects to" in shown


def test_the_screen_shows_it_and_ends_with_one_command(
    project: Project, app: str, reach: dict[str, Any]
) -> None:
    said = deploy(project, app, reach)
    place = "web1" if reach["hosts"] else ""
    lines = said.out.splitlines()
    assert f"    alive@{place}: redirects to {app}/login?next=health".replace("@:", ":") in lines
    assert "    line 125" in lines
    assert "advice: Restart every instance." in lines
    assert [line for line in lines if line.startswith("next:")] == lines[-1:]


def test_a_log_that_cannot_be_read_is_said_and_diagnoses_nothing(
    project: Project, app: str
) -> None:
    journalctl = project.directory.parent / "tools/journalctl"
    journalctl.write_text("#!/bin/sh\necho 'line 125: not permitted' >&2\nexit 1\n")
    report = deploy(project, app, {"hosts": {}}, "--json").data
    assert report["logs"] == {
        "": "(no log: the log of api cannot be read: line 125: not permitted)"
    }
    assert report["advice"] == ""


def test_a_failed_restart_brings_its_log_without_credentials(project: Project, app: str) -> None:
    deploy(project, app, {"hosts": {"web1": {"connection": "local"}}})
    book = {"settle": [{"restart": {"within": "300ms"}, "on": "all"}], "steps": [{"wait": "1ms"}]}
    project.runbook("deploy", book)
    said = project.say("deploy", "--target", "t", "--json")
    assert said.code in (4, 5), said.out
    output = said.data["failures"][0]["output"]
    assert "line 125" in output
    assert "sessionToken=[redacted]" in output
