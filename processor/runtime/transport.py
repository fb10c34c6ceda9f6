"""The Faust transport `orderhalt://`: whole poll batches in, no commits, checked positions.

Faust's aiokafka driver with four replacements, each at a method that Faust means to be overridden or
that `tests/runtime/test_faust_contract.py` pins:

- the *assignor* keeps the inputs of a partition together (`assignor`);
- a *fetch* returns batches that are known to be dense (`batches`), instead of records;
- the *drain loop* hands one message per batch to Faust, and never more than one fetch is in flight,
  so that a seek can wait for it: the answer to a fetch that was asked before a seek would move the
  position after it, and records would vanish;
- *commit* does nothing, and where Faust waits for its streams to be acknowledged before a rebalance
  or the end, the open windows are committed.

The consumer lives in a thread of its own, as Faust has it, so that heartbeats go on while the event
loop is busy. Seeks, positions and fetches run in that thread and nowhere else.
"""

# Faust and aiokafka publish no other way to what is marked as private here; tests pin every name.
# ruff: noqa: SLF001, ASYNC109

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from processor.runtime import clients, failstop
from processor.runtime.assignor import CopartitionAssignor
from processor.runtime.batches import Batch, Cursor, UnreadableRecord, Verdict, find_unreadable
from processor.runtime.positions import lost_records
from schemas.errors import StateRefused

if TYPE_CHECKING:
    from processor.runtime.runtime import Runtime

#: How long a fetch waits for records. While a partition is paused it must return soon, because a
#: fetch that is waiting does not learn that the partition has been resumed.
_FETCH_SECONDS: Final = 1.0
_FETCH_SECONDS_WHILE_PAUSED: Final = 0.05
_FETCH_ENDS_WITHIN_SECONDS: Final = 10.0
#: From one poll to the next, for each batch that the last one brought, unless it came back full. A
#: batch costs about 0.2 ms whatever it holds: so a tenth of the time goes into that, and not more.
_GATHER_SECONDS_A_BATCH: Final = 0.002
_GATHER_SECONDS_MIN: Final = 0.01
_GATHER_SECONDS_MAX: Final = 0.06

