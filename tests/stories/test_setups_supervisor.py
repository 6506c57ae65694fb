"""Deploys of a program of supervisord, on machines as people have them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import sample_app
from support.git_origin import GitOrigin
from support.ports import free_port
from support.supervisord import Program, Supervisord
from support.tools import venv_program
from support.wait import eventually
from support.yard import Yard

RESTART = {"name": "Restart", "restart": {"within": "10m"}, "on": "web"}
PROVE = {"name": "Prove it", "verify": "all"}


class Shop:
    """The sample service under supervisord, and a project that deploys it on this machine. Whoever
    counts what supervisorctl is asked, or keeps it from answering, has `ctl` instead."""

    def __init__(self, directory: Path, yard: Yard) -> None:
        self.yard = yard
        self.port = free_port()
        self.app = sample_app.write(directory / "app")
        self.directory = directory
        self.supervisord = Supervisord(directory / "supervisor", [self.program("1")])
        self.ctl = directory / "ctl"
        self.ctl.write_text(
            f"#!/bin/sh\necho $3 >>{directory}/asked\n[ ! -e {directory}/dark ] || "
            "{ echo 'unix:///run/supervisor.sock timed out'; exit 4; }\n"
            f'exec {self.supervisord.supervisorctl} "$@"\n'
        )
        self.ctl.chmod(0o755)

    def program(self, mark: str) -> Program:
        variables = {"HOST": "127.0.0.1", "PORT": str(self.port), "MARK": mark}
        return Program("api", sample_app.command(self.app), variables)

    def deploys(self, *steps: dict[str, Any], port: int | None = None, **service: Any) -> None:
        """What the inventory and the runbook say."""
        config = str(self.supervisord.config)
        words = {"name": "api", "backend": "supervisor", "config": config}
        words["command"] = self.supervisord.supervisorctl
        self.yard.inventory(service={**words, "port": port or self.port, **service})
        self.yard.runbook(*steps, settle=[RESTART, PROVE])

    @property
    def asked(self) -> list[str]:
        """What supervisorctl was asked so far, each time a program that has to start."""
        file = self.directory / "asked"
        return file.read_text().split() if file.exists() else []

    def write(self, release: str, behaviour: sample_app.Behaviour = "healthy") -> dict[str, Any]:
        """A step that brings another version of the code."""
        new = sample_app.write(self.directory / f"release-{release}", release, behaviour)
        return {
            "name": "Bring the code",
            "run": f"cp {self.app} {self.app}.old; cp {new} {self.app}",
            "undo": f"[ ! -e {self.app}.old ] || mv {self.app}.old {self.app}",
            "on": "web",
        }

    def pid(self) -> object:
        return self.supervisord.info("api")["pid"]

    def runs(self, release: str) -> bool:
        sample_app.wait_healthy("127.0.0.1", self.port, release=release)
        return self.supervisord.state("api") == "RUNNING"


@pytest.fixture
def shop(bed_directory: Path, yard: Yard) -> Iterator[Shop]:
    shop = Shop(bed_directory, yard)
    with shop.supervisord:
        sample_app.wait_healthy("127.0.0.1", shop.port)
        eventually(lambda: shop.supervisord.state("api") == "RUNNING", saying="it has started")
        yield shop


def test_what_cannot_be_seen_is_not_taken_for_stopped(shop: Shop) -> None:
    """A mistyped port, a supervisord that does not answer, a program of another name."""
    pid = shop.pid()
    wrong = free_port()
    shop.deploys(shop.write("2"), port=wrong)
    for verb in ("plan", "deploy"):
        said = shop.yard.say(verb)
        assert said.code == 3, said.out
        assert f"it runs, but nothing listens on port {wrong}: correct service.port" in said.out

    shop.deploys({"name": "Nothing", "wait": {"for": "0s"}}, name="apy")
    said = shop.yard.deploy()
    assert said.code == 3, said.out
    assert "supervisord has no program apy: supervisorctl status" in said.out

    (shop.directory / "dark").touch()
    shop.deploys(shop.write("2"), command=str(shop.ctl))
    said = shop.yard.deploy()
    assert said.code == 3, said.out
    assert "cannot tell whether api (supervisor) runs" in said.out

    (shop.directory / "dark").unlink()
    assert shop.runs("1")
    assert shop.pid() == pid


def test_a_port_of_somebody_elses_is_refused_with_its_holder(shop: Shop) -> None:
    shop.supervisord.ctl("stop", "api")
    shop.deploys(shop.write("2"))
    stranger = sample_app.write(shop.directory / "stranger", "9")
    with sample_app.run(stranger, "127.0.0.1", shop.port) as process:
        sample_app.wait_healthy("127.0.0.1", shop.port, release="9")
        said = shop.yard.deploy()
    assert said.code == 3, said.out
    assert f"port {shop.port} is held by process {process.pid} (" in said.out
    assert shop.supervisord.state("api") == "STOPPED"
    assert "Bring the code" not in str(shop.yard.states(said))


def test_a_program_that_gave_up_is_not_awaited_and_the_old_one_runs_again(shop: Shop) -> None:
    shop.deploys(shop.write("2", "crash-at-start"))
    began = time.monotonic()
    said = shop.yard.deploy()
    assert said.code == 4, said.out
    assert "it will not come up: api FATAL" in said.out
    assert time.monotonic() - began < 150
    assert shop.runs("1")


def test_the_cause_in_front_of_a_frameworks_many_words_is_in_show(shop: Shop) -> None:
    """gunicorn ends with forty lines of its own when the application cannot be imported."""
    noise = "for n in range(40): print('frame', n)"
    broken = f"print('SyntaxError: app.py, line 7')\n{noise}\nraise SystemExit(3)"
    bring = {**shop.write("2"), "run": f'cp {shop.app} {shop.app}.old; echo "$CODE" > {shop.app}'}
    shop.deploys({**bring, "env": {"CODE": broken}})
    said = shop.yard.deploy()
    assert said.code == 4, said.out
    assert "SyntaxError: app.py, line 7" in said.data["failures"][0]["output"]
    assert "SyntaxError: app.py, line 7" in shop.yard.project.say("show", said.data["run"]).out


def test_one_that_did_not_run_is_stopped_on_the_way_back(shop: Shop) -> None:
    shop.supervisord.ctl("stop", "api")
    shop.deploys(shop.write("2"))
    red = {"command": f"test ! -e {shop.app}.old", "expect": ["exit_code == 0"]}
    shop.yard.inventory(checks={"red": red})
    said = shop.yard.deploy()
    assert said.code == 4, said.out
    assert shop.supervisord.state("api") == "STOPPED"


def test_a_service_runs_after_a_rollback_and_after_a_restart_that_was_cut_off(shop: Shop) -> None:
    """Also when it did not run before the release that is taken back."""
    shop.deploys(shop.write("1"))
    shop.yard.good_release()
    shop.supervisord.ctl("stop", "api")
    shop.deploys(shop.write("2"))
    shop.yard.good_release()
    assert shop.runs("2")
    said = shop.yard.say("rollback")
    assert said.code == 0, said.out
    assert shop.runs("1")

    pid = shop.pid()
    shop.deploys(shop.write("3", "never-bind"))
    deployer = shop.yard.start()
    eventually(lambda: shop.pid() not in (0, pid), saying="the restart")
    deployer.kill()
    deployer.communicate()
    said = shop.yard.say("abort")
    assert said.code == 4, said.out
    assert shop.runs("1")


def test_a_service_that_ran_runs_after_every_way_back_or_a_person_is_told(shop: Shop) -> None:
    """Also when no check looks at it, and nothing in the runbook restarts it."""
    stop = f"{shop.ctl} -c {shop.supervisord.config} stop api"
    stops = {"name": "Stop", "run": stop, "undo": "true", "on": "web"}
    shop.deploys(stops, {"name": "Fail", "run": "exit 3", "undo": "true"})
    shop.yard.runbook(stops, {"name": "Fail", "run": "exit 3", "undo": "true"})
    said = shop.yard.deploy()
    assert said.code == 5, said.out
    assert "service api@here is red: it does not run: api STOPPED" in said.data["reason"]
    assert said.data["hosts"]["here"]["state"].startswith("backed out: service api: it does not")
    shop.supervisord.ctl("start", "api")
    assert shop.yard.say("resume").code == 4

    for undo in ("true", stop):
        shop.yard.runbook({"name": "Change", "run": "true", "undo": undo, "on": "web"})
        shop.yard.good_release()
    said = shop.yard.say("rollback")
    assert said.code == 5, said.out
    assert "service api@here is red: it does not run" in said.data["reason"]
    shop.supervisord.ctl("start", "api")
    assert shop.yard.say("resume").code == 4, "it ran before, and does again"


def test_a_changed_section_is_taken_and_so_is_the_old_one_again(shop: Shop) -> None:
    config = shop.supervisord.config
    change = {
        "name": "Change the program",
        "run": f'cp {config} {config}.old; sed -i \'s/MARK="1"/MARK="2"/\' {config}',
        "undo": f"[ ! -e {config}.old ] || mv {config}.old {config}",
        "on": "web",
    }
    shop.deploys(change)
    shop.yard.inventory(source={"directory": str(shop.directory / "elsewhere")})
    said = shop.yard.deploy()
    assert said.code == 0, said.out
    assert f"nothing of that is in {shop.directory}/elsewhere" in said.err
    assert "MARK=2" in environment(shop)

    shop.deploys(
        {**change, "run": f'cp {config} {config}.old; sed -i \'s/MARK="2"/MARK="3"/\' {config}'},
        {"name": "Fail", "run": "exit 3", "undo": "true"},
    )
    assert shop.yard.deploy().code == 4
    assert "MARK=2" in environment(shop)

    pattern = "/^.program:api/,$d"
    shop.deploys({**change, "run": f"cp {config} {config}.old; sed -i '{pattern}' {config}"})
    said = shop.yard.deploy()
    assert said.code == 4, said.out
    assert "the configuration of supervisord has no api any more" in said.out
    assert "MARK=2" in environment(shop)


def environment(shop: Shop) -> str:
    return Path(f"/proc/{shop.pid()}/environ").read_text().replace("\0", "\n")


def test_a_deploy_asks_supervisorctl_no_more_than_it_must(shop: Shop) -> None:
    """Who served before is seen once, and that the same processes live is asked of the kernel."""
    shop.deploys(shop.write("2"), command=str(shop.ctl))
    shop.yard.inventory(rollout={"soak": "0s"})
    shop.yard.good_release()
    assert shop.asked == ["status", "reread", "restart", "status"]
    assert shop.runs("2")


def test_a_deploy_starts_no_supervisorctl_where_its_own_python_can_ask(shop: Shop) -> None:
    """By its socket; but a section that changed supervisorctl takes, as it has to be taken."""
    spoken = f"import sys; print(sys.argv[3], file=open('{shop.directory}/asked', 'a'))\n"
    main = "from supervisor.supervisorctl import main; main()\n"
    shop.ctl.write_text(f"#!{venv_program('python')}\n{spoken}{main}")
    shop.deploys(shop.write("2"), command=str(shop.ctl))
    shop.yard.good_release()
    assert shop.asked == []
    assert shop.runs("2")

    shop.deploys(shop.write("3", "crash-at-start"), command=str(shop.ctl))
    said = shop.yard.deploy()
    assert said.code == 4, said.out
    assert "it will not come up: api FATAL" in said.out
    assert "(api: stopped\napi: ERROR (" in said.data["reason"]
    assert shop.asked.count("restart") == 0
    assert shop.runs("2")

    (shop.directory / "asked").unlink()
    change = f'sed -i \'s/MARK="1"/MARK="2"/\' {shop.supervisord.config}'
    change_it = {"name": "Change", "run": change, "undo": "true", "on": "web"}
    shop.deploys(change_it, command=str(shop.ctl))
    shop.yard.good_release()
    assert shop.asked == ["reread", "update", "start"]
    assert "MARK=2" in environment(shop)


def test_a_release_beside_others_asks_it_no_more_often(shop: Shop, git_origin: GitOrigin) -> None:
    """What runs from which release is known of the processes that were seen."""
    git_origin.good_change()
    git_origin.commit("Next")
    git_origin.push()
    shop.deploys({"name": "Update", "update": {}, "on": "web"}, command=str(shop.ctl))
    place = str(shop.directory / "srv")
    source = {"repository": str(git_origin.copy), "strategy": "releases", "directory": place}
    shop.yard.inventory(rollout={"soak": "0s"}, source=source)
    said = shop.yard.deploy()
    assert said.code == 0, said.out
    assert shop.asked == ["status", "reread", "restart", "status"]


def test_who_served_is_asked_anew_where_another_process_came_meanwhile(shop: Shop) -> None:
    again = {
        "name": "Restart by hand",
        "run": f"{shop.ctl} -c {shop.supervisord.config} restart api",
    }
    by_hand = {**again, "undo": "true", "on": "web"}
    shop.deploys(by_hand, shop.write("2"), command=str(shop.ctl))
    shop.yard.good_release()
    assert shop.asked.count("status") > 2
    assert shop.runs("2")
