"""A deployment in one process: what a worker emits and writes goes straight into a console."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient

from processor.console.access import Access, Open
from processor.console.app import create_app
from processor.console.console import Console, Health
from processor.console.settings import ConsoleSettings
from processor.rules.machine import Machine
from tests.model import Record

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
READY = Health(ready=True, connected=True, behind=0)


class Shop:
    """A worker and a console that follows it."""

    def __init__(self) -> None:
        self.worker = Machine(0)
        self.replica = Machine(0, any_partitioner=True)
        self.console = Console({0: self.replica})
        self.console.health = READY
        self.emitted: list[dict[str, Any]] = []
        self._offset = 0
        self._halts = 0

    def send(self, *events: tuple[str, dict[str, Any]], studio: str = "s1") -> list[dict[str, Any]]:
        """Apply events of a studio; gives what `order-halted` says."""
        before = len(self.emitted)
        for topic, fields in events:
            value = {"event_id": f"e{self._offset}", "studio_id": studio, **fields}
            key = value["studio_id"].encode()
            self.apply(Record(topic, 0, self._offset, NOW_MS, key, json.dumps(value).encode()))
        self.settle()
        return self.emitted[before:]

    def apply(self, record: Record) -> list[dict[str, Any]]:
        """Apply one record, and let its rows and records be read."""
        self._offset += 1
        said = []
        for emission in self.worker.apply(*record):
            self.console.history.take(emission.key, emission.value, 0, self._halts)
            self._halts += 1
            if emission.value is not None:
                said.append(json.loads(emission.value))
        self.emitted += said
        for table, key, row in self.worker.drain():
            self.replica.load(table, key, row)
            self.console.note(0, table, key)
        return said

    def settle(self) -> None:
        """Let index and live stream follow."""
        while self.console.settle():
            pass

    def app(self, access: Access | None = None, **settings: Any) -> Starlette:
        """Make the application over it; its clock stands at NOW."""
        made = ConsoleSettings(**settings)
        return create_app(self.console, made, access or Open(), lambda: NOW)

    def client(self, access: Access | None = None, **settings: Any) -> TestClient:
        """Make a client of the application."""
        base = "http://127.0.0.1"
        return TestClient(self.app(access, **settings), base, follow_redirects=False)


def opened(said: Sequence[dict[str, Any]]) -> list[str]:
    """Give the orders that were halted."""
    return sorted(x["order_id"] for x in said if x["change"] == "opened")


def ended(said: Sequence[dict[str, Any]]) -> list[str]:
    """Give the orders that were released."""
    return sorted(x["order_id"] for x in said if x["change"] == "ended")