InputOffsets = Mapping[tuple[str, int], int]


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer, and a cursor per input partition."""

    app: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        self._cursors: dict[TP, Cursor] = {}

    def where(self) -> str:
        """Name the next offset of every input, for a last message."""
        return ", ".join(
            f"{tp.topic} {tp.partition} {cursor.expected}"
            for tp, cursor in sorted(self._cursors.items())
        )

    def _create_worker_consumer(self, transport: Any) -> Any:
        runtime: Runtime = self.app.runtime
        conf = self.app.conf
        return clients.group_consumer(
            runtime.config,
            CopartitionAssignor(lambda: list(runtime.partitions)),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
        )

    async def on_start(self) -> None:
        """Start, and let a fail-stop leave the group from now on."""
        await super().on_start()
        failstop.leave_group = self._leave_group

    def _leave_group(self, seconds: float) -> None:
        # Joining again, which aiokafka tries at once, waits for the event loop, which waits here.
        leaving = self._ensure_consumer()._coordinator._maybe_leave_group()
        asyncio.run_coroutine_threadsafe(leaving, self.thread_loop).result(seconds)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Expect nothing until the next seek: aiokafka goes back to the committed offsets.

        A fetch that is in flight all through a rebalance would else be judged by where this worker
        was before, and take that for a log that was cut.
        """
        self._cursors.clear()
        await super().on_partitions_revoked(revoked)

    async def position_at(self, offsets: InputOffsets) -> None:
        """Seek, and expect the next batches there."""
        await self.call_thread(self._position_at, offsets)

    async def keep_alive(self) -> None:
        """Tell the group that this member works, although it fetches nothing."""
        await self.call_thread(self._keep_alive)

    async def _position_at(self, offsets: InputOffsets) -> None:
        consumer = self._ensure_consumer()
        for (topic, partition), offset in offsets.items():
            consumer.seek(TopicPartition(topic, partition), offset)
            self._cursors[TP(topic, partition)] = Cursor(offset)

    async def _keep_alive(self) -> None:
        with self._ensure_consumer()._fetcher._subscriptions.fetch_context():
            pass

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        """Fetch, and return what is dense as batches; runs in this thread alone."""
        try:
            fetched = await super()._fetch_records(
                consumer, active_partitions, timeout, max_records
            )
        except UnicodeDecodeError as error:
            fetched = await self._fetch_before_unreadable(consumer, error)
        assignment = consumer._subscription.subscription.assignment
        batches = {}
        for tp in active_partitions if assignment is not None else ():
            cursor = self._cursors.get(tp)
            state = assignment.state_value(tp)
            if cursor is None or state is None or not state.has_valid_position:
                continue
            records = fetched.get(tp, ())
            batch = await self._judge(consumer, tp, cursor, records, state.position)
            if batch is not None:
                batches[tp] = batch
        return batches

    async def _fetch_before_unreadable(self, consumer: Any, error: UnicodeDecodeError) -> Any:
        """Fetch the records before one that cannot be read, or raise when it is the next one.

        Records of other partitions, lost with the exception, come again: their cursors miss them.
        """
        unreadable = find_unreadable(consumer._fetcher)
        if unreadable is None:
            raise error
        tp = TopicPartition(unreadable.topic, unreadable.partition)
        cursor = self._cursors.get(TP(unreadable.topic, unreadable.partition))
        if cursor is None:
            return {}  # A rebalance has begun; whoever gets the partition will come to it.
        before = unreadable.offset - cursor.expected
        while before > 0:
            consumer.seek(tp, cursor.expected)
            try:
                return await super()._fetch_records(consumer, {tp}, _FETCH_SECONDS, before)
            except UnicodeDecodeError:
                # Not every offset before it holds a record, so these were too many.
                before //= 2
        raise unreadable

    async def _judge(
        self, consumer: Any, tp: TP, cursor: Cursor, records: Any, position: int
    ) -> Batch | None:
        first = records[0].offset if records else None
        verdict = cursor.judge(first, position)
        if verdict is Verdict.NOTHING:
            return None
        if verdict is Verdict.LOG_IS_SHORTER:
            raise _shorter_log(tp, cursor.expected, position)
        if verdict is Verdict.SEEK_AGAIN:
            cursor.sought()
            consumer.seek(tp, cursor.expected)
            return None
        if verdict is Verdict.CHECK_LOG_START:
            start = (await consumer.beginning_offsets([tp]))[tp]
            if start > cursor.expected:
                raise lost_records(tp.partition, tp.topic, cursor.expected, start)
        return cursor.take(tp.topic, tp.partition, records, position)


def _shorter_log(tp: TP, expected: int, position: int) -> StateRefused:
    return StateRefused(
        f"Partition {tp.partition}: {tp.topic} goes on at offset {position}, but {expected} was "
        "reached before: the topic was cut or made anew.\n"
        "Start a worker: it says what can be done."
    )


