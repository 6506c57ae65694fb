"""The ways to real SSH hosts: ssh_config, gateways, agents, and what cannot be reached."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import paramiko
import pytest
from paramiko import ssh_exception
from paramiko.ssh_exception import ProxyCommandFailure

from backout.adapters.transports.ssh import SshTransport
from backout.adapters.transports.ssh_connect import BROKEN, Dialer, translated
from backout.adapters.transports.ssh_proxy import Proxy
from backout.errors import HostKeyRefused, Unreachable
from backout.model import Command, Host, Ssh
from support.ssh_bed import ssh_agent
from support.ssh_links import HOME, PATIENT, Maker, one_secret
from support.sshd import SshdBed, SshdHost


def test_ssh_config_gives_what_the_inventory_does_not(sshd_bed: SshdBed, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"Include {sshd_bed.ssh_config}\n")
    given = Ssh(config=str(config), connect_timeout=PATIENT)
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
    given = Ssh(config=str(config), connect_timeout=PATIENT)
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
    with ssh_agent(tmp_path / "agent", key):
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        given = Ssh(config=str(config), connect_timeout=PATIENT)
        web1 = SshTransport(Host(name="web1"), given, HOME, one_secret())
        shown = web1.run(Command("ssh-add -l"))
        web1.close()
    assert shown.ok
    assert "client (ED25519)" in shown.stdout


def test_a_proxy_command_is_used_and_its_failure_named(sshd_bed: SshdBed, tmp_path: Path) -> None:
    config = tmp_path / "config"
    jump = f"ssh -F {sshd_bed.ssh_config} -W %h:%p web1"
    config.write_text(f"Host web2\n  ProxyCommand {jump}\nInclude {sshd_bed.ssh_config}\n")
    given = Ssh(config=str(config), connect_timeout=PATIENT)
    web2 = SshTransport(Host(name="web2"), given, HOME, one_secret())
    assert web2.run(Command("hostname")).stdout == "web2\n"
    web2.close()
    sshd_bed["web1"].stop()
    web2 = SshTransport(Host(name="web2"), given, HOME, one_secret())
    with pytest.raises(Unreachable, match=r"its ProxyCommand failed: .*Connection refused"):
        web2.run(Command("true"))
    web2.close()


NOT_AWAITED = 3600.0


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("sh -c 'echo no way there >&2; exit 3'", "its ProxyCommand failed: no way there"),
        ("sh -c 'read -r _; echo not you >&2'", "its ProxyCommand failed: not you"),
        ("true", "its ProxyCommand failed: it ended, and said nothing"),
        ("nobody-has-this", "its ProxyCommand failed: .*not found"),
        ("sh -c 'sleep 600 >&2 <&- & echo $! >PID; echo gone >&2'", "failed: gone"),
    ],
)
def test_a_proxy_command_that_ends_is_not_waited_for(
    sshd_bed: SshdBed, tmp_path: Path, proxy: str, words: str
) -> None:
    config, pid = tmp_path / "config", tmp_path / "pid"
    told = f"Host web2\n  ProxyCommand {proxy.replace('PID', str(pid))}\n"
    config.write_text(f"{told}Include {sshd_bed.ssh_config}\n")
    given = Ssh(config=str(config), connect_timeout=NOT_AWAITED)
    web2 = SshTransport(Host(name="web2"), given, HOME, one_secret())
    try:
        with pytest.raises(Unreachable, match=words):
            web2.run(Command("true"))
    finally:
        web2.close()
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_proxy_command_that_never_stops_talking_is_waited_for_as_long_as_any(
    sshd_bed: SshdBed, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host web2\n  ProxyCommand sh -c 'yes >&2; exit'\nInclude {sshd_bed.ssh_config}\n"
    )
    given = Ssh(config=str(config), connect_timeout=1)
    web2 = SshTransport(Host(name="web2"), given, HOME, one_secret())
    with pytest.raises(Unreachable, match="gave no answer within 1 s"):
        web2.run(Command("true"))
    web2.close()


def test_a_proxy_command_may_say_as_much_as_it_likes(sshd_bed: SshdBed, tmp_path: Path) -> None:
    config = tmp_path / "config"
    jump = f"exec ssh -F {sshd_bed.ssh_config} -W %h:%p web1"
    much = f"sh -c 'head -c 200000 /dev/zero >&2; {jump}'"
    config.write_text(f"Host web2\n  ProxyCommand {much}\nInclude {sshd_bed.ssh_config}\n")
    given = Ssh(config=str(config), connect_timeout=PATIENT)
    web2 = SshTransport(Host(name="web2"), given, HOME, one_secret())
    assert web2.run(Command("hostname")).stdout == "web2\n"
    web2.close()


def test_whoever_sends_and_whoever_receives_both_learn_that_a_proxy_command_has_ended() -> None:
    """They are two threads of one link, and either may be first, or second."""
    proxy = Proxy(paramiko.ProxyCommand("sh -c 'echo enough >&2'"))
    os.waitid(os.P_PID, proxy.process.pid, os.WEXITED | os.WNOWAIT)

    def fails(act: Callable[[], object]) -> None:
        for _ in range(4):
            with pytest.raises(ProxyCommandFailure):
                act()

    with proxy.process, ThreadPoolExecutor() as threads:
        told = threads.submit(fails, partial(proxy.send, b"x"))
        fails(partial(proxy.recv, 1))
        told.result()


def test_a_host_that_is_down_is_unreachable_with_its_place(make: Maker, host: SshdHost) -> None:
    host.stop()
    with pytest.raises(Unreachable, match=f"nothing listens on {host.address}") as caught:
        make().run(Command("true"))
    assert caught.value.where == f"root@{host.address}:{host.port}"
    assert caught.value.next


def test_a_server_that_never_answers_is_given_up_in_time(make: Maker, host: SshdHost) -> None:
    web1 = make(connect_timeout=1)
    host.freeze()
    with pytest.raises(Unreachable, match="no answer within 1 s"):
        web1.run(Command("true"))
    host.thaw()


def test_a_name_that_does_not_resolve_says_so(make: Maker) -> None:
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid"):
        make(address="no-such-host.invalid").run(Command("true"))


def test_connections_do_not_write_into_each_others_configuration() -> None:
    dialer = Dialer(Ssh())
    one, two = (dialer.connection(Host(name=name)) for name in ("web1", "web2"))
    one.config.port = 2222
    assert two.config.port == 22


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
