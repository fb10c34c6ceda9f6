"""Make the record that keeps a rejected one: the same bytes, and headers that say why."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from processor.runtime.batches import Record
    from processor.runtime.protocol import Emission
    from schemas.errors import Rejection

#: What a batch with one record needs besides key, value and headers, in bytes, generously.
_OVERHEAD_BYTES: Final = 1024


def rejected_record(record: Record, rejection: Rejection, limit_bytes: int) -> Emission:
    """Return the record for the rejected topic (contract.md §6), which takes `limit_bytes`.

    The start has checked that whatever the inputs take fits. A compressed input can hold a record
    far above its topic's limit, though, and a limit may have been raised since: then key and value
    are left out, with a header that says so, because a record that can be neither applied nor put
    aside would stop its partition for ever. The input topic has its bytes until its retention ends.
    """
    reasons: list[tuple[str, bytes]] = [
        ("orderhalt_error_code", str(rejection.code).encode()),
        ("orderhalt_error", rejection.message.encode()),
        ("orderhalt_topic", record.topic.encode()),
        ("orderhalt_partition", str(record.partition).encode()),
        ("orderhalt_offset", str(record.offset).encode()),
        ("orderhalt_timestamp", str(record.timestamp).encode()),
    ]
    key, value = record.key, record.value
    original = list(record.headers)
    size = len(key or b"") + len(value or b"") + _OVERHEAD_BYTES
    size += sum(len(name) * 4 + len(text or b"") + 20 for name, text in original + reasons)
    if size <= limit_bytes:
        return key, value, original + reasons
    digest = hashlib.sha256(value or b"").hexdigest()
    omitted = f"value of {len(value or b'')} bytes, sha256 {digest}; original headers left out"
    if key is not None and len(key) > limit_bytes // 2:
        omitted = f"key of {len(key)} bytes; {omitted}"
        key = None
    return key, None, [*reasons, ("orderhalt_omitted", omitted.encode())]
