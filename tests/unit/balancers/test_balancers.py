"""Each balancer as it really is: what it says that it does, and what it does when it is told."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backout.balancers import BACKENDS
from backout.errors import Refused
from backout.model import Balancer, Command, PoolState, Result
from backout.ports import Pool
from support import balancers, ports, sample_app
from support.balancers import FRONTS, Front
from support.transports import Shell
from support.wait import eventually


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    """A balancer of each kind, before two services that say who they are."""
    with ExitStack() as stack:
        at = {}
        free = sorted((ports.free_port(), ports.free_port()))
        for name, port in zip(("web1", "web2"), free, strict=True):
            path = sample_app.write(tmp_path / name, version=name)
            stack.enter_context(sample_app.run(path, "127.0.0.1", port))
            sample_app.wait_healthy("127.0.0.1", port)
            at[name] = f"127.0.0.1:{port}"
        yield stack.enter_context(FRONTS[request.param](tmp_path, at))


def pool(front: Front, shell: Shell | None = None, **other: Any) -> Pool:
    words = {**front.entry, **other}
    backend = BACKENDS[words.pop("backend")]
    balancer = Balancer(
        name="edge",
        backend=front.entry["backend"],
        on=("here",),
        options=backend.Options(**words),
    )
    made: Pool = backend(balancer, shell or Shell())
    return made


def answering(front: Front) -> set[str]:
    """Who answers, of a few requests."""
    said = [front.get("/health") for _ in range(6)]
    assert {status for status, _ in said} == {200}
    return {name for name in ("web1", "web2") if any(name in body for _, body in said)}


def test_what_is_taken_out_gets_nothing_new_until_it_is_put_back_as_it_was(front: Front) -> None:
    edge = pool(front)
    before = edge.look()
    web1, web2 = before.members
    assert [member.takes for member in (web1, web2)] == [True, True]
    assert answering(front) == {"web1", "web2"}

    assert edge.apply("run/1", [web1.out()]).ok
    now = edge.look()
    assert [member.takes for member in now.members] == [False, True]
    assert not before.changed(now), "nothing else than the member is another"
    assert answering(front) == {"web2"}

    assert edge.apply("run/2", [web1, web2.out()]).ok, "one for the other, in one go"
    assert answering(front) == {"web1"}
    assert edge.apply("run/3", [web2]).ok
    after = edge.look().members
    assert all(now.set_as(was) for now, was in zip(after, before.members, strict=True))
    assert answering(front) == {"web1", "web2"}


def test_who_counts_says_what_each_member_answered(tmp_path: Path) -> None:
    at = {}
    with ExitStack() as stack:
        for name in ("web1", "web2"):
            at[name] = f"127.0.0.1:{ports.free_port()}"
        web1 = sample_app.write(tmp_path / "web1", version="web1")
        stack.enter_context(sample_app.run(web1, "127.0.0.1", int(at["web1"].partition(":")[2])))
        front = stack.enter_context(balancers.haproxy(tmp_path, at))
        sample_app.wait_healthy("127.0.0.1", int(at["web1"].partition(":")[2]))
        statuses = [front.get("/health")[0] for _ in range(6)]
        said = {m.name: (m.asked, m.failed) for m in pool(front).look().members}
    assert sorted(statuses) == [200, 200, 200, 503, 503, 503]
    assert said == {"web1": (3, 0), "web2": (3, 3)}, "also who could not be reached at all"
    counting = {name for name in BACKENDS if BACKENDS[name].counts}
    assert counting == {"haproxy", "command"}


def test_what_cannot_be_read_is_refused_in_words(front: Front) -> None:
    wrong: dict[str, Any] = {"read": "echo nobody"} if "read" in front.entry else {"pool": "nobody"}
    with pytest.raises(Refused, match=r"edge \(\w+ on \w+\) cannot be read: .*nobody"):
        pool(front, **wrong).look()


def test_a_caddy_that_is_not_there_is_said(tmp_path: Path) -> None:
    with (
        balancers.caddy(tmp_path, {"web1": "127.0.0.1:9"}) as front,
        pytest.raises(Refused, match=r"cannot be read: .*connect to 127\.0\.0\.1"),
    ):
        pool(front, admin="http://127.0.0.1:9").look()


def test_a_caddy_is_asked_on_its_own_machine_whatever_proxy_is_set_there(tmp_path: Path) -> None:
    """Of a proxy elsewhere 127.0.0.1 is that machine's own."""
    proxy = "http://127.0.0.1:9"
    (tmp_path / ".curlrc").write_text(f"proxy={proxy}\n")
    shell = Shell(env={**os.environ, "http_proxy": proxy, "HOME": str(tmp_path)})
    with balancers.caddy(tmp_path, {"web1": "127.0.0.1:9"}) as front:
        edge = pool(front, shell)
        (member,) = edge.look().members
        assert edge.apply("run/1", [member.out()]).ok
        assert not edge.look().members[0].takes


