"""Start-up files as people have them: whatever they set, it is deployed to and rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sshd import SshdBed
from support.yard import Yard

START_UP = {
    "few": "ulimit -n 24; ulimit -c 0; umask 077",
    "lost": "export TMPDIR=/nowhere",
    "latin": "export LC_ALL=de_DE.ISO-8859-1 LANG=C POSIXLY_CORRECT=1; umask 027",
    "strict": "set -u; set -o noclobber; set -o pipefail; IFS=:; export CDPATH=/:/tmp",
    "coloured": "export GREP_OPTIONS=--color=always CLICOLOR_FORCE=1; alias echo='echo -n'",
    "talking": "trap 'echo bye' EXIT; echo hi; printf 'no line end'; export PS1='> '",
    "elsewhere": "export PATH=/usr/bin ENV=/nowhere; cat() { false; }; export -f cat",
    "rooted": "cd /",
    "chatty": "yes | head -c 300000; echo",
}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdBed]:
    with SshdBed(tmp_path_factory.mktemp("bed"), list(START_UP)) as bed:
        for host in bed:
            (host.home / ".bashrc").write_text(f"{START_UP[host.name]}\n")
        yield bed


def test_whatever_a_start_up_file_sets_it_is_deployed_to_and_rolled_back(
    hosts: SshdBed, tmp_path: Path
) -> None:
    with Yard(tmp_path, hosts) as yard:
        yard.inventory(rollout={"batches": ["100%"], "soak": 0})
        place = f"{yard.files}/app-{{{{ host.name }}}}.env"
        put = {"name": "Put it", "upload": {"from": "app.env", "to": place, "mode": "0640"}}
        say = {"name": "Say it", "run": "echo 'Größe' > {{ params.f }}-{{ host.name }}",
               "undo": "rm -f {{ params.f }}-{{ host.name }}"}  # fmt: skip
        steps: list[dict[str, Any]] = [{**put, "on": "web"}, {**say, "on": "web"}]
        yard.runbook(*steps, params={"f": {"default": f"{yard.files}/said"}})
        for n in (1, 2):
            (yard.project.directory / "app.env").write_bytes(
                f"release {n}\r\nä\n".encode("latin-1")
            )
            said = yard.deploy()
            assert said.code == 0, said.out + said.err
        for name in START_UP:
            assert (yard.files / f"said-{name}").read_text() == "Größe\n", name

        back = yard.say("rollback", "--yes")

        assert back.code == 0, back.out + back.err
        for name in START_UP:
            file = yard.files / f"app-{name}.env"
            assert file.read_bytes() == "release 1\r\nä\n".encode("latin-1"), name
            assert file.stat().st_mode & 0o777 == 0o640, name
        assert yard.say("status").code == 0
