"""The benchmark's checkers say yes to what is right in any lawful interleaving, and no to the rest."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from bench import checks, workload
from bench.stage import Log, Output, Placed
from bench.workload import Workload
from processor.rules.machine import Machine
from schemas import private, topics

PARTITIONS = 2
LOG = Log.of(
    workload.generate(Workload(events=2_500, studios=30, orders_in_flight=250)), PARTITIONS
)
Tampering = Callable[[list[Output]], list[Output]]


def interleaved(seed: int) -> list[Placed]:
    """Another order in which a worker may take the log: each partition of a topic in its own order."""
    chance = random.Random(seed)
    queues: defaultdict[tuple[str, int], deque[Placed]] = defaultdict(deque)
    for record in LOG.records:
        queues[record.topic, record.partition].append(record)
    taken: list[Placed] = []
    while queues:
        place = chance.choice(list(queues))
        count = min(len(queues[place]), chance.randint(1, 100))
        taken += [queues[place].popleft() for _ in range(count)]
        if not queues[place]:
            del queues[place]
    return taken


def written_by(records: list[Placed]) -> tuple[list[Output], list[Output]]:
    """What a right system writes that takes the records in this order: output and journal."""
    output: list[Output] = []
    journal: list[Output] = []
    for number in range(PARTITIONS):
        machine = Machine(number, partitions=PARTITIONS)
        for count, record in enumerate(x for x in records if x.partition == number):
            topic, _, offset, key, value = record
            for emission in machine.apply(topic, number, offset, 1_767_600_000_000, key, value):
                output.append(Output(number, len(output), emission.key, emission.value))
            machine.forget_changes()
            runs = [private.Run(topic, offset, offset + 1)]
            entry = private.JournalRecord(private.JOURNAL_FORMAT, count + 1, runs, [])
            journal.append(Output(number, count, b"", private.encode(entry)))
    return output, journal


OUTPUT, JOURNAL = written_by(interleaved(0))


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_end_is_the_same_for_every_interleaving_of_topics(seed: int) -> None:
    """Contract §3, and why peers without a journal can be checked at all."""
    output, journal = written_by(interleaved(seed))
    assert output != OUTPUT, "an interleaving that changes nothing shows nothing"
    assert checks.ended_well(LOG, output, "exactly-once") == ""
    assert checks.replayed(LOG, output, journal) == ""


def last_of(output: list[Output], change: str) -> int:
    """The place of the last record of some order whose last record says this."""
    ends = {record.key: place for place, record in enumerate(output)}
    return max(p for p in ends.values() if orjson.loads(output[p].value or b"")["change"] == change)


def without(place: int, output: list[Output]) -> list[Output]:
    return output[:place] + output[place + 1 :]


def altered(output: list[Output], **fields: object) -> list[Output]:
    place = last_of(output, "opened")
    halt = orjson.loads(output[place].value or b"") | fields
    return [*output[:place], output[place]._replace(value=orjson.dumps(halt)), *output[place + 1 :]]


def with_other_lines(output: list[Output]) -> list[Output]:
    place = last_of(output, "opened")
    halt = orjson.loads(output[place].value or b"")
    for reason in halt["reasons"]:
        reason["line_ids"] = ["no such line"]
    return altered(output, reasons=halt["reasons"])


TAMPERED: dict[str, Tampering] = {
    "a halt is missing": lambda output: without(last_of(output, "opened"), output),
    "an end is missing": lambda output: without(last_of(output, "ended"), output),
    "a record is there twice": lambda output: [*output, output[-1]],
    "a sequence is left out": lambda output: altered(output, sequence=99),
    "another reason": lambda output: altered(output, primary_reason="product_missing"),
    "other lines": with_other_lines,
    "another version of the order": lambda output: altered(output, order_version=77),
    "in the other partition": lambda output: [
        *output[:-1],
        output[-1]._replace(partition=1 - output[-1].partition),
    ],
    "nothing at all": lambda output: [],
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_wrong_output_is_called_wrong(what: str) -> None:
    tampered = TAMPERED[what](OUTPUT)
    assert checks.ended_well(LOG, tampered, "exactly-once") != ""
    assert checks.replayed(LOG, tampered, JOURNAL) != ""


def test_what_at_least_once_allows() -> None:
    """A record twice is not wrong there; a wrong end is."""
    assert checks.ended_well(LOG, [*OUTPUT, OUTPUT[-1]], "at-least-once") == ""
    missing = without(last_of(OUTPUT, "ended"), OUTPUT)
    assert checks.ended_well(LOG, missing, "at-least-once") != ""


def test_an_input_that_was_left_out_or_taken_twice_is_found() -> None:
    assert "was taken up to" in checks.replayed(LOG, OUTPUT, JOURNAL[:-1])
    assert "goes on at" in checks.replayed(LOG, OUTPUT, [*JOURNAL, JOURNAL[-1]])
    assert "goes on at" in checks.replayed(LOG, OUTPUT, JOURNAL[1:])


def test_a_log_knows_where_kafka_puts_its_records() -> None:
    assert sum(LOG.ends.values()) == len(LOG.records)
    studios: defaultdict[bytes, set[int]] = defaultdict(set)
    for record in LOG.records:
        studios[record.key].add(record.partition)
    assert all(len(partitions) == 1 for partitions in studios.values())
    assert {topic for topic, _ in LOG.ends} <= {topic.name for topic in topics.INPUTS}
    again = Log.of([workload.Record(x.topic, x.key, x.value) for x in LOG.records], PARTITIONS)
    assert again == replace(LOG)
