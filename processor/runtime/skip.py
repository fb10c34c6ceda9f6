"""Set one record aside that its partition cannot get past (`orderhalt skip`).

A worker that stops at a record has committed what came before the commit window, not what came before
the record: the records in between are applied again at the next start. So there are two cases.

- The record is the next one. One transaction puts it on the rejected topic as `quarantined`, moves
  this input's position past it, and journals that. Nothing of the machine's state changes.
- The record is further ahead. One transaction notes it in the positions row; the worker that comes to
  it does not apply it, and rejects it as `quarantined` in the transaction of its window.

Either way it is the partition's own transaction, under its own transactional id. A worker that still
owns the partition is fenced by it, stops, and finds the new positions when it starts again.

With `lost`, it accepts that the broker has deleted records before they were read: the position moves
to the start of the log, and the journal says which offsets are missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from processor.runtime import clients
from processor.runtime.batches import find_unreadable
from processor.runtime.config import RuntimeConfig
from processor.runtime.partition import QUARANTINED_MESSAGE
from processor.runtime.reading import polls
from processor.runtime.rejecting import rejected_record
from schemas import private
from schemas.errors import Rejection, RejectionCode

_READ_SECONDS: Final = 10.0


class NotSkipped(Exception):
    """Nothing was changed; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """Which record, and whether to accept that the broker has deleted it."""

    topic: str
    partition: int
    offset: int
    lost: bool = False

    @property
    def place(self) -> str:
        """Name the record in a sentence."""
        return f"{self.topic} partition {self.partition} offset {self.offset}"


@dataclass(frozen=True, slots=True)
class _State:
    """Where the partition is: its positions row, or what the first one would say."""

    row: private.PositionsRow
    starts: Mapping[str, int]
    ends: Mapping[str, int]


async def skip(config: RuntimeConfig, request: Request, rejected_limit_bytes: int) -> str:
    """Set the record aside; return what was done, or raise NotSkipped."""
    reader = clients.reader(config)
    await reader.start()
    try:
        state = await _read_state(reader, config, request.partition)
        # Judged before the fence, so that a mistyped offset does not stop a healthy worker.
        await _plan(reader, request, state, rejected_limit_bytes)
        producer = clients.transactional_producer(config, request.partition)
        await producer.start()
        try:
            state = await _read_state(reader, config, request.partition)
            plan = await _plan(reader, request, state, rejected_limit_bytes)
            await _commit(producer, config, request.partition, plan)
        finally:
            await producer.stop()
    finally:
        await reader.stop()
    return plan.done


@dataclass(frozen=True, slots=True)
class _Plan:
    row: private.PositionsRow
    rejected: Any
    journal: private.JournalRecord
    done: str


async def _plan(reader: Any, request: Request, state: _State, limit_bytes: int) -> _Plan:
    row = replace_row(state.row, number=state.row.number + 1)
    expected, start = row.offsets[request.topic], state.starts[request.topic]
    if request.lost:
        return _plan_lost(request, row, expected, start)
    if request.offset < expected:
        raise NotSkipped(
            f"{request.place} is behind the partition's position, {expected}: it has been applied or "
            "rejected already. Nothing to do."
        )
    if expected < start:
        raise NotSkipped(
            f"The broker has deleted records of {request.topic} partition {request.partition} that "
            f"were not read yet, from {expected} to {start - 1}. Accept that with `orderhalt skip "
            f"--lost {request.topic} {request.partition} {expected}`."
        )
    first = await _record_from(reader, request, expected, state.ends[request.topic])
    if first is not None and first.offset == request.offset:
        # Also where it is noted: a worker cannot set aside what its client cannot read.
        return _plan_next(request, row, first, expected, limit_bytes)
    if (request.topic, request.offset) in row.quarantine:
        raise NotSkipped(f"{request.place} is noted already: start the worker.")
    if first is not None and first.offset < request.offset:
        found = await _record_from(reader, request, request.offset, state.ends[request.topic])
        if found is not None and found.offset == request.offset:
            return _plan_ahead(request, row)
    raise NotSkipped(
        f"There is no record at {request.place}; the next one to apply is "
        f"{first.offset if first is not None else 'not written yet'}. Take the offset from the "
        "worker's last message."
    )


def _plan_next(
    request: Request, row: private.PositionsRow, record: Any, expected: int, limit_bytes: int
) -> _Plan:
    at = (request.topic, request.offset)
    rejection = Rejection(RejectionCode.QUARANTINED, QUARANTINED_MESSAGE)
    run = private.Run(request.topic, expected, request.offset + 1)
    return _Plan(
        replace_row(
            row,
            offsets={**row.offsets, request.topic: request.offset + 1},
            quarantine=[noted for noted in row.quarantine if noted != at],
        ),
        rejected_record(record, rejection, limit_bytes),
        _journal_record(row, [run], [at]),
        f"{request.place} is on the rejected topic as `quarantined`. Start the worker.",
    )


