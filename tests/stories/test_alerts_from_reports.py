"""Alerts arrive, at whoever can take them, whatever happens to the receiver, the files or a
thread. Each of these was once reported, of this watcher or of another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from backout.adapters import notify, switches
from backout.model import CheckKey, Delivery, Message, Verdict
from backout.watch.watched import WatchedTarget
from backout.watch.workers import Workers
from support.loopback import Answer, Asked, Web
from support.ports import free_port
from support.process import Process
from support.project import BACKOUT, Project
from support.receivers import Strict, discord, said, titles
from support.wait import eventually
from support.watch import Places, Simulation, check, target


@pytest.fixture(scope="module", autouse=True)
def receivers_are_known() -> None:
    """Apprise reads what it has of each of its services when it is first asked for one."""
    notify.room("discord://1/a")


def bad(_: float) -> Verdict:
    return Verdict.FAIL


Receive = Callable[[str, Message], str | Delivery]


def posting(**urls: str) -> tuple[Places, Receive]:
    """Destinations by name, each a real receiver."""

    def receive(destination: str, message: Message) -> Delivery:
        said = (message.kind, message.key, message.title, message.body)
        return notify.post(urls[destination], *said)

    return Places(tuple(urls)), receive


# --- what a receiver refuses ---------------------------------------------------------------------


def test_a_long_message_is_shortened_to_what_the_service_takes(tmp_path: Path) -> None:
    watched = target(check("alive", every="1m", alert={"after": 1}))
    with discord() as (url, service):
        places, receive = posting(people=url)
        reasons = {"alive": "line\n" * 3000}
        with Simulation(
            tmp_path, [watched], {"alive": bad}, places=places, receive=receive, reasons=reasons
        ) as sim:
            sim.run(120)
            assert sim.store.waiting() == ()
        (told,) = service.taken
    assert "[prod] alive fails" in told
    assert "next: invoke" in told, "the last line says what to type"
    assert "(shortened)" in told


def test_many_alerts_at_once_come_in_as_many_messages_as_fit(tmp_path: Path) -> None:
    checks = [check(f"check-{n:02}", every="1m", alert={"after": 1}) for n in range(30)]
    with discord() as (url, service):
        places, receive = posting(people=url)
        places.space = notify.room(url)
        says = {each.name: bad for each in checks}
        with Simulation(tmp_path, [target(*checks)], says, places=places, receive=receive) as sim:
            sim.run(300)
            assert sim.store.waiting() == ()
    whole = "\n".join(service.taken)
    assert all(f"[prod] {each.name} fails" in whole for each in checks)
    assert len(service.taken) < 30


def test_a_receiver_that_takes_less_than_it_should_gets_it_short(tmp_path: Path) -> None:
    service = Strict(lambda text: len(text) <= 1200, status=413)
    with Web(service) as web:
        url = f"json://127.0.0.1:{web.port}"
        places, receive = posting(people=url)
        watched = target(check("alive", every="1m", alert={"after": 1}))
        with Simulation(
            tmp_path,
            [watched],
            {"alive": bad},
            places=places,
            receive=receive,
            reasons={"alive": "x" * 5000},
        ) as sim:
            sim.run(120)
            assert sim.store.waiting() == ()
    assert service.titles == ["[prod] alive fails"]


def test_what_is_refused_for_good_is_told_elsewhere_and_the_rest_goes_on(tmp_path: Path) -> None:
    picky = Strict(lambda text: "poison" not in text, status=400)
    kind = Strict(lambda _: True)
    with Web(picky) as one, Web(kind) as other:
        places, receive = posting(
            first=f"json://127.0.0.1:{one.port}", second=f"json://127.0.0.1:{other.port}"
        )
        watched = target(
            check("poison", every="1m", alert={"after": 1}),
            check("alive", every="1m", alert={"after": 3}),
        )
        says = {"poison": bad, "alive": bad}
        with Simulation(tmp_path, [watched], says, places=places, receive=receive) as sim:
            sim.run(300)
            assert sim.store.waiting() == ()
            assert sim.sender.lost == 0
    assert picky.titles == ["[prod] alive fails"]
    assert kind.titles[:2] == [
        "[prod] poison fails",
        "could not be delivered to first: [prod] poison fails",
    ]
    assert "HTTP" in kind.taken[1] or "400" in kind.taken[1]


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    asked_at: list[float] = []
    busy = Strict(lambda _: False, status=429, headers={"Retry-After": "600"})
    with Web(busy) as web:
        places, receive = posting(people=f"json://127.0.0.1:{web.port}")

        def timed(destination: str, message: Message) -> str | Delivery:
            asked_at.append(sim.clock.stamp)
            return receive(destination, message)

        watched = target(check("alive", every="1m", alert={"after": 1}))
        with Simulation(tmp_path, [watched], {"alive": bad}, places=places, receive=timed) as sim:
            sim.run(500)
            assert len(asked_at) == 1
            busy.takes = lambda _: True
            sim.run(700)
    assert busy.titles == ["[prod] alive fails"]
    assert 600 <= asked_at[1] - asked_at[0] < 620


def test_a_date_in_retry_after_and_what_each_status_means() -> None:
    statuses: list[tuple[int, str]] = []
    with Web(lambda _: Answer("", statuses[-1][0], (("Retry-After", statuses[-1][1]),))) as web:
        url = f"json://127.0.0.1:{web.port}"

        def answered(status: int, after: str = "") -> Delivery:
            statuses.append((status, after))
            return notify.post(url, "open", "k", "t", "b")

        assert answered(503, "Fri, 31 Dec 2199 23:59:59 GMT").wait > 1e6
        assert answered(503, "soon").wait == 0
        assert [answered(s).unfit for s in (400, 413, 422, 429, 500, 503)] == [True] * 3 + [
            False
        ] * 3
        assert [answered(s).closed for s in (401, 404, 410, 400, 502)] == [True] * 3 + [False] * 2


def test_a_destination_that_is_shut_is_told_of_elsewhere_and_tried_on(tmp_path: Path) -> None:
    shut, kind = Strict(lambda _: False, status=404), Strict(lambda _: True)
    with Web(shut) as one, Web(kind) as other:
        places, receive = posting(
            first=f"json://127.0.0.1:{one.port}", second=f"json://127.0.0.1:{other.port}"
        )
        watched = target(check("alive", every="1m", alert={"after": 1}))
        with Simulation(tmp_path, [watched], {"alive": bad}, places=places, receive=receive) as sim:
            sim.run(900)
            assert "[prod] alerts to first are not delivered" in kind.titles
            assert kind.titles.count("[prod] alerts to first are not delivered") == 1
            shut.takes = lambda _: True
            sim.run(600)
            assert "[prod] alive fails" in shut.titles


# --- who has been told ---------------------------------------------------------------------------


def test_a_corrected_url_gets_what_waited_and_what_is_open(tmp_path: Path) -> None:
    watched = target(
        check("alive", every="1m", alert={"after": 1}),
        check("other", every="1m", alert={"after": 1}),
    )
    well = [False]
    says = {"alive": lambda _: Verdict.PASS if well[0] else Verdict.FAIL, "other": bad}
    with Simulation(tmp_path, [watched], says) as sim:
        got: list[tuple[str, str]] = []

        def receive(destination: str, message: Message) -> str:
            if destination == "wrong":
                return "no route to host"
            got.append((destination, message.title))
            return ""

        sim.receive = receive
        sim.places.now = ("wrong",)
        sim.watch(watched)
        sim.run(200)
        sim.places.now = ("right",)
        sim.watch(watched)
        sim.run(400)
        assert sorted(got) == [("right", "[prod] alive fails"), ("right", "[prod] other fails")]
        well[0] = True
        sim.run(400)
        sim.places.now = ("right", "new")
        sim.watch(watched)
        sim.run(400)
    assert got[2:] == [("right", "[prod] alive is healthy again"), ("new", "[prod] other fails")]


def test_what_is_taken_away_is_closed_where_it_was_told_and_once(tmp_path: Path) -> None:
    checks = [check(name, every="1m", alert={"after": 1, "remind": "10m"}) for name in "abc"]
    says = dict.fromkeys("abc", bad)
    with Simulation(tmp_path, [target(*checks), target(checks[0], name="old")], says) as sim:
        sim.run(300)
        sim.watch(target(*checks[:2]))
        sim.watcher.forget("old")
        sim.run(7200)
        sim.restart()
        sim.targets = [target(*checks[:2])]
        sim.run(600)
        over = [m.title for m in sim.arrived if "no longer watched" in m.title + m.body]
        told = "\n".join(m.title + m.body for m in sim.arrived if "no longer" in m.title + m.body)
    assert told.count("[prod] c is no longer watched") == 1
    assert told.count("[old] a is no longer watched") == 1
    assert over


# --- the process -----------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def inventory(project: Project, web: Web, receiver: Web, name: str = "prod") -> Path:
    rule = {
        "http": f"{web.url}/{name}",
        "expect": ["status == 200"],
        "every": "1s",
        "alert": {"after": 1, "recover": 1},
    }
    return project.inventory(
        name, {"checks": {"alive": rule}, "notify": [f"json://127.0.0.1:{receiver.port}"]}
    )


@contextmanager
def watching(project: Project, *words: str) -> Iterator[Process]:
    log = project.directory / "watch.log"
    argv = [*BACKOUT, "watch", *words]
    with Process(argv, log=log, env=project.env, cwd=project.directory) as process:
        eventually(lambda: "watching " in process.output())
        yield process


def got(url: str) -> tuple[int, str]:
    try:
        with urlopen(url) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_one_broken_inventory_stops_no_other_and_is_told_until_it_is_mended(
    project: Project,
) -> None:
    port = free_port()
    with Web() as web, Web() as receiver:
        inventory(project, web, receiver)
        broken = inventory(project, web, receiver, "eu")
        good = broken.read_text()
        broken.write_text(good + "hosts: [\n")
        (project.directory / "inventories" / ".#prod.yaml").symlink_to("ann@laptop.4711:1")
        for litter in ("#prod.yaml#", ".prod.yaml.swp", "4913", "prod.yaml~"):
            (project.directory / "inventories" / litter).write_text("}{")
        with watching(project, "--listen", f"127.0.0.1:{port}") as process:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: "[eu] an inventory is broken, it is not watched" in titles(receiver))
            eventually(lambda: any(asked.path == "/prod" for asked in web.asked))
            eventually(lambda: got(f"{url}/health")[0] == 503)
            assert "eu: its inventory is broken, it is not watched" in got(f"{url}/health")[1]
            assert 'backout_inventory_broken{target="eu"} 1.0' in got(f"{url}/metrics")[1]
            broken.write_text(good)
            eventually(lambda: any(asked.path == "/eu" for asked in web.asked))
            eventually(lambda: got(f"{url}/health")[0] == 200)
            over = "[eu] an inventory is broken, it is not watched: over"
            eventually(lambda: over in titles(receiver))
            assert "Traceback" not in process.output(100_000)
        broken.write_text("hosts: [\n")
        partly = project.say("watch", "--once")
        assert partly.code == 2, "what was not looked at is not well"
        assert "eu was not looked at: its inventory is broken" in partly.out
    (project.directory / "inventories" / "prod.yaml").unlink()
    said = project.say("watch", "--once")
    assert said.code == 2, "nothing at all can be watched"
    assert "inventories/eu.yaml:" in said.err


def test_a_reload_while_a_message_is_in_flight_and_a_new_name_stop_nothing(
    project: Project,
) -> None:
    """The first receiver is slow; while it has the message, the inventory names another one.
    Then the target gets another name."""
    sick = [False]
    held: list[Asked] = []

    def slow(asked: Asked) -> Answer:
        held.append(asked)
        time.sleep(2.5)
        return Answer("no", 503)

    with (
        Web(lambda _: Answer("{}", 500 if sick[0] else 200)) as web,
        Web(slow) as first,
        Web() as second,
    ):
        path = inventory(project, web, first)
        with watching(project) as process:
            sick[0] = True
            eventually(lambda: held)
            path.write_text(path.read_text().replace(str(first.port), str(second.port)))
            eventually(lambda: "[prod] alive fails" in titles(second))
            path.rename(path.with_name("shop.yaml"))
            gone = "[prod] alive is no longer watched"
            eventually(lambda: gone in titles(second))
            eventually(lambda: "[shop] alive fails" in titles(second))
            sick[0] = False
            eventually(lambda: "[shop] alive is healthy again" in titles(second))
            assert "died" not in process.output(100_000)
    assert titles(second).count("[prod] alive is no longer watched") == 1


def test_a_host_that_is_taken_out_has_no_check_any_more() -> None:
    hosts = {name: {"name": name, "groups": ["web"]} for name in ("web1", "web2")}
    checks = (check("alive", on="web"), check("whole"))
    both, one = target(*checks, hosts=hosts), target(*checks, hosts={"web1": hosts["web1"]})
    before, after = (WatchedTarget(each, (), lambda *_: ()) for each in (both, one))
    assert before.has(CheckKey("prod", "alive", "web2"))
    assert not after.has(CheckKey("prod", "alive", "web2"))
    assert after.has(CheckKey("prod", "alive", "web1"))
    assert after.has(CheckKey("prod", "whole"))
    assert not after.has(CheckKey("prod", "alive")), "it runs on hosts now"


def test_a_thread_that_dies_is_told_and_started_again() -> None:
    lives: list[int] = []

    def work() -> None:
        lives.append(1)
        if len(lives) == 1:
            raise KeyError("destination")
        time.sleep(30)

    workers = Workers()
    workers.start("sender", work)
    eventually(lambda: workers.troubles)
    assert "KeyError" in workers.troubles[0]
    (words,) = eventually(workers.mind)  # what died may not be gone yet
    assert "was started again" in words
    eventually(lambda: len(lives) == 2)
    assert workers.troubles, "it is not well before it has proved itself"
    assert workers.mind() == []


PLUGIN = """\
import pathlib
from apprise.decorators import notify

