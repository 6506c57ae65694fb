"""A host gets another name in the inventory: it is the machine that it was, by its own word."""

from __future__ import annotations

from support.yard import Yard


def deployed(fleet: Yard, name: str) -> None:
    fleet.runbook(fleet.step(name))
    fleet.good_release()


def rename(fleet: Yard, old: str, new: str) -> None:
    hosts = dict(fleet.changes.get("hosts") or fleet.plain()["hosts"])
    hosts[new] = hosts.pop(old)
    fleet.inventory(hosts=hosts)


def test_a_host_that_is_called_otherwise_has_the_release_that_it_had(fleet: Yard) -> None:
    deployed(fleet, "One")
    rename(fleet, "web3", "app3")
    said = fleet.say("status")
    assert (said.code, said.data["differs"]) == (0, [])


def test_what_came_after_the_new_name_is_rolled_back(fleet: Yard) -> None:
    deployed(fleet, "One")
    rename(fleet, "web3", "app3")
    deployed(fleet, "Two")
    said = fleet.say("rollback")
    assert said.code == 0, said.out + said.err
    assert said.on == dict.fromkeys(("web1", "web2", "app3"), 1)
    assert fleet.effects() == {f"One-{name}": 1 for name in ("web1", "web2", "web3")}
    said = fleet.say("status")
    assert (said.code, said.data["differs"]) == (0, [])
    deployed(fleet, "Three")


def test_release_by_release_it_goes_back_past_the_new_name(fleet: Yard) -> None:
    """A run knows its hosts as they were called then; none has one machine under two names."""
    deployed(fleet, "One")
    deployed(fleet, "Two")
    rename(fleet, "web3", "app3")
    deployed(fleet, "Three")
    said = fleet.say("rollback", "--to", "1")
    assert said.code == 3, said.out + said.err
    error = said.data["error"]
    assert error["what"] == "app3 was called web3 in release 2: no one rollback goes past that"
    assert error["next"].split("; then: ") == [
        f"invoke rollback --target prod --to {to}" for to in (2, 1)
    ]
    for to in ("2", "1"):
        said = fleet.say("rollback", "--to", to)
        assert said.code == 0, said.out + said.err
    assert fleet.effects() == {f"One-{name}": 1 for name in ("web1", "web2", "web3")}


def test_a_host_that_names_a_run_of_somebody_else_is_as_strange_under_any_name(fleet: Yard) -> None:
    deployed(fleet, "One")
    other = fleet.elsewhere()
    deployed(other, "Theirs")
    rename(fleet, "web3", "app3")
    said = fleet.say("status")
    assert said.code == 6
    assert any(words.startswith("app3 says release") for words in said.data["differs"])
    assert fleet.say("rollback").code == 3
