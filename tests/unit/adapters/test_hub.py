"""However many follow a page, it is looked at once."""

from __future__ import annotations

import asyncio

import pytest

from backout.adapters.web import hub
from backout.adapters.web.hub import Hub, Part


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PACE", 0.01)


async def _all(events: Hub, path: str) -> list[bytes]:
    return [event async for event in events.follow(path)]


def test_two_hundred_readers_cost_one_look_a_change_and_all_hear_the_end() -> None:
    asked: list[str] = []

    def render(path: str) -> Part | None:
        asked.append(path)
        return Part(f"<p>{len(asked)}\n</p>", over=len(asked) == 3)

    async def go() -> list[list[bytes]]:
        events = Hub(render, lambda: len(asked))
        return await asyncio.wait_for(
            asyncio.gather(*(_all(events, "runs/r1") for _ in range(200))), 20
        )

    heard = asyncio.run(go())
    assert asked == ["runs/r1"] * 3
    assert {each[-1] for each in heard} == {b'event: over\ndata: "<p>3\\n</p>"\n\n'}
    assert len(heard) == 200


def test_what_did_not_change_is_not_sent_and_a_page_that_is_none_ends_at_once() -> None:
    looks = iter(range(100))

    async def go() -> tuple[list[bytes], list[bytes]]:
        still = Hub(lambda _: Part("same", over=next(looks) > 5), lambda: object())
        nowhere = Hub(lambda _: None, lambda: 0)
        return await _all(still, ""), await _all(nowhere, "nope")

    same, none = asyncio.run(asyncio.wait_for(go(), 20))
    assert [event.partition(b"\n")[0] for event in same] == [b"event: part", b"event: over"]
    assert none == [b'event: over\ndata: ""\n\n']


def test_a_look_that_fails_is_made_again() -> None:
    failures = iter([OSError("the ledger is away"), None])

    def render(_: str) -> Part:
        if error := next(failures):
            raise error
        return Part("there again", over=True)

    async def go() -> list[bytes]:
        return await asyncio.wait_for(_all(Hub(render, lambda: object()), ""), 20)

    assert asyncio.run(go()) == [b'event: over\ndata: "there again"\n\n']
