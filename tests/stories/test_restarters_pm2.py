"""The PM2 backend on a real PM2 and its daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.model import Host, Identity, Service, State
from backout.restarters.pm2 import Pm2, Pm2Options
from support import sample_app
from support.pm2 import Pm2 as Pm2Bed
from support.ports import free_port
from support.process import Process
from support.transports import Shell
from support.wait import eventually

CLUSTERED = """
const http = require("http");
const server = http.createServer((request, response) => response.end("ok"));
if (!process.env.NEVER_BIND) server.listen(process.env.PORT, "127.0.0.1", ready);
function ready() { if (!process.env.NEVER_READY) process.send("ready"); }
setInterval(() => 0, 1000);
"""


class Bed:
    """PM2 in a machine of its own, and the restarter that works there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pm2 = Pm2Bed(directory / "machine")
        self.port = free_port()

    @property
    def variables(self) -> dict[str, str]:
        return {"HOST": "127.0.0.1", "PORT": str(self.port)}

    def restarter(
        self, name: str = "gigz-api", port: int | None = None, ecosystem: str = ""
    ) -> Pm2:
        environment = self.pm2.environment
        options = Pm2Options(
            home=environment["PM2_HOME"], path=environment["PATH"], ecosystem=ecosystem
        )
        service = Service(
            name=name, backend="pm2", port=port, directory=str(self.directory), options=options
        )
        self.transport = Shell(
            inside=self.pm2.machine.command([]),
            env={"HOME": environment["HOME"], "PATH": "/usr/bin:/bin"},
            host=Host(name="web1"),
        )
        return Pm2(service, self.transport)

    def start(self, *options: str, **variables: str) -> None:
        app = sample_app.write(self.directory / "app")
        self.pm2.start_app("gigz-api", app, *options, env={**self.variables, **variables})
        sample_app.wait_healthy("127.0.0.1", self.port)

    def cluster(self, **variables: str) -> str:
        script = self.directory / "clustered.js"
        script.write_text(CLUSTERED)
        ecosystem = self.directory / "ecosystem.config.js"
        self.pm2.ecosystem(
            ecosystem,
            name="gigz-api",
            script=str(script),
            interpreter="node",
            instances=2,
            exec_mode="cluster",
            wait_ready=True,
            listen_timeout=700,
            env={**self.variables, **variables},
        )
        return str(ecosystem)


@pytest.fixture
def bed(bed_directory: Path) -> Iterator[Bed]:
    bed = Bed(bed_directory)
    with bed.pm2:
        yield bed


def up(restarter: Pm2) -> Identity:
    identity = eventually(lambda: (seen := restarter.identity()).up and seen, saying="up")
    assert identity
    return identity


def test_a_restart_changes_the_identity_and_looking_does_not(bed: Bed) -> None:
    bed.start()
    restarter = bed.restarter(port=bed.port)
    before = up(restarter)
    assert restarter.identity().value == before.value
    assert before.uptime is not None
    assert 0 <= before.uptime < 600

    assert restarter.restart("run.restart").state is State.DONE

    after = up(restarter)
    assert after.value != before.value
    assert str(bed.pm2.process("gigz-api")["pid"]) in after.value


def test_the_environment_of_the_applications_stays_on_the_machine(bed: Bed) -> None:
    bed.start(SECRET="hush-hush")
    restarter = bed.restarter()
    assert restarter.identity().up
    heard = str(bed.transport.heard)
    assert "online" in heard
    assert "hush-hush" not in heard


def test_a_crash_looper_restarts_fine_and_is_counted(bed: Bed) -> None:
    bed.start("--exp-backoff-restart-delay=100")
    restarter = bed.restarter()
    first = up(restarter).restarts
    assert first is not None
    sample_app.write(bed.directory / "app", "2", "crash-at-start")
    assert restarter.restart("run.restart").exit_code == 0
    eventually(
        lambda: (restarter.identity().restarts or 0) > first + 2, saying="restarts by itself"
    )
    assert "boom: release 2 cannot start" in restarter.logs(20)


def test_an_errored_application_is_not_up(bed: Bed) -> None:
    app = sample_app.write(bed.directory / "app")
    often = {"max_restarts": 2, "min_uptime": "1m"}  # however slowly it comes to its end
    place = bed.directory / "loops.config.js"
    bed.pm2.ecosystem(place, name="gigz-api", script=str(app), env=bed.variables, **often)
    assert bed.pm2.run("start", str(place)).returncode == 0
    sample_app.wait_healthy("127.0.0.1", bed.port)
    restarter = bed.restarter()
    sample_app.write(bed.directory / "app", "2", "crash-at-start")
    assert restarter.restart("run.restart").exit_code == 0
    eventually(lambda: "errored" in restarter.identity().detail, every=0.2, saying="errored")
    identity = restarter.identity()
    assert (identity.up, identity.value, identity.known) == (False, "", True)


def test_an_orphan_that_holds_the_port_is_not_the_service(bed: Bed) -> None:
    bed.start()
    restarter = bed.restarter(port=bed.port)
    restarter.stop("run.stop")
    sample_app.write(bed.directory / "app", "2", "never-bind")
    code = sample_app.write(bed.directory / "orphan")
    argv = bed.pm2.machine.command(sample_app.command(code))
    env = bed.pm2.machine.environment(bed.variables)
    with Process(argv, log=bed.directory / "orphan.log", env=env):
        sample_app.wait_healthy("127.0.0.1", bed.port, release="1")
        assert restarter.restart("run.restart").state is State.DONE
        assert up(bed.restarter(port=None)).value
        identity = restarter.identity()
        assert not identity.up
        assert f"port {bed.port} is held by process" in identity.detail


