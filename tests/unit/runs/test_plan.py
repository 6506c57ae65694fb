"""Plans: who goes when, and by which names the journal knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.errors import Mistakes
from backout.model import Balancer, Host, Release, Rollout, Runbook, Step, Target
from backout.runs.plan import Action, Plan, build, settle_back, sizes
from backout.steps.traffic import TrafficOptions


def step(name: str, on: str | None = None, **keys: Any) -> Step:
    return Step(name=name, kind="run", options=None, on=on, **keys)


class Git:
    """A kind that leaves alone what a service runs."""

    changes = True
    reaches = False


def git(kind: str) -> Step:
    return Step(name=kind, kind=kind, options=None)


def fleet(groups: dict[str, tuple[str, ...]], batches: Sequence[int | str] = (1, "100%")) -> Target:
    hosts = {name: Host(name=name, address=name, groups=of) for name, of in groups.items()}
    return Target(name="prod", hosts=hosts, rollout=Rollout(batches=tuple(batches)))


def webs(count: int, batches: Sequence[int | str] = (1, "100%")) -> Target:
    return fleet({f"web{n}": ("web",) for n in range(1, count + 1)}, batches)


def plan(
    target: Target,
    *steps: Step,
    settle: Sequence[Step] = (),
    preflight: Sequence[Step] = (),
    finals: Sequence[Step] = (),
    hosts: Sequence[str] = (),
    kinds: Any = None,
) -> Plan:
    last: dict[str, Any] = {"finally": tuple(finals)}
    runbook = Runbook(
        name="deploy",
        steps=steps,
        settle=tuple(settle),
        preflight=tuple(preflight),
        **last,
    )
    return build(
        run="r1",
        verb="deploy",
        target=target,
        runbook=runbook,
        params={},
        release=Release(1),
        hosts=hosts,
        kinds=kinds or {},
    )


def every_action(made: Plan) -> list[Action]:
    """Whatever the journal may ever hear of: on the way there, back, and around."""
    settle = [a for batch in made.batches for row in batch.settle for a in row]
    back = [a for batch in made.batches for row in settle_back(made, batch) for a in row]
    return [*made.preflight, *made.actions, *settle, *back, *made.finals]


def shape(made: Plan) -> list[Any]:
    """Stage by stage: the names of steps here, or the hosts of each batch."""
    return [
        [action.step.name for action in stage.here]
        if stage.here
        else [batch.hosts for batch in stage.batches]
        for stage in made.stages
    ]


# --- batches -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "count", "taken"),
    [
        ((1, "100%"), 5, [1, 4]),
        ((1, "100%"), 1, [1]),
        ((1, "25%", "100%"), 8, [1, 2, 5]),
        (("25%",), 10, [3, 3, 3, 1]),
        (("1%",), 3, [1, 1, 1]),
        ((2,), 5, [2, 2, 1]),
        ((10,), 3, [3]),
        (("50%", "50%"), 5, [3, 2]),
        ((1, 1, 1), 5, [1, 1, 1, 1, 1]),
        ((), 4, [4]),
        ((1, "100%"), 0, []),
    ],
)
def test_batches_are_as_large_as_the_rollout_says(
    spec: tuple[int | str, ...], count: int, taken: list[int]
) -> None:
    assert list(sizes(spec, count)) == taken


entries = st.one_of(st.integers(1, 9), st.integers(1, 100).map(lambda share: f"{share}%"))


@given(st.integers(1, 60), st.lists(entries, min_size=1, max_size=5))
def test_every_host_is_in_exactly_one_batch_and_in_the_inventorys_order(
    count: int, batches: list[int | str]
) -> None:
    made = plan(webs(count, batches), step("Update", "web"))
    (stage,) = made.stages
    hosts = [host for batch in stage.batches for host in batch.hosts]
    assert hosts == [f"web{n}" for n in range(1, count + 1)]
    assert all(batch.hosts for batch in stage.batches)
    assert [batch.number for batch in stage.batches] == list(range(1, len(stage.batches) + 1))
    assert {batch.count for batch in stage.batches} == {len(stage.batches)}


@given(st.integers(1, 40), st.lists(entries, min_size=1, max_size=5))
def test_no_batch_is_larger_than_its_entry_and_the_last_entry_repeats(
    count: int, batches: list[int | str]
) -> None:
    taken = list(sizes(batches, count))
    for index, size in enumerate(taken):
        entry = batches[min(index, len(batches) - 1)]
        most = -(-count * int(entry[:-1]) // 100) if isinstance(entry, str) else entry
        assert 1 <= size <= most
        assert size == most or index == len(taken) - 1
    assert sum(taken) == count


# --- stages --------------------------------------------------------------------------------


def test_steps_on_this_machine_go_before_the_hosts_that_follow_them() -> None:
    made = plan(webs(2), step("Commit"), step("Push"), step("Update", "web"), step("Announce"))
    assert shape(made) == [["Commit", "Push"], [("web1",), ("web2",)], ["Announce"]]


def test_steps_for_the_same_hosts_travel_together_host_by_host() -> None:
    made = plan(webs(2), step("Fetch", "web"), step("Switch", "web"))
    (stage,) = made.stages
    first, second = stage.batches
    assert [action.key for action in first.actions] == ["steps/0@web1", "steps/1@web1"]
    assert [action.key for action in second.of("web2")] == ["steps/0@web2", "steps/1@web2"]


def test_a_step_for_entirely_other_hosts_waits_until_the_ones_before_are_done() -> None:
    target = fleet({"db1": ("db",), "web1": ("web",), "web2": ("web",)})
    made = plan(target, step("Migrate", "db"), step("Update", "web"))
    assert shape(made) == [[("db1",)], [("web1",), ("web2",)]]


def test_steps_whose_hosts_overlap_share_a_stage() -> None:
    target = fleet({"both": ("db", "web"), "web1": ("web",)})
    made = plan(target, step("Migrate", "db"), step("Update", "web"))
    assert shape(made) == [[("both",), ("web1",)]]
    assert [a.step.name for a in made.batches[0].of("both")] == ["Migrate", "Update"]
    assert [a.step.name for a in made.batches[1].of("web1")] == ["Update"]


def test_going_back_to_earlier_hosts_is_another_stage() -> None:
    target = fleet({"db1": ("db",), "web1": ("web",)})
    made = plan(target, step("Open", "db"), step("Update", "web"), step("Close", "db"))
    assert shape(made) == [[("db1",)], [("web1",)], [("db1",)]]


def test_a_runbook_without_steps_on_hosts_still_settles_every_host() -> None:
    made = plan(webs(3), step("Push"), settle=[step("Restart", "web")])
    assert shape(made) == [["Push"], [("web1",), ("web2", "web3")]]
    assert made.batches[0].actions == ()
    assert [a.key for row in made.batches[1].settle for a in row] == [
        "settle/all.2/0@web2",
        "settle/all.2/0@web3",
    ]


def test_a_target_without_hosts_settles_from_this_machine() -> None:
    made = plan(Target(name="heroku"), step("Push"), settle=[step("Prove it")])
    (batch,) = made.batches
    assert (batch.hosts, [a.key for row in batch.settle for a in row]) == ((), ["settle/all.1/0"])


def test_each_batch_settles_its_own_hosts_and_what_is_for_this_machine() -> None:
    settle = [step("Restart", "web"), step("Prove it")]
    made = plan(webs(3), step("Update", "web"), settle=settle)
    rows = [[[a.key for a in row] for row in batch.settle] for batch in made.batches]
    assert rows == [
        [["settle/0.1/0@web1"], ["settle/0.1/1"]],
        [["settle/0.2/0@web2", "settle/0.2/0@web3"], ["settle/0.2/1"]],
    ]


@pytest.mark.parametrize(
    ("before", "settled"),
    [
        ([step("Ship"), step("Migrate", "db")], [("web1",), ("web2",)]),
        ([step("Migrate", "db")], [("web1",), ("web2",)]),
        ([step("Ship"), step("Warm", "canary")], [("web1",), ("web2",)]),
        ([step("Look", readonly=True), step("Look there", "db", readonly=True)], []),
        ([git("commit"), git("push"), step("Look there", "db", readonly=True)], []),
        ([step("Ship"), step("Update", "web2")], []),
    ],
)
def test_hosts_that_only_settling_names_settle_after_the_last_step_that_may_concern_them(
    before: list[Step], settled: list[tuple[str, ...]]
) -> None:
    target = fleet({"db1": ("db",), "web1": ("web",), "web2": ("web",), "canary": ()})
    settle = [step("Restart", "web"), step("Prove it")]
    made = plan(target, *before, settle=settle, kinds={"push": Git, "commit": Git})
    last = [b for b in made.batches if b.actions == ()]
    assert [batch.hosts for batch in last] == settled
    assert [bool(stage.if_moved) for stage in made.stages[:-1]] == [False] * (len(made.stages) - 1)
    assert made.stages[-1].if_moved == bool(settled)
    if settled:
        assert made.last_gate is None
        assert [a.key for row in last[0].settle for a in row] == [
            "settle/all.1/0@web1",
            "settle/all.1/1",
        ]


def test_what_settles_everywhere_follows_the_steps_and_a_part_of_the_target_settles_its_part() -> (
    None
):
    target = fleet({"db1": ("db",), "web1": ("web",), "web2": ("web",)})
    migrate = step("Migrate", "db")
    made = plan(target, step("Ship"), migrate, settle=[step("Restart", "all")])
    assert shape(made) == [["Ship"], [("db1",)]]
    settle = [step("Restart", "web")]
    made = plan(target, step("Ship"), migrate, settle=settle, hosts=["web2"])
    assert shape(made) == [["Ship"], [("web2",)]]
    made = plan(target, step("Ship"), migrate, settle=settle, hosts=["db1"])
    assert shape(made) == [["Ship"], [("db1",)]]


# --- choosing ------------------------------------------------------------------------------


def test_hosts_and_groups_choose_in_the_inventorys_order() -> None:
    target = fleet({"web1": ("web",), "db1": ("db",), "web2": ("web",)})
    made = plan(target, step("Update", "all"), hosts=["web2", "db"])
    assert made.hosts == ("db1", "web2")
    assert made.selected
    assert {action.host for action in made.actions} == {"db1", "web2"}


def test_without_a_choice_every_host_goes() -> None:
    made = plan(webs(3), step("Update", "web"))
    assert made.hosts == ("web1", "web2", "web3")
    assert not made.selected


def test_a_host_that_does_not_exist_is_a_mistake_that_names_the_ones_that_do() -> None:
    with pytest.raises(Mistakes, match=r"web9.*web1, web2"):
        plan(webs(2), step("Update", "web"), hosts=["web9"])


def test_a_step_none_of_whose_hosts_were_chosen_is_left_out() -> None:
    target = fleet({"db1": ("db",), "web1": ("web",)})
    made = plan(target, step("Migrate", "db"), step("Update", "web"), hosts=["web1"])
    assert [action.key for action in made.actions] == ["steps/1@web1"]


def test_points_of_no_return_are_known_before_the_first_step() -> None:
    drop = step("Drop the table", irreversible="the rows are gone")
    mail = step("Send the mails", irreversible="they are read")
    made = plan(webs(1), step("Update", "web"), drop, settle=[mail])
    assert [each.name for each in made.irreversible] == ["Drop the table", "Send the mails"]


# --- names for ever ------------------------------------------------------------------------

drawn_steps = st.lists(
    st.builds(step, st.just("s"), st.sampled_from([None, "all", "web", "db", "h1"])), max_size=6
)
drawn_fleets = st.builds(
    fleet,
    st.integers(0, 7).map(
        lambda count: {f"h{n}": (("web",), ("db",), ("web", "db"))[n % 3] for n in range(count)}
    ),
    st.lists(entries, min_size=1, max_size=3),
)


@given(drawn_fleets, drawn_steps, drawn_steps, drawn_steps)
def test_no_two_actions_of_a_run_share_a_key(
    target: Target, steps: list[Step], settle: list[Step], around: list[Step]
) -> None:
    made = plan(target, *steps, settle=settle, preflight=around, finals=around)
    keys = [action.key for action in every_action(made)]
    assert len(keys) == len(set(keys))


@given(drawn_fleets, drawn_steps, drawn_steps)
def test_every_step_reaches_every_one_of_its_hosts_exactly_once(
    target: Target, steps: list[Step], settle: list[Step]
) -> None:
    made = plan(target, *steps, settle=settle)
    wanted = [
        (f"steps/{index}", host)
        for index, each in enumerate(steps)
        for host in ([""] if not each.on else [h.name for h in target.select(each.on)])
    ]
    done = [(action.key.partition("@")[0], action.host) for action in made.actions]
    assert sorted(done) == sorted(wanted)


@given(drawn_fleets, drawn_steps, drawn_steps)
def test_no_host_meets_its_steps_in_another_order_than_the_runbook_gives(
    target: Target, steps: list[Step], settle: list[Step]
) -> None:
    made = plan(target, *steps, settle=settle)
    for name in ("", *target.hosts):
        order = [int(a.key.partition("@")[0][6:]) for a in made.actions if a.host == name]
        assert order == sorted(order)


@given(drawn_fleets, drawn_steps, drawn_steps)
def test_the_same_runbook_and_target_make_the_same_plan(
    target: Target, steps: list[Step], settle: list[Step]
) -> None:
    """An interrupted run is planned again from what the journal keeps, and finds its records."""
    assert plan(target, *steps, settle=settle) == plan(target, *steps, settle=settle)


def test_the_machines_of_a_run_are_its_hosts_and_where_their_balancers_run() -> None:
    words = {"name": "edge", "backend": "haproxy", "on": ("lb1", "here"), "for": "web"}
    edge = Balancer.model_validate(words)
    known = fleet({"web1": ("web",), "web2": ("web",), "lb1": (), "db1": ()})
    target = known.model_copy(update={"balancers": {"edge": edge}})
    out = Step(name="Out", kind="traffic", options=TrafficOptions(to="out"), on="web")
    made = plan(target, out, hosts=("web1",))
    assert (made.hosts, made.machines) == (("web1",), ("web1", "lb1"))
    assert plan(target, step("Update", on="web"), hosts=("web1",)).machines == ("web1",)
