"""The dashboard for operators: whether workers keep up, commit, recover and are well."""

from __future__ import annotations

from typing import Any, Final

from deploy.grafana.board import Row, board
from deploy.grafana.kit import (
    WORKERS,
    Frame,
    Limits,
    Query,
    areas,
    bars,
    curves,
    increase_by,
    label,
    number,
    ranking,
    rate_by,
    states,
    sum_by,
)
from deploy.grafana.words import GREEN, ORANGE, RED

_READINESS: Final = {
    "0": ("not ready", ORANGE),
    "1": ("ready", GREEN),
    "-1": ("not reached", RED),
}


def worker() -> dict[str, Any]:
    """Build the dashboard Worker."""
    return board(
        "orderhalt-worker",
        "orderhalt / Worker",
        "Whether workers keep up with their inputs, commit, recover and are well.",
        "now-1h",
        [_health(), _inputs(), _oddities(), _commits(), _state(), _process()],
    )


def _quantiles(metric: str) -> list[Query]:
    rate = f"sum by (le) (rate({metric}_bucket{{@}}[$__rate_interval]))"
    shares = (("0.5", "half"), ("0.95", "95 %"), ("0.99", "99 %"))
    return [Query(f"histogram_quantile({share}, {rate})", words) for share, words in shares]


def _mean(metric: str, legend: str) -> Query:
    rates = (f"sum(rate({metric}_{x}{{@}}[$__rate_interval]))" for x in ("sum", "count"))
    total, count = rates
    return Query(f"{total} / ({count} > 0)", legend)


def _health() -> Row:
    return "Health", [
        number(
            Frame("Workers ready", "Assigned, recovered and committing.", "short", 3, 5),
            Query("sum(orderhalt_ready{@})"),
            limits=Limits(bad=1, warn=1, falling=True),
        ),
        number(
            Frame(
                "Workers not reached",
                "Targets of the job that do not answer Prometheus.",
                *("short", 3, 5),
            ),
            Query(f"count(up{{@, {WORKERS}}} == 0) or vector(0)"),
            limits=Limits(bad=1, warn=1),
        ),
        number(
            Frame("Longest lag", "Age of the oldest input record not committed.", "s", 3, 5, 1),
            Query("max(orderhalt_consumer_lag_seconds{@})"),
            limits=Limits(warn=10, bad=30),
        ),
        number(
            Frame(
                "Unaccounted halts",
                "Halts opened, less those ended and those that go on. Anything but 0 is a bug.",
                *("short", 3, 5),
            ),
            Query("sum(orderhalt_halts_unaccounted{@})"),
            limits=Limits(bad=1),
        ),
        label(
            Frame("Releases", "Every release that runs, and on which Python.", "short", 4, 5),
            Query(
                "count by (version, python) (orderhalt_build_info{@})", "{{version}} · {{python}}"
            ),
        ),
        states(
            Frame(
                "Readiness",
                "What each worker said of itself; a gap or red: Prometheus could not reach it.",
                *("short", 8, 5),
            ),
            Query(f"orderhalt_ready{{@}} or (up{{@, {WORKERS}}} == 0) - 1", "{{instance}}"),
            words=_READINESS,
        ),
    ]


def _inputs() -> Row:
    return "Input", [
        areas(
            Frame("Throughput", "Input records committed a second, by topic.", "cps", 8),
            rate_by("topic", "orderhalt_events_total"),
        ),
        curves(
            Frame(
                "Lag, in time",
                "Age of the oldest record of each topic that is not committed.",
                *("s", 8),
            ),
            Query("max by (topic) (orderhalt_consumer_lag_seconds{@})", "{{topic}}"),
            limits=Limits(bad=30),
        ),
        areas(
            Frame("Lag, in records", "Records not committed, by topic.", "short", 8),
            sum_by("topic", "orderhalt_consumer_lag_records"),
        ),
        curves(
            Frame(
                "Lag by partition",
                "The five partitions that are behind most, in records.",
                *("short", 8),
            ),
            Query(
                "topk(5, sum by (partition) (orderhalt_consumer_lag_records{@}))",
                "partition {{partition}}",
            ),
        ),
        curves(
            Frame(
                "Last look at the ends of the logs",
                "How long ago each worker last learnt from the broker how long the logs are. It "
                "rises while the broker does not answer; lag is as old as this.",
                *("s", 8),
            ),
            Query(
                "clamp_min(time() - (orderhalt_lag_checked_timestamp_seconds{@} > 0), 0)",
                "{{instance}}",
            ),
        ),
        curves(
            Frame(
                "Paused partitions",
                "Partitions whose inputs wait until a full commit window is committed.",
                *("short", 8),
            ),
            sum_by("instance", "orderhalt_partitions_paused"),
        ),
    ]


