"""What a command says while it runs: nothing twice, nothing torn, no secret, no harm."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from backout.adapters.transports import following
from backout.adapters.transports.captured import KEPT
from backout.adapters.transports.following import Follower
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.model import Command, Event, Host, SecretSource
from support.wait import eventually

SECRET = "hunter2-of-the-night"


def one_secret() -> Vault:
    vault = Vault({"TOKEN": SecretSource(env="TOKEN")}, environ={"TOKEN": SECRET})
    vault.reveal("{{ secrets.TOKEN }}")
    return vault


class Streams:
    """Two streams that grow from look to look, as the files of a command do."""

    def __init__(self, *growth: tuple[bytes, bytes] | None) -> None:
        self.growth = list(growth)
        self.out, self.err = b"", b""
        self.looks = 0

    def __call__(self, out: int, err: int) -> tuple[bytes, bytes] | None:
        self.looks += 1
        more = self.growth.pop(0) if self.growth else (b"", b"")
        if more is None:
            return None
        self.out, self.err = self.out + more[0], self.err + more[1]
        return self.out[out:][:KEPT], self.err[err:][:KEPT]


def whole(streams: Streams, looks: int) -> list[str]:
    """Every line that is told, after so many looks and the end."""
    said: list[str] = []
    reader = following._Lines(streams, lambda _, text: said.append(text), one_secret())
    for _ in range(looks):
        reader.look()
    reader.end()
    reader.look()
    return said


def last(streams: Streams, looks: int) -> list[str]:
    said: list[str] = []
    reader = following._LastLine(streams, lambda _, text: said.append(text))
    for _ in range(looks):
        reader.look()
    reader.end()
    reader.look()
    return said


def test_lines_that_come_in_pieces_are_told_once_and_whole() -> None:
    umlaut = "Grüße".encode()
    growth = (
        (b"one\ntw", b""),
        (b"o\n" + umlaut[:3], b"warn\n"),
        (umlaut[3:] + b"\nleft", b"over"),
    )
    assert whole(Streams(*growth), 3) == ["one", "two", "warn", "Grüße", "left", "over"]


def test_a_line_that_is_drawn_over_itself_is_told_as_it_stands_in_the_end() -> None:
    assert whole(Streams((b"10%\r60%\r100%\r\n\r\r\n", b"")), 1) == ["100%", ""]


def test_a_secret_that_arrives_in_two_pieces_is_not_told() -> None:
    secret = SECRET.encode()
    said = whole(Streams((b"key " + secret[:5], b""), (secret[5:] + b" ok\n", b"")), 2)
    assert said
    assert SECRET not in "\n".join(said)
    assert secret[5:].decode() not in "\n".join(said)


def test_a_look_that_cannot_be_made_is_left_out_and_nothing_is_lost() -> None:
    assert whole(Streams((b"one\n", b""), None, (b"two\n", b"")), 3) == ["one", "two"]


def test_what_was_written_last_is_read_to_its_end_and_then_no_more() -> None:
    much = b"x" * 99 + b"\n"
    streams = Streams((much * (3 * KEPT // 100), b""))
    said = whole(streams, 0)
    assert sum(map(len, said)) == 3 * KEPT // 100 * 99
    assert streams.looks == 3, "two full looks, the rest, and none after the end"


def test_a_command_that_never_stops_writing_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "AT_THE_END", 3)
    streams = Streams(*[(b"x" * KEPT, b"")] * 99)
    whole(streams, 0)
    assert streams.looks == 3


@pytest.mark.parametrize(
    ("growth", "said"),
    [
        ([(b"one\ntwo\nthr", b"")], ["two"]),
        ([(b"one\n", b""), (b"", b"")], ["one"]),
        ([(b"one\n", b"warn\n")], ["warn", "one"]),
        ([(b"10%\r20%\r", b"")], ["20%"]),
        ([(b"half", b"")], []),
        ([(b"\n \n", b"")], []),
        ([None, (b"one\n", b"")], ["one"]),
        ([(b"api: started\n=== seen\nRUNNING\n=== listeners\n", b"")], ["api: started"]),
    ],
)
def test_the_last_whole_line_is_the_news(
    growth: Sequence[tuple[bytes, bytes] | None], said: list[str]
) -> None:
    class Ends(Streams):
        def __call__(self, out: int, err: int) -> tuple[bytes, bytes] | None:
            seen = super().__call__(0, 0)
            return seen and (seen[0][out:], seen[1][err:])

    assert last(Ends(*growth), len(growth)) == said


def test_what_stands_in_front_may_be_torn_off() -> None:
    torn = b"t" * following.END
    assert following._last_line(torn) == b""
    assert following._last_line(torn[:-5] + b"\nok\n\n") == b"ok"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[LocalTransport]:
    host = Host(name="here", connection="local")
    transport = LocalTransport(host, str(tmp_path / ".backout"), one_secret())
    yield transport
    transport.close()


@pytest.mark.parametrize("lines", [True, False], ids=["every line", "the last line"])
def test_a_command_at_work_is_followed_and_the_next_one_too(
    here: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: bool
) -> None:
    """The thread that looks ends with the last command, and begins again with the next."""
    monkeypatch.setattr(following, "EVERY", 0.05)
    told: list[Event] = []
    follower = Follower(told.append, one_secret(), whole=lines)

    def said(text: str) -> bool:
        return any(text in each.text for each in told)

    def looking() -> bool:
        return any(thread.name == "follow" for thread in threading.enumerate())

    for turn in ("1", "2"):
        go = tmp_path / turn
        script = f"echo said {turn}; while [ ! -e {go} ]; do sleep 0.02; done"
        key = f"run-1/step{turn}"
        done = threading.Thread(target=here.run, args=(Command(script, key=key),))
        with follower.follow("web1", here, key, "Build"):
            done.start()
            eventually(partial(said, turn))
            go.touch()
            done.join()
        eventually(lambda: not looking())
    assert [each.text for each in told] == ["said 1", "said 2"]
    assert {(each.kind, each.step, each.host) for each in told} == {
        ("output" if lines else "saying", "Build", "web1")
    }