@notify(on="pager")
def page(body, title, notify_type, *args, **kwargs):
    asked = pathlib.Path("asked")
    if not asked.exists():
        asked.touch()
        raise SystemExit("the pager's own library gives up")
    pathlib.Path("arrived").open("a").write(title + "\\n")
"""
"""A way to tell people that takes the thread which uses it along, the first time."""


def test_a_plugin_that_takes_the_senders_thread_along_holds_up_no_alert(project: Project) -> None:
    (project.directory / "sitecustomize.py").write_text(PLUGIN)
    project.env["PYTHONPATH"] = str(project.directory)
    arrived = project.directory / "arrived"
    port = free_port()
    with Web(Answer("{}", 500)) as web, Web() as receiver:
        path = inventory(project, web, receiver)
        path.write_text(path.read_text().replace(f"json://127.0.0.1:{receiver.port}", "pager://"))
        with watching(project, "--listen", f"127.0.0.1:{port}") as process:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: got(f"{url}/health")[0] == 503)
            reasons = json.loads(got(f"{url}/health")[1])["reasons"]
            assert any("sender of messages died" in each for each in reasons)
            metrics = got(f"{url}/metrics")[1]
            assert 'backout_worker_deaths_total{worker="sender of messages"} 1.0' in metrics
            eventually(arrived.exists)
            eventually(
                lambda: 'up{worker="sender of messages"} 1.0' in got(f"{url}/metrics")[1], within=60
            )
            assert "the sender of messages died, and was started again" in process.output(100_000)
    assert arrived.read_text().splitlines() == ["[prod] alive fails"]


# --- what a message says, and to whom --------------------------------------------------------


def test_what_is_sent_says_what_a_person_needs_at_night(project: Project) -> None:
    (project.directory / "backout.yaml").write_text("page: https://status.example.org/\n")
    with Web(Answer("{}", 500)) as web, Web() as urgent, Web() as all_of_it:
        url = f"{web.url}/health?key={{{{ secrets.key }}}}"
        common = {"expect": ["status == 200"], "alert": {"after": 1}}
        project.env["KEY"] = "a-secret-key-of-ours"
        project.inventory(
            "prod",
            {
                "secrets": {"key": {"env": "KEY"}},
                "notify": [
                    {"url": f"json://127.0.0.1:{urgent.port}", "severity": "critical"},
                    f"json://127.0.0.1:{all_of_it.port}",
                ],
                "checks": {
                    "alive": {"http": url, "doc": "https://wiki.example.org/alive", **common},
                    "slow": {"http": f"{web.url}/slow", "severity": "warning", **common},
                },
            },
        )
        assert project.say("watch", "--once").code == 6
        listed = project.say("alert.list", "--json").data["alerts"]
        noted = project.say("alert.ack", "--check", "alive", "--note", "on it, ann").code
        after = project.say("alert.list")
    assert titles(urgent) == ["[prod] alive fails"]
    assert sorted(titles(all_of_it)) == ["[prod] alive fails", "[prod] slow fails"]
    message = said(urgent.asked[0])
    assert "checked: " in message
    assert "/health?key=" in message
    assert "a-secret-key-of-ours" not in message
    assert "https://wiki.example.org/alive" in message
    assert "page: https://status.example.org/" in message
    assert "acknowledge: invoke alert.ack --target prod --check alive" in message
    assert "for 0ms" not in message
    assert {each["check"]: each["severity"] for each in listed} == {
        "alive": "critical",
        "slow": "warning",
    }
    assert noted == 0
    assert "on it, ann" in after.out
    status = json.loads((project.state / "status" / "status.json").read_text())
    assert status["targets"][0]["state"] == "fail"
    assert "failing" in (project.state / "status" / "badge-prod.svg").read_text()
    feed = (project.state / "status" / "incidents.atom").read_text()
    assert "[prod] alive fails" in feed
    assert "a-secret-key-of-ours" not in feed


def test_a_reminder_says_how_it_is_now(tmp_path: Path) -> None:
    watched = target(check("alive", every="1m", alert={"after": 1, "remind": "10m"}))
    with Simulation(tmp_path, [watched], {"alive": bad}, reasons={"alive": "first"}) as sim:
        sim.run(300)
        sim.reasons["alive"] = "worse by now"
        sim.run(500)
        _, reminder, *_ = sim.arrived
    assert reminder.kind == "remind"
    assert "came: worse by now" in reminder.body
    assert "looks in a row" in reminder.body
    assert "(2 looks in a row)" not in reminder.body


def test_a_maintenance_window_is_quiet_and_what_is_wrong_at_its_end_is_told(
    tmp_path: Path,
) -> None:
    """The simulation begins at 20:00 UTC."""
    window = {"cron": "5 20 * * *", "for": "1h", "checks": ["alive"]}
    watched = target(
        check("alive", every="1m", alert={"after": 1}),
        check("other", every="1m", alert={"after": 1}),
        maintenance=[window],
    )
    with Simulation(tmp_path, [watched]) as sim:
        sim.run(360)
        sim.says = {"alive": bad, "other": bad}
        sim.run(3000)
        assert sim.titles == ["[prod] other fails"]
        sim.run(600)
        assert sim.titles == ["[prod] other fails", "[prod] alive fails"]


def test_mistakes_in_windows_severities_and_the_project_file_are_named(project: Project) -> None:
    with Web() as web, Web() as receiver:
        path = inventory(project, web, receiver)
        good = path.read_text()
        for words, where in (
            ("maintenance: [{cron: '61 * * * *', for: 1h}]\n", "maintenance[0].cron"),
            ("maintenance: [{cron: '1 * * * *', for: 1h, checks: [alife]}]\n", "did you mean"),
            ("maintenance: [{cron: '1 * * * *'}]\n", "maintenance[0].for"),
        ):
            path.write_text(good + words)
            said_ = project.say("lint")
            assert said_.code == 2
            assert where in said_.out + said_.err
        path.write_text(good)
        (project.directory / "backout.yaml").write_text("page: status.example.org\n")
        refused = project.say("watch", "--once")
    assert refused.code == 2
    assert "backout.yaml:1 page" in refused.err


# --- what stands in the way of looking ---------------------------------------------------------


def test_a_secret_that_hangs_stops_nothing_else_and_a_rotated_one_is_read_again(
    project: Project,
) -> None:
    key = project.directory / "key"
    key.write_text("first-key-of-all")
    key.chmod(0o600)
    current = ["first-key-of-all"]

    def answer(asked: Asked) -> Answer:
        refused = asked.path == "/keyed" and asked.headers.get("x-key") != current[0]
        return Answer("{}", 401 if refused else 200)

    common = {"expect": ["status == 200"], "every": "1s", "alert": {"after": 1, "recover": 1}}
    with Web(answer) as web, Web() as receiver:
        hung = {"url": f"{web.url}/hung", "headers": {"X-Key": "{{ secrets.stuck }}"}}
        keyed = {"url": f"{web.url}/keyed", "headers": {"X-Key": "{{ secrets.key }}"}}
        project.inventory(
            "prod",
            {
                "secrets": {"stuck": {"command": "sleep 300 | cat"}, "key": {"file": "key"}},
                "notify": [f"json://127.0.0.1:{receiver.port}"],
                "checks": {
                    **{f"hung-{n:02}": {"http": hung, **common} for n in range(30)},
                    "keyed": {"http": keyed, **common},
                },
            },
        )
        with watching(project) as process:
            eventually(lambda: any(a.path == "/keyed" for a in web.asked))
            eventually(lambda: "hung-" in "".join(map(said, receiver.asked)))
            before = len([a for a in web.asked if a.path == "/keyed"])
            # Behind those that hang, each look would be ten seconds late: a check's whole time.
            eventually(
                lambda: len([a for a in web.asked if a.path == "/keyed"]) > before + 6, within=50
            )
            current[0] = "second-key-of-all"
            eventually(
                lambda: "[prod] keyed fails" in "".join(map(said, receiver.asked)), within=60
            )
            key.write_text("second-key-of-all")
            well = "[prod] keyed is healthy again"
            eventually(lambda: well in "".join(map(said, receiver.asked)))
            assert "second-key-of-all" not in process.output(1_000_000)
    assert not any(asked.path == "/hung" for asked in web.asked)


@pytest.mark.parametrize("damage", ["text", "middle"])
def test_a_damaged_history_is_set_aside_by_watch_and_named_by_the_others(
    project: Project, damage: str
) -> None:
    with Web() as web, Web() as receiver:
        inventory(project, web, receiver)
        assert project.say("watch", "--once").code == 0
        path = project.state / "health.db"
        content = bytearray(path.read_bytes())
        if damage == "text":
            content[:] = b"this is no database at all\n" * 400
        else:
            content[4096 : 4096 * 3] = b"\xff" * 8192
        for each in project.state.glob("health.db*"):
            each.unlink()
        path.write_bytes(content)
        if damage == "text":
            said = project.say("alert.silence", "--target", "prod", "--for", "1h")
            assert said.code == 3
            assert f"mv {path}" in said.err
            assert "Traceback" not in said.err
        once = project.say("watch", "--once")
        assert once.code == 0, once.err
        assert "Traceback" not in once.err + once.out
    (aside, *_) = sorted(project.state.glob("health.db.damaged-*"))
    assert len(aside.read_bytes()) == len(content)


# --- the dead-man's switch ---------------------------------------------------------------------


def test_a_switch_with_a_query_is_failed_by_its_path() -> None:
    with Web() as switch:
        assert switches.ping(f"{switch.url}/ping/prod?create=1", failed="overdue") == ""
        assert switches.ping(f"{switch.url}/ping/prod/?create=1", failed="overdue") == ""
        assert switches.ping(f"{switch.url}/ping/prod?create=1") == ""
    paths = [asked.path for asked in switch.asked]
    assert paths == [
        "/ping/prod/fail?create=1",
        "/ping/prod/fail?create=1",
        "/ping/prod?create=1",
    ]
