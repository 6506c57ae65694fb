"""Links to real SSH hosts that break: what is known of a command then, and what is found out."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backout.adapters.lease import mark
from backout.adapters.transports.ssh import SshTransport
from backout.errors import Unreachable
from backout.model import Command, Host, State
from support.netns import NetnsBed
from support.proxy import Proxy
from support.ssh_links import HOME, Maker, after, one_secret, settings
from support.sshd import SshdBed, SshdHost
from support.wait import eventually


def test_a_link_cut_in_mid_command_is_unknown_and_recalled_as_done_not_doubled(
    make: Maker, host: SshdHost
) -> None:
    with Proxy((host.address, host.port)) as proxy:
        web1 = through(make, proxy, host)
        cutter = after(host.home / "begun", proxy.cut)
        script = "echo x >>begun; while [ ! -e go ]; do sleep 0.05; done; echo finished"
        result = web1.run(Command(script, key="run/step"))
        cutter.join()
        assert result.state is State.UNKNOWN
        assert "the link to web1 was lost" in result.reason
        (host.home / "go").touch()
        recalled = web1.recall("run/step", 20.0)
        assert recalled is not None
        assert (recalled.state, recalled.stdout) == (State.DONE, "finished\n")
        again = web1.run(Command(script, key="run/step"))
        assert (again.state, again.stdout) == (State.DONE, "finished\n")
        assert (host.home / "begun").read_text() == "x\n"
        assert proxy.accepted == 2


def test_the_time_of_a_command_begins_when_its_host_is_reached(make: Maker, host: SshdHost) -> None:
    with Proxy((host.address, host.port)) as proxy, ThreadPoolExecutor() as pool:
        web1 = through(make, proxy, host)
        proxy.stall()
        result = pool.submit(web1.run, Command("echo hi", timeout=3))
        eventually(lambda: proxy.accepted, saying="its connection")
        time.sleep(3)  # all the time that the command has
        proxy.flow()
        assert (result.result().state, result.result().stdout) == (State.DONE, "hi\n")


def test_a_link_that_falls_silent_is_noticed(netns_bed: NetnsBed) -> None:
    target = netns_bed["web1"]
    web1 = SshTransport(
        Host(name="web1", address=target.address),
        settings(netns_bed, connect_timeout=6),
        HOME,
        one_secret(),
    )
    web1.open()
    cutter = after(target.home / "begun", target.partition)
    result = web1.run(Command("touch begun; sleep 600; touch done", key="run/step", timeout=900))
    cutter.join()
    assert result.state is State.UNKNOWN
    assert "the link to web1 was lost" in result.reason
    with pytest.raises(Unreachable, match="web1 cannot be reached"):
        web1.recall("run/step", 1.0)
    target.heal()
    recalled = eventually(lambda: web1.recall("run/step", 0.1), ignoring=(Unreachable,))
    assert recalled is not None
    assert recalled.state is State.UNKNOWN
    assert not (target.home / "done").exists()
    web1.close()


def test_killed_sessions_leave_the_command_to_its_end(web1: SshTransport, host: SshdHost) -> None:
    cutter = after(host.home / "begun", host.kill_sessions)
    script = "touch begun; while [ ! -e go ]; do sleep 0.05; done; echo finished"
    result = web1.run(Command(script, key="run/step"))
    cutter.join()
    assert result.state is State.UNKNOWN
    (host.home / "go").touch()
    recalled = web1.recall("run/step", 20.0)
    assert recalled is not None
    assert (recalled.state, recalled.stdout) == (State.DONE, "finished\n")


def test_a_power_cut_leaves_an_unknown_outcome(web1: SshTransport, host: SshdHost) -> None:
    mark(web1, "run")
    cutter = after(host.home / "begun", host.power_cut)
    result = web1.run(Command("touch begun; sleep 30", key="run/step"))
    cutter.join()
    assert result.state is State.UNKNOWN
    with pytest.raises(Unreachable):
        web1.recall("run/step", 1.0)
    host.start()
    recalled = web1.recall("run/step", 1.0)
    assert recalled is not None
    assert recalled.state is State.UNKNOWN
    assert "a start and no end" in recalled.reason
    assert web1.recall("run/another", 1.0) is None


def test_a_dead_connection_is_opened_again_by_the_next_use(
    web1: SshTransport, host: SshdHost
) -> None:
    assert web1.run(Command("true")).ok
    host.kill()
    host.start()
    assert web1.run(Command("echo >>log", key="run/step")).ok
    assert (host.home / "log").read_text() == "\n"
    assert host.log.count("Accepted publickey") == 2


_DEPLOYER = """
import sys
from backout.adapters.transports.ssh import SshTransport
from backout.adapters.vault import Vault
from backout.model import Command, Host, Ssh
host, ssh, home, script = sys.argv[1:]
web1 = SshTransport(
    Host.model_validate_json(host), Ssh.model_validate_json(ssh), home, Vault({})
)
web1.run(Command(script, key="run/step"))
"""


@pytest.mark.parametrize("patient", [True, False])
def test_a_killed_deployers_command_is_waited_for_or_ended(
    web1: SshTransport, host: SshdHost, sshd_bed: SshdBed, patient: bool
) -> None:
    script = "echo $$ >>begun; while [ ! -e go ]; do sleep 0.05; done; echo finished"
    given = settings(sshd_bed).model_dump_json()
    argv = [sys.executable, "-c", _DEPLOYER, web1.host.model_dump_json(), given, HOME, script]
    deployer = subprocess.Popen(argv, start_new_session=True)
    eventually((host.home / "begun").exists, saying="the command's start")
    deployer.kill()
    deployer.wait(60)
    if patient:
        (host.home / "go").touch()
    result = web1.recall("run/step", 20.0 if patient else 0.2)
    assert result is not None
    assert result.state is (State.DONE if patient else State.UNKNOWN)
    assert result.stdout == ("finished\n" if patient else "")
    (began,) = (host.home / "begun").read_text().split()
    assert int(began) not in host.machine.processes()


def test_a_session_that_hangs_is_replaced(make: Maker, host: SshdHost, key: str) -> None:
    web1 = make(connect_timeout=8)
    mark(web1, "run")
    sessions = [pid for pid, args in host.machine.processes().items() if ": root" in args]
    host.machine.run("kill", "-STOP", *map(str, sessions))
    silent = web1.run(Command("echo hi", key=key))
    assert silent.state is State.UNKNOWN
    assert "the link to web1 was lost" in silent.reason
    assert web1.recall("run/step", 5) is None
    assert web1.run(Command("echo hi")).stdout == "hi\n"
    assert host.log.count("Accepted publickey") == 2


def through(make: Maker, proxy: Proxy, host: SshdHost) -> SshTransport:
    """A transport whose link goes through the proxy, under the host's own key."""
    known = host.machine.directory / "known_hosts"
    known.write_text(f"[{proxy.address}]:{proxy.port} {host.public_key}")
    return make(port=proxy.port, address=proxy.address, known_hosts=str(known))
