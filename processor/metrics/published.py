"""What a transaction has said on `order-halted`, counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from processor.metrics import names
from processor.metrics.names import reason_at
from processor.rules.judge import Phase
from processor.rules.report import Said
from schemas.reasons import Change, Status

Emission = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""Key, value (None is a tombstone) and headers."""

_OPENED: Final = str(Change.OPENED)
_CHANGED: Final = str(Change.CHANGED)
_ENDED: Final = str(Change.ENDED)
_STATUS: Final = {
    Phase.CANCELLED: str(Status.CANCELLED),
    Phase.SECURED: str(Status.TRANSFERRED),
    Phase.IN_FLIGHT: str(Status.RELEASED),
}
#: Where `ce_type` stands among the headers (schemas.halted.emission).
_TYPE: Final = 3
_OPENED_TYPE: Final = b"orderhalt.halt.opened.v1"
_ENDED_TYPE: Final = b"orderhalt.halt.ended.v1"


@dataclass(slots=True)
class Published:
    """What the records of one transaction come to."""

    changes: dict[str, int] = field(default_factory=dict)
    opened: list[tuple[str, float | None, bytes]] = field(default_factory=list)
    """(primary reason, seconds since its cause, key) of halts opened; None: no input caused it."""
    ended: list[tuple[str, float, bytes]] = field(default_factory=list)
    """(status, seconds that the halt lasted, key) of halts ended."""


def published(said: Iterable[Said], forgotten: int, now_ms: float) -> Published:
    """Count records; `now_ms`: when they were committed."""
    result = Published()
    changed = 0
    for before, now, phase, occurred_at, cause_ms, key in said:
        if before is None or not before.reasons:
            delay = None if cause_ms is None else max(0.0, (now_ms - cause_ms) / 1000)
            result.opened.append((reason_at(now.reasons[0][0]), delay, key))
        elif not now.reasons:
            lasted = max(0.0, (occurred_at - before.halted_since) / 1_000_000)
            result.ended.append((_STATUS.get(phase, names.OTHER), lasted, key))
        else:
            changed += 1
    result.changes[_OPENED] = len(result.opened)
    result.changes[_CHANGED] = changed
    result.changes[_ENDED] = len(result.ended)
    result.changes[names.FORGOTTEN] = forgotten
    return result


def difference(emissions: Iterable[Emission]) -> int:
    """Give halts opened minus halts ended, by the very records that were written."""
    kinds = [headers[_TYPE][1] for _, value, headers in emissions if value is not None]
    return kinds.count(_OPENED_TYPE) - kinds.count(_ENDED_TYPE)
