"""What somebody named as a file and never ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from backout.adapters.vault import Vault
from backout.commands import saved_plan
from backout.config import following
from backout.errors import Mistakes, Refused
from backout.model import SecretSource
from backout.model.files import content_of
from backout.probes import certificates
from backout.steps import sql_text

ENDLESS = Path("/dev/zero")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """Nobody writes to it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("where", ["device", "pipe"])
def test_what_may_never_end_is_no_file(where: str, pipe: Path) -> None:
    path = pipe if where == "pipe" else ENDLESS
    with pytest.raises(OSError, match="is no file"):
        content_of(path)
    with pytest.raises(Mistakes, match="is no file"):
        saved_plan.read(path)
    with pytest.raises(Refused, match="is no file"):
        sql_text.of_file(str(path))
    assert following.notes(path.parent)(path.name) is None
    assert certificates._pems(str(path)) == ()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda path: path.write_text("123456789"), "larger than 8 bytes"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        (lambda path: path.symlink_to(path), "Too many levels"),
    ],
)
def test_the_rest_that_cannot_be_read_is_said(
    made: Callable[[Path], object], why: str, tmp_path: Path
) -> None:
    path = tmp_path / "it"
    made(path)
    with pytest.raises(OSError, match=why):
        content_of(path, 8)


def test_a_file_is_read_whole_and_nothing_is_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_text("12345678")
    assert content_of(path, 8) == content_of(path) == b"12345678"
    assert content_of(Path(os.devnull)) == b""


def test_a_secret_ends(tmp_path: Path) -> None:
    """It may come through a pipe, as of a shell's `<(…)`."""
    with pytest.raises(Refused, match="cannot be read from the file /dev/zero: longer than"):
        Vault({"token": SecretSource(file=str(ENDLESS))}).fetch(["token"])
    ours, theirs = os.pipe()
    os.write(theirs, b"s3cret-word\n")
    os.close(theirs)
    try:
        vault = Vault({"token": SecretSource(file=f"/dev/fd/{ours}")})
        vault.fetch(["token"])
    finally:
        os.close(ours)
    assert vault.redact("s3cret-word") != "s3cret-word"
