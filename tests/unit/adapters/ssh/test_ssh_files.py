"""Files that are put on real SSH hosts."""

from __future__ import annotations

import pytest

from backout.adapters.transports.ssh import SshTransport
from backout.errors import Unreachable
from backout.model import Command
from support.disk import small_disk
from support.sshd import SshdHost
from support.tools import program


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


@pytest.mark.parametrize("decoder", ["base64", "openssl", "perl", ""])
def test_put_takes_whichever_decoder_is_there_and_names_them_where_none_is(
    web1: SshTransport, host: SshdHost, decoder: str
) -> None:
    programs = host.home / "programs"
    programs.mkdir()
    for name in filter(None, ("cat", "chmod", "mv", "rm", "wc", decoder)):
        (programs / name).symlink_to(program(name))
    (host.home / ".bashrc").write_text(f"PATH={programs}\n")
    if decoder:
        web1.put(b"new\n", "file")
        assert (host.home / "file").read_bytes() == b"new\n"
        return
    with pytest.raises(OSError, match="neither base64 nor openssl nor perl to receive a file"):
        web1.put(b"new\n", "file")
    assert not list(host.home.glob("file*"))
