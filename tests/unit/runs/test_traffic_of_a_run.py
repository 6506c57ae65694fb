"""A rollout that drains, whole: who leaves the balancer when, who does not, and who is in again."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from backout.errors import Outdated
from backout.model import Balancer, NoOptions, Step
from backout.steps.traffic import Traffic, TrafficOptions
from support.returning import Returning
from support.ways import FAILED, FORWARD, HERE, Begin, ends, on, refused, say, told
from support.world import HOSTS, Deployer, runbook, step, target

THERE_AND_BACK = ["out", *FORWARD, "in"]


def fronted(
    begin: Begin,
    max_failures: int = 0,
    keep_up: int | str = 1,
    on: str = HERE,
    **world: Any,
) -> Deployer:
    """Three hosts behind one balancer, which leave it batch by batch."""
    deployer = begin(max_failures, **world)
    plain = target(deployer.run, max_failures)
    edge = Balancer.model_validate(
        {"name": "edge", "backend": "nginx", "on": [on], "options": NoOptions()}
    )
    rollout = plain.rollout.model_copy(update={"drain": True, "keep_up": keep_up})
    wanted = {"balancers": {"edge": edge}, "rollout": rollout}
    deployer.keys |= {"target": plain.model_copy(update=wanted), "kinds": {"traffic": Traffic}}
    return deployer


def test_each_batch_leaves_before_it_is_changed_and_is_in_again_before_the_next_leaves(
    begin: Begin,
) -> None:
    deployer = fronted(begin)
    assert say(deployer).exit_code == 0
    batches = [f"{word} {host}" for host in HOSTS for word in THERE_AND_BACK]
    assert deployer.world.log == ["Ship here", *batches, "Switch here"]
    assert set(deployer.world.traffic.values()) == {True}


def test_who_was_out_before_stays_out_whichever_way_it_goes(begin: Begin) -> None:
    for refuses, code in ((set(), 0), ({"Bad web3"}, 4)):
        deployer = fronted(begin, refuses=refuses)
        deployer.world.traffic["web2"] = False
        assert say(deployer).exit_code == code
        assert deployer.world.traffic == {"web1": True, "web2": False, "web3": True}


@pytest.mark.parametrize(("keep_up", "refusing"), [(2, False), ("60%", False), (3, True)])
def test_a_batch_that_can_never_be_spared_is_refused_before_any_change(
    begin: Begin, keep_up: int | str, refusing: bool
) -> None:
    deployer = fronted(begin, keep_up=keep_up)
    if not refusing:
        assert say(deployer).exit_code == 0
        return
    assert refused(deployer).what == (
        "web1 cannot be taken out of edge: 2 of the 3 that served before would be left"
        " (web2, web3), and keep_up: 3 needs 3"
    )


def test_nor_is_one_begun_that_only_the_ill_could_stand_in_for(begin: Begin) -> None:
    deployer = fronted(begin, keep_up=2)
    deployer.keys["accept_red"] = ("well",)
    deployer.world.running["web3"] = ["ill"]
    assert refused(deployer).what.startswith("web1 cannot be taken out of edge: 1 of the 3")


def test_what_a_move_may_cost_is_said_before_anything_is_moved(begin: Begin) -> None:
    deployer = fronted(begin, risk="connections are reset")
    deployer.consent = lambda *_: deployer.stop("enough said")
    assert refused(deployer).what.startswith("enough said")
    assert "connections are reset" in told(deployer, "warning")


def test_those_who_are_ill_stand_in_for_nobody(begin: Begin) -> None:
    deployer = fronted(begin, keep_up=2)
    deployer.world.then["in web1"] = lambda: deployer.world.running["web3"].append("ill")
    ended = say(deployer)
    assert ended.exit_code == 5, "it is ill on the way back too"
    assert "out" not in on(deployer, "web2")
    assert ended.reason.startswith(
        "web2 cannot be taken out of edge: 1 of the 3 that served before would be left (web1)"
    )


def test_who_has_left_does_not_leave_again(begin: Begin) -> None:
    deployer = fronted(begin, keep_up=2)
    deployer.world.dies_after("Good web2")
    assert deployer.say("deploy") is None
    deployer.world.then.clear()
    assert say(deployer, "resume").exit_code == 0
    assert on(deployer, "web2") == THERE_AND_BACK


def test_hosts_go_back_batch_by_batch_out_of_traffic_and_are_in_again(begin: Begin) -> None:
    deployer = fronted(begin, ill=HERE)
    ended = say(deployer)
    assert ended.exit_code == 4
    log = deployer.world.log
    back = log[log.index("Switch here") + 1 :]
    one = ("out", "-Bad", "-Good", "Restart", "in")
    whole = [f"{word} {host}" for host in reversed(HOSTS) for word in one]
    assert back[: len(whole)] == whole
    assert back[len(whole)] == "-Switch here"
    keys = [each.key for each in deployer.journal.recall(deployer.run)]
    assert {f"back/1.{n}/out/0@web{n}+edge+here" for n in (1, 2, 3)} <= {*keys}
    assert set(deployer.world.traffic.values()) == {True}


def test_a_host_that_fails_while_it_is_out_goes_back_and_is_in_again(begin: Begin) -> None:
    deployer = fronted(begin, 1, refuses={"Bad web2"})
    assert say(deployer).exit_code == 0
    assert on(deployer, "web2") == ["out", "Good", "Bad", "-Bad", "-Good", "Restart", "in"]
    assert on(deployer, "web1") == on(deployer, "web3") == THERE_AND_BACK, "it goes back alone"
    assert set(deployer.world.traffic.values()) == {True}


def test_a_host_that_nobody_can_stand_in_for_goes_back_all_the_same(begin: Begin) -> None:
    deployer = fronted(begin, refuses={"Bad web2", "in web2"})
    deployer.world.then["Bad web2"] = lambda: deployer.world.traffic.update(web3=False)
    ended = say(deployer)
    assert on(deployer, "web1")[len(THERE_AND_BACK) :][:3] == ["-Bad", "-Good", "Restart"]
    words = next(w for w in told(deployer, "warning") if "while in traffic" in w)
    assert words.startswith("web1 go back while in traffic: web1 cannot be taken out of edge")
    assert ends(ended)["web1"][0] == "backed out"


def test_nor_does_a_balancer_that_does_not_obey_keep_a_host_from_going_back(begin: Begin) -> None:
    deployer = fronted(begin, refuses={"Bad web2"})
    deployer.world.then["Bad web2"] = lambda: deployer.world.refuses.add("out web1")
    assert say(deployer).exit_code == 4
    assert deployer.world.disk["web1"] == ["old"]
    words = next(w for w in told(deployer, "warning") if w.endswith("it goes back all the same"))
    assert words.startswith("web1: Out of traffic failed: edge: web1 is in traffic (1)")


def test_hosts_that_left_more_than_once_do_so_on_their_way_back_and_settle_each_time(
    begin: Begin,
) -> None:
    steps = (step("Good"), step("Tell", None, "aside"), step("Bad"))
    book = runbook().model_copy(update={"steps": steps, "settle": (step("Restart"),)})
    deployer = fronted(begin, book=book, refuses={"Bad web3"})
    assert say(deployer).exit_code == 4
    assert on(deployer, "web1") == [
        *("out", "Good", "Restart", "in", "out", "Bad", "Restart", "in"),
        *("out", "-Bad", "Restart", "in", "out", "-Good", "Restart", "in"),
    ]


def test_who_went_back_alone_does_not_leave_once_more_when_all_go_back(begin: Begin) -> None:
    deployer = fronted(begin, 1, refuses={"Bad web1", "Bad web3"})
    deployer.book = deployer.book.model_copy(update={"steps": deployer.book.steps[1:3]})
    assert say(deployer).exit_code == 4
    assert on(deployer, "web1") == ["out", "Good", "Bad", "-Bad", "-Good", "Restart", "in"]
    assert on(deployer, "web2") == [*THERE_AND_BACK, "out", "-Bad", "-Good", "Restart", "in"]


def test_a_host_that_has_only_left_is_in_again_and_does_not_restart(begin: Begin) -> None:
    deployer = fronted(begin)
    deployer.world.then["out web2"] = lambda: deployer.stop("SIGTERM")
    assert say(deployer).exit_code == 4
    assert on(deployer, "web2") == ["out", "in"]


def test_who_stays_out_for_a_red_check_settles_anew_once_a_person_has_put_it_right(
    begin: Begin,
) -> None:
    """Out of traffic and in again, each time."""
    deployer = fronted(begin, ill="web2", residue=True)
    ended = say(deployer)
    assert ended.exit_code == 5
    assert "web2: Into traffic failed: web2 stays out of edge" in ended.reason
    away = ["out", "Restart", "in"]
    assert on(deployer, "web1") == [*THERE_AND_BACK, "out", "-Bad", "-Good", *away[1:], *away]
    for _ in range(2):
        deployer.world.log.clear()
        assert say(deployer, "resume").exit_code == 5
        assert on(deployer, "web1") == [*away, *away]
        assert on(deployer, "web2") == ["Restart", "Restart"]
    deployer.world.disk["web2"] = ["old"]
    assert say(deployer, "resume").exit_code == 4
    assert set(deployer.world.traffic.values()) == {True}


@pytest.mark.parametrize("here", [False, True])
def test_nor_does_a_rollback_wait_for_a_restart_that_nobody_makes(begin: Begin, here: bool) -> None:
    """Whether it goes back, or forward again."""
    book = runbook()
    steps = book.steps if here else book.steps[1:3]
    deployer = fronted(begin, book=book.model_copy(update={"steps": steps}))
    assert say(deployer).exit_code == 0
    deployer.world.then["-Bad web2"] = lambda: deployer.world.disk["web2"].append("ill")
    returning = Returning((deployer,))
    for _ in range(2):
        ended = returning.say()
        assert ended is not None
        assert (ended.exit_code, ends(ended)["web2"][0]) == (5, "NOT backed out")
    deployer.world.disk["web2"].remove("ill")
    ended = returning.say()
    assert ended is not None
    assert ended.exit_code == (0 if here else 4)
    assert set(deployer.world.traffic.values()) == {True}


def traffic(to: Literal["out", "in"]) -> Step:
    return Step(name=to.title(), kind="traffic", options=TrafficOptions(to=to), on="all")


def by_its_steps(begin: Begin, *more: Step, **world: Any) -> Deployer:
    """The same, where the runbook's own steps take hosts out and put them back: after `more`."""
    steps = (*more, traffic("out"), step("Bad"), traffic("in"))
    book = runbook().model_copy(update={"steps": steps, "settle": (step("Restart"),)})
    deployer = fronted(begin, book=book, **world)
    plain = deployer.keys["target"]
    rollout = plain.rollout.model_copy(update={"drain": False})
    deployer.keys["target"] = plain.model_copy(update={"rollout": rollout})
    return deployer


