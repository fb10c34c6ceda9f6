"""Laws of §3 and §5 that hold for the records and judgements of any log."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine import Engine
from tests.model import Record
from tests.strategies import Shape, logs, random_log, shuffled_and_duplicated, with_dense_offsets

pytestmark = pytest.mark.rules

STILL = Shape(studios=2, orders=4, jumps=False)


class Reader:
    """Folds order-halted as a consumer does, and checks what it relies on."""

    def __init__(self) -> None:
        self.last: dict[str, dict[str, Any]] = {}
        self.event_ids: set[str] = set()

    def read(self, key: str, value: dict[str, Any] | None) -> None:
        before = self.last.get(key)
        if value is None:
            assert before is not None, "a tombstone needs a record"
            assert before["change"] == "ended", "what is halted is not forgotten"
            del self.last[key]
            return
        assert value["event_id"] not in self.event_ids, "ids are unique"
        self.event_ids.add(value["event_id"])
        if before is None:
            before = {"sequence": 0, "episode": 0, "change": "ended", "reasons": []}
        halted, was_halted = value["change"] != "ended", before["change"] != "ended"
        assert value["sequence"] == before["sequence"] + 1
        assert (value["change"] == "opened") == (not was_halted)
        assert value["episode"] == before["episode"] + (value["change"] == "opened")
        assert (value["status"] == "halted") == halted == bool(value["reasons"])
        codes = [reason["code"] for reason in value["reasons"]]
        assert value["primary_reason"] == (codes[0] if codes else None)
        since = {reason["code"]: reason["since"] for reason in before["reasons"]}
        for reason in value["reasons"]:
            assert reason["since"] == since.pop(reason["code"], value["occurred_at"])
        ended = [{"code": code, "since": at} for code, at in since.items()]
        assert value["ended_reasons"] == ended
        if value["change"] == "opened":
            assert value["halted_since"] == value["occurred_at"]
        else:
            assert value["halted_since"] == before["halted_since"]
        self.last[key] = value


@settings(max_examples=80)
@given(log=logs(40, Shape(studios=1, orders=4)))
def test_what_a_consumer_may_rely_on(log: list[Record]) -> None:
    """Sequences have no gap, changes alternate rightly, ids are unique, one record an order."""
    engine, reader = Engine(), Reader()
    for record in log:
        emitted = engine.feed(record).emitted
        keys = [key for key, _, _ in emitted]
        said = [key for key, value, _ in emitted if value is not None]
        assert len(set(said)) == len(said), "one event says at most one thing of an order"
        assert said == keys[: len(said)], "tombstones come last"
        for key, value, _ in emitted:
            reader.read(key, value)
        told = {k: [r["code"] for r in v["reasons"]] for k, v in reader.last.items()}
        for key, judgement in engine.judgements().items():
            assert told.get(key, []) == judgement["codes"]


@settings(max_examples=80)
@given(log=logs(25, STILL), seed=st.integers(0, 2**32))
def test_judgements_do_not_depend_on_arrival_or_duplication(log: list[Record], seed: int) -> None:
    """§3: the same events in any order, any of them several times, are judged the same."""
    one, other = Engine(), Engine()
    for record in log:
        one.feed(record)
    for record in shuffled_and_duplicated(log, seed):
        other.feed(record)
    assert one.judgements() == other.judgements()


@settings(max_examples=40)
@given(log=logs(20, STILL), seed=st.integers(0, 2**32), at=st.integers(0, 20))
def test_judgements_of_every_prefix_converge(log: list[Record], seed: int, at: int) -> None:
    """Merging is associative: what came first may have come shuffled, and the rest too."""
    prefix, rest = log[:at], log[at:]
    shuffled = shuffled_and_duplicated(prefix, seed) + shuffled_and_duplicated(rest, seed + 1)
    one, other = Engine(), Engine()
    for record in log:
        one.feed(record)
    for record in with_dense_offsets(shuffled):
        other.feed(record)
    assert one.judgements() == other.judgements()


def test_partitions_do_not_know_each_other() -> None:
    """The records of one partition are the same whatever happens in the others."""
    log = random_log(5, 150, Shape(studios=3, orders=3), partitions=3)
    together = Engine(partitions=3)
    emitted = {number: [] for number in range(3)}  # type: dict[int, list[Any]]
    for record in log:
        emitted[record.partition] += together.apply(record)
    assert any(emitted.values())
    for number in range(3):
        alone = Engine(partitions=3)
        own = [record for record in log if record.partition == number]
        assert [e for record in own for e in alone.apply(record)] == emitted[number]


DIGEST = """
import hashlib, sys
from tests.engine import Engine
from tests.strategies import Shape, random_log, shuffled_and_duplicated
digest = hashlib.sha256()
for seed in range(20):
    log = random_log(seed, 80, Shape(studios=3, orders=5), partitions=2)
    engine = Engine(partitions=2)
    for number, record in enumerate(shuffled_and_duplicated(log, seed)):
        digest.update(repr(engine.apply(record)).encode())
        if number % 7 == 0:
            for machine in engine.machines.values():
                digest.update(repr((machine.drain(), machine.checkpoint())).encode())
print(digest.hexdigest())
"""


def test_the_same_log_makes_the_same_bytes_in_every_process() -> None:
    """Records, rows, their order and checkpoints do not depend on hashes of strings."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "1", "4242")
    ]
    digests = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(digests) == 1
