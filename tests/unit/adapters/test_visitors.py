"""Who comes in to the web view, and how far."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.adapters.storage.tokens import ROLES, Token, Tokens, digest_of
from backout.adapters.web.visitors import LASTS, WITHIN, Door, Proxy, TooMany, Visitor
from support.journals import Place
from support.journals import place as place

BOB = Token("bob", "approve", digest_of("bo_b"), datetime(2026, 11, 1, tzinfo=UTC), "ann@laptop")
HEADER = {"x-user": "Bob@example.org"}


class Hours:
    """A clock that stands."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_kept_as_a_digest_and_removed_at_once(place: Place) -> None:
    tokens = Tokens(place())
    text = tokens.add("bob", "approve", "ann@laptop")
    assert tokens.add("bob", "deploy", "eve") == ""
    (known,) = Tokens(place()).all()
    assert (known.name, known.role, known.by) == ("bob", "approve", "ann@laptop")
    assert known.fits(text)
    assert not known.fits(f"{text}x")
    assert text not in repr(known)
    assert (tokens.remove("bob"), tokens.remove("bob"), tokens.all()) == (True, False, ())


@given(st.sampled_from(ROLES), st.sampled_from(ROLES))
def test_each_role_may_what_those_before_it_may_and_nobody_without_a_name_does(
    role: str, wanted: str
) -> None:
    assert Visitor("bob", role).may(wanted) == (ROLES.index(role) >= ROLES.index(wanted))
    assert not Visitor("", role).may(wanted)


def test_a_session_lasts_as_long_as_its_token_and_its_time() -> None:
    clock, tokens = Hours(), [BOB]
    door = Door(lambda: tokens, monotonic=clock)
    assert door.visitor("", "127.0.0.1", {}) is None
    assert door.visitor("made up", "127.0.0.1", {}) is None
    cookie, other = door.enter("bo_b", "127.0.0.1"), door.enter("bo_b", "127.0.0.1")
    here = door.visitor(cookie, "127.0.0.1", {})
    there = door.visitor(other, "127.0.0.1", {})
    assert here is not None
    assert there is not None
    assert (here.name, here.role) == ("bob", "approve")
    assert here.csrf != there.csrf
    door.leave(other)
    assert door.visitor(other, "127.0.0.1", {}) is None
    tokens[0] = Token("bob", "approve", digest_of("another"), BOB.at, BOB.by)
    assert door.visitor(cookie, "127.0.0.1", {}) is None
    tokens[0] = BOB
    clock.now = LASTS + 1
    assert door.visitor(cookie, "127.0.0.1", {}) is None


def test_wrong_tokens_close_the_door_to_their_address_for_a_while() -> None:
    clock = Hours()
    door = Door(lambda: [BOB], monotonic=clock)
    assert [door.enter("bo_x", "10.0.0.1") for _ in range(5)] == [""] * 5
    with pytest.raises(TooMany):
        door.enter("bo_b", "10.0.0.1")
    assert door.enter("bo_b", "10.0.0.2")
    clock.now = WITHIN + 1
    assert door.enter("bo_b", "10.0.0.1")


def test_a_proxys_header_counts_from_its_own_address_alone() -> None:
    door = Door(lambda: [BOB], Proxy(("10.0.0.0/30",), "X-User"))
    said = door.visitor("", "10.0.0.2", HEADER)
    assert said is not None
    assert (said.name, said.role) == ("bob", "approve")
    unknown = door.visitor("", "10.0.0.2", {"x-user": "cy"})
    assert unknown is not None
    assert (unknown.name, unknown.role) == ("cy", "look")
    for address, headers in (("10.0.0.9", HEADER), ("10.0.0.2", {}), ("", HEADER)):
        assert door.visitor("", address, headers) is None
    # Without any token the proxy is the only way in.
    assert Door(lambda: [], Proxy(("10.0.0.2",), "X-User")).visitor("", "10.0.0.9", HEADER) is None
    assert Door(lambda: []).visitor("", "127.0.0.1", HEADER) == Visitor()
