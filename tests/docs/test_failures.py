"""What each failure leaves, as the documents' tables `| what | then |` have it: each row, by its
first cell, has tests that show it, and they are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
HEAD = "| what | then |\n"

SHOWN = """\
team.md: The laptop is lost in mid-run
  the owner may be alive: the lease was renewed within the minute
    stories/test_takeover.py::test_a_run_whose_machine_may_be_alive_is_not_taken
  two machines take it over at once
    stories/test_takeover.py::test_of_two_machines_that_took_a_run_over_the_hosts_let_one_go_on
  a host, or the machine of a balancer, cannot be reached
    stories/test_takeover.py::test_of_two_machines_that_took_a_run_over_the_hosts_let_one_go_on
  a host has nothing of the run any more, or was the lost machine itself
    stories/test_takeover.py::test_of_a_host_that_has_nothing_of_the_run_any_more_nobody_says_that_it_never_began
    stories/test_takeover.py::test_a_host_that_was_the_lost_machine_itself_is_none_here
    stories/test_team.py::test_a_host_that_is_the_machine_one_is_on_is_another_one_for_somebody_else
  this machine lacks a secret that the run needs
    stories/test_takeover.py::test_a_secret_is_in_no_mirror_and_whoever_goes_on_needs_it_of_their_own
  what the lost machine committed and did not push
    stories/test_takeover.py::test_a_commit_that_only_the_lost_machine_has_is_said_and_the_way_back_is_open
  a step on the lost machine was under way
    stories/test_takeover.py::test_what_acts_here_is_on_every_host_before_it_does_and_mirrors_that_disagree_are_shown
    stories/test_team.py::test_what_a_lost_laptop_was_at_is_asked_for_and_a_commit_that_is_there_alone_is_named
  what a step printed, or how it ended, did not reach a mirror any more
    stories/test_takeover.py::test_another_machine_ends_the_run_of_one_that_burnt
  the mirrors disagree, or one was changed
    stories/test_takeover.py::test_what_acts_here_is_on_every_host_before_it_does_and_mirrors_that_disagree_are_shown
    stories/test_takeover.py::test_nobody_takes_a_run_over_without_a_yes_and_mirrors_that_were_changed_are_not_believed
  no host has a record of the run: it had not begun to change anything
    stories/test_takeover.py::test_a_run_that_had_changed_nothing_is_not_taken_over_but_unlocked

team.md: A second person
  the asker answers
    stories/test_second_person.py::test_nobody_agrees_with_himself_however_he_spells_his_name
  the same person says yes twice, or anything when it is over
    stories/test_second_person.py::test_a_plan_that_has_changed_since_is_asked_about_anew
    stories/test_second_person.py::test_a_no_and_a_late_yes_end_it
    stories/test_second_thoughts.py::test_whoever_has_said_yes_takes_it_back_until_a_run_has_used_it
  a no comes at the moment in which the run uses the yes
    unit/adapters/test_people_storage.py::test_of_a_run_that_begins_and_a_no_at_the_same_moment_one_comes_first
    stories/test_second_thoughts.py::test_a_yes_that_is_taken_back_while_the_run_looks_around_begins_nothing
  the plan would be refused anyhow: a red baseline, a host that is away
    stories/test_second_person.py::test_nobody_is_asked_about_a_plan_that_would_be_refused_anyhow
  `kill -9` of whoever waits
    stories/test_second_person.py::test_a_killed_waiter_leaves_nothing_open_and_what_was_agreed_still_holds
  `kill -9` after the run has begun to hold its hosts
    stories/test_second_person.py::test_a_run_that_was_killed_goes_on_with_the_yes_where_the_plan_is_what_it_was

team.md: Whose ledger it is
  none of them is in the working copy of its source
    stories/test_whose_ledger.py::test_releases_of_which_no_commit_is_here_are_not_touched
    stories/test_whose_ledger.py::test_status_says_whose_releases_they_look_like
  the working copy is behind, and has an older one
    stories/test_whose_ledger.py::test_an_older_commit_that_is_here_is_enough
  it is a shallow clone, or the target has no `source`
    stories/test_whose_ledger.py::test_a_shallow_clone_cannot_tell_and_is_let_through
  its history was rewritten, so that none is left
    stories/test_whose_ledger.py::test_a_history_that_was_rewritten_is_asked_about_once

