"""The supervisor backend on a real supervisord."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Service, State
from backout.restarters import supervisor_client
from backout.restarters.supervisor import Supervisor, SupervisorOptions
from support import sample_app
from support.ports import free_port
from support.supervisord import Program, Supervisord
from support.transports import Shell
from support.wait import eventually, throughout


class Bed:
    """The sample service under supervisord, and its restarter."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.app = sample_app.write(directory / "app")
        variables = {"HOST": "127.0.0.1", "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        options = {"autostart": "false", "startsecs": "10"}  # however slowly it comes to its end
        crasher = Program("crasher", ["/bin/sh", "-c", "exit 3"], options=options)
        pair = Program(
            "pair",
            ["/bin/sleep", "600"],
            options={"numprocs": "2", "process_name": "%(program_name)s_%(process_num)02d"},
        )
        red = directory / "red"
        red.write_text("#!/bin/sh\nprintf '\\033[31mboom\\033[0m\\n'; exec sleep 600\n")
        red.chmod(0o755)
        colours = Program("colours", [str(red)])
        api = Program("gigz-api", sample_app.command(self.app), variables)
        programs = [api, crasher, pair, colours]
        self.supervisord = Supervisord(directory / "supervisor", programs)

    def restarter(self, name: str = "gigz-api", port: int | None = None) -> Supervisor:
        options = SupervisorOptions(config=str(self.supervisord.config))
        service = Service(name=name, backend="supervisor", port=port, options=options)
        return Supervisor(service, Shell())

    def pid(self) -> int:
        return int(str(self.supervisord.info("gigz-api")["pid"]))


@pytest.fixture
def bed(bed_directory: Path) -> Iterator[Bed]:
    bed = Bed(bed_directory)
    with bed.supervisord:
        bed.supervisord.wait_state("gigz-api", "RUNNING")
        sample_app.wait_healthy("127.0.0.1", bed.port)
        yield bed


def test_a_restart_changes_the_identity_and_looking_does_not(bed: Bed) -> None:
    restarter = bed.restarter(port=bed.port)
    before = restarter.identity()
    assert before.up
    assert before.known
    assert restarter.identity().value == before.value

    assert restarter.restart("run.restart").state is State.DONE

    after = eventually(lambda: (seen := restarter.identity()).up and seen)
    assert after
    assert after.value != before.value
    assert after.value.startswith(f"{bed.pid()}.")


def test_a_process_that_came_back_by_itself_has_another_identity(bed: Bed) -> None:
    before = bed.restarter().identity()
    os.kill(bed.pid(), signal.SIGKILL)
    after = eventually(lambda: (seen := bed.restarter().identity()).up and seen)
    assert after
    assert after.value != before.value


def test_a_crash_looper_is_not_up_although_status_exits_0(bed: Bed) -> None:
    restarter = bed.restarter("crasher")
    assert restarter.restart("run.restart").exit_code != 0
    assert throughout(lambda: not restarter.identity().up, seconds=1)
    bed.supervisord.wait_state("crasher", "FATAL")
    identity = restarter.identity()
    assert identity.known
    assert identity.value == ""
    assert "crasher FATAL" in identity.detail


NAMES = ("gigz-api", "gigz-api:gigz-api", "crasher", "pair:*", "pair:", "pair:pair_00", "colours")


@pytest.mark.parametrize("name", NAMES)
def test_what_supervisord_itself_is_asked_is_what_supervisorctl_says(
    bed: Bed, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what runs, has ended, is not there in full, and is brought anew."""

    def both() -> tuple[list[str], list[str]]:
        told = bed.supervisord.ctl("status", name).stdout.splitlines()
        supervisor_client.main("", str(bed.supervisord.config), "status", name)
        return capsys.readouterr().out.split("\n")[:-1], [" ".join(row.split()) for row in told]

    def brought() -> int:
        return supervisor_client.main("", str(bed.supervisord.config), "restart", name)

    eventually(lambda: len({*map(tuple, both())}) == 1, saying="both say the same")
    restart = bed.supervisord.ctl("restart", name)
    told = restart.stdout.splitlines()

    def alike() -> bool:
        """One that fails again and again may be in its next state a moment later."""
        assert brought() == restart.returncode, restart
        said, rows = capsys.readouterr().out.split(f"{supervisor_client.SEEN}\n")
        assert said.splitlines()[-1] == told[-1]
        seen = bed.supervisord.ctl("status", name).stdout.splitlines()
        return [row.split()[:2] for row in rows.splitlines()] == [row.split()[:2] for row in seen]

    eventually(alike, saying="what is seen behind a restart is what supervisorctl says")
    eventually(lambda: len({*map(tuple, both())}) == 1, saying="both say the same")


def test_what_only_supervisorctl_can_say_is_left_to_it(bed: Bed) -> None:
    """An unknown name, another section on disk, a file that nobody can read off plainly."""

    def asked(verb: str, name: str) -> int:
        return supervisor_client.main("", str(config), verb, name)

    config = bed.supervisord.config
    text = config.read_text()
    assert asked("status", "nobody") == supervisor_client.NOT_MINE
    assert asked("restart", "nobody") == supervisor_client.NOT_MINE
    for old, new in (
        ("serverurl=unix://", "serverurl=unix://%(ENV_HOME)s/"),
        ("serverurl=unix://", "serverurl=https://"),
        ("serverurl=", "serverurl:"),
        ("[supervisorctl]", "[other]"),
        ("supervisor.sock\n[program", "nowhere.sock\n[program"),
    ):
        config.write_text(text.replace(old, new))
        assert asked("status", "gigz-api") == supervisor_client.NOT_MINE, new
    config.write_text(
        text.replace("serverurl=unix://", "serverurl = unix:// ").replace(":// ", "://")
    )
    assert asked("status", "gigz-api") == 0
    config.write_text(text.replace("startsecs=1", "startsecs=2"))
    pid = bed.pid()
    assert asked("restart", "gigz-api") == supervisor_client.NOT_MINE
    assert bed.pid() == pid


def test_a_supervisord_behind_a_port_and_a_password_is_asked_too(bed_directory: Path) -> None:
    port = free_port()
    login = "username=deploy\npassword=it's & <secret>\n"
    supervisord = Supervisord(bed_directory, [Program("sleeper", ["/bin/sleep", "600"])])
    supervisord.extra = f"[inet_http_server]\nport=127.0.0.1:{port}\n{login}"
    with supervisord:
        config = bed_directory / "client.conf"
        head = f"[supervisorctl]\nserverurl=http://127.0.0.1:{port} ; by TCP\n"
        for words, code in ((login, 0), ("", supervisor_client.NOT_MINE)):
            config.write_text(f"{head}{words}")
            assert supervisor_client.main("", str(config), "status", "sleeper") == code


def test_an_unknown_program_is_not_known(bed: Bed) -> None:
    restarter = bed.restarter("nobody")
    identity = restarter.identity()
    assert not identity.known
    assert not identity.up
    assert "no such process" in identity.detail
    assert restarter.restart("run.restart").state is State.FAILED


def test_a_supervisord_that_does_not_run_knows_nothing(bed: Bed) -> None:
    bed.supervisord.stop()
    identity = bed.restarter().identity()
    assert not identity.known
    assert "no such file" in identity.detail


def test_an_orphan_that_holds_the_port_is_not_the_service(bed: Bed) -> None:
    bed.supervisord.ctl("stop", "gigz-api")
    sample_app.write(bed.app.parent, "2", "never-bind")
    orphan_code = sample_app.write(bed.app.parent / "orphan", "1")
    with sample_app.run(orphan_code, "127.0.0.1", bed.port) as orphan:
        sample_app.wait_healthy("127.0.0.1", bed.port, release="1")
        assert bed.restarter().restart("run.restart").state is State.DONE
        bed.supervisord.wait_state("gigz-api", "RUNNING")

        identity = bed.restarter(port=bed.port).identity()

        assert not identity.up
        assert f"held by process {orphan.pid} (" in identity.detail
        assert bed.restarter().identity().up, "without a port nobody asks who holds it"
    detail = bed.restarter(port=bed.port).identity().detail
    assert f"nothing listens on port {bed.port}" in detail


def test_stopping_is_repeatable_and_restarting_starts_again(bed: Bed) -> None:
    restarter = bed.restarter()
    assert restarter.stop("run.stop").state is State.DONE
    assert restarter.stop("run.stop").state is State.DONE
    identity = restarter.identity()
    assert (identity.up, identity.value, identity.known) == (False, "", True)
    assert restarter.restart("run.restart").state is State.DONE
    assert restarter.identity().up


def test_every_process_of_a_group_counts(bed: Bed) -> None:
    restarter = bed.restarter("pair:*")
    for number in ("00", "01"):
        bed.supervisord.wait_state(f"pair:pair_{number}", "RUNNING")
    assert restarter.identity().up
    assert len(restarter.identity().value.split()) == 2
    bed.supervisord.ctl("stop", "pair:pair_01")
    assert not restarter.identity().up


def test_the_last_lines_of_its_log(bed: Bed) -> None:
    for _ in range(5):
        sample_app.health("127.0.0.1", bed.port)
    restarter = bed.restarter()

    def asked() -> bool:
        lines = restarter.logs(2).splitlines()
        return len(lines) == 2 and all(line.startswith("request /health") for line in lines)

    eventually(asked, saying="its last two requests, as soon as supervisord has read them")


def test_a_log_in_colours_is_read_too(bed: Bed) -> None:
    bed.supervisord.wait_state("colours", "RUNNING")
    colours = bed.restarter("colours")
    eventually(
        lambda: "boom" in colours.logs(5), saying="what it said, as soon as supervisord has read it"
    )


def test_it_is_found_by_name_also_as_a_group(bed: Bed) -> None:
    assert bed.restarter().find() == ({"backend": "supervisor", "name": "gigz-api"},)
    names = [line["name"] for line in bed.restarter("pair").find()]
    assert names == ["pair:pair_00", "pair:pair_01"]
    cure = "name it pair:pair_00 or pair:pair_01 or pair:*"
    assert bed.restarter("pair").identity().obstacle == (f"supervisord has no program pair: {cure}")
    assert bed.restarter("nobody").find() == ()


def test_a_missing_supervisord_is_started_where_that_was_allowed(bed: Bed) -> None:
    bed.supervisord.stop()
    config = bed.supervisord.config
    config.write_text(config.read_text().replace("nodaemon=true", "nodaemon=false"))
    options = SupervisorOptions(config=str(config), start=True)
    service = Service(name="gigz-api", backend="supervisor", port=bed.port, options=options)
    restarter = Supervisor(service, Shell())
    assert not restarter.identity().known
    try:
        restarter.restart("run.restart")
        eventually(lambda: restarter.identity().up, saying="up under its own supervisord")
    finally:
        bed.supervisord.ctl("shutdown")
        eventually(lambda: not bed.supervisord.socket.exists(), saying="supervisord gone")


def test_a_section_that_changed_on_disk_changes_the_definition_before_it_is_read(bed: Bed) -> None:
    restarter = bed.restarter()
    before = restarter.definition()["program"] or ""
    assert before.startswith("[program:gigz-api]\n")
    assert "command = " in before
    config = bed.supervisord.config
    head = "[program:gigz-api]\n"
    config.write_text(config.read_text().replace(head, f"{head}nice=5\n"))
    after = restarter.definition()["program"] or ""
    assert [line for line in after.splitlines() if line not in before.splitlines()] == ["nice = 5"]
    assert bed.restarter("nobody").definition() == {"program": None}
    config.unlink()
    with pytest.raises(Refused, match="configuration of gigz-api cannot be read"):
        restarter.definition()
