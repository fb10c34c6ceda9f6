"""The verifier of the broker tests can say no: what is tampered with is named."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from itertools import islice

import orjson
import pytest

from processor.rules.machine import Machine
from processor.simulator import Settings, simulate
from schemas.errors import Rejection
from schemas.private import JournalRecord, PositionsRow, Run
from tests.broker.evidence import Evidence, Message
from tests.broker.verifier import verify
from tests.model import partition_of

PARTITIONS = 2
PREFIX = "acme-"
EVENTS = 1_000


def honest_evidence() -> Evidence:
    """Do what a worker does, in transactions of random size, without a broker."""
    chance = random.Random(1)
    inputs: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
    settings = Settings(seed=3, studios=6, malformed_share=0.05, trouble=8, orders_in_flight=30)
    for record in islice(simulate(settings), EVENTS):
        partition = partition_of(record.key or b"", PARTITIONS) + record.partition_shift
        place = PREFIX + record.topic, partition % PARTITIONS
        headers = (("trace", b"\x00\xff"), ("trace", None)) if chance.random() < 0.3 else ()
        inputs[place].append(
            Message(
                *(*place, len(inputs[place]), record.timestamp_ms, record.key, record.value),
                headers,
            )
        )
    ends = {place: len(messages) for place, messages in inputs.items()}
    evidence = Evidence(PREFIX, PARTITIONS, dict(ends), dict(inputs), dict(ends))
    for partition in range(PARTITIONS):
        _work(evidence, partition, chance)
    return evidence


def _work(evidence: Evidence, partition: int, chance: random.Random) -> None:
    machine = Machine(partition, topic_prefix=PREFIX, partitions=PARTITIONS)
    journal: list[JournalRecord] = []
    halted: list[Message] = []
    rejected: list[Message] = []
    done = {place[0]: 0 for place in evidence.inputs if place[1] == partition}
    while waiting := [t for t, at in done.items() if at < evidence.ends[t, partition]]:
        runs = []
        for topic in chance.sample(waiting, chance.randint(1, len(waiting))):
            first = done[topic]
            done[topic] = min(evidence.ends[topic, partition], first + chance.randint(1, 20))
            runs.append(Run(topic, first, done[topic]))
            for message in evidence.inputs[topic, partition][first : done[topic]]:
                _apply(machine, message, halted, rejected)
        journal.append(JournalRecord(1, len(journal) + 1, runs))
    evidence.journal[partition] = journal
    evidence.positions[partition] = PositionsRow(1, len(journal), done, None, {})
    evidence.halted[partition] = halted
    evidence.rejected[partition] = rejected


def _apply(
    machine: Machine, message: Message, halted: list[Message], rejected: list[Message]
) -> None:
    try:
        emitted = machine.apply(*message[:6])
    except Rejection as rejection:
        reasons = (
            ("orderhalt_error_code", str(rejection.code).encode()),
            ("orderhalt_error", rejection.message.encode()),
            ("orderhalt_topic", message.topic.encode()),
            ("orderhalt_partition", b"%d" % message.partition),
            ("orderhalt_offset", b"%d" % message.offset),
            ("orderhalt_timestamp", b"%d" % message.timestamp),
        )
        rejected.append(message._replace(headers=(*message.headers, *reasons)))
        return
    for key, value, headers in emitted:
        at = len(halted)
        halted.append(Message("", message.partition, at, 0, key, value, tuple(headers)))


@pytest.fixture(scope="module")
def honest() -> Evidence:
    return honest_evidence()


def test_an_honest_worker_is_found_honest(honest: Evidence) -> None:
    verdict = verify(honest)
    assert verdict.problems == []
    assert verdict.inputs == EVENTS
    assert verdict.halts.total() > 100
    assert len(verdict.reasons) >= 3
    assert {"malformed_json", "key_mismatch", "wrong_partition"} < verdict.rejected.keys()


# -- what is done to it. Each row: what, the words of the problem that it must bring


def middle(messages: list[Message]) -> int:
    return len(messages) // 2


def drop_halt(e: Evidence) -> None:
    del e.halted[0][middle(e.halted[0])]


def drop_last_halt(e: Evidence) -> None:
    e.halted[0].pop()


def repeat_halt(e: Evidence) -> None:
    e.halted[0].insert(middle(e.halted[0]), e.halted[0][middle(e.halted[0])])


def repeat_first_halt_at_the_end(e: Evidence) -> None:
    e.halted[0].append(e.halted[0][0])


def swap_halts(e: Evidence) -> None:
    """Two records of different orders: only their order in the partition tells."""
    halts = e.halted[0]
    at = next(i for i in range(5, len(halts)) if halts[i].key != halts[i + 1].key)
    halts[at], halts[at + 1] = halts[at + 1], halts[at]


def move_halt_to_another_partition(e: Evidence) -> None:
    e.halted[1].append(e.halted[0].pop())


def edit(e: Evidence, **fields: object) -> None:
    at = middle(e.halted[0])
    message = e.halted[0][at]
    value = orjson.loads(message.value or b"{}") | fields
    e.halted[0][at] = message._replace(value=orjson.dumps(value))


def alter_value(e: Evidence) -> None:
    edit(e, paid=None)


def alter_cause(e: Evidence) -> None:
    edit(e, caused_by={"topic": "x", "partition": 0, "offset": 0, "event_id": "e"})


def add_field(e: Evidence) -> None:
    edit(e, surplus=1)


def alter_key(e: Evidence) -> None:
    e.halted[0][3] = e.halted[0][3]._replace(key=b"s/1")


def drop_header(e: Evidence) -> None:
    e.halted[0][3] = e.halted[0][3]._replace(headers=e.halted[0][3].headers[1:])


def repeat_header(e: Evidence) -> None:
    headers = e.halted[0][3].headers
    e.halted[0][3] = e.halted[0][3]._replace(headers=(*headers, headers[0]))


def drop_rejected(e: Evidence) -> None:
    del e.rejected[0][2]


def repeat_rejected(e: Evidence) -> None:
    e.rejected[0].insert(2, e.rejected[0][2])


def alter_rejected_value(e: Evidence) -> None:
    e.rejected[0][2] = e.rejected[0][2]._replace(value=(e.rejected[0][2].value or b"") + b" ")


def null_for_empty(e: Evidence) -> None:
    at = next(i for i, message in enumerate(e.rejected[0]) if message.value in (b"", None))
    other = None if e.rejected[0][at].value == b"" else b""
    e.rejected[0][at] = e.rejected[0][at]._replace(value=other)


def alter_rejected_header(e: Evidence) -> None:
    at = next(i for i, message in enumerate(e.rejected[0]) if message.headers[0][0] == "trace")
    headers = (("trace", b"\x00"), *e.rejected[0][at].headers[1:])
    e.rejected[0][at] = e.rejected[0][at]._replace(headers=headers)


def alter_code(e: Evidence) -> None:
    message = e.rejected[0][2]
    headers = tuple(
        (name, b"quarantined" if name == "orderhalt_error_code" else text)
        for name, text in message.headers
    )
    e.rejected[0][2] = message._replace(headers=headers)


def drop_transaction_from_journal(e: Evidence) -> None:
    del e.journal[0][4]


def repeat_transaction_in_journal(e: Evidence) -> None:
    e.journal[0].insert(5, e.journal[0][4])


def swap_transactions(e: Evidence) -> None:
    e.journal[0][4:6] = e.journal[0][5:3:-1]


def apply_records_twice(e: Evidence) -> None:
    run = e.journal[0][4].runs[0]
    e.journal[0][5].runs.insert(0, run)


def run_beyond_the_end(e: Evidence) -> None:
    run = e.journal[0][-1].runs[-1]
    e.journal[0][-1].runs[-1] = Run(run.topic, run.first, run.next + 1)


def give_up_records(e: Evidence) -> None:
    e.journal[0][4].lost.append(e.journal[0][4].runs[0])


def forget_last_transaction(e: Evidence) -> None:
    """Offsets are committed without the rows, records and journal that belong to them."""
    e.journal[0].pop()


def commit_too_little(e: Evidence) -> None:
    place = next(place for place in e.committed if place[1] == 0)
    e.committed[place] -= 1


def commit_nothing(e: Evidence) -> None:
    place = next(place for place in e.committed if place[1] == 0)
    del e.committed[place]


def positions_row_behind(e: Evidence) -> None:
    offsets = e.positions[0].offsets
    offsets[next(iter(offsets))] -= 1


def exchange_input(e: Evidence) -> None:
    """The worker applied other bytes than there are: it read something else, or made it up."""
    cause = orjson.loads(e.halted[0][middle(e.halted[0])].value or b"{}")["caused_by"]
    messages = e.inputs[cause["topic"], 0]
    messages[cause["offset"]] = messages[cause["offset"]]._replace(value=b"{}")


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (drop_halt, "order-halted 0: "),
        (drop_halt, "sequences with gaps"),
        (drop_last_halt, "missing"),
        (repeat_halt, "event_id twice"),
        (repeat_first_halt_at_the_end, "one too many"),
        (swap_halts, "order-halted 0: "),
        (move_halt_to_another_partition, "order-halted 1: "),
        (alter_value, "value"),
        (alter_cause, "value"),
        (add_field, "value"),
        (alter_key, "key b's/1'"),
        (drop_header, "headers"),
        (repeat_header, "headers"),
        (drop_rejected, "rejected 0: "),
        (repeat_rejected, "rejected 0: "),
        (alter_rejected_value, "other bytes"),
        (null_for_empty, "other bytes"),
        (alter_rejected_header, "the headers of"),
        (alter_code, "quarantined"),
        (drop_transaction_from_journal, "runs that do not continue"),
        (repeat_transaction_in_journal, "numbers that do not rise"),
        (swap_transactions, "numbers that do not rise"),
        (apply_records_twice, "runs that do not continue"),
        (run_beyond_the_end, "does not cover to their end"),
        (give_up_records, "given up as lost"),
        (forget_last_transaction, "does not cover to their end"),
        (commit_too_little, "lag"),
        (commit_nothing, "lag"),
        (positions_row_behind, "positions row and group differ"),
        (exchange_input, "order-halted 0: "),
    ],
)
def test_what_is_tampered_with_is_named(
    honest: Evidence, tamper: Callable[[Evidence], None], words: str
) -> None:
    evidence = deepcopy(honest)
    tamper(evidence)
    problems = verify(evidence).problems
    assert any(words in problem for problem in problems), problems
