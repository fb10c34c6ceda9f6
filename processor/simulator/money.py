"""A studio's account in one currency: what its orders cost, and what its balance events say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from schemas.topics import BALANCE_CHANGED

if TYPE_CHECKING:
    from random import Random

    from processor.simulator.orders import Order
    from processor.simulator.shops import Studio
    from processor.simulator.world import World

#: How a studio's bookkeeping says which orders a balance contains (contract.md §2): by its date, by
#: a list of what was delivered, by a list of what was charged at placement; or it never says any.
Style = Literal["dated", "listed", "wallet", "silent"]

_STYLES: Final[tuple[Style, ...]] = ("dated", "listed", "wallet", "silent")
_STYLE_WEIGHTS: Final = (45, 30, 20, 5)

#: What an order costs on average, in minor units: what accounts are dimensioned with.
MEAN_COST_MINOR: Final = 2_100

#: A limit is raised more often than lowered, and never above so many times the first one: a world that
#: goes on for weeks would leave the range of integers (contract.md §2).
_MOST_RAISED: Final = 10


class Account:
    """Follows the costs of its orders as the contract's credit check sees them, roughly."""

    def __init__(self, world: World, studio: Studio, currency: str, in_flight: float) -> None:
        """Dimension it for `in_flight` orders at a time."""
        draw = world.random
        self._world = world
        self._studio = studio
        self.currency = currency
        self._style = draw.choices(_STYLES, _STYLE_WEIGHTS)[0]
        self._counts_versions = draw.random() < 0.8
        self._version = 0
        self._tight = draw.random() < min(0.8, 0.08 * world.settings.trouble)
        self._limit_minor = self._draw_limit(draw, in_flight)
        self._most_limit_minor = _MOST_RAISED * (self._limit_minor or 0)
        usual_minor = int(MEAN_COST_MINOR * (in_flight + 3))
        if self._tight and self._limit_minor is not None:
            self._balance_minor = int(usual_minor * draw.uniform(0.7, 1.1)) - self._limit_minor
        else:
            self._balance_minor = int(usual_minor * draw.uniform(3, 8))
        self._reserve_minor = usual_minor
        self._unsettled_minor = 0
        self._unstated: list[Order] = []
        self._statement_after = draw.randint(2, 10)
        self._top_up_is_due = False

    def _draw_limit(self, draw: Random, in_flight: float) -> int | None:
        if not self._tight and draw.random() < 0.25:
            return None
        return int(MEAN_COST_MINOR * (in_flight + 3) * draw.choice((0, 0.25, 0.5, 1))) // 100 * 100

    def open(self) -> None:
        """Say the first balance."""
        self._state()

    def placed(self, order: Order) -> None:
        """Take note of an order's cost, and of being short of money."""
        self._unsettled_minor += order.cost_minor
        if self._style == "wallet":
            self._settle_later(order)
        self._look_for_money()

    def secured(self, order: Order) -> None:
        """Take note that the whole order has been transferred."""
        if self._style != "wallet":
            self._settle_later(order)

    def amended(self, order: Order, cost_minor: int) -> None:
        """Take note of another cost."""
        if not order.settled:
            self._unsettled_minor += cost_minor - order.cost_minor
        order.cost_minor = cost_minor

    def cancelled(self, order: Order) -> None:
        """Give back what an order had reserved or was charged."""
        if order.settled:
            self._balance_minor += order.cost_minor
        else:
            self._unsettled_minor -= order.cost_minor
            if order in self._unstated:
                self._unstated.remove(order)

    def _settle_later(self, order: Order) -> None:
        self._unstated.append(order)
        if len(self._unstated) >= self._statement_after:
            self._state()

    def _look_for_money(self) -> None:
        if self._limit_minor is None or self._top_up_is_due:
            return
        left_minor = self._balance_minor + self._limit_minor - self._unsettled_minor
        if self._tight:
            if left_minor < 0:
                # They notice, and pay some time later: until then orders are halted.
                self._top_up_is_due = True
                delay_us = self._world.draw_span(0.05, 0.4)
                self._world.at(self._world.now_us + delay_us, partial(self._top_up, 0.5, 2.0))
        elif left_minor < self._reserve_minor:
            self._top_up(2.0, 6.0)

    def _top_up(self, least: float, most: float) -> None:
        """Pay what is missing and more: so many times what its orders in flight usually cost."""
        self._top_up_is_due = False
        limit_minor = self._limit_minor or 0
        missing_minor = max(0, self._unsettled_minor - self._balance_minor - limit_minor)
        more_minor = int(self._world.random.uniform(least, most) * self._reserve_minor)
        self._balance_minor += (missing_minor + more_minor) // 100 * 100
        self._state()

    def _state(self) -> None:
        """Send a balance that contains everything that came since the last."""
        for order in self._unstated:
            order.settled = True
            self._balance_minor -= order.cost_minor
            self._unsettled_minor -= order.cost_minor
        settled = [order.order_id for order in self._unstated]
        self._unstated = []
        if self._limit_minor and self._world.random.random() < 0.01:
            raised_minor = int(self._limit_minor * self._world.random.uniform(0.9, 1.2))
            self._limit_minor = min(raised_minor, self._most_limit_minor)
        if self._style == "silent":
            return
        now_us = self._world.now_us
        self._version = self._version + 1 if self._counts_versions else now_us
        body: dict[str, Any] = {
            "balance": {"amount_minor": self._balance_minor, "currency": self.currency},
            "credit_limit_minor": self._limit_minor,
            "version": self._version,
        }
        if self._style != "dated":
            body["settled_order_ids"] = settled
        self._world.send(BALANCE_CHANGED.name, self._studio, now_us, body)
