"""Many looks in a few bytes: verdicts counted, latencies in a histogram of fixed size. Pure.

Tallies of the same buckets add up exactly, so a day is the sum of its hours, whatever the order.
A bucket is a twelfth of an octave wide: a percentile is right within three per cent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backout.model import Sample, Verdict

VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
LOWEST = 0.1
"""Milliseconds; what is faster counts as this."""
STEPS = 12
"""Buckets per octave."""
SIZE = 280
"""Buckets in all: up to a little over seventeen minutes."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What some looks came to."""

    verdicts: tuple[int, int, int, int] = (0, 0, 0, 0)
    """How many of each, in the order of `VERDICTS`."""
    buckets: tuple[tuple[int, int], ...] = ()
    """(bucket, how many), the empty ones left out, in order."""

    def __add__(self, other: Tally) -> Tally:
        verdicts = tuple(a + b for a, b in zip(self.verdicts, other.verdicts, strict=True))
        buckets = Counter(dict(self.buckets))
        buckets.update(dict(other.buckets))
        return Tally(verdicts, tuple(sorted(buckets.items())))  # type: ignore[arg-type]

    @property
    def looks(self) -> int:
        return sum(self.verdicts)

    def count(self, verdict: Verdict) -> int:
        return self.verdicts[VERDICTS.index(verdict)]

    @property
    def uptime(self) -> float | None:
        """The share of looks that passed; None when nobody looked."""
        return self.verdicts[0] / self.looks if self.looks else None

    def percentile(self, share: float) -> float | None:
        """The latency in milliseconds that `share` of the looks (0.95) did not exceed."""
        wanted = share * sum(count for _, count in self.buckets)
        seen = 0
        for bucket, count in self.buckets:
            seen += count
            if seen >= wanted:
                return _middle(bucket)
        return None


def tally(samples: Iterable[Sample]) -> Tally:
    """The looks, counted. A look that took no time measured nothing."""
    verdicts: Counter[Verdict] = Counter()
    buckets: Counter[int] = Counter()
    for sample in samples:
        verdicts[sample.verdict] += 1
        if sample.elapsed_ms > 0:
            buckets[bucket_of(sample.elapsed_ms)] += 1
    passed, failed, erred, untold = (verdicts[each] for each in VERDICTS)
    return Tally((passed, failed, erred, untold), tuple(sorted(buckets.items())))


def bucket_of(milliseconds: float) -> int:
    """The bucket of a latency."""
    if milliseconds <= LOWEST:
        return 0
    return min(SIZE - 1, int(math.log2(milliseconds / LOWEST) * STEPS))


def _middle(bucket: int) -> float:
    return float(LOWEST * 2 ** ((bucket + 0.5) / STEPS))


# --- bytes -------------------------------------------------------------------------------


def fold(before: bytes, samples: Iterable[Sample]) -> bytes:
    """An encoded tally with some more looks in it."""
    return encode(decode(before) + tally(samples))


def join(one: bytes, other: bytes) -> bytes:
    """Two encoded tallies as one."""
    return encode(decode(one) + decode(other))


def encode(counted: Tally) -> bytes:
    """Numbers of seven bits a byte; buckets by their distance from the one before."""
    numbers = [*counted.verdicts]
    last = 0
    for bucket, count in counted.buckets:
        numbers += [bucket - last, count]
        last = bucket
    return b"".join(map(_packed, numbers))


def decode(data: bytes) -> Tally:
    """`encode`, backwards; nothing at all is an empty tally."""
    if not data:
        return Tally()
    numbers = list(_unpacked(data))
    buckets, bucket = [], 0
    for distance, count in zip(numbers[4::2], numbers[5::2], strict=True):
        bucket += distance
        buckets.append((bucket, count))
    passed, failed, erred, untold = numbers[:4]
    return Tally((passed, failed, erred, untold), tuple(buckets))


def _packed(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _unpacked(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
