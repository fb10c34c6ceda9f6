"""One partition as bytes: raw records in, encoded records and rows out.

This is what the runtime drives, replay and tests too. It decodes, hands the event to the shard, and
turns rows into bytes and back; all decisions are the shard's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from processor.rules import loading
from processor.rules.changes import ChangedRow
from processor.rules.conclusion import Coordinates
from processor.rules.forgetting import Retention
from processor.rules.report import Report
from processor.rules.rows import (
    ASSET_TABLES,
    FORMAT,
    READS,
    TABLES,
    Balance,
    Checkpoint,
    Mark,
    Order,
    OwnTransfer,
    decode,
    unpacked,
)
from processor.rules.shard import RULES_VERSION, Shard
from processor.rules.studio import Studio
from schemas import topics
from schemas.door import DOORS, Decode
from schemas.errors import StateRefused
from schemas.halted import Emission
from schemas.partitioning import join_key, split_key


def read_checkpoint(value: bytes) -> Checkpoint:
    """Tell what a state was made with; raises StateRefused where this release cannot read its rows.

    Rules of another version, older or newer, are no hindrance: see `Machine.resume`.
    """
    made_with = msgspec.msgpack.decode(value, type=Checkpoint)
    if made_with.format > READS:
        raise StateRefused(
            f"The state was written in row format {made_with.format} (rules version "
            f"{made_with.rules_version}); this release reads up to {READS}. Start the newer "
            "release, or the one between the two."
        )
    return made_with


class Machine:
    """The state machine of one partition."""

    tables = TABLES

    def __init__(
        self,
        partition: int,
        *,
        topic_prefix: str = "",
        retention: Retention | None = None,
        partitions: int | None = None,
        any_partitioner: bool = False,
        reports: bool = False,
    ) -> None:
        """Make an empty one.

        `any_partitioner`: take studios in whichever partition they come. `reports`: keep what
        `report` gives, which somebody must take then.
        """
        self._partitions = partitions
        self.shard = Shard(
            partition,
            topic_prefix=topic_prefix,
            retention=retention,
            partitions=None if any_partitioner else partitions,
        )
        if reports:
            self.shard.changes.report = Report()
        self._last_mark: Mark | None = None
        self._last_value: bytes | None = None
        """Of the last mark that was loaded, as the one above."""
        self._decode: dict[str, Decode] = {
            topics.prefixed(topic, topic_prefix): DOORS[topic.value]
            for topic in topics.INPUTS
            if topic.value is not None
        }

    # ---- records

    def apply(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
    ) -> list[Emission]:
        """Take one record of an input topic (its name with prefix; `timestamp` in milliseconds).

        Raises Rejection, before anything has changed, where it is not an event (contract.md §6).
        """
        event = self._decode[topic](key, value, timestamp)
        return self.shard.apply(event, Coordinates(topic, partition, offset, timestamp))

    # ---- rows

    @property
    def dirty(self) -> int:
        """How many rows have changed since the last `drain`."""
        return len(self.shard.changes)

    def drain(self) -> list[ChangedRow]:
        """Give the changed rows with their bytes, each once."""
        return self.shard.changes.drain()

    def forget_changes(self) -> None:
        """Drop the changed rows, where nobody keeps them."""
        self.shard.changes.clear()

    def load(self, table: str, key: bytes, value: bytes | None) -> None:
        """Take one record of a table's changelog; None is a tombstone.

        Raises StateRefused where it is none that this release can read.
        """
        studio_id, *ids = split_key(key.decode())
        shard = self.shard
        if table == "orders":
            if len(ids) == 1:
                order = None if value is None else decode(Order, table, value)
                loading.replace_order(shard, studio_id, ids[0], order)
            else:
                transfer = None if value is None else decode(OwnTransfer, table, value).transfer
                loading.replace_transfer(shard, studio_id, ids[0], ids[1] or None, transfer)
        elif table == "balances":
            balance = None if value is None else decode(Balance, table, value)
            loading.replace_balance(shard, studio_id, ids[0], balance)
        else:
            if value is None:
                loading.replace_mark(
                    shard, ASSET_TABLES.index(table), studio_id, ids[0], None, None
                )
                return
            if value == self._last_value:
                # The assets of one event have the same row, which then is there once.
                mark, value = self._last_mark, self._last_value
            else:
                mark = decode(Mark, table, value)
                self._last_mark, self._last_value = mark, value
            loading.replace_mark(shard, ASSET_TABLES.index(table), studio_id, ids[0], mark, value)

    def checkpoint(self) -> bytes:
        """Give what `resume` needs besides the rows."""
        return msgspec.msgpack.encode(
            Checkpoint(FORMAT, RULES_VERSION, self.shard.partition_time, self._partitions)
        )

    def resume(self, checkpoint: bytes | None) -> list[Emission]:
        """Go on from the rows loaded; None where nothing was ever written.

        Under rules of another version than the rows were made with, an older one (an upgrade) or a
        newer one (an upgrade that is taken back), all orders in flight are judged again and the
        differences emitted (contract.md §5). Under the same, a difference is a bug. Raises
        StateRefused where the rows are in a format that this release cannot read.
        """
        if checkpoint is None:
            return []
        made_with = read_checkpoint(checkpoint)
        self._check_partitions(made_with.partitions)
        self.shard.partition_time = made_with.partition_time
        differing = loading.settle_in(self.shard)
        if made_with.rules_version != RULES_VERSION:
            return self.shard.rejudge(RULES_VERSION)
        assert not differing, f"credit of {len(differing)} orders differs under the same rules"
        return []

    def _check_partitions(self, before: int | None) -> None:
        now = self._partitions
        if before is not None and now is not None and before != now:
            raise StateRefused(
                f"The topics have {now} partitions, and the state was made with {before}: studios "
                "would go to other partitions than those that hold what is known of them.\n"
                "Kafka cannot take partitions away again. Start another deployment under a new "
                "topic prefix, and let the producers send to that one."
            )

    def report(self) -> Report | None:
        """Give what has changed since the last call, for an observer; after each `drain`."""
        changes = self.shard.changes
        report = changes.report
        if report is None:
            return None
        report.close()
        changes.report = Report()
        return report

    # ---- a read-only look, for Faust's tables

    def row(self, table: str, key: bytes) -> Any | None:
        """Give a row of a table by its key; None where there is none."""
        studio_id, item = split_key(key.decode())[:2]
        studio = self.shard.studios.get(studio_id)
        if studio is None:
            return None
        if table == "orders":
            order = studio.order(item)
            return None if order is None else order.row()
        if table == "balances":
            account = studio.accounts.get(item)
            return None if account is None else account.balance
        mark = studio.marks[ASSET_TABLES.index(table)].get(item)
        return None if mark is None else unpacked(mark)

    def keys(self, table: str) -> Iterator[bytes]:
        """Give the keys of a table, in no order that means anything."""
        for studio in self.shard.studios.values():
            for item in _ids(studio, table):
                yield (studio.key_prefix + join_key(item)).encode()

    def size(self, table: str) -> int:
        """Give how many rows a table has."""
        return sum(len(_ids(studio, table)) for studio in self.shard.studios.values())


def _ids(studio: Studio, table: str) -> list[str]:
    if table == "orders":
        return list(studio.orders)
    if table == "balances":
        return [currency for currency, x in studio.accounts.items() if x.balance is not None]
    return list(studio.marks[ASSET_TABLES.index(table)])
