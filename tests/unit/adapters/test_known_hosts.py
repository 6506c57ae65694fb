"""Which keys a host may show, by the files of known hosts."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest

from backout.adapters.transports.ssh_connect import KnownHosts

KEYS = [paramiko.ECDSAKey.generate() for _ in range(4)]


def line(names: str, key: paramiko.PKey) -> str:
    return f"{names} {key.get_name()} {key.get_base64()}"


@pytest.fixture
def known(tmp_path: Path) -> KnownHosts:
    one, two, three, four = KEYS
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(
        "\n".join(
            [
                "# a comment",
                line("web1,10.0.0.1", one),
                line(paramiko.HostKeys.hash_host("web2"), two),
                f"@revoked * {four.get_name()} {four.get_base64()}",
                f"@cert-authority web1 {four.get_name()} {four.get_base64()}",
                line("*.example", three),
                "web1 ssh-ed25519 no-key",
                "web1",
                "",
            ]
        )
    )
    second.write_text(
        "\n".join([line("[web1]:2222", two), line("web1", three), line("web1", four)])
    )
    return KnownHosts([str(first), str(second), str(tmp_path / "none")])


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("web1", (0, 2)),
        ("10.0.0.1", (0,)),
        ("web2", (1,)),
        ("[web1]:2222", (1,)),
        ("a.example", ()),
        ("*", ()),
        ("@revoked", ()),
        ("web3", ()),
    ],
)
def test_a_host_has_the_keys_that_stand_beside_its_name(
    known: KnownHosts, name: str, keys: tuple[int, ...]
) -> None:
    assert known.of(name) == [KEYS[n] for n in keys]


def test_a_key_that_is_revoked_in_one_file_is_on_record_in_none(known: KnownHosts) -> None:
    assert KEYS[3] not in known.of("web1")


def test_only_the_lines_of_the_host_that_is_asked_for_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand hosts, each would read the thousand lines of all."""
    file = tmp_path / "known_hosts"
    file.write_text("\n".join(line(f"web{n}", KEYS[0]) for n in range(1000)))
    known, read = KnownHosts([str(file)]), []
    real = paramiko.hostkeys.HostKeyEntry.from_line

    def reading(text: str) -> object:
        read.append(text.split()[0])
        return real(text)

    monkeypatch.setattr(paramiko.hostkeys.HostKeyEntry, "from_line", reading)
    assert known.of("web7") == [KEYS[0]]
    assert read == ["web7"]