def _oddities() -> Row:
    return "What was odd about the input", [
        bars(
            Frame("What became of records", "Committed in each interval, by outcome.", "short", 8),
            increase_by("outcome", "orderhalt_events_total"),
        ),
        bars(
            Frame(
                "Rejected, by code",
                "Records that are no events; they are in orderhalt-rejected with the reason in "
                "their headers. May be empty: while nothing is rejected.",
                *("short", 8),
            ),
            Query(
                "sum by (code) (increase(orderhalt_rejected_total{@}[$__rate_interval])) > 0",
                "{{code}}",
            ),
        ),
        bars(
            Frame(
                "Facts without effect",
                "Facts that concerned nothing known: too early, or a producer's mistake.",
                *("short", 8),
            ),
            increase_by("kind", "orderhalt_facts_without_effect_total"),
        ),
    ]


def _commits() -> Row:
    return "Commits", [
        curves(
            Frame(
                "Window, from first record to commit",
                "How long records wait to be part of Kafka: the commit interval and the transaction. "
                "May be empty: while nothing is committed.",
                *("s", 8),
            ),
            *_quantiles("orderhalt_commit_window_seconds"),
        ),
        curves(
            Frame(
                "Transaction alone",
                "What Kafka takes for a commit. May be empty: while nothing is committed.",
                *("s", 8),
            ),
            *_quantiles("orderhalt_commit_transaction_seconds"),
        ),
        curves(
            Frame(
                "Records per window",
                "Input records per commit, on average. May be empty: while nothing is committed.",
                *("short", 8),
            ),
            _mean("orderhalt_commit_window_events", "records"),
        ),
        curves(
            Frame(
                "Oldest open window",
                "Age of the oldest window that is not committed; rises while a commit hangs.",
                *("s", 8),
            ),
            Query("max by (instance) (orderhalt_commit_window_open_seconds{@})", "{{instance}}"),
        ),
        areas(
            Frame("Rows written", "Rows written to changelogs a second, by table.", "wps", 8),
            rate_by("table", "orderhalt_rows_written_total"),
        ),
        bars(
            Frame("Halt records", "Records written to order-halted, by what they say.", "short", 8),
            increase_by("change", "orderhalt_halt_records_total"),
        ),
    ]


def _state() -> Row:
    return "State, recovery and the group", [
        ranking(
            Frame("Rows", "Rows held now, by table.", "short", 8),
            sum_by("table", "orderhalt_table_rows"),
        ),
        areas(
            Frame("Partitions", "Partitions that each worker processes.", "short", 8),
            sum_by("instance", "orderhalt_partitions_owned"),
        ),
        bars(
            Frame("Rebalances", "Assignments taken from the group, by worker.", "short", 8),
            increase_by("instance", "orderhalt_rebalances_total"),
        ),
        curves(
            Frame(
                "Recovery",
                "How long recoveries took, on average. May be empty: while nothing recovers.",
                *("s", 8),
            ),
            _mean("orderhalt_recovery_seconds", "seconds"),
        ),
        curves(
            Frame("Rows recovered", "Changelog records read at recoveries, a second.", "rps", 8),
            rate_by("instance", "orderhalt_recovery_rows_total"),
        ),
        curves(
            Frame(
                "Time since start",
                "How long each worker has run; it falls to 0 when a worker is started again.",
                *("s", 8),
            ),
            Query("time() - orderhalt_process_start_time_seconds{@}", "{{instance}}"),
        ),
    ]


def _process() -> Row:
    return "Process", [
        curves(
            Frame("CPU", "Cores used; a worker can use one.", "percentunit", 8, 7, 0),
            rate_by("instance", "orderhalt_process_cpu_seconds_total"),
            limits=Limits(bad=0.9),
        ),
        curves(
            Frame("Memory", "Resident memory: the state and the program.", "bytes", 8),
            Query("orderhalt_process_resident_memory_bytes{@}", "{{instance}}"),
        ),
        curves(
            Frame(
                "Event-loop delay",
                "How much later than asked for the loop ran a timer, for half, 95 % and 99 %; "
                "stalled: since when it is overdue now.",
                *("s", 8),
            ),
            *_quantiles("orderhalt_event_loop_delay_seconds"),
            Query("max(orderhalt_event_loop_stalled_seconds{@})", "stalled"),
        ),
        curves(
            Frame(
                "Garbage collection",
                "Share of the time that Python's collector pauses a worker.",
                *("percentunit", 8, 7, 2),
            ),
            rate_by("instance", "orderhalt_gc_pause_seconds_sum"),
        ),
        curves(
            Frame(
                "Open files",
                "Descriptors in use, as a share of what the process may open.",
                *("percentunit", 8, 7, 1),
            ),
            Query("orderhalt_process_open_fds{@} / orderhalt_process_max_fds{@}", "{{instance}}"),
        ),
        curves(
            Frame("Virtual memory", "Address space of each worker.", "bytes", 8),
            Query("orderhalt_process_virtual_memory_bytes{@}", "{{instance}}"),
        ),
    ]
