"""Every metric of a worker, in one place: name, kind, labels, buckets, and what it means.

Names are those of the samples as Prometheus stores them. Units are base units and stand in the
name. Labels take their values from closed sets alone, which stand here too, so that every child
exists from the start, at 0; a value that this release does not know is `other`. No label ever names
a studio, an order or an asset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from processor.rules.report import Effectless
from schemas import topics
from schemas.errors import RejectionCode
from schemas.reasons import PRECEDENCE, Change, Status

PREFIX: Final = "orderhalt_"
OTHER: Final = "other"
"""Stands for every value of an open set that this release does not know."""

#: The highest percentage that matters to people is at 30 s: the objective for a halt's delay.
HALT_DELAY_BUCKETS: Final = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0),
)
#: From minutes to a quarter of a year.
HALT_DURATION_BUCKETS: Final = (
    *(60.0, 300.0, 900.0, 3_600.0, 4 * 3_600.0, 12 * 3_600.0),
    *(86_400.0, 2 * 86_400.0, 4 * 86_400.0, 7 * 86_400.0, 14 * 86_400.0, 30 * 86_400.0),
    90 * 86_400.0,
)
#: A window stays open for 100 ms by default; a transaction may take 8 s before the worker stops.
COMMIT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 10.0)
EVENTS_BUCKETS: Final = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)
RECOVERY_BUCKETS: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
LOOP_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
GC_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Outcome(StrEnum):
    """What became of an input record."""

    APPLIED = "applied"
    """It is part of the state, whether or not it changed anything but an age."""
    STALE = "stale"
    """A newer or the same fact is kept, or its order is forgotten: a duplicate or a latecomer."""
    REJECTED = "rejected"
    """It is no event (contract.md §6)."""


# Every value that a label takes. Of the labels that are not here, `partition` has those that the
# worker owns, `currency` those of ISO 4217 that it has met, `version` and `python` the one that runs.
_REASONS: Final = tuple(str(x) for x in PRECEDENCE)
REASONS: Final = (*_REASONS, OTHER)
ENDED_STATUSES: Final = (
    *(str(x) for x in (Status.CANCELLED, Status.TRANSFERRED, Status.RELEASED)),
    OTHER,
)
FORGOTTEN: Final = "forgotten"
"""The tombstone of an order that was halted once."""
CHANGES: Final = (*(str(x) for x in Change), FORGOTTEN, OTHER)
TOPICS: Final = tuple(topic.name for topic in topics.INPUTS)
"""Without the deployment's prefix."""
OUTCOMES: Final = tuple(str(x) for x in Outcome)
CODES: Final = (*(str(x) for x in RejectionCode), OTHER)
KINDS: Final = tuple(str(x) for x in Effectless)
TABLES: Final = topics.TABLES
VALUES: Final = {
    "reason": REASONS,
    "status": ENDED_STATUSES,
    "change": CHANGES,
    "topic": TOPICS,
    "outcome": OUTCOMES,
    "code": CODES,
    "kind": KINDS,
    "table": TABLES,
}


def known(value: object, values: Sequence[str]) -> str:
    """Give the label's value of something of an open set."""
    text = str(value)
    return text if text in values else OTHER


def reason_at(position: int) -> str:
    """Give the label's value of a reason, by its position in PRECEDENCE."""
    return _REASONS[position] if position < len(_REASONS) else OTHER


class Kind(StrEnum):
    """The Prometheus type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `name` is that of its samples; a histogram's have `_bucket` and so on behind it."""

    name: str
    kind: Kind
    unit: str
    """`seconds`, `bytes`, `minor units`, or what is counted."""
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    exemplar: bool = False
    """Whether OpenMetrics scrapers get an order key with it."""


def _counter(name: str, unit: str, text: str, *labels: str, exemplar: bool = False) -> Metric:
    return Metric(
        name=PREFIX + name,
        kind=Kind.COUNTER,
        unit=unit,
        help=text,
        labels=labels,
        exemplar=exemplar,
    )


def _gauge(name: str, unit: str, text: str, *labels: str) -> Metric:
    return Metric(name=PREFIX + name, kind=Kind.GAUGE, unit=unit, help=text, labels=labels)


