"""Metrics and health of one worker, put together: exporter, admin port, lag, the loop's heartbeat."""

from __future__ import annotations

import asyncio
from typing import Final

from processor.config import Settings
from processor.metrics.admin import Admin
from processor.metrics.exporter import Exporter
from processor.metrics.health import Health
from processor.metrics.lag import Lag
from processor.metrics.watcher import LagWatcher
from processor.runtime.config import RuntimeConfig

_HOUR_SECONDS: Final = 3_600


class Service(Exporter):
    """An observer that starts what it needs when the app starts, before anything is recovered."""

    def __init__(self, settings: Settings, config: RuntimeConfig) -> None:
        lag = Lag()
        super().__init__(
            topic_prefix=settings.topic_prefix,
            overdue_age_seconds=settings.overdue_age_hours * _HOUR_SECONDS,
            lag=lag,
            health=Health(lag),
        )
        self.admin = Admin(self.registry, self.health)
        self._settings = settings
        self._watcher = LagWatcher(config, lag)
        self._beating: asyncio.Task[None] | None = None

    def starting(self) -> None:
        """Open the admin port, then watch the event loop, the collector and the logs' ends."""
        self.admin.start(self._settings.admin_host, self._settings.admin_port)
        self._beating = asyncio.create_task(self.health.beat(self.loop_was_late), name="heartbeat")
        self.pauses.start()
        self._watcher.start()

    def stopping(self) -> None:
        """Be ready no more; the port stays open until the process ends."""
        super().stopping()
        self._watcher.stop()