def test_a_caddy_that_would_reset_who_waits_says_so_and_what_prevents_it(tmp_path: Path) -> None:
    with balancers.caddy(tmp_path, {"web1": "127.0.0.1:9"}) as front:
        assert pool(front).look().risk == ""
        balancers.MIGRATES.write_text("0")
        try:
            seen = pool(front).look()
        finally:
            balancers.MIGRATES.write_text("1")
    assert re.fullmatch(
        r"edge \(caddy on \w+\) resets connections that wait while it takes a move up; to prevent"
        r" that: sysctl -w net\.ipv4\.tcp_migrate_req=1 on \w+",
        seen.risk,
    )
    assert PoolState.of(seen.record()) == seen


def test_every_balancer_has_been_run() -> None:
    assert set(FRONTS) == set(BACKENDS)


def test_nginx_does_not_take_what_nobody_can_count_for_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = f"127.0.0.1:{server.getsockname()[1]}"
        here = {"web1": at, "web2": at.replace("127.0.0.1", "localhost"), "web3": "127.0.0.1"}
        with (
            balancers.nginx(tmp_path, here) as front,
            socket.create_connection(server.getsockname()),
        ):
            counts = [member.open for member in pool(front).look().members]
    assert counts == [1, None, 0], "one by its address, one by a name, one on port 80"


def test_an_nginx_that_includes_whatever_lies_there_is_changed_behind_its_links(
    tmp_path: Path,
) -> None:
    """As on Debian: `include sites-enabled/*`, of links to sites-available."""
    at = {"web1": "127.0.0.1:9", "web2": "127.0.0.1:10"}
    for linked in (False, True):
        directory = tmp_path / f"{linked}"
        directory.mkdir()
        with balancers.nginx(directory, at) as front:
            config, link = directory / "nginx.conf", Path(front.entry["file"])
            config.write_text(config.read_text().replace("upstreams/*.conf;", "upstreams/*;"))
            assert "upstreams/*;" in config.read_text()
            file = directory / "available"
            if linked:
                link.rename(file)
                link.symlink_to(file)
            subprocess.run([*front.entry["program"].split(), "-s", "reload"], check=True)
            edge = pool(front)
            web1 = eventually(
                edge.look, ignoring=(Refused,), saying="workers that read it"
            ).members[0]

            said = edge.apply("run/1", [web1.out()])

            assert said.ok, said.stderr
            assert link.is_symlink() is linked
            assert [member.takes for member in edge.look().members] == [False, True]
            link.write_text(link.read_text().replace("down;", ";"))
            with pytest.raises(Refused, match="was changed after nginx had read it"):
                edge.look()


def test_nginx_is_never_left_with_a_file_that_it_does_not_run_with(tmp_path: Path) -> None:
    at = {"web1": "127.0.0.1:9", "web2": "127.0.0.1:10"}
    with balancers.nginx(tmp_path, at) as front:
        edge, file = pool(front), Path(front.entry["file"])
        text = file.read_text()
        web1 = edge.look().members[0]
        file.write_text(text.replace("127.0.0.1:10", "nobody.invalid:x"))
        broken = edge.apply("run/1", [web1.out()])
        assert not broken.ok
        assert "nobody.invalid" in broken.stderr
        assert "down" not in file.read_text(), "what nginx refuses is taken back"

        file.write_text(text)
        time.sleep(0.1)
        with pytest.raises(Refused, match="was changed after nginx had read it"):
            edge.look()
        assert edge.apply("run/2", [web1.out()]).ok
        assert [member.takes for member in edge.look().members] == [False, True]

        file.write_text(file.read_text().replace("web1", "web3"))
        assert "was changed by hand meanwhile" in edge.apply("run/3", [web1]).reason


