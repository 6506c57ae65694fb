"""What is the same for many hosts is said once, with their names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from backout.model.results import Finding

Key = TypeVar("Key", bound=Hashable)

NAMED = 3
"""As many hosts are named where a sentence goes on after them."""


def grouped(pairs: Iterable[tuple[Key, str]]) -> dict[Key, list[str]]:
    """The names by what goes for them, each once, in the order in which it was first met."""
    groups: dict[Key, list[str]] = {}
    for key, name in dict.fromkeys(pairs):
        groups.setdefault(key, []).append(name)
    return groups


def some(names: Sequence[str]) -> str:
    """`web1, web2, web3 and 37 more`."""
    if len(names) <= NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


def told(whys: Mapping[str, str]) -> list[str]:
    """`web1: why` for each host, those together for which it is the same."""
    groups = grouped((why.removeprefix(f"{host}: "), host) for host, why in whys.items())
    return [f"{some(hosts)}: {why}" if any(hosts) else why for why, hosts in groups.items()]


def by_host(findings: Iterable[Finding]) -> dict[str, str]:
    """Host -> why the findings on it are what they are."""
    groups = grouped((f.host, f"{f.check}: {f.reason}") for f in findings if f.host)
    return {host: "; ".join(words) for host, words in groups.items()}


def red(findings: Iterable[Finding], remark: str = "") -> list[str]:
    """`check alive@web1 is red: why` for each finding, those together that differ in the host
    alone; `remark` goes for all of them."""
    groups = grouped(((f.check, f.reason), f.key) for f in findings)
    return [
        f"check {some(keys)} is red: {reason}{f' ({remark})' if remark else ''}"
        for (_, reason), keys in groups.items()
    ]
