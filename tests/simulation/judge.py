"""Say what is wrong with the logs at the end, given the inputs and the journal.

The journal says in which order each partition applied its inputs. It must name every offset of every
input once. A fresh machine that is fed in this order must give exactly what is in the output and the
rejected topic, in that order, and the rows that are in the changelogs. The rules of the product must
besides say what the brute-force model of the contract says (tests/model).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from aiokafka import TopicPartition

from processor.runtime.partition import QUARANTINED_MESSAGE
from processor.runtime.protocol import Machine, MachineFactory
from processor.runtime.rejecting import rejected_record
from schemas.errors import Rejection, RejectionCode
from schemas.halted import DATA_SCHEMA
from schemas.private import PositionsRow, decode_journal, decode_positions
from schemas.topics import INPUT_VALUE_MAX_BYTES, REJECTED_HEADROOM_BYTES
from tests.engine import decoded
from tests.model import Model
from tests.model import Record as ModelRecord
from tests.simulation.broker import Broker
from tests.simulation.log import Record
from tests.simulation.scenario import Scenario

_LIMIT = INPUT_VALUE_MAX_BYTES + REJECTED_HEADROOM_BYTES
Sent = tuple[bytes | None, bytes | None, tuple[Any, ...]]


def problems(broker: Broker, scenario: Scenario, factory: MachineFactory) -> list[str]:
    """Judge every partition; an empty list when all is well."""
    model = Model("", partitions=scenario.partitions, dataschema=DATA_SCHEMA)
    found: list[str] = []
    for number in range(scenario.partitions):
        partition = _Partition(broker, scenario, number)
        found += partition.faults(factory(number), model if scenario.rules else None)
    return found


class _Partition:
    """The evidence of one partition."""

    def __init__(self, broker: Broker, scenario: Scenario, number: int) -> None:
        self._broker = broker
        self._config = scenario.config
        self._number = number
        self._inputs = {topic: self._records(topic) for topic in self._config.inputs}
        self._journal = [decode_journal(_value(r)) for r in self._records(self._config.journal)]

    def _log(self, topic: str) -> Any:
        return self._broker.logs[TopicPartition(topic, self._number)]

    def _records(self, topic: str) -> list[Record]:
        records: list[Record] = self._log(topic).committed()
        return records

    def faults(self, machine: Machine, model: Model | None) -> list[str]:
        """Return what is wrong, each fault with its partition."""
        found = [*self._journal_faults(), *self._position_faults()]
        outputs, rejected, differing = self._replay(machine, model)
        found += differing
        found += self._differences(self._config.output, outputs)
        found += self._differences(self._config.rejected, rejected)
        found += self._row_faults(machine)
        return [f"partition {self._number}: {fault}" for fault in found]

    # -- journal and positions

    def _journal_faults(self) -> Iterator[str]:
        reached = dict.fromkeys(self._config.inputs, 0)
        last = 0
        for record in self._journal:
            if record.number <= last:
                yield f"transaction {record.number} comes after {last} in the journal"
            last = record.number
            for run in record.runs:
                if run.first != reached[run.topic] or run.next <= run.first:
                    yield f"{run} is in the journal, expected from {reached[run.topic]}"
                reached[run.topic] = run.next
        for topic, at in reached.items():
            end = self._log(topic).end
            if at != end:
                yield f"the journal covers {topic} up to {at} of {end}"

    def _position_faults(self) -> Iterator[str]:
        rows = self._records(self._config.positions)
        row = decode_positions(_value(rows[-1])) if rows else None
        group = self._broker.group(self._config.group_id).offsets
        for topic in self._config.inputs:
            end = self._log(topic).end
            at = group.get((topic, self._number), 0)
            if at != end:
                yield f"the group's offset of {topic} is {at}, its end {end}"
            noted = row.offsets.get(topic, 0) if row is not None else 0
            if noted != end:
                yield f"the positions row says {noted} for {topic}, its end is {end}"
        if row is not None:
            yield from self._end_faults(row)

    def _end_faults(self, row: PositionsRow) -> Iterator[str]:
        for table, least in row.changelog_ends.items():
            end = self._log(self._config.changelogs[table]).end
            if end < least:
                yield f"the positions row demands {least} of {table}, which ends at {end}"

    # -- replay

    def _replay(
        self, machine: Machine, model: Model | None
    ) -> tuple[list[Sent], list[Sent], list[str]]:
        outputs: list[Sent] = []
        rejected: list[Sent] = []
        differing: list[str] = []
        for record, set_aside in self._in_order():
            emitted, rejection = _apply(machine, record, set_aside)
            outputs += [_sent(emission) for emission in emitted]
            if rejection is not None:
                rejected.append(_sent(rejected_record(record, rejection, _LIMIT)))
            if model is not None and not set_aside:
                differing += _disagreement(model, record, emitted, rejection)
        return outputs, rejected, differing

    def _in_order(self) -> Iterator[tuple[Record, bool]]:
        by_offset = {t: {r.offset: r for r in records} for t, records in self._inputs.items()}
        for entry in self._journal:
            aside = {tuple(at) for at in entry.quarantined}
            for run in entry.runs:
                for offset in range(run.first, run.next):
                    record = by_offset[run.topic].get(offset)
                    if record is not None:
                        yield record, (run.topic, offset) in aside

    def _differences(self, topic: str, wanted: list[Sent]) -> Iterator[str]:
        found = [(r.key, r.value, tuple(r.headers)) for r in self._records(topic)]
        for number, (want, have) in enumerate(zip_longest(wanted, found)):
            if want != have:
                counts = f"{len(found)} found, {len(wanted)} demanded"
                yield f"record {number} of {topic} is {have}, demanded {want}; {counts}"
                return

    def _row_faults(self, machine: Machine) -> Iterator[str]:
        wanted = {(table, key): value for table, key, value in machine.drain() if value is not None}
        found: dict[tuple[str, bytes], bytes] = {}
        for table, topic in self._config.changelogs.items():
            for record in self._records(topic):
                key = record.key or b""
                if record.value is None:
                    found.pop((table, key), None)
                else:
                    found[table, key] = record.value
        for at in sorted(wanted.keys() | found.keys()):
            if wanted.get(at) != found.get(at):
                yield f"row {at} is {found.get(at)!r}, demanded {wanted.get(at)!r}"
                return


def _apply(machine: Machine, record: Record, set_aside: bool) -> tuple[Any, Rejection | None]:
    if set_aside:
        return [], Rejection(RejectionCode.QUARANTINED, QUARANTINED_MESSAGE)
    try:
        return machine.apply(*_fields(record)), None
    except Rejection as rejection:
        return [], rejection


def _fields(record: Record) -> Any:
    return (
        *(record.topic, record.partition, record.offset),
        *(record.timestamp, record.key, record.value),
    )


def _disagreement(
    model: Model, record: Record, emitted: Any, rejection: Rejection | None
) -> Iterator[str]:
    outcome = model.feed(ModelRecord(*_fields(record)))
    code = None if rejection is None else str(rejection.code)
    if code != outcome.rejected:
        yield f"{record.topic} {record.offset}: rejected as {code}, by the model {outcome.rejected}"
    if [decoded(emission) for emission in emitted] != outcome.emitted:
        yield f"{record.topic} {record.offset}: rules and model differ in what they emit"


def _sent(emission: Any) -> Sent:
    key, value, headers = emission
    return key, value, tuple(headers)


def _value(record: Record) -> bytes:
    assert record.value is not None
    return record.value
