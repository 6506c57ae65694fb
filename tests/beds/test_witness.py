"""The witness that judges deployments from outside: what it calls true, whole and back again."""

from __future__ import annotations

from support.witness import Host, Look, away, told, truth, whole

OLD, NEW = "2", "3"
ALL_OLD = {"web1": Host(OLD, OLD), "web2": Host(OLD, OLD)}
ALL_NEW = {"web1": Host(NEW, NEW), "web2": Host(NEW, NEW)}
HALF = {"web1": Host(NEW, NEW), "web2": Host(OLD, OLD)}
STALE = {"web1": Host(NEW, OLD), "web2": Host(NEW, OLD)}


def test_zero_is_true_only_where_every_host_has_the_release_and_answers_with_it() -> None:
    assert truth(0, ALL_NEW, [NEW])
    for state in (ALL_OLD, HALF, STALE):
        assert not truth(0, state, [NEW])


def test_a_failure_is_true_only_where_the_release_did_not_arrive() -> None:
    for state in (ALL_OLD, HALF, STALE):
        assert truth(1, state, [NEW])
    assert not truth(1, ALL_NEW, [NEW])


def test_a_host_is_whole_when_disk_and_answer_are_one_release() -> None:
    assert whole(ALL_OLD, OLD)
    assert not whole(STALE, OLD)
    assert not whole(HALF, OLD)


def test_a_release_that_never_went_was_away_for_no_time() -> None:
    assert away([Look(0, ALL_OLD), Look(1, STALE)], OLD) == 0


def test_away_is_from_the_first_other_answer_until_the_old_one_stays() -> None:
    down = {"web1": Host(OLD, ""), "web2": Host(OLD, OLD)}
    looks = [Look(0, ALL_OLD), Look(1, HALF), Look(2, ALL_OLD), Look(3, down), Look(5, ALL_OLD)]
    assert away(looks, OLD) == 4


def test_what_does_not_come_back_has_no_time() -> None:
    assert away([Look(0, ALL_OLD), Look(1, HALF)], OLD) is None


def test_hosts_that_are_alike_are_told_together() -> None:
    names = {OLD: "old", NEW: "new"}
    assert told(ALL_OLD, names) == "all old"
    assert told(STALE, names) == "all new on disk, old answers"
    assert told(HALF, names) == "web1: new; web2: old"
    assert told({"web1": Host(NEW, "")}, names) == "all new on disk, nothing answers"
