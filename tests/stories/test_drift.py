"""What runs on each host, held against what the last run left there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.git_origin import GitOrigin
from support.loopback import Answer, Web
from support.project import Said
from support.sshd import SshdBed
from support.yard import Yard

SECRET = "v3ry-s3cret-value"


class Fleet(Yard):
    """Two SSH hosts with a checkout, a file of variables and a package each."""

    def __init__(self, directory: Path, bed: SshdBed) -> None:
        self.git = GitOrigin(directory / "git")
        hosts = {name: bed.inventory_hosts()[name] for name in ("web1", "web2")}
        source = {"repository": str(self.git.copy), "directory": "app"}
        self.left = directory / "left"
        look = {
            "env": ["shop.env"],
            "files": ["proxy.conf"],
            "facts": {"tool": f"{self._dpkg('-W', '-f', '${Version}', 'tool')}"},
        }
        check = {"release": look, "on": "all", "timeout": "20s", "every": "1m"}
        check["alert"] = {"after": 1}
        super().__init__(directory, bed, hosts=hosts, source=source, checks={"as-left": check})
        commit = {"name": "Commit", "commit": {"message": "Ship it"}}
        update = {"name": "Update", "update": {}, "on": "web"}
        self.runbook(commit, {"name": "Push", "push": {}}, update, self.step("Once"))
        for host in hosts:
            shutil.rmtree(self.home(host) / "app", ignore_errors=True)
            self.home(host).joinpath("shop.env").write_text(f"TOKEN={SECRET}\nMODE=live\n")
            self.home(host).joinpath("proxy.conf").write_text("listen 8080;\n")
        self.package("1.0")

    def home(self, host: str) -> Path:
        assert self.bed is not None
        return self.bed[host].home

    def _dpkg(self, *words: str) -> str:
        return f"dpkg-query --admindir={self.left}/dpkg " + " ".join(f"'{w}'" for w in words)

    def package(self, version: str) -> None:
        """Install that version of a package, in a database of the test's own."""
        tree = self.left / f"tool-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        about = f"Package: tool\nVersion: {version}\nArchitecture: all\n"
        (tree / "DEBIAN/control").write_text(f"{about}Maintainer: a <a@b.c>\nDescription: t\n")
        database = self.left / "dpkg"
        for name in ("info", "updates", "triggers"):
            (database / name).mkdir(parents=True, exist_ok=True)
        (database / "status").touch()
        deb = self.left / f"{version}.deb"
        subprocess.run(["dpkg-deb", "-b", str(tree), str(deb)], check=True, capture_output=True)
        where = [f"--admindir={database}", f"--instdir={self.left}", "--log=/dev/null"]
        install = ["dpkg", *where, "--force-not-root", "--force-bad-path", "-i", str(deb)]
        subprocess.run(install, check=True, capture_output=True)

    def ship(self, *words: str) -> Said:
        self.git.good_change()
        said = self.deploy(*words)
        assert said.code == 0, said.out + said.err
        return said

    def verify(self) -> tuple[int, dict[str, str]]:
        """The exit code, and why each host is not as it was left."""
        said = self.say("verify")
        self.said = said.out + said.err
        rows = {row["host"]: row for row in said.data["checks"]}
        bad = {host: row for host, row in rows.items() if row["verdict"] != "pass"}
        return said.code, {host: row["reason"] for host, row in bad.items()}


@pytest.fixture
def fleet(bed: SshdBed, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, bed)
    with fleet:
        yield fleet


def git_on(host: Path, *words: str) -> None:
    identity = ["-c", "user.name=Eve", "-c", "user.email=eve@example.org"]
    argv = ["git", "-C", str(host / "app"), *identity, *words]
    subprocess.run(argv, check=True, capture_output=True)


