"""Real sshd hosts as transports: what is run, what is refused, and what a broken link leaves."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest
from paramiko import ssh_exception

from backout.adapters.lease import mark
from backout.adapters.transports import captured
from backout.adapters.transports.ssh import LONG, SshTransport, connect, open_all
from backout.adapters.transports.ssh_connect import BROKEN, Dialer, translated
from backout.adapters.vault import Vault
from backout.errors import HostKeyRefused, Refused, Unreachable
from backout.model import Command, Host, SecretSource, Ssh, State
from support.disk import small_disk
from support.netns import NetnsBed
from support.proxy import Proxy
from support.ssh_bed import make_key
from support.sshd import SshdBed, SshdHost
from support.wait import eventually

HOME = "srv/app/.backout"
SECRET = "s3cr'et"
Maker = Callable[..., SshTransport]


def one_secret() -> Vault:
    """A vault with one secret, TOKEN."""
    return Vault({"TOKEN": SecretSource(env="TOKEN")}, environ={"TOKEN": SECRET})


def settings(bed: SshdBed | NetnsBed, **changes: object) -> Ssh:
    given = {**bed.inventory_ssh(), "config": "/dev/null", "connect_timeout": 2, **changes}
    return Ssh.model_validate(given)


@pytest.fixture
def make(sshd_bed: SshdBed) -> Iterator[Maker]:
    """Makes transports to web1, by another address if need be, and closes them."""
    made = []

    def maker(port: int = 0, address: str = "", **changes: object) -> SshTransport:
        web1 = sshd_bed["web1"]
        host = Host(name="web1", address=address or web1.address, port=port or web1.port)
        made.append(SshTransport(host, settings(sshd_bed, **changes), HOME, one_secret()))
        return made[-1]

    yield maker
    for transport in made:
        transport.close()


@pytest.fixture
def web1(make: Maker) -> SshTransport:
    return make()


@pytest.fixture
def host(sshd_bed: SshdBed) -> SshdHost:
    return sshd_bed["web1"]


@pytest.fixture(params=["", "run-1/step"], ids=["reading", "changing"])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- many of them ------------------------------------------------------------------------


def test_an_open_connection_wakes_only_to_be_kept_alive_and_has_no_configuration_of_its_own(
    make: Maker,
) -> None:
    machine = make()
    link = machine._link()
    interval = vars(link.packetizer)["_Packetizer__keepalive_interval"]
    assert link.sock.gettimeout() == interval > 0
    assert machine._connection is not None
    assert machine._connection.config is machine._dialer._fabric


# --- commands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code", "out"),
    [
        ("echo hi", 0, "hi\n"),
        ("false; echo hi", 1, ""),
        ("exit 3", 3, ""),
        ("if", 2, ""),
        ("}; echo escaped", 2, ""),
        ('echo "it\'s"\necho \'say "hi"\' \\\\', 0, 'it\'s\nsay "hi" \\\n'),
        ("cat; echo end", 0, "end\n"),
        ("printf '\\377\\376'", 0, "\ufffd\ufffd"),
    ],
)
def test_a_command_ends_as_its_shell_says(
    web1: SshTransport, key: str, script: str, code: int, out: str
) -> None:
    result = web1.run(Command(script, key=key))
    assert result.state is (State.FAILED if code else State.DONE)
    assert (result.exit_code, result.stdout) == (code, out)


def test_ten_megabytes_keep_their_head_and_their_tail(web1: SshTransport, key: str) -> None:
    script = "echo HEAD; head -c 10000000 /dev/zero | tr '\\0' x; echo TAIL"
    text = web1.run(Command(script, key=key)).stdout
    assert text.startswith("HEAD\nxxx")
    assert text.endswith("xxxTAIL\n")
    assert f"… {10_000_010 - 2 * captured.KEPT} bytes left out …" in text


def test_a_secret_stands_in_no_argument_on_the_host(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    env = (("TOKEN", "\ue000TOKEN\ue001"),)
    script = 'printf %s "$TOKEN"; ps -eo args >&2'
    result = web1.run(Command(script, env=env, key=key))
    assert result.stdout == SECRET
    assert "ps -eo args" in result.stderr
    assert "s3cr" not in result.stderr
    assert "s3cr" not in host.log


def test_a_login_shell_with_a_noisy_rc_is_not_heard(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    (host.home / ".bashrc").write_text("echo noise; echo noise >&2; cd /tmp; alias echo=false\n")
    assert "noise" in web1.run(Command("cat ~/.bashrc")).stdout
    result = web1.run(Command("echo hi; echo err >&2", key=key))
    assert (result.stdout, result.stderr) == ("hi\n", "err\n")


def test_a_login_shell_that_reads_otherwise_is_given_the_script_on_stdin(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    # Like csh, it knows no newline between quotes.
    (host.home / ".bashrc").write_text('case $BASH_EXECUTION_STRING in *"\n"*) exit 1 ;; esac\n')
    assert web1.run(Command("echo one\necho two", key=key)).stdout == "one\ntwo\n"


def test_a_login_shell_that_runs_nothing_is_unreachable(web1: SshTransport, host: SshdHost) -> None:
    (host.home / ".bashrc").write_text("echo This account is closed.; exit 1\n")
    with pytest.raises(Unreachable, match="This account is closed"):
        web1.run(Command("echo hi"))


def test_a_timeout_ends_the_whole_process_group(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    script = "echo so far; sh -c 'trap \"\" TERM; sleep 1234; :' & sleep 1234"
    result = web1.run(Command(script, timeout=2, key=key))
    assert result.state is State.UNKNOWN
    assert result.reason == "timed out after 2 s; its process group was ended"
    assert result.stdout == "so far\n"
    eventually(lambda: not sleepers(host), saying="the end of the grandchildren")


def test_a_timeout_ends_the_group_where_only_one_session_is_allowed(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    host.configure(MaxSessions=1)
    result = web1.run(Command("sleep 1234", timeout=2, key=key))
    assert "its process group was ended" in result.reason
    eventually(lambda: not sleepers(host), saying="the end of the command")


def test_commands_wait_for_each_other_where_sessions_are_few(
    web1: SshTransport, host: SshdHost
) -> None:
    host.configure(MaxSessions=2)
    web1.open()
    with ThreadPoolExecutor(6) as pool:
        results = pool.map(lambda n: web1.run(Command(f"sleep 0.1; echo {n}")), range(6))
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(6)]


def test_one_connection_serves_a_whole_run(web1: SshTransport, host: SshdHost) -> None:
    for number in range(5):
        web1.run(Command("true", key=f"run/{number}"))
    web1.put(b"x", "x")
    assert host.log.count("Accepted publickey") == 1


@pytest.mark.parametrize("busy", [False, True], ids=["", "beside another"])
def test_a_command_does_not_find_itself_among_the_processes(
    web1: SshTransport, host: SshdHost, key: str, busy: bool
) -> None:
    occupied = threading.Thread(target=web1.run, args=[Command("echo >here; cat >gone")])
    subprocess.run(["mkfifo", str(host.home / "gone")], check=True)
    if busy:
        occupied.start()
        eventually((host.home / "here").exists, saying="the other command")
    assert web1.run(Command("pgrep -f unheard-of", key=key)).exit_code == 1
    ended = web1.run(Command("pkill -f unheard-of || echo none", key=key and f"{key}-2"))
    assert ended.stdout == "none\n"
    if busy:
        (host.home / "gone").read_text()
        occupied.join()


def test_a_script_sees_its_own_process_id_and_nothing_of_ours(web1: SshTransport) -> None:
    first, second = (web1.run(Command("echo $$; env")).stdout.split("\n", 1) for _ in range(2))
    assert first[0] != second[0]
    assert "BACKOUT" not in first[1]
    assert "bo_" not in first[1]


def test_a_host_without_setsid_has_a_channel_for_each_command(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    (host.home / ".bashrc").write_text("PATH=/nowhere\n")
    assert web1.run(Command("type setsid")).exit_code == 127
    (host.home / HOME / "notes" / "run-1").mkdir(parents=True)
    assert web1.run(Command("exit 3", key=key)).exit_code == 3


def test_what_a_command_left_behind_does_not_speak_into_the_next_one(web1: SshTransport) -> None:
    assert web1.run(Command("(sleep 0.3; echo late) & echo now")).stdout == "now\n"
    assert web1.run(Command("sleep 0.6; echo next")).stdout == "next\n"


def test_a_reading_command_that_a_signal_ended_has_failed(web1: SshTransport) -> None:
    assert web1.run(Command("kill -9 $$")).exit_code == 137
    assert web1.run(Command("exit 143")).exit_code == 143


def test_a_changing_commands_killed_shell_leaves_its_end_unknown(web1: SshTransport) -> None:
    killed = web1.run(Command("kill -9 $$; sleep 0.3; echo on", key="run/step"))
    assert killed.state is State.UNKNOWN
    recalled = web1.recall("run/step", 5)
    assert recalled is not None
    assert recalled.state is State.UNKNOWN


def test_a_changing_command_may_end_as_if_a_signal_had_ended_it(web1: SshTransport) -> None:
    assert web1.run(Command("exit 143", key="run/step")).state is State.UNKNOWN
    recalled = web1.recall("run/step", 5)
    assert recalled is not None
    assert (recalled.state, recalled.exit_code) == (State.FAILED, 143)


@pytest.mark.parametrize("look", [1, 2])
def test_what_a_shell_says_while_its_end_is_looked_for_is_heard(
    web1: SshTransport, look: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, honest = itertools.count(1), paramiko.Channel.exit_status_ready

    def late(channel: paramiko.Channel) -> bool:
        if next(looks) == look:
            (tmp_path / "go").touch()
            assert channel.status_event.wait(20)
        return honest(channel)

    monkeypatch.setattr(paramiko.Channel, "exit_status_ready", late)
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo said; echo why >&2; exit 3"
    result = web1.run(Command(f"# {'long ' * LONG}\n{script}"))  # which has a channel of its own
    assert (result.stdout, result.reason) == ("said\n", "exited 3: why")


# --- the link breaks ---------------------------------------------------------------------


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


def test_a_link_that_falls_silent_is_noticed(netns_bed: NetnsBed) -> None:
    target = netns_bed["web1"]
    web1 = SshTransport(
        Host(name="web1", address=target.address),
        settings(netns_bed, connect_timeout=1),
        HOME,
        one_secret(),
    )
    web1.open()
    cutter = after(target.home / "begun", target.partition)
    result = web1.run(Command("touch begun; sleep 30; touch done", key="run/step", timeout=120))
    cutter.join()
    assert result.state is State.UNKNOWN
    assert "the link to web1 was lost" in result.reason
    with pytest.raises(Unreachable, match="no answer within 1 s"):
        web1.recall("run/step", 1.0)
    target.heal()
    recalled = eventually(lambda: web1.recall("run/step", 0.1), within=30, ignoring=(Unreachable,))
    assert recalled is not None
    assert recalled.state is State.UNKNOWN
    assert not (target.home / "done").exists()
    web1.close()


def test_killed_sessions_leave_the_command_to_its_end(web1: SshTransport, host: SshdHost) -> None:
    cutter = after(host.home / "begun", host.kill_sessions)
    result = web1.run(Command("touch begun; sleep 0.5; echo finished", key="run/step"))
    cutter.join()
    assert result.state is State.UNKNOWN
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
    eventually((host.home / "begun").exists, saying="the command's start", within=20)
    deployer.kill()
    deployer.wait(10)
    if patient:
        (host.home / "go").touch()
    result = web1.recall("run/step", 20.0 if patient else 0.2)
    assert result is not None
    assert result.state is (State.DONE if patient else State.UNKNOWN)
    assert result.stdout == ("finished\n" if patient else "")
    (began,) = (host.home / "begun").read_text().split()
    assert int(began) not in host.machine.processes()


# --- who is at the other end -------------------------------------------------------------


def test_an_unknown_host_key_is_refused_and_nothing_runs(
    make: Maker, host: SshdHost, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("")
    with pytest.raises(HostKeyRefused, match="is unknown") as caught:
        make(known_hosts=str(known)).run(Command("touch ran"))
    assert f"ssh-keyscan -t ed25519 -p {host.port} {host.address} >> {known}" in caught.value.next
    assert fingerprint(host) in caught.value.what
    assert "Accepted" not in host.log
    assert not (host.home / "ran").exists()


def test_a_changed_host_key_is_refused_with_both_fingerprints(make: Maker, host: SshdHost) -> None:
    on_record = fingerprint(host)
    host.change_host_key()
    with pytest.raises(HostKeyRefused, match="not the one on record") as caught:
        make().run(Command("touch ran"))
    assert on_record in caught.value.what
    assert fingerprint(host) in caught.value.what
    assert f"ssh-keygen -R '[{host.address}]:{host.port}'" in caught.value.next
    assert "Accepted" not in host.log
    assert not (host.home / "ran").exists()


def test_a_revoked_host_key_is_refused(make: Maker, host: SshdHost, sshd_bed: SshdBed) -> None:
    with sshd_bed.known_hosts.open("a") as file:
        file.write(f"@revoked * {host.public_key}")
    with pytest.raises(HostKeyRefused):
        make().run(Command("true"))
    assert "Accepted" not in host.log


def test_a_wrong_client_key_is_refused_and_nothing_is_asked(
    make: Maker, host: SshdHost, tmp_path: Path
) -> None:
    make_key(tmp_path / "other", "other")
    with pytest.raises(Unreachable, match="does not let root@"):
        make(identity=str(tmp_path / "other")).run(Command("true"))
    assert "Accepted" not in host.log


def test_an_encrypted_key_is_never_asked_about(make: Maker, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "words", "-f", str(locked)], check=True
    )
    with pytest.raises(Unreachable, match="encrypted") as caught:
        make(identity=str(locked)).run(Command("true"))
    assert "ssh-add" in caught.value.next


def test_a_missing_key_file_is_named(make: Maker, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no-such-key"):
        make(identity=str(tmp_path / "no-such-key")).run(Command("true"))


def test_ssh_config_gives_what_the_inventory_does_not(sshd_bed: SshdBed, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"Include {sshd_bed.ssh_config}\n")
    given = Ssh(config=str(config), connect_timeout=2)
    web1 = SshTransport(Host(name="web1"), given, HOME, one_secret())
    assert web1.run(Command("hostname")).stdout == "web1\n"
    web1.close()


def test_the_inventory_wins_over_ssh_config(make: Maker, host: SshdHost, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  User nobody\n  Port 1\n  UserKnownHostsFile /dev/null\n")
    assert make(config=str(config)).run(Command("id -un")).stdout == "root\n"


def test_a_gateway_is_jumped_over_and_its_host_key_is_checked(
    sshd_bed: SshdBed, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(sshd_bed.ssh_config.read_text() + "\nHost web2\n  ProxyJump web1\n")
    given = Ssh(config=str(config), connect_timeout=2)
    web2 = SshTransport(Host(name="web2"), given, HOME, one_secret())
    assert web2.run(Command("hostname")).stdout == "web2\n"
    web2.close()
    assert "Accepted" in sshd_bed["web1"].log
    sshd_bed["web1"].change_host_key()
    with pytest.raises(HostKeyRefused, match="not the one on record"):
        web2.run(Command("true"))
    web2.close()


def test_an_agent_opens_a_host_and_is_forwarded_where_ssh_config_says_so(
    sshd_bed: SshdBed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "moved"
    sshd_bed.identity.rename(key)
    config = tmp_path / "config"
    config.write_text(f"ForwardAgent yes\nInclude {sshd_bed.ssh_config}\n")
    text = sshd_bed.ssh_config.read_text()
    sshd_bed.ssh_config.write_text(text.replace("IdentitiesOnly yes", "IdentitiesOnly no"))
    with ssh_agent(tmp_path / "agent") as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)
        given = Ssh(config=str(config), connect_timeout=2)
        web1 = SshTransport(Host(name="web1"), given, HOME, one_secret())
        shown = web1.run(Command("ssh-add -l"))
        web1.close()
    assert shown.ok
    assert "client (ED25519)" in shown.stdout


def test_a_proxy_command_is_used_and_its_failure_named(sshd_bed: SshdBed, tmp_path: Path) -> None:
    config = tmp_path / "config"
    jump = f"ssh -F {sshd_bed.ssh_config} -W %h:%p web1"
    config.write_text(f"Host web2\n  ProxyCommand {jump}\nInclude {sshd_bed.ssh_config}\n")
    given = Ssh(config=str(config), connect_timeout=10)
    web2 = SshTransport(Host(name="web2"), given, HOME, one_secret())
    assert web2.run(Command("hostname")).stdout == "web2\n"
    web2.close()
    sshd_bed["web1"].stop()
    with pytest.raises(Unreachable, match="web2 cannot be reached"):
        web2.run(Command("true"))
    web2.close()


def test_a_session_that_hangs_is_replaced(web1: SshTransport, host: SshdHost, key: str) -> None:
    mark(web1, "run")
    sessions = [pid for pid, args in host.machine.processes().items() if ": root" in args]
    host.machine.run("kill", "-STOP", *map(str, sessions))
    silent = web1.run(Command("echo hi", key=key))
    assert silent.state is State.UNKNOWN
    assert silent.seconds < 5
    assert web1.recall("run/step", 5) is None
    assert web1.run(Command("echo hi")).stdout == "hi\n"
    assert host.log.count("Accepted publickey") == 2


def test_a_host_that_is_down_is_unreachable_with_its_place(make: Maker, host: SshdHost) -> None:
    host.stop()
    with pytest.raises(Unreachable, match=f"nothing listens on {host.address}") as caught:
        make().run(Command("true"))
    assert caught.value.where == f"root@{host.address}:{host.port}"
    assert caught.value.next


def test_a_server_that_never_answers_is_given_up_in_time(make: Maker, host: SshdHost) -> None:
    web1 = make(connect_timeout=1)
    host.freeze()
    started = time.monotonic()
    with pytest.raises(Unreachable):
        web1.run(Command("true"))
    host.thaw()
    assert time.monotonic() - started < 8


def test_a_name_that_does_not_resolve_says_so(make: Maker) -> None:
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid"):
        make(address="no-such-host.invalid").run(Command("true"))


def test_connections_do_not_write_into_each_others_configuration() -> None:
    dialer = Dialer(Ssh())
    one, two = (dialer.connection(Host(name=name)) for name in ("web1", "web2"))
    one.config.port = 2222
    assert two.config.port == 22


def test_many_hosts_are_opened_at_once_and_the_missing_are_named(sshd_bed: SshdBed) -> None:
    given = settings(sshd_bed)
    hosts = [Host.model_validate({"name": n, **h}) for n, h in sshd_bed.inventory_hosts().items()]
    sshd_bed["web2"].stop()
    transports = connect(hosts, given, lambda host: f"srv/{host.name}", one_secret())
    assert list(open_all(transports)) == ["web2"]
    assert transports[0].run(Command("hostname")).stdout == "web1\n"
    for transport in transports:
        transport.close()


def upstream_errors() -> list[BaseException]:
    """One of every exception that Paramiko defines, and the sockets' own."""
    made = {
        "BadAuthenticationType": ("no", ["publickey"]),
        "PartialAuthentication": (["publickey"],),
        "ChannelException": (1, "no"),
        "BadHostKeyException": (
            "h",
            paramiko.RSAKey.generate(1024),
            paramiko.RSAKey.generate(1024),
        ),
        "ProxyCommandFailure": ("nc", "1"),
        "NoValidConnectionsError": ({("192.0.2.1", 22): ConnectionRefusedError()},),
    }
    defined = [kind for _, kind in inspect.getmembers(ssh_exception, inspect.isclass)]
    kinds = [kind for kind in defined if issubclass(kind, Exception)]
    errors = [kind(*made.get(kind.__name__, ("said",))) for kind in kinds]
    return [
        *errors,
        TimeoutError(),
        ConnectionResetError(104, "reset"),
        EOFError(),
        OSError(113, "no route"),
    ]


