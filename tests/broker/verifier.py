"""Say whether a deployment did exactly what the contract demands, from its inputs and outputs alone.

The order in which a partition's inputs were applied stands in the journal. The inputs, fed in that
order to the brute-force model of tests/model, which shares no code with the processor, must give
exactly what is on order-halted and orderhalt-rejected, in that order, once each. Where the journal
says that other rules took over, the model goes on under those, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import msgspec
import orjson

from schemas.halted import DATA_SCHEMA
from schemas.private import JournalRecord
from tests.broker.evidence import Evidence, Message, Place
from tests.broker.swift import SwiftModel
from tests.model import Emitted, Model, Record

_LISTED = 3
_FIRST_RULES = 1
_REASONS = (
    "orderhalt_error_code",
    "orderhalt_error",
    "orderhalt_topic",
    "orderhalt_partition",
    "orderhalt_offset",
    "orderhalt_timestamp",
)


@dataclass
class Verdict:
    """What is wrong, and what was looked at; all is well when there is no problem."""

    problems: list[str] = field(default_factory=list)
    inputs: int = 0
    transactions: int = 0
    halts: Counter[str] = field(default_factory=Counter)
    """Records of order-halted by change; tombstones too."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Records of order-halted by primary reason."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Rejected records by code."""

    def check(self, what: str, faults: Iterable[Any]) -> None:
        listed = list(faults)
        if listed:
            shown = "; ".join(str(fault)[:400] for fault in listed[:_LISTED])
            self.problems.append(f"{what} ({len(listed)}): {shown}")


Outcome = tuple[Message | None, list[Emitted], str | None]
"""An input (None: other rules have taken over), what it must bring about, and the code if rejected."""


def verify(
    evidence: Evidence,
    model: Model | None = None,
    without: Mapping[int, frozenset[str]] = MappingProxyType({}),
) -> Verdict:
    """Judge the evidence; `model` is an empty one with the deployment's settings.

    `without`: version of the rules → reason codes that those do not know.
    """
    verdict = Verdict()
    if model is None:
        model = SwiftModel(evidence.prefix, partitions=evidence.partitions, dataschema=DATA_SCHEMA)
    _check_offsets(evidence, verdict)
    for partition in range(evidence.partitions):
        journal = evidence.journal.get(partition, [])
        _check_journal(evidence, partition, journal, verdict)
        halted = evidence.halted.get(partition, [])
        rejected = evidence.rejected.get(partition, [])
        _check_sequences(partition, halted, verdict)
        expected = outcomes_of(evidence, partition, journal, model, without)
        wanted_halts = [one for _, emitted, _ in expected for one in emitted]
        wanted_rejections = [(message, code) for message, _, code in expected if message and code]
        _compare(f"order-halted {partition}", wanted_halts, halted, _halt_fault, verdict)
        _compare(f"rejected {partition}", wanted_rejections, rejected, _rejection_fault, verdict)
        verdict.inputs += sum(message is not None for message, _, _ in expected)
        verdict.transactions += len(journal)
        verdict.rejected.update(code for _, code in wanted_rejections)
        _count(halted, verdict)
    return verdict


# -- offsets


def _check_offsets(evidence: Evidence, verdict: Verdict) -> None:
    committed = evidence.committed
    lagging = [(p, committed.get(p, 0), end) for p, end in evidence.ends.items() if end]
    verdict.check("lag: place, committed, end", [lag for lag in lagging if lag[1] != lag[2]])
    # A transactional producer's control records would take offsets; none of these inputs has one.
    verdict.check(
        "inputs that were not read to their end: place, records read, end",
        [
            (place, len(evidence.inputs.get(place, ())), end)
            for place, end in evidence.ends.items()
            if len(evidence.inputs.get(place, ())) != end
        ],
    )
    verdict.check(
        "positions row and group differ: place, row, group",
        (
            ((topic, partition), at, committed.get((topic, partition)))
            for partition, row in evidence.positions.items()
            for topic, at in row.offsets.items()
            if at != committed.get((topic, partition))
        ),
    )


def _check_journal(
    evidence: Evidence, partition: int, journal: list[JournalRecord], verdict: Verdict
) -> None:
    reached: defaultdict[Place, int] = defaultdict(int)
    wrong, numbers, lost = [], [], []
    last = 0
    for record in journal:
        if record.number <= last:
            numbers.append((last, record.number))
        last = record.number
        lost += record.lost
        for run in record.runs:
            place = run.topic, partition
            if run.first != reached[place] or run.next <= run.first:
                wrong.append((run, "expected", reached[place]))
            reached[place] = run.next
    verdict.check(f"journal {partition}: runs that do not continue", wrong)
    verdict.check(f"journal {partition}: transaction numbers that do not rise", numbers)
    verdict.check(f"journal {partition}: records given up as lost", lost)
    ends = {place: end for place, end in evidence.ends.items() if place[1] == partition and end}
    verdict.check(
        f"journal {partition}: inputs that it does not cover to their end: place, covered, end",
        [(place, reached[place], end) for place, end in ends.items() if reached[place] != end],
    )
    verdict.check(f"journal {partition}: inputs that do not exist", reached.keys() - ends.keys())


def outcomes_of(
    evidence: Evidence,
    partition: int,
    journal: list[JournalRecord],
    model: Model,
    without: Mapping[int, frozenset[str]] = MappingProxyType({}),
) -> list[Outcome]:
    """Feed the inputs in journal order; give each with what it must bring about."""
    outcomes: list[Outcome] = []
    by_offset = {
        topic: {message.offset: message for message in messages}
        for (topic, at), messages in evidence.inputs.items()
        if at == partition
    }
    rules = _FIRST_RULES
    for record in journal:
        version = _rules_of(record)
        if version != rules:
            rules = version
            emitted = model.change_rules(partition, rules, without.get(rules, frozenset()))
            outcomes.append((None, emitted, None))
        for message, quarantined in _in_order(record, by_offset):
            if quarantined:
                outcomes.append((message, [], "quarantined"))
                continue
            outcome = model.feed(Record(*message[:6]))
            outcomes.append((message, outcome.emitted, outcome.rejected))
    return outcomes


def _rules_of(record: JournalRecord) -> int:
    """Give the version of the rules that a transaction was made under: the checkpoint's second."""
    if record.checkpoint is None:
        return _FIRST_RULES
    return int(msgspec.msgpack.decode(record.checkpoint)[1])


