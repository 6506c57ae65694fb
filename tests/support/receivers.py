"""Receivers of alerts that are as strict as the real ones, on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

from .loopback import Answer, Asked, Web


def said(asked: Asked) -> str:
    """All that a person would read of a message."""
    body = json.loads(asked.body)
    return str(body.get("content") or f"{body.get('title', '')}\n{body.get('message', '')}")


def titles(receiver: Web) -> list[str]:
    """What arrived at a `json://` receiver, refused or not."""
    return [json.loads(asked.body)["title"] for asked in receiver.asked]


class Strict:
    """Takes what `takes` says it takes, answers the rest with `status`; keeps what it took."""

    def __init__(
        self, takes: Callable[[str], bool], status: int = 400, headers: dict[str, str] | None = None
    ) -> None:
        self.takes = takes
        self.status = status
        self.headers = headers or {}
        self.taken: list[str] = []

    def __call__(self, asked: Asked) -> Answer:
        text = said(asked)
        if self.takes(text):
            self.taken.append(text)
            return Answer("{}")
        return Answer('{"message": "no"}', self.status, tuple(self.headers.items()))

    @property
    def titles(self) -> list[str]:
        return [text.splitlines()[0] for text in self.taken]


@contextmanager
def discord(limit: int = 2000) -> Iterator[tuple[str, Strict]]:
    """Discord's webhook as it is: nothing longer than it takes; and the Apprise URL for it."""
    from apprise.plugins.discord import NotifyDiscord

    strict = Strict(lambda text: len(text) <= limit)
    with Web(strict) as web, mock.patch.object(NotifyDiscord, "notify_url", f"{web.url}/hooks"):
        yield f"discord://{'1' * 18}/{'T' * 68}", strict