class Consumer(driver.Consumer):
    """The inputs as batches."""

    app: Any
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetching = asyncio.Lock()
        self._in_flight: asyncio.Future[Any] | None = None
        self._resumed = asyncio.Event()
        self._next_poll_at = 0.0

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- for membership

    async def position_at(self, offsets: InputOffsets) -> None:
        """Seek while no fetch is in flight."""
        async with self._fetching:
            await self._wait_for_fetch()
            await self._thread.position_at(offsets)

    async def keep_alive(self) -> None:
        """Tell the group that this member works."""
        await self._thread.keep_alive()

    def set_paused(self, inputs: Iterable[tuple[str, int]], *, paused: bool) -> None:
        """Leave partitions out of the next fetches, or take them in again."""
        tps = {TP(topic, partition) for topic, partition in inputs}
        if paused:
            self.pause_partitions(tps)
        else:
            self.resume_partitions(tps)
            self._resumed.set()

    # -- what Faust calls

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit nothing: a partition commits its own offsets."""
        return False

    async def wait_empty(self) -> None:
        """Commit the open windows: Faust calls this before a rebalance and at the end."""
        await self.app.runtime.commit_open_windows()

    async def perform_seek(self) -> None:
        """Do nothing: `position_at` is the only seek."""

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: it looks at acknowledgements, which batches do not have."""

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: a full queue makes the drain loop wait."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Do nothing, see `on_buffer_full`."""

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and hand over, for as long as the fetcher service runs."""
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._drain_once()
        except asyncio.CancelledError:
            # Faust takes a cancellation during a rebalance for a crash, even at the end.
            if not fetcher._stopped.is_set():
                raise
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except StateRefused as refusal:
            failstop.refuse(refusal)
        except UnreadableRecord as unreadable:
            # What came before it is sound, and committed it makes this record the next one.
            await self.app.runtime.finish()
            failstop.stop(
                "a record cannot be read: the name of one of its headers is not UTF-8",
                where=f"topic {unreadable.topic}, partition {unreadable.partition}, offset "
                f"{unreadable.offset}",
                remedy=f"Set it aside with `orderhalt skip {unreadable}`; its key and value stay in "
                "the input topic until its retention ends.",
                topic=unreadable.topic,
                partition=unreadable.partition,
                offset=unreadable.offset,
            )
        except Exception as error:  # noqa: BLE001 - a fetch that fails must not end silently
            failstop.stop(
                f"reading the inputs failed: {type(error).__name__}: {error}",
                where=f"inputs at {self._thread.where()}",
                remedy="Nothing since the last commit was committed, and nothing is lost. Check that "
                "Kafka is well; if it is, please report this.",
                error=error,
            )

    async def _drain_once(self) -> None:
        runtime: Runtime = self.app.runtime
        await asyncio.sleep(0)
        if not self.flow_active:
            await self.wait(cast("Any", self.can_resume_flow))
            return
        active = set(self._get_active_partitions())
        if not active:
            await self._wait_until_resumed()
            return
        await self._let_records_gather()
        epoch = runtime.epoch
        seconds = _FETCH_SECONDS_WHILE_PAUSED if self._paused_partitions else _FETCH_SECONDS
        batches = await self._getmany(active, seconds)
        full = runtime.config.max_poll_records
        if sum(len(batch.records) for batch in batches.values()) < full:
            self._gather_from(len(batches))
        for tp, batch in batches.items():
            if runtime.epoch != epoch:
                # A seek to the noted offsets follows; what was fetched here comes again.
                return
            await runtime.send_off(batch)
            await self.callback(self._message(tp, batch))

    async def _let_records_gather(self) -> None:
        delay = self._next_poll_at - time.monotonic()
        if delay > 0:
            await asyncio.sleep(delay)

    def _gather_from(self, batches: int) -> None:
        """Let the next poll wait a little, so that it brings more records in as many batches.

        There is a batch per input and partition: polled as fast as possible, 1,000 events/s over 28
        input partitions would take most of a core.
        """
        seconds = max(_GATHER_SECONDS_MIN, batches * _GATHER_SECONDS_A_BATCH)
        self._next_poll_at = time.monotonic() + min(seconds, _GATHER_SECONDS_MAX)

    async def _wait_until_resumed(self) -> None:
        self._resumed.clear()
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                await self._resumed.wait()
        except TimeoutError:
            pass

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        async with self._fetching:
            await self._wait_for_fetch()
            self._in_flight = asyncio.ensure_future(
                self._thread.getmany(active_partitions, timeout)
            )
            # The fetch goes on in its thread when the fetcher is stopped: `position_at` waits.
            return await asyncio.shield(self._in_flight)

    async def _wait_for_fetch(self) -> None:
        if self._in_flight is None or self._in_flight.done():
            return
        await asyncio.wait([self._in_flight], timeout=_FETCH_ENDS_WITHIN_SECONDS)
        if not self._in_flight.done():
            failstop.stop(
                "a fetch does not end, and seeking beside it could lose records",
                remedy="Nothing is lost: the next start reads from the last commit. Check that Kafka "
                "is well.",
            )

    def _message(self, tp: TP, batch: Batch) -> ConsumerMessage:
        return ConsumerMessage(
            batch.topic,
            batch.partition,
            batch.end - 1,
            time.time(),
            0,
            None,
            None,
            cast("Any", batch),  # an agent gets it as it is
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )


class Transport(driver.Transport):
    """Entry point `orderhalt` of `faust.transports`."""

    Consumer: ClassVar[type[Consumer]] = Consumer
