"""`watch` as a process: its files, its signals, its words, and a thousand checks."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.loopback import Answer, Web
from support.process import Process
from support.project import BACKOUT, Project
from support.wait import eventually
from support.yard import Yard


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def inventory(
    project: Project, url: str, name: str = "prod", check: str = "alive", **more: Any
) -> Path:
    rule = {"http": f"{url}/health", "expect": ["status == 200"], "every": "1s"}
    return project.inventory(name, {"checks": {check: rule}, **more})


@contextmanager
def watching(project: Project, *words: str) -> Iterator[Process]:
    argv = [*BACKOUT, "watch", *words]
    log = project.directory / "watch.log"
    with Process(argv, log=log, env=project.env, cwd=project.directory) as process:
        eventually(lambda: "watching " in process.output())
        yield process


def asked(web: Web, path: str) -> int:
    return sum(path in request.path for request in web.asked)


def titles(receiver: Web) -> list[str]:
    return [json.loads(asked.body)["title"] for asked in receiver.asked]


def test_once_looks_at_everything_and_leaves_as_verify_does(project: Project) -> None:
    answers = [Answer("{}")]
    with Web(lambda _: answers[-1]) as web:
        inventory(project, web.url)
        inventory(project, web.url, "staging")
        well = project.say("watch", "--once", "--json")
        assert well.code == 0
        assert {t["target"]: t["verdict"] for t in well.data["targets"]} == {
            "prod": "pass",
            "staging": "pass",
        }
        answers.append(Answer(status=500))
        said = project.say("watch", "--once", "--target", "prod")
        assert said.code == 6
        assert "prod is UNHEALTHY" in said.out
        assert "staging" not in said.out
    page = project.state / "status" / "index.html"
    assert "status is 500" in page.read_text(), "the page says what was seen last"


def test_who_looks_once_at_a_time_has_hours_and_days_of_it_too(project: Project) -> None:
    """And forgets what is old with them: whoever watches never stays for an hour."""
    with Web(lambda _: Answer("{}")) as web:
        inventory(project, web.url)
        for _ in range(3):
            assert project.say("watch", "--once").code == 0
    with sqlite3.connect(project.state / "health.db") as db:
        (looks, rolled) = db.execute(
            "SELECT (SELECT max(seq) FROM look), (SELECT value FROM meta WHERE name = 'rolled')"
        ).fetchone()
        hours = db.execute("SELECT count(*) FROM hour").fetchone()[0]
    assert (looks, int(rolled)) == (3, 2), "the last one is taken in by whoever looks next"
    assert hours >= 1


def test_once_is_not_healthy_while_a_run_holds_one_of_the_targets(yard: Yard) -> None:
    with Web() as web, Web() as switch:
        deadman = f"{switch.url}/ping"
        yard.inventory(
            checks={"alive": {"http": web.url, "expect": ["status > 0"]}}, deadman=deadman
        )
        inventory(yard.project, web.url, "staging", deadman=f"{deadman}-staging")
        yard.runbook(yard.step("Slow", before=yard.hold()))
        yard.start()
        yard.busy("Slow-here")
        said = yard.project.say("watch", "--once", "--json")
    verdicts = {each["target"]: each["verdict"] for each in said.data["targets"]}
    assert verdicts == {"prod": "inconclusive", "staging": "pass"}
    assert (said.code, said.data["verdict"]) == (9, "inconclusive"), "nobody has looked at prod"
    assert sorted(asked.path for asked in switch.asked) == ["/ping-staging", "/ping/fail"]


def test_once_is_not_healthy_when_it_is_stopped_before_a_look_came_back(yard: Yard) -> None:
    words = f"touch {yard.files}/begun; {yard.hold()}"
    with Web() as web, Web() as switch:
        quick = {"http": web.url, "expect": ["status > 0"]}
        slow = {"command": words, "expect": ["exit_code >= 0"], "timeout": "60s"}
        yard.inventory(checks={"quick": quick, "slow": slow}, deadman=f"{switch.url}/ping")
        process = yard.start("watch", "--once")
        eventually(lambda: yard.exists("begun") and web.asked, saying="both looks")
        seen = "SELECT name FROM look, spot ON look.spot = spot.id"
        eventually(lambda: rows(yard.project, seen) == [("quick",)])
        process.send_signal(signal.SIGTERM)
        eventually(lambda: switch.asked, saying="the switch hears of it")
        yard.let_go()
        out, err = process.communicate(timeout=30)
    (prod,) = json.loads(out)["targets"]
    assert {each["name"]: each["verdict"] for each in prod["checks"]} == {
        "quick": "pass",
        "slow": "inconclusive",
    }
    assert process.returncode == 9, out + err
    assert [asked.path for asked in switch.asked] == ["/ping/fail"]


def test_a_broken_inventory_keeps_the_old_one_running_and_is_told(project: Project) -> None:
    with Web() as web, Web() as receiver:
        path = inventory(project, web.url, notify=[f"json://127.0.0.1:{receiver.port}"])
        good = path.read_text()
        with watching(project) as process:
            path.write_text(good + "hosts: [\n")
            eventually(lambda: titles(receiver))
            looked = len(web.asked)
            eventually(lambda: len(web.asked) > looked + 1)
            path.write_text(good.replace("/health", "/other"))
            eventually(lambda: web.asked[-1].path == "/other")
            eventually(lambda: len(titles(receiver)) == 2)
            assert "prod: its inventory was read again" in process.output()
        first, second = titles(receiver)
        assert first == "[prod] an inventory is broken, the old one stays in force"
        assert second == f"{first}: over"
        assert "inventories/prod.yaml:" in json.loads(receiver.asked[0].body)["message"]


def test_sighup_reads_again_and_sigterm_ends_at_once_with_everything_written(
    project: Project,
) -> None:
    with Web() as web:
        inventory(project, web.url)
        with watching(project) as process:
            inventory(project, f"{web.url}/v2", check="renewed")
            process.signal(signal.SIGHUP)
            eventually(lambda: asked(web, "/v2"))
            process.signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert "Traceback" not in process.output()
        renewed = "SELECT count(*) FROM look, spot ON look.spot = spot.id WHERE name = 'renewed'"
        assert rows(project, renewed) == [(asked(web, "/v2"),)]


def test_a_second_watcher_is_refused_with_who_the_first_one_is(project: Project) -> None:
    with Web() as web:
        inventory(project, web.url)
        with watching(project) as process:
            said = project.say("watch", "--once")
        assert said.code == 7
        assert f"process {process.pid} " in said.err


def test_alerts_are_acknowledged_and_silenced_by_name(project: Project) -> None:
    with Web(Answer(status=500)) as web, Web() as receiver:
        path = inventory(project, web.url, notify=[f"json://127.0.0.1:{receiver.port}"])
        path.write_text(path.read_text().replace("every: 1s", "every: 1s\n    alert: {after: 1}"))
        assert project.say("alert.ack").code == 3
        silenced = project.say("alert.silence", "--target", "prod", "--for", "2h", "--json")
        assert silenced.data["silenced"] == "prod"
        assert project.say("watch", "--once").code == 6
        assert titles(receiver) == []
        acked = project.say("alert.ack", "--check", "alive", "--json")
        assert acked.data["acknowledged"] == ["prod/alive"]
        assert project.say("alert.silence", "--target", "prod", "--for", "soon").code == 2
        unknown = project.say("alert.silence", "--target", "prod", "--check", "x", "--for", "1h")
        assert unknown.code == 2


def test_no_secret_is_in_any_byte_that_the_watcher_writes(project: Project) -> None:
    secret = "s3cret-Token-9f8e7d"
    project.env["RECEIVER"] = secret
    echo = Web(lambda asked: Answer(f'{{"echo": "{asked.headers["x-token"]}"}}', 500))
    with echo as web, Web() as receiver:
        project.inventory(
            "prod",
            {
                "secrets": {"token": {"env": "RECEIVER"}},
                "notify": [f"json://user:{{{{ secrets.token }}}}@127.0.0.1:{receiver.port}"],
                "checks": {
                    "alive": {
                        "http": {
                            "url": f"{web.url}/",
                            "headers": {"X-Token": "{{ secrets.token }}"},
                        },
                        "expect": ["body.echo == 'x'"],
                        "alert": {"after": 1},
                    }
                },
            },
        )
        said = project.say("watch", "--once")
        (letter,) = receiver.asked
    written = b"".join(p.read_bytes() for p in project.state.rglob("*") if p.is_file())
    assert web.asked[0].headers["x-token"] == secret
    assert "authorization" in letter.headers
    assert secret not in said.out + said.err + letter.body
    assert secret.encode() not in written


def test_the_dead_mans_switch_is_told_that_all_is_well(project: Project) -> None:
    with Web() as web, Web() as switch:
        inventory(project, web.url, deadman=f"{switch.url}/ping/prod")
        with watching(project):
            eventually(lambda: switch.asked, saying="a ping")
    assert {asked.path for asked in switch.asked} == {"/ping/prod"}


def test_a_deploy_from_another_machine_makes_the_checks_wait(fleet: Yard) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold()))
    deploy = fleet.start()
    fleet.busy("Slow-web1")
    with watching(fleet.elsewhere().project) as process:
        eventually(lambda: "holds it: its checks wait" in process.output())
        fleet.let_go()
        out, err = deploy.communicate(timeout=60)
        assert deploy.returncode == 0, out + err
        eventually(lambda: "prod is free again" in process.output())


def test_a_thousand_checks_on_two_cores_keep_their_schedule(project: Project) -> None:
    """Each every minute: in a third of a minute up to a third of them is looked at again; not
    those that were looked at shortly before, ahead of their time, because all was new."""
    with Web() as web:
        checks = {
            f"check-{n}": {
                "http": f"{web.url}/{n}",
                "expect": ["status == 200"],
                "every": "60s",
            }
            for n in range(1000)
        }
        project.inventory("prod", {"checks": checks})
        with watching(project) as process:
            eventually(lambda: count(project) >= 1000, within=90)  # everything once
            begun = count(project)
            ((since,),) = rows(project, f"SELECT at FROM look WHERE seq = {begun}")
            end = since + 20_000
            eventually(lambda: rows(project, f"SELECT seq FROM look WHERE at > {end}"))
            again = rows(project, f"SELECT spot FROM look WHERE seq > {begun} AND at <= {end}")
            process.signal(signal.SIGTERM)
            assert process.wait(30) == 0
        told = process.output(100_000)
    assert "missed" not in told
    assert "still runs" not in told
    assert len(set(again)) == len(again)
    assert 50 < len(again) < 420


def count(project: Project) -> int:
    found = rows(project, "SELECT count(*) FROM look")
    return int(found[0][0]) if found else 0


def rows(project: Project, query: str) -> list[Any]:
    path = project.state / "health.db"
    if not path.exists():
        return []
    db = sqlite3.connect(path, timeout=10)
    try:
        return db.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        db.close()
