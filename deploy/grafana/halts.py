"""The dashboard for the business: which orders are halted, why, for how long, what it costs."""

from __future__ import annotations

from typing import Any, Final

from deploy.grafana.board import Row, board
from deploy.grafana.kit import (
    Frame,
    Limits,
    Query,
    areas,
    bars,
    curves,
    distribution,
    increase_by,
    number,
    prose,
    ranking,
    sum_by,
)

# ISO 4217 currencies without a minor unit, and with one of a thousandth; all others have hundredths.
_WHOLE: Final = "BIF|CLP|DJF|GNF|ISK|JPY|KMF|KRW|PYG|RWF|UGX|UYI|VND|VUV|XAF|XOF|XPF"
_THOUSANDTHS: Final = "BHD|IQD|JOD|KWD|LYD|OMR|TND"
_VALUE: Final = " or ".join(
    [
        f'sum by (currency) (orderhalt_halted_value_minor{{@, currency!~"{_WHOLE}|{_THOUSANDTHS}|other"}}) / 100',
        f'sum by (currency) (orderhalt_halted_value_minor{{@, currency=~"{_WHOLE}"}})',
        f'sum by (currency) (orderhalt_halted_value_minor{{@, currency=~"{_THOUSANDTHS}"}}) / 1000',
    ]
)
_QUIET: Final = "May be empty: while no halt opens."

_ABOUT: Final = """An order is **halted** while something keeps it from being produced: an asset of it \
was deleted, its studio's credit does not fund it, or its transfer to the lab failed for good. The \
studio is told by a record in `order-halted`. What each number means stands in the panel's \
description (the *i* beside its title); what to do about an alert stands in the [runbook](${runbook})."""


def halts() -> dict[str, Any]:
    """Build the dashboard Halts."""
    return board(
        "orderhalt-halts",
        "orderhalt / Halts",
        "Which orders are halted, why, for how long and what they are worth.",
        "now-24h",
        [_now(), _reasons(), _flow(), _durations(), _delays(), _unseen()],
    )


def _now() -> Row:
    return "Now", [
        prose(Frame("About", "What this dashboard is about.", "none", 24, 3), _ABOUT),
        number(
            Frame("Halted orders", "Orders halted now, each counted once.", "short", 4, 5),
            Query("sum(orderhalt_orders_halted_primary{@})"),
        ),
        number(
            Frame(
                "Share of orders in flight",
                "Halted orders among all that are placed, not cancelled and not through to the lab.",
                *("percentunit", 4, 5, 1),
            ),
            Query(
                "sum(orderhalt_orders_halted_primary{@}) / (sum(orderhalt_orders_in_flight{@}) > 0)"
            ),
            limits=Limits(warn=0.1, bad=0.25),
        ),
        number(
            Frame(
                "Value at stake",
                "Production cost of the orders halted now, one number a currency, never converted.",
                *("locale", 6, 5, 0),
            ),
            Query(_VALUE, "{{currency}}"),
        ),
        number(
            Frame("Halted longest", "Age of the oldest halt that goes on.", "s", 5, 5, 1),
            Query("max(orderhalt_oldest_halt_age_seconds{@})"),
            limits=Limits(warn=3 * 86_400, bad=14 * 86_400),
        ),
        number(
            Frame(
                "Published within 30 s",
                "Share of the halts of the time shown that were published within 30 s of their "
                "cause; the objective is 99.5 %. May be empty: while no halt has opened.",
                *("percentunit", 5, 5, 2),
            ),
            Query(
                'sum(increase(orderhalt_halt_delay_seconds_bucket{@, le=~"30(.0)?"}[$__range])) / '
                "(sum(increase(orderhalt_halt_delay_seconds_count{@}[$__range])) > 0)"
            ),
            limits=Limits(warn=0.999, bad=0.995, falling=True),
        ),
    ]


def _reasons() -> Row:
    return "Why orders are halted", [
        ranking(
            Frame(
                "Halted now, by reason",
                "Orders halted now at each of their reasons; an order with two counts twice.",
                *("short", 8, 9),
            ),
            sum_by("reason", "orderhalt_orders_halted_any"),
        ),
        areas(
            Frame(
                "Trend by main reason",
                "Orders halted over time, each counted once, at the reason that comes first.",
                *("short", 16, 9),
            ),
            sum_by("reason", "orderhalt_orders_halted_primary"),
        ),
    ]


