"""Generators of event logs and of records that are not events.

`Shape(jumps=False)` gives logs in which nothing is ever forgotten, for convergence (contract §3).
"""

from .event_logs import (
    BASE_MS,
    Shape,
    logs,
    random_log,
    shuffled_and_duplicated,
    with_dense_offsets,
)
from .malformed import (
    PARTITIONS,
    borderline_records,
    malformed_records,
    too_many_scopes,
)

__all__ = [
    "BASE_MS",
    "PARTITIONS",
    "Shape",
    "borderline_records",
    "logs",
    "malformed_records",
    "random_log",
    "shuffled_and_duplicated",
    "too_many_scopes",
    "with_dense_offsets",
]
