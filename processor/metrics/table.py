"""The table of all metrics for the documentation: `python -m processor.metrics.table`."""

from __future__ import annotations

from processor.metrics import names
from processor.metrics.names import Metric


def row(metric: Metric) -> str:
    """Give one line of the table."""
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
    exemplar = " Exemplar: the order key." if metric.exemplar else ""
    return (
        f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {metric.help}{exemplar} |"
    )


def table() -> str:
    """Give the table in Markdown, in the order of the file of names."""
    head = ["| name | type | labels | unit | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(row, names.ALL)])


if __name__ == "__main__":
    print(table())  # noqa: T201 - this is what it is for
