"""A worker of the toy machine, as a process of its own: `python -m tests.runtime.toyapp`.

Settings come from TOY_… variables; the parent reads the log on stderr.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from processor.runtime.app import App
from processor.runtime.config import RuntimeConfig
from processor.runtime.worker import run
from tests.runtime.toymachine import ToyMachine

INPUTS = ("alpha", "beta", "gamma")


def toy_config(prefix: str, bootstrap_servers: str, **changes: Any) -> RuntimeConfig:
    return RuntimeConfig(
        group_id=f"{prefix}toy",
        bootstrap_servers=tuple(bootstrap_servers.split(",")),
        inputs=tuple(prefix + name for name in INPUTS),
        changelogs={table: f"{prefix}toy-{table}-changelog" for table in ToyMachine.tables},
        output=f"{prefix}toy-out",
        rejected=f"{prefix}toy-rejected",
        positions=f"{prefix}toy-positions",
        journal=f"{prefix}toy-journal",
        **changes,
    )


def create_toy_app(config: RuntimeConfig) -> App:
    app = App(config, ToyMachine)
    for topic in config.inputs:
        app.agent(app.input(topic), name=f"on-{topic}")(count)
    return app


async def count(batches: Any) -> None:
    async for batch in batches:
        await batch.apply()


def main() -> None:
    changes: dict[str, Any] = {}
    for name in ("window_soft_entries", "window_hard_entries", "session_timeout_ms"):
        if value := os.environ.get("TOY_" + name.upper()):
            changes[name] = int(value)
    changes["instance_id"] = os.environ.get("TOY_INSTANCE_ID")
    changes["one_by_one"] = "TOY_ONE_BY_ONE" in os.environ
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("processor").setLevel(logging.INFO)
    config = toy_config(os.environ["TOY_PREFIX"], os.environ["TOY_BOOTSTRAP"], **changes)
    run(create_toy_app(config))


if __name__ == "__main__":
    main()