def _histogram(
    name: str,
    unit: str,
    text: str,
    buckets: tuple[float, ...],
    *labels: str,
    exemplar: bool = False,
) -> Metric:
    return Metric(
        name=PREFIX + name,
        kind=Kind.HISTOGRAM,
        unit=unit,
        help=text,
        labels=labels,
        buckets=buckets,
        exemplar=exemplar,
    )


# ---- halts: what the business looks at. Committed changes alone count.

ORDERS_HALTED_TOTAL: Final = _counter(
    "orders_halted_total",
    "halts",
    "Halts opened, by their primary reason at the opening.",
    "reason",
    exemplar=True,
)
HALTS_ENDED_TOTAL: Final = _counter(
    "halts_ended_total", "halts", "Halts ended, by how.", "status", exemplar=True
)
HALT_RECORDS_TOTAL: Final = _counter(
    "halt_records_total", "records", "Records written to order-halted, by what they say.", "change"
)
# Not `orders_halted`: in OpenMetrics that is the name of the family of `orders_halted_total`.
ORDERS_HALTED_ANY: Final = _gauge(
    "orders_halted_any",
    "orders",
    "Orders halted now, at each of their active reasons: an order with two is counted twice.",
    "reason",
)
ORDERS_HALTED_PRIMARY: Final = _gauge(
    "orders_halted_primary",
    "orders",
    "Orders halted now, each once, at its primary reason.",
    "reason",
)
HALTED_VALUE_MINOR: Final = _gauge(
    "halted_value_minor",
    "minor units",
    "Production cost of the orders halted now, in minor units of the currency.",
    "currency",
)
OLDEST_HALT_AGE_SECONDS: Final = _gauge(
    "oldest_halt_age_seconds",
    "seconds",
    "Since when the order that is halted longest is halted; 0 where none is.",
)
ORDERS_IN_FLIGHT: Final = _gauge(
    "orders_in_flight", "orders", "Orders placed, not cancelled and not wholly secured."
)
ORDERS_OVERDUE: Final = _gauge(
    "orders_overdue",
    "orders",
    "Orders in flight that are not halted and were placed longer ago than the configured age.",
)
ORDERS_WITHOUT_BALANCE: Final = _gauge(
    "orders_without_balance",
    "orders",
    "Orders in flight whose cost nobody checks: no balance of their studio and currency is known.",
)
BALANCE_AGE_SECONDS: Final = _gauge(
    "balance_age_seconds",
    "seconds",
    "Age of the oldest balance with a limit that orders in flight are checked against; 0 where "
    "there is none.",
)
HALT_DELAY_SECONDS: Final = _histogram(
    "halt_delay_seconds",
    "seconds",
    "From the record timestamp of the input that caused a halt to the commit that opened it, by "
    "primary reason.",
    HALT_DELAY_BUCKETS,
    "reason",
    exemplar=True,
)
HALT_DURATION_SECONDS: Final = _histogram(
    "halt_duration_seconds",
    "seconds",
    "How long halts lasted that have ended, in the time of the events.",
    HALT_DURATION_BUCKETS,
    "status",
)
HALTS_UNACCOUNTED: Final = _gauge(
    "halts_unaccounted",
    "halts",
    "Must be 0, over the partitions owned: halts found at recovery, plus opened, minus ended in "
    "order-halted, minus orders halted now in the state.",
)

# ---- input records

EVENTS_TOTAL: Final = _counter(
    "events_total",
    "records",
    "Input records committed, by what became of them.",
    *("topic", "outcome"),
)
REJECTED_TOTAL: Final = _counter(
    "rejected_total",
    "records",
    "Input records that are no events, by code; they are in orderhalt-rejected.",
    *("topic", "code"),
)
FACTS_WITHOUT_EFFECT_TOTAL: Final = _counter(
    "facts_without_effect_total",
    "facts",
    "Facts that concerned nothing known when they came: too early, or a producer's mistake.",
    "kind",
)
CONSUMER_LAG_RECORDS: Final = _gauge(
    "consumer_lag_records",
    "records",
    "Offsets between the last commit and the end of the log, as the broker has it.",
    *("topic", "partition"),
)
CONSUMER_LAG_SECONDS: Final = _gauge(
    "consumer_lag_seconds",
    "seconds",
    "Age of the first record that is not committed; 0 where there is none.",
    *("topic", "partition"),
)
LAG_CHECKED_TIMESTAMP_SECONDS: Final = _gauge(
    "lag_checked_timestamp_seconds",
    "seconds",
    "Unix time of the last successful look at the ends of the logs; 0 before the first.",
)

