"""The whole contract as one function from a record to its outcome, by brute force.

After each event every order of the event's studio is judged again from the merged facts. There is
no index and no state but the facts and what was emitted: simple and plainly right, not fast.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from .decoding import decode
from .events import Event, OrderPlaced
from .facts import Facts, Studio, placed_orders
from .forgetting import Retention, forget
from .judgement import Cause, is_in_flight, judge
from .output import Origin, emit, subject_json, transfer_json
from .records import (
    INPUT_TOPICS,
    Emitted,
    Outcome,
    Record,
    RejectedError,
    order_key,
    partition_of,
)

DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Model:
    """An independent, brute-force implementation of the contract for any number of partitions.

    `partitions` None turns the check for `wrong_partition` off. The id of the value's schema is
    not in the contract: without `dataschema` the header `ce_dataschema` is left out.
    """

    def __init__(
        self,
        prefix: str = "",
        closed_retention_ms: int = 7 * DAY_MS,
        asset_retention_ms: int = 90 * DAY_MS,
        forgotten_retention_ms: int = 400 * DAY_MS,
        partitions: int | None = None,
        *,
        dataschema: str | None = None,
    ) -> None:
        self._prefix = prefix
        self._retention = Retention(closed_retention_ms, asset_retention_ms, forgotten_retention_ms)
        self._partitions = partitions
        self._dataschema = dataschema
        self._facts: dict[int, Facts] = {}
        self._without: dict[int, frozenset[str]] = {}
        """Codes that the rules in force in a partition do not know."""

    def feed(self, record: Record) -> Outcome:
        """Take one record; raises ValueError for a topic that is no input of the contract."""
        name = record.topic.removeprefix(self._prefix)
        if not record.topic.startswith(self._prefix) or name not in INPUT_TOPICS:
            raise ValueError(f"{record.topic!r} is not an input topic")
        try:
            return Outcome(emitted=self._apply(name, record))
        except RejectedError as rejected:
            return Outcome(rejected.code, rejected.message)

    def _apply(self, name: str, record: Record) -> list[Emitted]:
        event = decode(name, record.value, record.timestamp)
        key = event.studio_id.encode()
        if record.key != key:
            raise RejectedError("key_mismatch", "studio_id must equal the record's key")
        if self._partitions is not None:
            expected = partition_of(key, self._partitions)
            if record.partition != expected:
                message = f"studio_id belongs to partition {expected}, not {record.partition}"
                raise RejectedError("wrong_partition", message)
        facts = self._facts.setdefault(record.partition, Facts())
        studio = self._in_question(facts, facts.merge(event, record.timestamp), event)
        caused_by = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "event_id": event.event_id,
        }
        emitted = self._emit(record.partition, studio, event.event_id, event.occurred_at, caused_by)
        for gone in forget(self._ageing(facts, event, record.timestamp), self._retention):
            emitted.append(Emitted(order_key(gone.studio_id, gone.order_id), None, {}))
        return emitted

    def _emit(
        self,
        partition: int,
        studio: Studio,
        cause_id: str,
        occurred_at: datetime,
        caused_by: dict[str, Any],
    ) -> list[Emitted]:
        judged = judge(studio, self._without.get(partition, frozenset()))
        origin = Origin(cause_id, occurred_at, caused_by, self._prefix, self._dataschema)
        emitted: list[Emitted] = []
        for order_id, order, placed in sorted(placed_orders(studio), key=lambda found: found[0]):
            emitted += emit(origin, order, placed, judged[order_id])
        return emitted

    def change_rules(
        self, partition: int, version: int, without: frozenset[str] = frozenset()
    ) -> list[Emitted]:
        """Go on in a partition under other rules, which do not know the codes `without` (§5)."""
        self._without[partition] = without
        facts = self._facts.setdefault(partition, Facts())
        now = _EPOCH + timedelta(milliseconds=facts.partition_time or 0)
        emitted: list[Emitted] = []
        for _, studio in sorted(facts.studios.items()):
            emitted += self._emit(partition, studio, f"rules:{version}", now, {"rules": version})
        return emitted

    # A faster reading of the same contract may leave out what cannot matter: tests/broker/swift.py.

    def _in_question(self, facts: Facts, studio: Studio, event: Event) -> Studio:
        """Return what of the event's studio is judged again: all of it."""
        return studio

    def _ageing(self, facts: Facts, event: Event, timestamp: int) -> Facts:
        """Return what is looked through for facts that are old enough to be forgotten: all."""
        return facts

    def judgements(self) -> dict[str, dict[str, Any]]:
        """Tell what converges (contract §3), of every placed order, by order key.

        state `in_flight` or `closed`; codes by precedence; subjects and lines by code, not
        truncated; the failed transfers; the credit sums or None.
        """
        found: dict[str, dict[str, Any]] = {}
        for facts in self._facts.values():
            for studio_id, studio in facts.studios.items():
                for order_id, judgement in _judgements_of(studio).items():
                    key = order_key(studio_id, order_id)
                    if key in found:
                        raise ValueError(f"order {key} is in two partitions")
                    found[key] = judgement
        return found

    def partition_time(self, partition: int) -> int | None:
        """Return the partition time in ms, None before the first order-placed."""
        facts = self._facts.get(partition)
        return None if facts is None else facts.partition_time

    def remembered(self) -> dict[str, set[tuple[str, ...]]]:
        """Tell what has not been forgotten (contract §7), for tests of forgetting.

        `placed`, `unplaced` and `forgotten` are sets of (studio_id, order_id); `marks` of
        (studio_id, asset_type, asset_id).
        """
        found: dict[str, set[tuple[str, ...]]] = {
            name: set() for name in ("placed", "unplaced", "forgotten", "marks")
        }
        for facts in self._facts.values():
            for studio_id, studio in facts.studios.items():
                for order_id, order in studio.orders.items():
                    name = "unplaced" if order.placed is None else "placed"
                    found[name].add((studio_id, order_id))
                found["forgotten"] |= {(studio_id, order_id) for order_id in studio.forgotten}
                found["marks"] |= {(studio_id, *asset) for asset in studio.marks}
        return found


def _judgements_of(studio: Studio) -> dict[str, dict[str, Any]]:
    judged = judge(studio)
    return {
        order_id: _judgement(is_in_flight(order, placed), placed, judged[order_id])
        for order_id, order, placed in placed_orders(studio)
    }


def _judgement(in_flight: bool, placed: OrderPlaced, causes: list[Cause]) -> dict[str, Any]:
    return {
        "state": "in_flight" if in_flight else "closed",
        "order_version": placed.version,
        "codes": [cause.code for cause in causes],
        "subjects": {c.code: [subject_json(s) for s in c.subjects] for c in causes},
        "lines": {cause.code: list(cause.line_ids) for cause in causes},
        "transfers": [transfer_json(t) for cause in causes for t in cause.transfers],
        "credit": next((c.credit._asdict() for c in causes if c.credit is not None), None),
    }
