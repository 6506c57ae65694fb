"""What cannot be followed in how a host is to be reached, and a machine that knows little."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from backout.adapters.transports.ssh_config import Login, SshConfig
from backout.errors import Unreachable
from backout.model import Host, Ssh


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "ssh_config"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has no name for who runs this, and no variable tells one."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)


def login(config: Path, name: str = "web1") -> Login:
    return SshConfig(Ssh(config=str(config))).of(Host(name="web1", address=name))


def programs(place: Path, text: str) -> str:
    """A PATH with an `ssh` that is this."""
    place.mkdir()
    (place / "ssh").write_text(text)
    (place / "ssh").chmod(0o755)
    return f"{place}:/usr/bin:/bin"


def test_an_address_that_is_none_is_named(config: Path) -> None:
    with pytest.raises(Unreachable, match=r"'web1:x' is not \[user@\]host\[:port\]"):
        login(config, "web1:x")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ForwardAgent /run/agent", "ForwardAgent /run/agent: only yes and no are supported"),
        ("ProxyCommand nc %h %Z", "ProxyCommand: %Z is not supported"),
        ("PubkeyAuthentication no", "it lets nobody log in by a key"),
    ],
)
def test_what_is_not_supported_is_named(config: Path, line: str, why: str) -> None:
    config.write_text(f"Host web1\n  {line}\n")
    with pytest.raises(Unreachable, match=why) as refused:
        login(config)
    assert refused.value.next == "ssh -G web1"


def test_an_agent_may_be_in_any_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("Host web1\n  IdentityAgent $MY_AGENT\n")
    monkeypatch.delenv("MY_AGENT", raising=False)
    assert login(config).agent == "none"
    monkeypatch.setenv("MY_AGENT", "/run/mine")
    assert login(config).agent == "/run/mine"


def test_an_ssh_that_cannot_be_asked_is_said(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "#!/no/such/shell\n"))
    with pytest.raises(Unreachable, match="`ssh -G` could not be asked"):
        login(config)


def test_what_openssh_says_to_no_user_but_those_on_record_is_read_without_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody: None
) -> None:
    config.write_text("Host web1\n  HostName 192.0.2.1\n  User deploy\n")
    told = f"#!/bin/sh\necho 'No user exists for uid {os.getuid()}' >&2; exit 255\n"
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", told))
    monkeypatch.setenv("LOGNAME", "nova")
    found = login(config)
    assert (found.host, found.user) == ("192.0.2.1", "deploy")


def test_whoever_has_no_name_is_called_by_number(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody: None
) -> None:
    words = "hostname 192.0.2.1\nidentityfile /keys/%u\n"
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", f"#!/bin/sh\ncat <<'.'\n{words}.\n"))
    assert login(config).keys == (f"/keys/{os.getuid()}",)


def test_what_paramiko_cannot_read_is_said(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("Host web1\n  HostName\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="what ssh_config says of it cannot be followed"):
        login(config)


def test_paths_that_many_hosts_have_in_common_are_held_once(config: Path) -> None:
    config.write_text("IdentityFile ~/.ssh/key\nUserKnownHostsFile ~/.ssh/known\n")
    known = SshConfig(Ssh(config=str(config)))
    one, other = (known.of(Host(name=name, address=name)) for name in ("web1", "web2"))
    for mine, theirs in ((one.keys, other.keys), (one.known_hosts, other.known_hosts)):
        assert mine
        assert [id(path) for path in mine] == [id(path) for path in theirs]