def _in_order(
    record: JournalRecord, by_offset: Mapping[str, Mapping[int, Message]]
) -> Iterator[tuple[Message, bool]]:
    for run in record.runs:
        messages = by_offset.get(run.topic, {})
        for offset in range(run.first, run.next):
            # Control records of transactional producers take offsets too.
            if offset in messages:
                yield messages[offset], (run.topic, offset) in map(tuple, record.quarantined)


# -- outputs


def _compare(
    what: str, wanted: list[Any], found: list[Message], fault_of: Any, verdict: Verdict
) -> None:
    """Compare two lists in order; the first difference tells most, the others are counted."""
    faults = []
    for number, (want, message) in enumerate(zip_longest(wanted, found)):
        fault = fault_of(want, message)
        if fault is not None:
            faults.append(f"record {number}: {fault}")
    verdict.check(f"{what}: {len(wanted)} demanded, {len(found)} found", faults)


def _halt_fault(wanted: Emitted | None, message: Message | None) -> str | None:
    if wanted is None:
        return f"one too many: {message}"
    if message is None:
        return f"missing: {wanted}"
    if message.key != wanted.key.encode():
        return f"key {message.key!r}, demanded {wanted.key!r}"
    if _canonical(message.value) != _canonical_value(wanted.value):
        return f"value {message.value!r}, demanded {wanted.value}"
    headers = sorted((name, text.encode()) for name, text in wanted.headers.items())
    if sorted(message.headers, key=str) != sorted(headers, key=str):
        return f"headers {message.headers}, demanded {headers}"
    return None


def _canonical(value: bytes | None) -> bytes | None:
    return None if value is None else _canonical_value(orjson.loads(value))


def _canonical_value(value: Any) -> bytes | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _rejection_fault(wanted: tuple[Message, str] | None, message: Message | None) -> str | None:
    if wanted is None:
        return f"one too many: {_short(message)}"
    original, code = wanted
    if message is None:
        return f"missing: {_short(original)} as {code}"
    if (message.key, message.value) != (original.key, original.value):
        return f"{_short(message)} has other bytes than {_short(original)}"
    kept, added = message.headers[: -len(_REASONS)], dict(message.headers[-len(_REASONS) :])
    if kept != original.headers:
        return f"the headers of {_short(original)} were {original.headers}, are {kept}"
    sentence = added.get("orderhalt_error") or b""
    expected = (
        code.encode(),
        sentence,
        original.topic.encode(),
        b"%d" % original.partition,
        b"%d" % original.offset,
        b"%d" % original.timestamp,
    )
    if added != dict(zip(_REASONS, expected, strict=True)) or not sentence.strip():
        return f"{_short(original)}: headers {added}, demanded {expected}"
    return None


def _short(message: Message | None) -> str:
    if message is None:
        return "nothing"
    value = message.value
    size = "no value" if value is None else f"{len(value)} bytes {value[:60]!r}"
    return f"{message.topic} {message.partition} {message.offset}: {size}"


def _check_sequences(partition: int, halted: list[Message], verdict: Verdict) -> None:
    """Check what a consumer sees without knowing the contract's rules."""
    last: dict[bytes | None, int] = {}
    gaps, ids = [], Counter[str]()
    for message in halted:
        if message.value is None:
            last.pop(message.key, None)
            continue
        value = orjson.loads(message.value)
        ids[value["event_id"]] += 1
        if value["sequence"] != last.get(message.key, 0) + 1:
            gaps.append((message.key, last.get(message.key, 0), value["sequence"]))
        last[message.key] = value["sequence"]
    verdict.check(f"order-halted {partition}: sequences with gaps: key, before, after", gaps)
    twice = [event_id for event_id, times in ids.items() if times > 1]
    verdict.check(f"order-halted {partition}: event_id twice", twice)


def _count(halted: list[Message], verdict: Verdict) -> None:
    for message in halted:
        value = {"change": "tombstone"} if message.value is None else orjson.loads(message.value)
        verdict.halts[value["change"]] += 1
        if value.get("primary_reason"):
            verdict.reasons[value["primary_reason"]] += 1