team.md: Who watches
  the one that watched was asleep, and wakes up
    unit/adapters/test_posts.py::test_whoever_was_replaced_writes_no_look_and_sends_nothing
    stories/test_watch_together.py::test_whoever_stands_by_follows_the_one_that_dies_and_nobody_is_told_twice
  it was about to send a message
    unit/adapters/test_posts.py::test_whoever_was_replaced_writes_no_look_and_sends_nothing
    unit/adapters/test_health_stores.py::test_a_message_is_delivered_once_for_its_key_and_destination
  the database is gone
    stories/test_watch_together.py::test_a_ledger_that_is_away_is_said_and_nothing_is_lost_when_it_is_back
    stories/test_status_page.py::test_a_page_turns_stale_by_itself
  it is back
    stories/test_watch_together.py::test_a_ledger_that_is_away_is_said_and_nothing_is_lost_when_it_is_back
  the answer to a commit is lost
    unit/adapters/test_posts.py::test_a_commit_whose_answer_was_lost_is_asked_for_and_counts_once
    unit/adapters/test_posts.py::test_what_may_have_been_written_is_asked_for_later
  a run of another laptop holds the target
    stories/test_watch_process.py::test_a_deploy_from_another_machine_makes_the_checks_wait
    stories/test_watch.py::test_no_check_runs_on_a_target_whose_deploy_holds_the_lock

team.md: What each failure leaves
  a laptop is lost in mid-run
    stories/test_team.py::test_another_person_takes_a_run_over_and_ends_it
  it wakes up again
    stories/test_team.py::test_who_was_taken_over_in_mid_run_ends_as_such
    stories/test_takeover.py::test_the_machine_that_slept_is_refused_and_its_journal_says_whose_the_run_is
  two take a run over at once
    unit/adapters/test_shared_journal.py::test_of_many_that_take_a_run_over_at_once_one_does
  what a step did on the lost laptop
    stories/test_team.py::test_what_a_lost_laptop_was_at_is_asked_for_and_a_commit_that_is_there_alone_is_named
    stories/test_takeover.py::test_what_acts_here_is_on_every_host_before_it_does_and_mirrors_that_disagree_are_shown
  the link or the database is gone for a moment
    unit/adapters/test_shared_journal.py::test_a_session_that_is_killed_costs_nothing
    stories/test_team.py::test_a_run_waits_for_a_ledger_that_is_away_for_a_moment
  for longer
    stories/test_team.py::test_a_ledger_that_stays_away_interrupts_the_run_and_nothing_is_lost
  the answer to a commit is lost
    unit/adapters/test_shared_journal.py::test_a_write_whose_answer_was_lost_is_there_once
  the server is frozen
    unit/adapters/test_shared_journal.py::test_a_database_that_has_gone_silent_is_noticed
  a standby is promoted that lacks the last records
    stories/test_team.py::test_a_run_that_was_taken_over_since_is_not_gone_on_with_where_a_standby_was_promoted
  the ledger is an older copy
    stories/test_team.py::test_an_older_ledger_is_noticed_by_what_its_hosts_know
    stories/test_team.py::test_a_run_that_was_taken_over_since_is_not_gone_on_with_where_a_standby_was_promoted
  the ledger is lost for good
    stories/test_team.py::test_a_ledger_that_is_lost_for_good_is_made_up_for_by_what_the_hosts_have
  a newer Backout has brought the tables up
    unit/adapters/test_shared_journal.py::test_a_ledger_of_a_newer_backout_is_refused_and_left_alone

