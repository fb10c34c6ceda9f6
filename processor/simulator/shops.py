"""Studios: their catalogue, their jobs and the photos that orders are made from."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from processor.simulator.money import Account
from schemas.topics import ASSET_DELETED, ASSET_RESTORED

if TYPE_CHECKING:
    from processor.simulator.world import World

_KINDS: Final = ("print", "print-matt", "canvas", "poster", "frame", "album", "card", "calendar")
_SIZES: Final = ("10x15", "13x18", "15x20", "20x30", "30x40", "50x70")
_PRODUCTS: Final = (
    *(f"{kind}-{size}" for kind in _KINDS for size in _SIZES),
    *("download-single", "download-all", "mug", "puzzle", "magnet"),
)
_PACKAGES: Final = ("prints", "wall-art", "albums", "gifts", "school-basic", "school-plus")
_CURRENCIES: Final = ("EUR", "USD", "GBP", "CHF")
_CURRENCY_WEIGHTS: Final = (70, 15, 10, 5)


class Job:
    """One shooting: its photos, and how many orders still come from it."""

    __slots__ = ("job_id", "orders_left", "photo_count")

    def __init__(self, job_id: str, photo_count: int, orders_left: int) -> None:
        self.job_id = job_id
        self.photo_count = photo_count
        self.orders_left = orders_left

    def photo(self, number: int) -> str:
        """Name a photo of the job."""
        return f"{self.job_id}-{number:04d}"


class Studio:
    """One studio. Ids of products, packages and orders are its own: others use the same."""

    def __init__(self, world: World, number: int, share: float) -> None:
        """Make studio `number`, which has `share` of all orders."""
        draw = world.random
        self._world = world
        self.studio_id = f"studio-{number:04d}"
        self.key = self.studio_id.encode()
        products = draw.sample(_PRODUCTS, draw.randint(8, len(_PRODUCTS)))
        self.prices_minor = {product: int(draw.lognormvariate(6.8, 0.7)) for product in products}
        self.products = products
        self.packages = draw.sample(_PACKAGES, draw.randint(2, len(_PACKAGES)))
        self.labs = [f"lab-{draw.randint(1, 12)}" for _ in range(draw.randint(1, 3))]
        self.package_share = draw.choice((0.0, 0.4, 0.9))
        """The share of its orders whose lines stand in packages."""
        self.own_share = draw.choice((0.3, 0.6, 0.9))
        """The share of its orders that it produces itself: no lab says `started`."""
        self.gone: set[str] = set()
        """Products and packages that are not to be ordered at the moment."""
        self._last_job = draw.randint(1_000, 9_000)
        self._last_order = draw.randint(10_000, 90_000)
        self._jobs = [self._new_job() for _ in range(draw.randint(1, 4))]
        currencies = draw.choices(_CURRENCIES, _CURRENCY_WEIGHTS)
        if draw.random() < 0.1:
            currencies.append("USD" if currencies[0] != "USD" else "EUR")
        self.in_flight = world.settings.orders_in_flight * share
        """How many of its orders are on their way at a time, on average."""
        self.accounts = [
            Account(world, self, currency, self.in_flight * part)
            for currency, part in zip(currencies, (1.0, 0.25), strict=False)
        ]

    def _new_job(self) -> Job:
        draw = self._world.random
        self._last_job += 1
        photos = min(1_500, 20 + int(draw.lognormvariate(4.2, 0.8)))
        return Job(f"J{self._last_job}", photos, 1 + int(draw.expovariate(1 / 15)))

    def next_order_id(self) -> str:
        """Give the next order its number."""
        self._last_order += 1
        return str(self._last_order)

    def draw_account(self) -> Account:
        """Choose what currency an order is in: nearly always the first."""
        if len(self.accounts) == 1 or self._world.random.random() < 0.8:
            return self.accounts[0]
        return self.accounts[1]

    def draw_job(self) -> Job:
        """Choose the job of an order; the job's last order makes room for a new one."""
        draw = self._world.random
        place = int(draw.random() * len(self._jobs))
        job = self._jobs[place]
        job.orders_left -= 1
        if job.orders_left == 0:
            self._jobs[place] = self._new_job()
            if draw.random() < 0.6:
                # Most orders are delivered by then; the others are in trouble.
                when_us = self._world.now_us + self._world.draw_span(1.2, 5.0)
                self._world.at(when_us, partial(self._delete_job, job))
        return job

    def _delete_job(self, job: Job) -> None:
        photos = [job.photo(number) for number in range(1, job.photo_count + 1)]
        self.delete("photo", photos, self._world.now_us)
        if self._world.random.random() < 0.1:
            self.restore("photo", photos, self._world.now_us + self._world.draw_span(0.1, 0.5))

    def withdraw(self, kind: str, asset_id: str, from_us: int, until_us: int) -> None:
        """Delete a product or a package for some time in which new orders do without it."""
        self.delete(kind, [asset_id], from_us)
        self.restore(kind, [asset_id], until_us)
        self._world.at(from_us, partial(self.gone.add, asset_id))
        self._world.at(until_us, partial(self.gone.discard, asset_id))

    def delete(self, kind: str, asset_ids: list[str], when_us: int) -> None:
        """Send that assets are deleted, mostly so that they can be restored."""
        draw = self._world.random
        body: dict[str, Any] = {"asset_type": kind, "asset_ids": asset_ids}
        if draw.random() < 0.9:
            body["deleted_by"] = f"user-{int(draw.random() * 40)}"
        if draw.random() < 0.75:
            body["restorable_until"] = self._world.instant(when_us + 30 * 86_400_000_000)
        self._world.send(ASSET_DELETED.name, self, when_us, body)

    def restore(self, kind: str, asset_ids: list[str], when_us: int) -> None:
        """Send that assets are there again."""
        body = {"asset_type": kind, "asset_ids": asset_ids}
        self._world.send(ASSET_RESTORED.name, self, when_us, body)