@pytest.mark.parametrize("error", upstream_errors(), ids=lambda error: type(error).__name__)
def test_no_upstream_error_is_left_untranslated(error: BaseException) -> None:
    host = Host(name="web1", address="192.0.2.1")
    found = translated(error, host, "root@192.0.2.1:22", 2)
    assert isinstance(found, Unreachable)
    assert isinstance(error, BROKEN)
    assert isinstance(found, HostKeyRefused) == (type(error).__name__ == "BadHostKeyException")
    assert "web1" in f"{found.what} {found.where}"
    assert found.next


# --- files -------------------------------------------------------------------------------


def test_put_replaces_a_file_whole(web1: SshTransport, host: SshdHost) -> None:
    target = host.home / "file"
    target.write_text("old")
    content = bytes(range(256)) * 5000
    web1.put(content, str(target), 0o640)
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o640
    web1.put(b"home", "~/beside")
    assert (host.home / "beside").read_bytes() == b"home"
    assert not list(host.home.glob("*.part"))


def test_put_on_a_full_disk_changes_nothing_and_says_so(web1: SshTransport, host: SshdHost) -> None:
    with small_disk(host.home / "small", host.machine, kilobytes=64):
        web1.put(b"old", str(host.home / "small/file"))
        with pytest.raises(OSError, match="nothing was replaced"):
            web1.put(b"x" * 1_000_000, str(host.home / "small/file"))
        listed = web1.run(Command("cat small/file; ls small")).stdout
        assert listed == "oldfile\n"


