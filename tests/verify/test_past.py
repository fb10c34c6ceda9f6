"""The state as of a time is what the changelogs held then, and it is found from a snapshot too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from processor.verify.past import Past, state_at
from processor.verify.snapshot import SnapshotReader, rows_of
from schemas import private
from schemas.errors import StateRefused
from tests.verify.recorded import (
    CHANGELOGS,
    JOURNAL,
    Recorded,
    copied,
    deployment,
    judged,
    plan,
)

AT = 0


@pytest.fixture(scope="module")
def honest() -> Recorded:
    return deployment(400, seed=5)


def as_of(recorded: Recorded, until_ms: int, snapshot: Path | None = None) -> Past:
    kept = None if snapshot is None else SnapshotReader(snapshot).read(AT)
    return asyncio.run(state_at(plan(), recorded, AT, until_ms, kept))


def rows_after(
    recorded: Recorded, ends: dict[tuple[str, int], int]
) -> dict[tuple[str, bytes], bytes]:
    rows: dict[tuple[str, bytes], bytes] = {}
    for table, topic in CHANGELOGS.items():
        for record in recorded.logs[topic, AT]:
            if record.offset < ends[topic, AT]:
                at = table, record.key or b""
                rows.pop(at, None)
                if record.value is not None:
                    rows[at] = record.value
    return rows


def test_the_state_as_of_every_commit_is_what_the_changelogs_held(honest: Recorded) -> None:
    """Each transaction counts from the millisecond of its commit on, and not before."""
    for record in honest.logs[JOURNAL, AT][::9]:
        number = private.decode_journal(record.value or b"").number
        past = as_of(honest, record.timestamp)
        assert (past.number, past.committed_ms) == (number, record.timestamp)
        found = {(table, key): value for table, key, value in rows_of(past.machine)}
        assert found == rows_after(honest, honest.history[number - 1][0])
        before = as_of(honest, record.timestamp - 1)
        assert before.number < number


def test_before_the_first_commit_nothing_was_known(honest: Recorded) -> None:
    past = as_of(honest, 0)
    assert (past.number, list(rows_of(past.machine))) == (0, [])


def test_a_snapshot_must_be_older_than_the_time(honest: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "end.snapshot"
    judged(honest, write_snapshot=path)
    last = honest.logs[JOURNAL, AT][-1].timestamp
    whole = as_of(honest, last)
    kept = as_of(honest, last, path)
    assert sorted(rows_of(kept.machine)) == sorted(rows_of(whole.machine))
    assert kept.number == whole.number
    with pytest.raises(StateRefused, match="older snapshot"):
        as_of(honest, last - 1, path)


def test_a_journal_that_does_not_hold_together_is_not_believed(honest: Recorded) -> None:
    recorded = copied(honest)
    del recorded.logs[JOURNAL, AT][4]
    last = recorded.logs[JOURNAL, AT][-1].timestamp
    with pytest.raises(StateRefused, match="`orderhalt verify` lists"):
        as_of(recorded, last)
    assert as_of(recorded, recorded.logs[JOURNAL, AT][3].timestamp).number