@pytest.mark.parametrize("stuck", ["master", "worker"])
def test_what_nginx_does_not_take_in_time_is_taken_back(tmp_path: Path, stuck: str) -> None:
    at = {"web1": "127.0.0.1:9", "web2": "127.0.0.1:10"}
    with balancers.nginx(tmp_path, at) as front:
        edge, file = pool(front), Path(front.entry["file"])
        text, before = file.read_text(), edge.look()
        master = int(Path(front.entry["pid"]).read_text())
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        pid = master if stuck == "master" else int(workers[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            said = edge.apply("run/1", [before.members[0].out()])
        finally:
            os.kill(pid, signal.SIGCONT)
        assert not said.ok
        assert "have not taken" in said.stderr
        assert file.read_text() == text

        eventually(lambda: taking(edge) == [True, True], saying="nginx has the file as it was")
        assert edge.apply("run/2", [before.members[0].out()]).ok, "and takes the next one"


def taking(edge: Pool) -> list[bool]:
    """Who takes requests, once that can be told."""
    try:
        return [member.takes for member in edge.look().members]
    except Refused:
        return []


def test_haproxy_takes_nobody_out_for_one_that_would_get_nothing(tmp_path: Path) -> None:
    """A server of weight 0 gets no requests, whatever its state is."""
    at = {name: f"127.0.0.1:{ports.free_port()}" for name in ("web1", "web2")}
    with balancers.haproxy(tmp_path, at, each={"web1": "weight 0"}) as front:
        edge = pool(front)
        web1, web2 = edge.look().members

        said = edge.apply("run/1", [replace(web1, takes=True), web2.out()])

        assert not said.ok
        assert "web1 has weight 0 there" in said.reason
        assert [member.takes for member in edge.look().members] == [False, True]


def test_haproxy_says_that_one_is_down_only_where_it_looks(tmp_path: Path) -> None:
    at = {name: f"127.0.0.1:{ports.free_port()}" for name in ("web1", "web2", "web3")}
    each = {"web1": "check inter 100ms fall 1", "web2": "check inter 100ms fall 1"}
    with balancers.haproxy(tmp_path, at, each=each) as front:
        edge, kept = pool(front), pool(front, out="maint")
        web1, web2, _ = edge.look().members
        assert edge.apply("run/1", [web1.out()]).ok
        assert kept.apply("run/2", [web2.out()]).ok

        eventually(lambda: [m.up for m in edge.look().members] == [False, None, None])


def test_haproxy_takes_nobody_for_well_before_it_has_looked(tmp_path: Path) -> None:
    """Who comes out of maintenance is up until a look has failed, and sent requests."""
    at = {"web1": f"127.0.0.1:{ports.free_port()}"}
    with socket.create_server(("127.0.0.1", 0)) as mute:
        looks = f"check inter 60s port {mute.getsockname()[1]} disabled\n  option httpchk GET /"
        with balancers.haproxy(tmp_path, at, each={"web1": looks}) as front:
            edge = pool(front, out="maint")
            (member,) = edge.look().members
            assert (member.up, member.ill) == (None, "")

            assert edge.apply("run/1", [replace(member, takes=True)]).ok

            (member,) = edge.look().members
            assert (member.up, member.ill) == (True, "is not yet well")


LATE = '(read -r _ < "$1"; exec -a "nginx: worker process" sleep 60) & read -r _ < "$2"; kill $!'


def test_an_nginx_that_just_begins_is_waited_for_until_a_worker_serves(tmp_path: Path) -> None:
    """A reload by somebody else in the middle of a deploy is no reason to go back."""
    file, begin, end = (tmp_path / name for name in ("app.conf", "begin", "end"))
    file.write_text("upstream app {\n  server 127.0.0.1:1;\n}\n")
    for fifo in (begin, end):
        os.mkfifo(fifo)
    late = tmp_path / "late.sh"
    late.write_text(LATE)
    words = ["bash", str(late), str(begin), str(end)]
    with subprocess.Popen(words) as master:
        pid = tmp_path / "pid"
        pid.write_text(f"{master.pid}\n")
        entry = {"backend": "nginx", "file": str(file), "pool": "app", "pid": str(pid)}
        shell = Began(begin)
        try:
            state = pool(Front(0, entry, None, tmp_path), shell).look()  # type: ignore[arg-type]
        finally:
            end.write_text("over\n")
    assert [member.name for member in state.members] == ["127.0.0.1:1"]


class Began(Shell):
    """The worker begins once somebody looks."""

    def __init__(self, begin: Path) -> None:
        super().__init__()
        self.begin = begin

    def run(self, command: Command) -> Result:
        threading.Timer(0.2, self.begin.write_text, ["now\n"]).start()
        return super().run(command)