# ---- commits and state

COMMIT_WINDOW_SECONDS: Final = _histogram(
    "commit_window_seconds",
    "seconds",
    "From the first record of a commit window to its commit.",
    COMMIT_BUCKETS,
)
COMMIT_TRANSACTION_SECONDS: Final = _histogram(
    "commit_transaction_seconds",
    "seconds",
    "What the transaction alone took of that.",
    COMMIT_BUCKETS,
)
COMMIT_WINDOW_EVENTS: Final = _histogram(
    "commit_window_events", "records", "Input records per commit window.", EVENTS_BUCKETS
)
COMMIT_WINDOW_OPEN_SECONDS: Final = _gauge(
    "commit_window_open_seconds",
    "seconds",
    "Age of the oldest window that is not committed yet; 0 where none is open. Rises while a commit "
    "hangs; a failed one ends the worker.",
)
ROWS_WRITTEN_TOTAL: Final = _counter(
    "rows_written_total", "rows", "Rows written to the changelogs, tombstones included.", "table"
)
TABLE_ROWS: Final = _gauge("table_rows", "rows", "Rows of the partitions owned.", "table")
RECOVERY_SECONDS: Final = _histogram(
    "recovery_seconds",
    "seconds",
    "How long partitions took to recover, together with those that came with them.",
    RECOVERY_BUCKETS,
)
RECOVERY_ROWS_TOTAL: Final = _counter(
    "recovery_rows_total", "rows", "Changelog records read at recoveries."
)
REBALANCES_TOTAL: Final = _counter(
    "rebalances_total", "assignments", "Assignments taken from the consumer group."
)
PARTITIONS_OWNED: Final = _gauge(
    "partitions_owned", "partitions", "Partitions that this worker processes."
)
PARTITIONS_PAUSED: Final = _gauge(
    "partitions_paused",
    "partitions",
    "Partitions whose inputs wait until a full commit window is committed.",
)
READY: Final = _gauge(
    "ready", "0 or 1", "Whether the worker is assigned, recovered and committing, as /readyz says."
)

# ---- the process. Names behind `process_` are those of prometheus-client.

EVENT_LOOP_DELAY_SECONDS: Final = _histogram(
    "event_loop_delay_seconds",
    "seconds",
    "How much later than asked for the event loop ran a timer.",
    LOOP_BUCKETS,
)
EVENT_LOOP_STALLED_SECONDS: Final = _gauge(
    "event_loop_stalled_seconds",
    "seconds",
    "Since when the event loop is overdue with its next timer; 0 while it is in time.",
)
GC_PAUSE_SECONDS: Final = _histogram(
    "gc_pause_seconds",
    "seconds",
    "Pauses by Python's cyclic garbage collector.",
    GC_BUCKETS,
)
PROCESS_START_TIME_SECONDS: Final = _gauge(
    "process_start_time_seconds",
    "seconds",
    "Start time of the process since unix epoch in seconds.",
)
PROCESS_CPU_SECONDS_TOTAL: Final = _counter(
    "process_cpu_seconds_total", "seconds", "Total user and system CPU time spent in seconds."
)
PROCESS_RESIDENT_MEMORY_BYTES: Final = _gauge(
    "process_resident_memory_bytes", "bytes", "Resident memory size in bytes."
)
PROCESS_VIRTUAL_MEMORY_BYTES: Final = _gauge(
    "process_virtual_memory_bytes", "bytes", "Virtual memory size in bytes."
)
PROCESS_OPEN_FDS: Final = _gauge(
    "process_open_fds", "descriptors", "Number of open file descriptors."
)
PROCESS_MAX_FDS: Final = _gauge(
    "process_max_fds", "descriptors", "Maximum number of open file descriptors."
)
BUILD_INFO: Final = _gauge(
    "build_info", "always 1", "The release that runs, and on which Python.", "version", "python"
)

#: In the order in which the documentation lists them.
ALL: Final = tuple(metric for metric in list(globals().values()) if isinstance(metric, Metric))
BY_NAME: Final = {metric.name: metric for metric in ALL}