def test_hosts_that_steps_put_back_do_not_leave_for_a_restart_after_which_nothing_does(
    begin: Begin,
) -> None:
    deployer = by_its_steps(begin, step("Ship", None), refuses={"Bad web3"})
    assert say(deployer).exit_code == 4
    assert on(deployer, "web1") == [
        *("out", "Bad", "in", "Restart", "out", "-Bad", "Restart", "in", "Restart")
    ]
    log = deployer.world.log
    assert log.index("in web2", log.index("-Bad web2")) < log.index("-Bad web1")
    assert set(deployer.world.traffic.values()) == {True}


def test_and_those_that_steps_take_out_twice_are_in_again_after_each(begin: Begin) -> None:
    pair = (traffic("out"), step("Good"), traffic("in"))
    deployer = by_its_steps(begin, *pair, step("Tell", None, "aside"), refuses={"Bad web3"})
    assert say(deployer).exit_code == 4
    assert on(deployer, "web1") == [
        *("out", "Good", "in", "Restart", "out", "Bad", "in", "Restart"),
        *("out", "-Bad", "Restart", "in", "out", "-Good", "Restart", "in"),
    ]
    assert set(deployer.world.traffic.values()) == {True}


def test_and_who_stays_out_for_a_red_check_settles_anew_there_too(begin: Begin) -> None:
    deployer = by_its_steps(begin, ill="web2", residue=True)
    ended = say(deployer)
    assert ended.exit_code == 5
    assert "web2: Out failed: web2 stays out of edge" in ended.reason
    deployer.world.disk["web2"] = ["old"]
    assert say(deployer, "resume").exit_code == 4
    assert set(deployer.world.traffic.values()) == {True}


