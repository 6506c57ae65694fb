"""Whose keys are believed and shown, on real SSH hosts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from backout.errors import HostKeyRefused, Refused, Unreachable
from backout.model import Command
from support.ssh_bed import make_key
from support.ssh_links import Maker
from support.sshd import SshdBed, SshdHost


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