def _plan_ahead(request: Request, row: private.PositionsRow) -> _Plan:
    at = (request.topic, request.offset)
    return _Plan(
        replace_row(row, quarantine=[*row.quarantine, at]),
        None,
        _journal_record(row, []),
        f"{request.place} is noted; the worker will put it on the rejected topic as `quarantined` "
        "when it comes to it. Start the worker.",
    )


def _plan_lost(request: Request, row: private.PositionsRow, expected: int, start: int) -> _Plan:
    if request.offset != expected or expected >= start:
        raise NotSkipped(
            f"{request.topic} partition {request.partition} goes on at {expected}, and its log "
            f"starts at {start}: "
            + ("no record is lost." if expected >= start else f"the first lost one is {expected}.")
        )
    lost = private.Run(request.topic, expected, start)
    return _Plan(
        replace_row(row, offsets={**row.offsets, request.topic: start}),
        None,
        _journal_record(row, [], lost=[lost]),
        f"{request.topic} partition {request.partition} goes on at {start}; offsets {expected} to "
        f"{start - 1} are accepted as lost. Start the worker.",
    )


def _journal_record(
    row: private.PositionsRow,
    runs: list[private.Run],
    quarantined: Sequence[tuple[str, int]] = (),
    lost: Sequence[private.Run] = (),
) -> private.JournalRecord:
    return private.JournalRecord(
        private.JOURNAL_FORMAT, row.number, runs, list(quarantined), list(lost), row.checkpoint
    )


def replace_row(row: private.PositionsRow, **changes: Any) -> private.PositionsRow:
    """Copy a positions row with changes."""
    values = {name: getattr(row, name) for name in row.__struct_fields__}
    return private.PositionsRow(**{**values, **changes})


async def _commit(producer: Any, config: RuntimeConfig, partition: int, plan: _Plan) -> None:
    key = private.partition_key(partition)
    async with producer.transaction():
        if plan.rejected is not None:
            rejected_key, value, headers = plan.rejected
            batch = producer.create_batch()
            batch.append(key=rejected_key, value=value, timestamp=None, headers=list(headers))
            await (await producer.send_batch(batch, config.rejected, partition=partition))
        for topic, record in ((config.positions, plan.row), (config.journal, plan.journal)):
            await producer.send_and_wait(topic, private.encode(record), key, partition=partition)
        await producer.send_offsets_to_transaction(
            {TopicPartition(topic, partition): at for topic, at in plan.row.offsets.items()},
            config.group_id,
        )


async def _read_state(reader: Any, config: RuntimeConfig, partition: int) -> _State:
    inputs = {topic: TopicPartition(topic, partition) for topic in config.inputs}
    positions = TopicPartition(config.positions, partition)
    reader.assign([positions, *inputs.values()])
    reader.pause(*inputs.values())
    starts = await reader.beginning_offsets(list(inputs.values()))
    ends = await reader.end_offsets([positions, *inputs.values()])
    row = None
    await reader.seek_to_beginning(positions)
    async for poll in polls(reader, {positions: ends[positions]}):
        for records in poll.values():
            row = private.decode_positions(records[-1].value)
    by_topic = {topic: starts[tp] for topic, tp in inputs.items()}
    if row is None:
        row = private.PositionsRow(private.POSITIONS_FORMAT, 0, dict(by_topic), None, {})
    else:
        row = replace_row(row, offsets={**by_topic, **row.offsets})
    return _State(row, by_topic, {topic: ends[tp] for topic, tp in inputs.items()})


async def _record_from(reader: Any, request: Request, offset: int, end: int) -> Any:
    """Return the first record at or after `offset`, None where there is none before `end`."""
    tp = TopicPartition(request.topic, request.partition)
    reader.seek(tp, offset)
    reader.resume(tp)
    try:
        async with asyncio.timeout(_READ_SECONDS):
            while await reader.position(tp) < end:
                for records in (await reader.getmany(tp, timeout_ms=50, max_records=1)).values():
                    return records[0]
    except UnicodeDecodeError as error:
        unreadable = find_unreadable(reader._fetcher)  # noqa: SLF001 - the only place that knows
        if unreadable is None:
            raise
        return Unreadable(request.topic, request.partition, unreadable.offset, str(error))
    finally:
        reader.pause(tp)
    return None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a record that the client library cannot decode."""

    topic: str
    partition: int
    offset: int
    why: str
    timestamp: int = -1
    key: None = None
    value: None = None

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """Say that key, value and headers are not here."""
        return (("orderhalt_omitted", f"key, value and headers: {self.why}".encode()),)