def test_hosts_of_several_batches_that_are_stuck_are_all_told(begin: Begin) -> None:
    deployer = fronted(begin, refuses={"Bad web3", "-Bad web3", "-Good web1"})
    ended = say(deployer)
    assert ended.exit_code == 5
    assert {host: why for host, (_, _, why) in ends(ended).items() if why} == {
        "web1": "web1: Good failed: exit code 1",
        "web3": FAILED.format("web3"),
    }
    assert on(deployer, "web3")[-2:] == ["Bad", "-Bad"], "it settles no more"
    assert on(deployer, "web1")[-2:] == ["-Bad", "-Good"]
    assert deployer.world.traffic == {"web1": False, "web2": True, "web3": False}


def test_who_is_not_in_traffic_as_before_is_no_end(begin: Begin) -> None:
    deployer = fronted(begin, refuses={"Bad web2", "in web2"})
    ended = say(deployer)
    assert ended.exit_code == 5
    assert ends(ended)["web2"][0] == "NOT backed out"
    assert ended.reason.endswith("web2: Into traffic failed: edge: web2 is out of traffic (1)")
    deployer.world.refuses.clear()
    assert say(deployer, "resume").reason == FAILED.format("web2")


@pytest.mark.parametrize(("host", "code"), [("web2", 5), ("web3", 4)])
def test_nor_is_it_where_somebody_took_out_a_host_of_the_run_meanwhile(
    begin: Begin, host: str, code: int
) -> None:
    deployer = fronted(begin, refuses={"Bad web2"})
    world = deployer.world
    last = lambda: world.traffic.update({host: "-Ship here" not in world.log})  # noqa: E731
    world.then["Restart web1"] = last
    ended = say(deployer)
    assert ended.exit_code == code
    words = f"{host} was in traffic (1), and is out of traffic (1)"
    if code == 5:
        red = f"check traffic of edge@{host} is red: {words} (it passed before)"
        assert ended.reason.endswith(f"incomplete: {red}")
        assert ends(ended)[host] == ("backed out", 1, f"traffic of edge: {words}")


def test_what_the_machine_of_a_balancer_knows_of_the_run_finds_out_an_older_journal(
    begin: Begin,
) -> None:
    deployer = fronted(begin, on="web3")
    deployer.keys["hosts"] = ("web1", "web2")
    deployer.world.dies_after("Good web2")
    assert deployer.say("deploy") is None
    assert deployer.lease.held == [["web1", "web2", "web3"], []], "it is held as the hosts are"
    deployer.world.strange["web3"] = ["undo/steps/1@web2"]
    with pytest.raises(Outdated, match="has done undo/steps/1@web2 on web3"):
        deployer.say("abort")


def test_a_balancer_that_cannot_be_asked_spares_nobody(begin: Begin) -> None:
    deployer = fronted(begin)
    deployer.world.then["Ship here"] = lambda: deployer.world.away.add("edge")
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, "edge is away")
    assert deployer.world.log == ["Ship here", "-Ship here"]
