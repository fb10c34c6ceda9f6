"""The state that all pages and the API read: replicas of the shards, and what is derived of them.

Whoever feeds it (`feed`, or a test) loads rows into the machines, notes which ones, and calls
`settle` now and then: only then do index and live stream follow. Nothing here waits or does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

from processor.console.entries import Entry, entry_of, order_key_of
from processor.console.history import History
from processor.console.hub import Hub
from processor.console.index import Index
from processor.rules.inquiry import Answer, inquire
from processor.rules.judge import SECURED, phase_of
from processor.rules.machine import Machine
from processor.rules.rows import ASSET_TABLES, Order
from schemas.partitioning import join_key, split_key

#: Changes that are published at once; more come in several batches, with a breath between them.
SETTLED_MAX: Final = 500
#: Orders that are looked at between two breaths before anything is published.
_FILLED_AT_ONCE: Final = 2_000


class Health(Struct, frozen=True):
    """How far the replica is."""

    ready: bool
    """It has read everything that was there when it started."""
    connected: bool
    """The broker answers."""
    behind: int
    """Records of the private topics that are committed and not read yet."""


class Console:
    """Replicas, index, history and hub of one deployment."""

    def __init__(self, machines: Mapping[int, Machine]) -> None:
        self.machines = machines
        """By partition; whoever owns the mapping may fill it later."""
        self.index = Index()
        self.hub = Hub()
        self.history = History()
        self.health = Health(ready=False, connected=False, behind=0)
        self._dirty: dict[tuple[int, str], None] = {}
        self._secured: dict[str, dict[str, None]] = {}

    # ---- what changes it

    def note(self, partition: int, table: str, key: bytes) -> None:
        """Note that a row has been loaded, so that `settle` looks at the orders it concerns."""
        if table == "orders":
            self._dirty[partition, order_key_of(key)] = None
        elif table in ASSET_TABLES:
            studio_id, asset = split_key(key.decode())
            studio = self.machines[partition].shard.studios.get(studio_id)
            if studio is not None:
                for order_id in studio.users_of(ASSET_TABLES.index(table), asset):
                    self._dirty[partition, studio.key_prefix + join_key(order_id)] = None

    @property
    def unsettled(self) -> int:
        """How many orders `settle` has yet to look at."""
        return len(self._dirty)

    def fill(self) -> Iterator[None]:
        """Look at every order there is, once, after the first reading; yields now and then.

        Nobody watches yet, and everything would be news: the live stream is told nothing.
        """
        for machine in self.machines.values():
            keys = iter(machine.keys("orders"))
            while some := list(islice(keys, _FILLED_AT_ONCE)):
                self.index.change(self._look(machine, [key.decode() for key in some]))
                yield
        yield from self.index.prepare()

    def settle(self) -> bool:
        """Bring index and live stream up to some of what was noted; tell whether more is left."""
        some = list(islice(self._dirty, SETTLED_MAX))
        found: list[tuple[str, Entry | None]] = []
        for partition, key in some:
            del self._dirty[partition, key]
            found += self._look(self.machines[partition], (key,))
        self.hub.publish(self.index.change(found), self.index)
        return bool(self._dirty)

    def _look(self, machine: Machine, keys: Iterable[str]) -> list[tuple[str, Entry | None]]:
        """Say what orders have become, by order key."""
        found: list[tuple[str, Entry | None]] = []
        for key in keys:
            order: Order | None = machine.row("orders", key.encode())
            studio_id, order_id = split_key(key)
            self._keep_secured(studio_id, order_id, order)
            entry = None
            if order is not None and order.halt is not None:
                entry = entry_of(machine.shard.studios[studio_id], order_id, order)
            found.append((key, entry))
        return found

    def _keep_secured(self, studio_id: str, order_id: str, order: Order | None) -> None:
        if order is not None and order.forgotten_ms is None and phase_of(order) is SECURED:
            self._secured.setdefault(studio_id, {})[order_id] = None
        elif studio_id in self._secured:
            self._secured[studio_id].pop(order_id, None)

    # ---- what it says

    def machine_of(self, studio_id: str) -> Machine | None:
        """Give the machine that knows a studio; None where none does."""
        for machine in self.machines.values():
            if studio_id in machine.shard.studios:
                return machine
        return None

    def inquire(self, studio_id: str, order_id: str) -> Answer | None:
        """Tell what is known of an order; None where nobody knows the studio."""
        machine = self.machine_of(studio_id)
        return None if machine is None else inquire(machine, studio_id, order_id)

    def secured(self, studio_id: str) -> Iterator[str]:
        """Give the orders of a studio of which everything has been transferred."""
        yield from self._secured.get(studio_id, ())

    def users_of(self, studio_id: str | None, asset: str) -> set[str]:
        """Give the keys of the orders in flight that refer to an asset of this id, of any type."""
        found: set[str] = set()
        for machine in self.machines.values():
            studios = machine.shard.studios
            known = studios if studio_id is None else [x for x in (studio_id,) if x in studios]
            for name in known:
                studio = studios[name]
                for table in range(len(ASSET_TABLES)):
                    users = studio.users_of(table, asset)
                    found.update([studio.key_prefix + join_key(x) for x in users])
        return found

    def currencies(self, studio_id: str) -> list[str]:
        """List the currencies in which a studio has a balance or orders."""
        machine = self.machine_of(studio_id)
        return [] if machine is None else sorted(machine.shard.studios[studio_id].accounts)
