"""The engine behind the model's interface, so that one test can ask both.

`Engine.feed` takes a record and says what came of it, as `tests.model.Model.feed` does; `apply` gives
the bytes. One `Machine` a partition, as in a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from processor.rules.forgetting import DAY_MS, Retention
from processor.rules.judge import CREDIT, IN_FLIGHT, Finding, find_reasons, standing_of
from processor.rules.machine import Machine
from processor.rules.order import OrderState
from processor.rules.rows import Placed, Transfer
from processor.rules.studio import Studio
from schemas.errors import Rejection
from schemas.halted import Emission
from schemas.instants import format_instant
from schemas.partitioning import join_key
from schemas.reasons import PRECEDENCE, AssetType
from tests.model import Emitted, Outcome, Record

Rows = dict[tuple[str, bytes], bytes]
"""What a compacted changelog holds: the last value of every (table, key)."""


class Engine:
    """The rules of the processor for any number of partitions."""

    def __init__(
        self,
        prefix: str = "",
        closed_retention_ms: int = 7 * DAY_MS,
        asset_retention_ms: int = 90 * DAY_MS,
        forgotten_retention_ms: int = 400 * DAY_MS,
        partitions: int | None = None,
    ) -> None:
        self._prefix = prefix
        self._retention = Retention(closed_retention_ms, asset_retention_ms, forgotten_retention_ms)
        self._partitions = partitions
        self.machines: dict[int, Machine] = {}

    def machine(self, partition: int) -> Machine:
        """Give the machine of a partition, an empty one where there is none yet."""
        machine = self.machines.get(partition)
        if machine is None:
            machine = self.machines[partition] = self.empty_machine(partition)
        return machine

    def empty_machine(self, partition: int) -> Machine:
        """Make a machine with this engine's parameters and no state."""
        return Machine(
            partition,
            topic_prefix=self._prefix,
            retention=self._retention,
            partitions=self._partitions,
        )

    def apply(self, record: Record) -> list[Emission]:
        """Take one record; raises Rejection."""
        return self.machine(record.partition).apply(*record)

    def feed(self, record: Record) -> Outcome:
        """Take one record and say what comes of it, decoded."""
        try:
            return Outcome(emitted=[decoded(emission) for emission in self.apply(record)])
        except Rejection as rejection:
            return Outcome(str(rejection.code), rejection.message)

    def recovered(self, partition: int, rows: Iterable[tuple[tuple[str, bytes], bytes]]) -> Machine:
        """Make a machine of kept rows, in the order in which they are given."""
        machine = self.empty_machine(partition)
        for (table, key), value in rows:
            machine.load(table, key, value)
        return machine

    def judgements(self) -> dict[str, dict[str, Any]]:
        """Tell what converges of every placed order, as `Model.judgements` does."""
        return {
            key: judgement
            for machine in self.machines.values()
            for key, judgement in judgements_of(machine).items()
        }

    def partition_time(self, partition: int) -> int | None:
        """Give the partition time in ms."""
        machine = self.machines.get(partition)
        return None if machine is None else machine.shard.partition_time

    def remembered(self) -> dict[str, set[tuple[str, ...]]]:
        """Tell what has not been forgotten, as `Model.remembered` does."""
        found: dict[str, set[tuple[str, ...]]] = {
            name: set() for name in ("placed", "unplaced", "forgotten", "marks")
        }
        for machine in self.machines.values():
            for studio in machine.shard.studios.values():
                for order_id, order in _orders(studio):
                    name = "unplaced" if order.placed is None else "placed"
                    name = name if order.forgotten_ms is None else "forgotten"
                    found[name].add((studio.id, order_id))
                for kind, marks in zip(AssetType, studio.marks, strict=True):
                    found["marks"] |= {(studio.id, kind.value, asset) for asset in marks}
        return found


def decoded(emission: Emission) -> Emitted:
    """Decode a record of order-halted."""
    key, value, headers = emission
    fields = None if value is None else msgspec.json.decode(value)
    return Emitted(key.decode(), fields, {name: text.decode() for name, text in headers})


def keep(rows: Rows, drained: Sequence[tuple[str, bytes, bytes | None]]) -> None:
    """Keep drained rows as a compacted changelog would."""
    for table, key, value in drained:
        if value is None:
            rows.pop((table, key), None)
        else:
            rows[table, key] = value


def judgements_of(machine: Machine) -> dict[str, dict[str, Any]]:
    """Tell the judgement of every placed order of a machine."""
    return {
        join_key(studio.id, order_id): _judgement(studio, order_id, order, order.placed)
        for studio in machine.shard.studios.values()
        for order_id, order in _orders(studio)
        if order.placed is not None
    }


def _orders(studio: Studio) -> list[tuple[str, OrderState]]:
    orders = [(order_id, studio.order(order_id)) for order_id in list(studio.orders)]
    return [(order_id, order) for order_id, order in orders if order is not None]


def _judgement(studio: Studio, order_id: str, order: OrderState, placed: Placed) -> dict[str, Any]:
    phase, unsecured = standing_of(order)
    in_flight = phase is IN_FLIGHT
    findings = list(find_reasons(unsecured, order.transfers, studio.marks))
    account = studio.accounts.get(placed.currency)
    credit = None
    if account is not None and order_id in account.short:
        findings.append(Finding(CREDIT, ()))
        credit = msgspec.structs.asdict(account.sums(order_id))
    findings.sort(key=lambda finding: finding.code)
    codes = [PRECEDENCE[finding.code].value for finding in findings]
    return {
        "state": "in_flight" if in_flight else "closed",
        "order_version": placed.version,
        "codes": codes,
        "subjects": {c: _subjects(order_id, f) for c, f in zip(codes, findings, strict=True)},
        "lines": {c: list(f.line_ids) for c, f in zip(codes, findings, strict=True)},
        "transfers": [_transfer(t) for finding in findings for t in finding.transfers],
        "credit": credit,
    }


def _subjects(order_id: str, finding: Finding) -> list[dict[str, Any]]:
    names = ("type", "id", "deleted_at", "deleted_by", "restorable_until")
    subjects: list[tuple[str | None, ...]] = []
    for asset, mark in finding.assets:
        until = None if mark.restorable_until is None else format_instant(mark.restorable_until)
        kind = tuple(AssetType)[finding.code].value
        subjects.append((kind, asset, format_instant(mark.occurred_at), mark.deleted_by, until))
    for transfer in finding.transfers:
        scope = transfer.package_id
        subject = ("order", order_id) if scope is None else ("package", scope)
        subjects.append((*subject, None, None, None))
    return [dict(zip(names, subject, strict=True)) for subject in subjects]


def _transfer(transfer: Transfer) -> dict[str, Any]:
    error = transfer.error
    return {
        "transfer_id": transfer.transfer_id,
        "package_id": transfer.package_id,
        "attempt": transfer.attempt,
        "lab_id": transfer.lab_id,
        "error": None if error is None else {"code": error[0], "message": error[1]},
    }