def _flow() -> Row:
    return "Coming and going", [
        bars(
            Frame(
                "New halts, by main reason",
                "Halts opened in each interval of the graph. Fractions come from extrapolation.",
                *("short", 9),
            ),
            increase_by("reason", "orderhalt_orders_halted_total"),
        ),
        bars(
            Frame(
                "Ended halts, by how",
                "Released: no reason is left. Transferred: the lab took it all the same. Cancelled: "
                "the order will not be produced.",
                *("short", 9),
            ),
            increase_by("status", "orderhalt_halts_ended_total"),
        ),
        ranking(
            Frame(
                "Ended in the time shown",
                "Halts ended in the time that the dashboard shows, by how they ended.",
                *("short", 6, 7, 0),
            ),
            increase_by("status", "orderhalt_halts_ended_total", over="$__range"),
        ),
    ]


def _durations() -> Row:
    return "Worth and time", [
        curves(
            Frame(
                "Value at stake, over time",
                "Production cost of the orders halted, one curve a currency, never converted.",
                *("locale", 8),
            ),
            Query(_VALUE, "{{currency}}"),
        ),
        curves(
            Frame(
                "How long halts lasted",
                "Half of the halts that ended lasted less than this, by how they ended. "
                "May be empty: while no halt ends.",
                *("s", 8),
            ),
            Query(
                "histogram_quantile(0.5, sum by (le, status) "
                "(rate(orderhalt_halt_duration_seconds_bucket{@}[$__rate_interval])))",
                "{{status}}",
            ),
        ),
        curves(
            Frame("Oldest halt", "Age of the oldest halt that goes on.", "s", 8),
            Query("max(orderhalt_oldest_halt_age_seconds{@})", "Oldest halt"),
        ),
    ]


def _delays() -> Row:
    rate = "(rate(orderhalt_halt_delay_seconds_bucket{@}[$__rate_interval])))"
    return "How soon a halt is known", [
        curves(
            Frame(
                "From cause to halt",
                f"From the input that caused a halt to its record, for the faster half, 95 % and "
                f"99 % of the halts. {_QUIET}",
                *("s", 8),
            ),
            *(
                Query(f"histogram_quantile({q}, sum by (le) {rate}", words)
                for q, words in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))
            ),
            limits=Limits(bad=30),
        ),
        curves(
            Frame(
                "From cause to halt, by main reason",
                f"95 % of the halts of each reason were published faster than this. {_QUIET}",
                *("s", 8),
            ),
            Query(f"histogram_quantile(0.95, sum by (le, reason) {rate}", "{{reason}}"),
        ),
        distribution(
            Frame(
                "From cause to halt, all of them",
                "How many halts took how long in each interval: the darker, the more.",
                *("s", 8),
            ),
            increase_by("le", "orderhalt_halt_delay_seconds_bucket"),
        ),
    ]


def _unseen() -> Row:
    return "What nobody else sees", [
        number(
            Frame(
                "Overdue orders",
                "Orders in flight for longer than the configured age and not halted: nobody has "
                "said why they wait.",
                *("short", 6, 6),
            ),
            Query("sum(orderhalt_orders_overdue{@})"),
            limits=Limits(warn=1, bad=100),
        ),
        number(
            Frame(
                "Orders without a balance",
                "Orders in flight whose cost nobody checks, because no balance of their studio and "
                "currency is known.",
                *("short", 6, 6),
            ),
            Query("sum(orderhalt_orders_without_balance{@})"),
        ),
        number(
            Frame(
                "Oldest balance in use",
                "Age of the oldest balance that orders in flight are checked against.",
                *("s", 6, 6, 1),
            ),
            Query("max(orderhalt_balance_age_seconds{@})"),
            limits=Limits(warn=3 * 86_400, bad=7 * 86_400),
        ),
        curves(
            Frame(
                "Orders in flight", "Placed, not cancelled, not through to the lab.", "short", 6, 6
            ),
            Query("sum(orderhalt_orders_in_flight{@})", "in flight"),
        ),
    ]
