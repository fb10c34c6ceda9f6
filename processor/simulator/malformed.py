"""Records that are not events, of every kind of contract.md §6, mixed into a world's records.

Chance comes from a generator of its own, so the world's records stay the same bytes as without.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from processor.simulator.records import Record
from schemas.topics import INPUT_VALUE_MAX_BYTES, LAB_TRANSFER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processor.simulator.settings import Settings

_SCOPES_MAX: Final = 1_000
#: What came for an order that was never placed is forgotten some days later: begin another one.
_FLOOD_LASTS_MS: Final = 3 * 86_400_000

#: What stands in place of a field to leave it out.
_ABSENT: Final = object()

#: Fields that every event has, and values that they must not have.
_COMMON_FAULTS: Final[tuple[tuple[str, Any], ...]] = (
    ("event_id", _ABSENT),
    ("event_id", ""),
    ("event_id", 7),
    ("event_id", "x" * 129),
    ("occurred_at", _ABSENT),
    ("occurred_at", "yesterday"),
    ("occurred_at", "2026-01-05T08:00:00"),
    ("occurred_at", "1999-12-31T23:59:59Z"),
    ("occurred_at", "2199-06-01T00:00:00Z"),
    ("occurred_at", 1_767_600_000),
    ("studio_id", None),
    ("studio_id", "tab\tinside"),
)

_FAULTS: Final[dict[str, tuple[tuple[str, Any], ...]]] = {
    "order-placed": (
        ("version", 0),
        ("version", 1.5),
        ("placed_at", "2026-01-05"),
        ("lines", []),
        ("lines", [{"line_id": "1", "product_id": "p", "photo_ids": []}] * 2),
        ("lines", [{"line_id": "1", "photo_ids": []}]),
        ("production_cost", {"amount_minor": -1, "currency": "EUR"}),
        ("production_cost", {"amount_minor": 1, "currency": "euro"}),
        ("production_cost", {"amount_minor": 2**53, "currency": "EUR"}),
        ("paid", "yes"),
    ),
    "order-cancelled": (("order_id", _ABSENT), ("order_id", "")),
    "order-reinstated": (("order_id", _ABSENT), ("order_id", 12)),
    "asset-deleted": (("asset_type", "video"), ("asset_ids", []), ("restorable_until", "soon")),
    "asset-restored": (("asset_type", _ABSENT), ("asset_ids", "all"), ("asset_ids", [""])),
    "lab-transfer": (
        ("package_id", _ABSENT),
        ("attempt", 0),
        ("attempt", "1"),
        ("status", "lost"),
        ("error", {"code": "x" * 65, "message": ""}),
        ("error", {"message": "without a code"}),
    ),
    "balance-changed": (
        ("credit_limit_minor", _ABSENT),
        ("credit_limit_minor", -1),
        ("version", _ABSENT),
        ("balance", {"amount_minor": 0.5, "currency": "EUR"}),
        ("settled_order_ids", [1]),
    ),
}


class Malformer:
    """Makes malformed records out of lawful ones."""

    def __init__(self, settings: Settings) -> None:
        self._share = settings.malformed_share
        self._text_only = settings.for_lines
        self._random = Random(f"malformed {settings.seed}")  # noqa: S311  (a simulation)
        self._made = 0
        self._flooded_ms: int | None = None
        self._scopes = 0
        kinds: list[tuple[Callable[[Record], Record], int]] = [
            (self._empty, 10),
            (self._malformed_json, 25),
            (self._invalid_event, 40),
            (self._key_mismatch, 12),
            (self._too_many_scopes, 2),
        ]
        if not settings.for_lines:
            kinds.append((self._wrong_partition, 10))
        if settings.oversized:
            kinds.append((self._too_large, 1))
        self._kinds = [kind for kind, _ in kinds]
        self._weights = [weight for _, weight in kinds]

    def mixed_into(self, records: Iterator[Record]) -> Iterator[Record]:
        """Give the records, with malformed ones between them."""
        random = self._random.random
        for record in records:
            yield record
            while random() < self._share:
                [kind] = self._random.choices(self._kinds, self._weights)
                if kind == self._too_many_scopes:
                    yield from self._flood(record)
                yield kind(record)

    def _changed(self, record: Record, **fields: Any) -> bytes:
        """Give the record's event with other fields, and an id of its own."""
        self._made += 1
        event = orjson.loads(record.value or b"{}") | {"event_id": f"malformed-{self._made}"}
        event |= fields
        return orjson.dumps({name: to for name, to in event.items() if to is not _ABSENT})

    def _too_large(self, record: Record) -> Record:
        value = self._changed(record)
        value += b" " * (INPUT_VALUE_MAX_BYTES + 1 - len(value))
        return record._replace(value=value, expected_code="too_large")

    def _empty(self, record: Record) -> Record:
        value = self._random.choice((None, b""))
        return record._replace(value=value, expected_code="empty_record")

    def _malformed_json(self, record: Record) -> Record:
        value = self._changed(record)
        values = [
            b"hello",
            b" \n",
            value[: len(value) // 2],
            value + value,
            b"\xef\xbb\xbf" + value,
            value[:-1] + b',"note":NaN}',
            value[:-1] + b',"note":"\\ud800"}',
            value[:-1] + b',"note":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        ]
        if not self._text_only:
            values += [value[:-1] + b',"note":"\xff\xfe"}', value.decode().encode("utf-16")]
        return record._replace(value=self._random.choice(values), expected_code="malformed_json")

    def _invalid_event(self, record: Record) -> Record:
        what = self._random.random()
        if what < 0.1:
            value = self._random.choice((b"[]", b"{}", b'"order"', b"17", b"null"))
        else:
            faults = _COMMON_FAULTS if what < 0.5 else _FAULTS[record.topic]
            field, to = self._random.choice(faults)
            value = self._changed(record, **{field: to})
        return record._replace(value=value, expected_code="invalid_event")

    def _key_mismatch(self, record: Record) -> Record:
        keys = [None, b"", b"another-studio", (record.key or b"") + b" "]
        if not self._text_only:
            keys.append(b"\xff")
        key = self._random.choice(keys)
        return record._replace(key=key, value=self._changed(record), expected_code="key_mismatch")

    def _wrong_partition(self, record: Record) -> Record:
        # A shard looks when it meets a studio for the first time: it must be one of its own.
        studio = f"stray-{self._made + 1}"
        return record._replace(
            key=studio.encode(),
            value=self._changed(record, studio_id=studio),
            expected_code="wrong_partition",
            partition_shift=1,
        )

    def _flood(self, record: Record) -> Iterator[Record]:
        """Give an order that was never placed all the scopes that it may have."""
        if self._flooded_ms is None or record.timestamp_ms > self._flooded_ms + _FLOOD_LASTS_MS:
            self._flooded_ms = record.timestamp_ms
            self._scopes = 0
            for _ in range(_SCOPES_MAX):
                yield self._transfer(record, None)

    def _too_many_scopes(self, record: Record) -> Record:
        return self._transfer(record, "too_many_scopes")

    def _transfer(self, record: Record, expected_code: str | None) -> Record:
        self._scopes += 1
        self._made += 1
        studio = "studio-flooded"
        event = {
            "event_id": f"malformed-{self._made}",
            "occurred_at": orjson.loads(record.value or b"{}")["occurred_at"],
            "studio_id": studio,
            "order_id": f"flooded-{self._flooded_ms}",
            "transfer_id": f"t{self._scopes}",
            "package_id": f"scope-{self._scopes}",
            "attempt": self._scopes,
            "status": "started",
        }
        return Record(
            LAB_TRANSFER.name,
            studio.encode(),
            orjson.dumps(event),
            record.timestamp_ms,
            expected_code,
        )