workers.md: What each failure leaves
  `kill -9` of a worker, or its machine is gone
    stories/test_workers.py::test_a_worker_that_is_killed_loses_its_run_to_another_who_does_as_is_said
    unit/commands/test_worker.py::test_a_driver_is_gone_after_so_many_looks_that_saw_no_sign_of_it
  a worker is frozen, and wakes up beside its rescuer, or beside a person who is asked
    stories/test_workers.py::test_a_worker_that_was_frozen_wakes_up_beside_its_rescuer_and_changes_nothing
    stories/test_workers.py::test_a_worker_that_was_frozen_wakes_up_beside_a_person_who_is_asked_and_begins_nothing
    unit/adapters/test_leases.py::test_who_hears_in_mid_run_that_it_was_taken_over_lets_go_of_nothing
  its run has a host `connection: local`, and its rescuer is elsewhere
    stories/test_workers.py::test_a_rescuer_elsewhere_does_nothing_on_a_host_that_is_the_machine_one_is_on
  the rescuer itself was frozen, or the database away
    unit/commands/test_worker.py::test_a_look_after_a_long_sleep_is_one_look
  the worker that watches is killed
    stories/test_zones.py::test_a_worker_that_is_frozen_or_killed_is_followed_by_another_and_nobody_is_told_twice
    unit/adapters/test_posts.py::test_whoever_stands_by_goes_on_before_a_second_look_is_missed
  it is frozen, and wakes up
    stories/test_zones.py::test_a_worker_that_is_frozen_or_killed_is_followed_by_another_and_nobody_is_told_twice
    unit/adapters/test_questions.py::test_only_who_watches_a_target_asks_about_it
  all workers of a zone are gone
    stories/test_zones.py::test_zones_look_and_as_many_as_have_to_agree_decide
  two workers hear one bell
    unit/commands/test_worker.py::test_of_two_that_hear_the_bell_one_gets_the_run
  the bell is lost, or the queue's tables are
    unit/commands/test_worker.py::test_one_run_has_one_bell_and_a_lost_one_is_rung_again
    unit/commands/test_worker.py::test_the_queue_is_made_once_by_however_many_and_is_no_part_of_the_truth
  the worker of a working copy is gone, and a run can be driven there alone
    stories/test_this_working_copy.py::test_what_only_a_working_copy_can_do_is_driven_there_or_not_handed_over
    unit/commands/test_worker.py::test_a_worker_takes_away_what_is_of_its_zone_or_of_its_working_copy_alone
  no worker of the zone is there
    stories/test_workers.py::test_what_only_its_own_terminal_can_do_is_not_handed_over
  the database is gone
    stories/test_workers.py::test_a_worker_outlives_its_database_and_a_bell_that_is_not_heard
  its link is half open, and no bell is heard
    stories/test_workers.py::test_a_worker_outlives_its_database_and_a_bell_that_is_not_heard
  a PgBouncer in transaction mode
    stories/test_workers.py::test_a_worker_listens_at_the_database_itself_and_the_rest_goes_through_a_pooler
  a worker is stopped in mid-run
    stories/test_workers.py::test_a_worker_that_is_asked_to_stop_ends_what_it_has_begun
    stories/test_workers.py::test_what_takes_too_long_is_handed_over_to_another_worker
  a carrier is killed, or frozen, with a command of another zone in hand
    stories/test_carried.py::test_a_carrier_that_is_killed_or_frozen_at_a_host_is_followed_by_another
    unit/runs/test_carried_budget.py::test_however_carriers_die_no_more_hosts_are_lost_than_may_be
  a carrier does not take what is sent to it
    stories/test_carried.py::test_a_carrier_that_is_killed_or_frozen_at_a_host_is_followed_by_another
    unit/adapters/test_carrying.py::test_what_nobody_takes_in_time_goes_to_another
  a carrier that was frozen wakes up
    stories/test_carried.py::test_a_carrier_that_is_killed_or_frozen_at_a_host_is_followed_by_another
    unit/adapters/test_carrying.py::test_one_that_wakes_up_late_begins_nothing_that_is_not_awaited
  a driver is killed while its commands are carried
    stories/test_carried.py::test_a_killed_driver_is_followed_by_another_and_a_stopped_carrier_ends_what_it_has
    unit/adapters/test_carrying.py::test_a_parcel_is_taken_once_or_withdrawn_and_an_old_one_is_nobodys
  a carrier is stopped
    stories/test_carried.py::test_a_killed_driver_is_followed_by_another_and_a_stopped_carrier_ends_what_it_has
  the database is gone while something is carried
    unit/adapters/test_carrying.py::test_a_database_that_is_gone_is_waited_for_and_then_nobody_knows
  a worker is of an older Backout than whoever planned the run
    stories/test_older_worker.py::test_a_run_that_an_older_worker_does_not_understand_is_left_as_it_is
  a newer Backout brings the ledger's tables up beside it
    stories/test_older_worker.py::test_a_worker_beside_whom_a_newer_backout_has_brought_the_tables_up_takes_no_more
  the disk of a worker's machine is full, or read-only
    stories/test_workers.py::test_a_worker_whose_own_disk_is_full_takes_nothing_and_ends_until_there_is_room
  a drive ends with a bug, or is killed by the kernel
    stories/test_workers.py::test_where_a_person_is_to_decide_nothing_more_happens
"""
"""By document and heading, each row and the tests that show it."""


def rows() -> list[tuple[str, str]]:
    """Where each row stands, and its first cell, in the order of the documents."""
    return [(place, cell) for file in sorted(DOCS.rglob("*.md")) for place, cell in rows_of(file)]


def rows_of(file: Path) -> Iterator[tuple[str, str]]:
    before, *tables = file.read_text(encoding="utf-8").split(HEAD)
    for table in tables:
        heading = re.findall(r"(?m)^#+ (.+)$", before)[-1]
        for row in re.findall(r"(?m)^\|(?!---)([^|]+)\|", table.partition("\n\n")[0]):
            yield f"{file.relative_to(DOCS)}: {heading}", row.strip()
        before += table


def shown() -> dict[tuple[str, str], list[str]]:
    """The tests of each row."""
    found: dict[tuple[str, str], list[str]] = {}
    place = row = ""
    for line in filter(None, SHOWN.splitlines()):
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            place = line
        elif depth == 2:
            found[place, row := line.strip()] = []
        else:
            found[place, row].append(line.strip())
    return found


@cache
def names(file: Path) -> frozenset[str]:
    """The tests of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8")).body
    defined = (each.name for each in tree if isinstance(each, ast.FunctionDef))
    return frozenset(name for name in defined if name.startswith("test_"))


def test_every_failure_that_the_documents_tell_of_has_its_tests() -> None:
    assert list(shown()) == rows()
    assert all(shown().values())


def test_every_test_that_shows_a_failure_is_there() -> None:
    for row, tests in shown().items():
        for test in tests:
            path, _, name = test.partition("::")
            assert name in names(TESTS / path), f"{row[1]!r} names {test}, which is not there"
