"""How the benchmarks read silences off the moments at which transactions were seen."""

from __future__ import annotations

import pytest

from bench.journalwatch import longest_silence

SEEN = [1.0, 2.0, 3.0, 7.0, 8.0]


@pytest.mark.parametrize(
    ("since", "until", "start", "end"),
    [
        (3.5, 9.0, 3.0, 7.0),  # begins with the last one seen before the harm
        (3.5, 6.0, 3.0, 6.0),  # has not ended
        (7.5, 8.5, 7.0, 8.0),
        (0.0, 9.0, 3.0, 7.0),
        (8.5, 20.0, 8.0, 20.0),
    ],
)
def test_the_longest_silence(since: float, until: float, start: float, end: float) -> None:
    assert longest_silence(SEEN, since, until) == (start, end)


def test_who_was_never_seen_was_silent_all_the_time() -> None:
    assert longest_silence([], 1.0, 4.0) == (1.0, 4.0)
