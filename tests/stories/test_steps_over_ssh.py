"""`update` and `upload` on a host behind OpenSSH."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backout.adapters.transports.ssh import SshTransport
from backout.adapters.vault import Vault
from backout.model import Host, Release, Source, Ssh
from support.git_origin import GitOrigin
from support.sshd import SshdBed
from support.work import Bench


@pytest.fixture
def bench(sshd_bed: SshdBed, git_origin: GitOrigin, tmp_path: Path) -> Iterator[Bench]:
    web1 = sshd_bed["web1"]
    host = Host(name="web1", address=web1.address, port=web1.port, user="root")
    ssh = Ssh(
        identity=str(sshd_bed.identity), known_hosts=str(sshd_bed.known_hosts), config="/dev/null"
    )
    transport = SshTransport(host, ssh, ".backout/bench", Vault({}, tmp_path))
    source = Source(repository=str(git_origin.copy), directory="my app")
    release = Release(1, git_origin.head())
    yield Bench(
        tmp_path,
        source,
        host,
        release=release,
        transport=transport,
        state=".backout/bench",
    )
    transport.close()


@pytest.mark.parametrize(("strategy", "inside"), [("checkout", "."), ("releases", "current")])
def test_code_arrives_on_the_host_and_goes_back(
    bench: Bench, sshd_bed: SshdBed, git_origin: GitOrigin, strategy: str, inside: str
) -> None:
    assert bench.source is not None
    bench.source = bench.source.model_copy(update={"strategy": strategy})
    app = sshd_bed["web1"].home / "my app" / inside
    assert bench.step("update").act().ok
    assert (app / "RELEASE").read_text() == "1\n"
    git_origin.good_change()
    bench.release = Release(2, git_origin.commit("Release 2"))
    git_origin.push()
    trial = bench.step("update")
    assert trial.act().ok
    assert (app / "RELEASE").read_text() == "2\n"
    recalled = trial.recall()
    assert recalled is not None
    assert recalled.ok

    assert trial.undo().ok

    assert (app / "RELEASE").read_text() == "1\n"


def test_a_release_is_built_in_a_directory_that_begins_at_home(
    bench: Bench, sshd_bed: SshdBed
) -> None:
    assert bench.source is not None
    bench.source = bench.source.model_copy(update={"strategy": "releases"})
    built = bench.step("build", {"script": "cp RELEASE BUILT"}).act()
    assert built.ok, built.stderr
    assert bench.step("update").act().ok
    assert (sshd_bed["web1"].home / "my app/current/BUILT").read_text() == "1\n"


def test_a_file_arrives_on_the_host_and_goes_back(
    bench: Bench, sshd_bed: SshdBed, tmp_path: Path
) -> None:
    home = sshd_bed["web1"].home
    for to in ("app.conf", "~/other's.conf", str(home / "third.conf")):
        target = home / to.removeprefix("~/")
        target.write_text("old")
        (tmp_path / "new.conf").write_text("new")
        trial = bench.step("upload", {"from": str(tmp_path / "new.conf"), "to": to})
        trial.work = replace(trial.work, key=f"{trial.work.key}/{target.name}")

        assert trial.act().ok
        assert target.read_text() == "new"
        kept = (home / ".backout/bench/kept").iterdir()
        assert len([path for path in kept if path.suffix != ".put"]) == 1
        assert trial.undo().ok
        assert target.read_text() == "old"
        assert list((home / ".backout/bench/kept").iterdir()) == []