def test_a_holder_that_cannot_be_seen_is_no_proof(bed: Bed) -> None:
    bed.start()
    bed.restarter().stop("run.stop")
    code = sample_app.write(bed.directory / "outside")
    with sample_app.run(code, "127.0.0.1", bed.port):
        sample_app.wait_healthy("127.0.0.1", bed.port)
        sample_app.write(bed.directory / "app", "2", "never-bind")
        bed.restarter().restart("run.restart")
        assert up(bed.restarter()).value
        identity = bed.restarter(port=bed.port).identity()
        assert not identity.up
        assert f"cannot tell who listens on port {bed.port}" in identity.detail


def test_a_cluster_is_started_from_its_file_and_then_reloaded(bed: Bed) -> None:
    restarter = bed.restarter(port=bed.port, ecosystem=bed.cluster())
    assert not restarter.identity().known
    assert restarter.restart("run.first").state is State.DONE
    before = up(restarter)
    assert len(before.value.split()) == 2

    assert restarter.restart("run.second").state is State.DONE

    after = up(restarter)
    assert set(after.value.split()).isdisjoint(before.value.split())


def test_a_ready_signal_that_never_comes_is_not_taken_for_an_answer(bed: Bed) -> None:
    restarter = bed.restarter(port=bed.port, ecosystem=bed.cluster())
    restarter.restart("run.first")
    up(restarter)
    bed.cluster(NEVER_BIND="1")

    assert restarter.restart("run.second").exit_code == 0

    assert bed.restarter().identity().up, "PM2 itself calls it online"
    identity = restarter.identity()
    assert not identity.up
    assert f"nothing listens on port {bed.port}" in identity.detail


def test_an_unknown_application_is_not_known_and_not_started(bed: Bed) -> None:
    bed.start()
    restarter = bed.restarter("nobody")
    identity = restarter.identity()
    assert (identity.up, identity.known) == (False, False)
    assert identity.detail == "PM2 knows no nobody"
    assert restarter.restart("run.restart").state is State.FAILED
    assert restarter.stop("run.stop").state is State.DONE
    assert restarter.find() == ()


def test_a_look_does_not_start_the_daemon(bed: Bed) -> None:
    bed.pm2.run("kill")
    identity = bed.restarter().identity()
    assert (identity.up, identity.known) == (False, False)
    assert identity.detail == "PM2's daemon does not run here"
    assert not any("God Daemon" in args for args in bed.pm2.machine.processes().values())


def test_it_is_found_with_its_directory(bed: Bed) -> None:
    bed.start("--cwd", str(bed.directory))
    assert bed.restarter().find() == (
        {"backend": "pm2", "name": "gigz-api", "directory": str(bed.directory)},
    )


def test_stopping_is_repeatable_and_restarting_starts_again(bed: Bed) -> None:
    bed.start()
    restarter = bed.restarter()
    assert restarter.stop("run.stop").state is State.DONE
    assert restarter.stop("run.stop").state is State.DONE
    identity = restarter.identity()
    assert (identity.up, identity.value, identity.detail) == (False, "", "instance 0 stopped")
    restarter.restart("run.restart")
    up(restarter)


def test_what_the_ecosystem_file_says_anew_is_what_runs(bed: Bed) -> None:
    """PM2 itself takes the environment and the arguments, and runs the old program on."""
    file = str(bed.directory / "ecosystem.config.js")
    for name in ("one.js", "two.js"):
        (bed.directory / name).write_text("setInterval(() => 0, 1000);")
    restarter = bed.restarter(ecosystem=file)

    def runs(*scripts: str, mode: str = "fork_mode") -> None:
        assert restarter.restart("run.restart").state is State.DONE
        found = [each["pm2_env"] for each in bed.pm2.processes()]
        assert [Path(each["pm_exec_path"]).name for each in found] == list(scripts)
        assert {each["exec_mode"] for each in found} == {mode}

    app = {"name": "gigz-api", "interpreter": "node", "script": "one.js"}
    bed.pm2.ecosystem(Path(file), **app, args="a")
    runs("one.js")
    pm_id = bed.pm2.process("gigz-api")["pm_id"]
    bed.pm2.ecosystem(Path(file), **app, args="b")
    runs("one.js")
    assert bed.pm2.process("gigz-api")["pm_id"] == pm_id, "it is the same application"
    bed.pm2.ecosystem(Path(file), **{**app, "script": "two.js"})
    runs("two.js")
    bed.pm2.ecosystem(Path(file), **app, exec_mode="cluster", instances=2)
    runs("one.js", "one.js", mode="cluster_mode")


def test_how_an_application_is_started_is_its_definition_without_its_environment(bed: Bed) -> None:
    bed.start(TOKEN="s3cret-of-the-shop")
    before = bed.restarter().definition()["application"] or ""
    assert 'pm_exec_path = "' in before
    assert "s3cret" not in before
    assert bed.restarter("nobody").definition() == {"application": None}
    bed.pm2.run("delete", "gigz-api")
    bed.start("--max-memory-restart", "400M")
    after = bed.restarter().definition()["application"] or ""
    new = [line for line in after.splitlines() if line not in before.splitlines()]
    assert new == ["max_memory_restart = 419430400"]
