"""A real shop's year as events of the contract: real bursts, real sizes of orders, real skew.

Source: UCI Machine Learning Repository, "Online Retail" (D. Chen, S. L. Sain, K. Guo, 2012), CC BY
4.0: 25,900 invoices of a British online retailer, December 2010 to December 2011. It is read from
`../shared/data/online-retail.csv.xz`, beside the checkout, and never committed.

Real: customers (studios; guests are spread over some studios of their country), invoices (orders),
products (products and photos), quantities, prices, cancellations, and when it all happened. Added,
from a seed: packages, transfers, deletions and restores, balances, amendments, reinstatements, and
what arrives late, early or twice.
"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from tests.broker.retailer import Retailer
from tests.model import Record, partition_of
from tests.strategies import with_dense_offsets
from tests.support.processes import ROOT

DATA: Final = ROOT.parent / "shared" / "data" / "online-retail.csv.xz"
#: Guests of a country come to so many studios: in one they would be a seventh of the shop.
_GUEST_STUDIOS: Final = 150
_LINES_MAX: Final = 1_000
DAY_MS: Final = 86_400_000


class RetailDataMissing(Exception):
    """The data set is not where it should be; says what to do."""


class Line(NamedTuple):
    """One line of an invoice."""

    product: str
    quantity: int
    price_minor: int


@dataclass(frozen=True)
class Invoice:
    """One invoice, or a cancellation with what was given back; no more than 1,000 lines."""

    number: str
    at_us: int
    studio: str
    lines: tuple[Line, ...]

    @property
    def cancels(self) -> bool:
        return self.number.startswith("C")


def read_invoices(path: Path = DATA) -> list[Invoice]:
    """Read the data set, by time; raises RetailDataMissing."""
    if not path.exists():
        raise RetailDataMissing(
            f"{path} is not there. It is handed out beside the project's checkout and must not be "
            "committed. Put it there, or leave these tests out on purpose, and have pytest say so, "
            "with ORDERHALT_WITHOUT_RETAIL=1."
        )
    heads: dict[str, tuple[int, str]] = {}
    lines: dict[str, list[Line]] = {}
    with lzma.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            number = row["invoice"]
            if number not in heads:
                at = datetime.fromisoformat(row["at"]).replace(tzinfo=UTC)
                studio = row["customer"] or _guest_studio(row["country"], number)
                heads[number] = int(at.timestamp()) * 1_000_000, studio
                lines[number] = []
            price_minor = round(float(row["unit_price"]) * 100)
            lines[number].append(Line(row["product"], int(row["quantity"]), price_minor))
    invoices = [
        Invoice(number if part == 0 else f"{number}-{part}", at_us, studio, chunk)
        for number, (at_us, studio) in heads.items()
        for part, chunk in enumerate(_chunks(lines[number]))
    ]
    return sorted(invoices, key=lambda invoice: invoice.at_us)


def _guest_studio(country: str, number: str) -> str:
    return f"guests {country} {int(number.strip('AC')) % _GUEST_STUDIOS}"


def _chunks(lines: list[Line]) -> Iterator[tuple[Line, ...]]:
    for first in range(0, len(lines), _LINES_MAX):
        yield tuple(lines[first : first + _LINES_MAX])


def events(invoices: list[Invoice], seed: int = 1) -> list[Record]:
    """Derive the events, in the order in which they are sent; partition and offset are 0 yet."""
    retailer = Retailer(seed)
    for invoice in invoices:
        retailer.advance(invoice.at_us)
        if invoice.cancels:
            retailer.cancel(invoice.studio, {line.product for line in invoice.lines})
        else:
            retailer.place(
                invoice.studio,
                invoice.number,
                [(line.product, line.quantity, line.price_minor) for line in invoice.lines],
            )
    return retailer.finish()


def log(invoices: list[Invoice], partitions: int, seed: int = 1) -> list[Record]:
    """Derive the events with the partition and offset that Kafka would give them."""
    return with_dense_offsets(
        [
            record._replace(partition=partition_of(record.key or b"", partitions))
            for record in events(invoices, seed)
        ]
    )
