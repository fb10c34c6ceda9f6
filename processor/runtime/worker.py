"""Run an app as the only thing of this process, with its own logging and signals."""

from __future__ import annotations

from typing import NoReturn

import faust

from processor.runtime.app import App


class Worker(faust.Worker):
    """Faust's worker without spinner, banner, logging of its own, and without its last second."""

    def __init__(self, app: App) -> None:
        super().__init__(
            app, loglevel="INFO", quiet=True, redirect_stdouts=False, override_logging=False
        )
        self.spinner = None

    async def _sentinel_task(self) -> None:
        """Do not sleep before the event loop is closed: nothing is left to wait for."""


def run(app: App) -> NoReturn:
    """Run until SIGTERM or Ctrl-C; ends the process."""
    Worker(app).execute_from_commandline()
    raise SystemExit(0)