def test_put_into_no_directory_is_an_error(web1: SshTransport) -> None:
    with pytest.raises(OSError, match="gone/file on web1"):
        web1.put(b"x", "/gone/file")


def test_put_without_a_link_is_unreachable(web1: SshTransport, host: SshdHost) -> None:
    web1.open()
    host.kill()
    with pytest.raises(Unreachable):
        web1.put(b"x", "file")


# --- helpers -----------------------------------------------------------------------------


def through(make: Maker, proxy: Proxy, host: SshdHost) -> SshTransport:
    """A transport whose link goes through the proxy, under the host's own key."""
    known = host.machine.directory / "known_hosts"
    known.write_text(f"[{proxy.address}]:{proxy.port} {host.public_key}")
    return make(port=proxy.port, address=proxy.address, known_hosts=str(known))


def after(sign: Path, act: Callable[[], object]) -> threading.Thread:
    """Act as soon as a file exists."""

    def wait() -> None:
        eventually(sign.exists, saying=str(sign))
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@contextmanager
def ssh_agent(socket: Path) -> Iterator[Path]:
    """An agent without keys."""
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        eventually(socket.exists, saying="the agent")
        yield socket
    finally:
        agent.terminate()
        agent.wait(10)


def fingerprint(host: SshdHost) -> str:
    """The fingerprint of the host's key, as OpenSSH tells it."""
    shown = subprocess.run(
        ["ssh-keygen", "-lf", "-"],
        input=host.public_key,
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.split()[1]


def sleepers(host: SshdHost) -> list[str]:
    return [args for args in host.machine.processes().values() if "sleep 1234" in args]