def test_what_no_run_has_changed_is_green_and_any_change_is_told(fleet: Fleet) -> None:
    fleet.ship()
    fleet.ship()
    assert fleet.verify() == (0, {})
    web1, web2 = fleet.home("web1"), fleet.home("web2")

    (web2 / "app/RELEASE").write_text("by hand\n")
    code, why = fleet.verify()
    assert (code, list(why)) == (6, ["web2"])
    assert "not as release 2 (" in why["web2"]
    shown = fleet.project.say("verify", "--target", "prod").out
    assert "+ changed:  M RELEASE" in shown
    assert "+by hand" in shown  # the diff itself
    with Web(lambda _: Answer("{}")) as people:  # and on the schedule people are told of it
        fleet.inventory(notify={"alerts": [f"json://127.0.0.1:{people.port}/"]})
        assert fleet.project.say("watch", "--target", "prod", "--once").code == 6
        (told,) = people.asked
    assert "not as release 2 (" in told.body
    assert "+by hand" in told.body
    git_on(web2, "commit", "-qam", "a hotfix that nobody knows of")
    assert "~ commit: " in fleet.verify()[1]["web2"]
    git_on(web2, "reset", "-q", "--hard", "HEAD~1")

    (web1 / "shop.env").write_text("TOKEN=an0ther-s3cret\nMODE=live\n")
    code, why = fleet.verify()
    assert (code, list(why)) == (6, ["web1"])
    assert "env shop.env: TOKEN is #" in why["web1"]
    assert SECRET not in fleet.said
    assert "an0ther-s3cret" not in fleet.said
    (web1 / "shop.env").write_text(f"TOKEN={SECRET}\nMODE=live\n")

    (web1 / "proxy.conf").unlink()
    assert "file proxy.conf" in fleet.verify()[1]["web1"]
    (web1 / "proxy.conf").write_text("listen 8080;\n")

    fleet.package("1.1")
    code, why = fleet.verify()
    assert (code, sorted(why)) == (6, ["web1", "web2"])
    fleet.ship()  # whatever was changed is on record with the release that was proved over it
    assert fleet.verify() == (0, {})
    assert fleet.say("rollback").code == 0
    assert fleet.verify() == (0, {})
    journal = (fleet.project.state / "journal.db").read_bytes()
    assert SECRET.encode() not in journal


def test_a_host_that_missed_a_release_is_told_and_nothing_is_green_that_was_not_read(
    fleet: Fleet,
) -> None:
    fleet.ship()
    fleet.ship("--hosts", "web1")
    code, why = fleet.verify()
    assert (code, list(why)) == (6, ["web2"])
    assert "it missed release 2 (" in why["web2"]
    fleet.ship()
    assert fleet.verify() == (0, {})

    (fleet.left / "dpkg/status").rename(fleet.left / "dpkg/gone")
    code, why = fleet.verify()
    assert (code, sorted(why)) == (9, ["web1", "web2"])
    assert "fact tool cannot be read: its command exits " in why["web1"]
    (fleet.left / "dpkg/gone").rename(fleet.left / "dpkg/status")

    record = next(fleet.home("web1").rglob("release.json"))
    kept = record.read_text()
    record.unlink()
    code, why = fleet.verify()
    assert (code, list(why)) == (6, ["web1"])
    assert "no release is on record there" in why["web1"]
    record.write_text(kept)

    fleet.runbook(fleet.step("Slow", before=fleet.hold()))
    process = fleet.start()
    fleet.busy("Slow-web1")
    code, why = fleet.verify()
    assert (code, sorted(why)) == (9, ["web1", "web2"])
    assert "a run is under way: run " in why["web1"]
    fleet.let_go()
    process.communicate()
    assert process.returncode == 0
    assert fleet.verify() == (0, {})


def test_such_a_check_is_of_hosts(fleet: Fleet) -> None:
    fleet.inventory(checks={"as-left": {"release": {"packages": ["tool"], "sizes": 1}}})
    said = fleet.project.say("lint")
    assert said.code == 2
    assert "release looks at hosts; add on: all" in said.err
    assert "sizes" in said.err
