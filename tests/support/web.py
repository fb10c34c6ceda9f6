"""`orderhalt web` as its users run it: a process, and a client that knows its address."""

from __future__ import annotations

import re
from typing import Any

import httpx2

from tests.support.deployment import Deployment
from tests.support.processes import wait_until


class Web:
    """A running read service."""

    def __init__(self, deployment: Deployment, *options: str) -> None:
        self._deployment = deployment
        self._number = len(deployment.processes)
        self.process = deployment.start("processor.cli", "web", "--port", "0", *options)
        wait_until(lambda: bool(self._address()) or self.process.poll() is not None, 30, self.log)
        assert self._address(), self.log()
        self.url = self._address()
        self.client = httpx2.Client(base_url=self.url, timeout=10)

    def log(self) -> str:
        return self._deployment.log(self._number)

    def _address(self) -> str:
        found = re.search(r"The pages are at (http://\S+[^/\s])/", self.log())
        return found[1] if found else ""

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.client.get("/readyz").status_code == 200, 30, self.log)

    def json(self, path: str, **query: str) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def halted(self) -> list[str]:
        """Give the halted orders, newest first."""
        return [x["order_id"] for x in self.json("/api/v1/halts")["halts"]]

    def end(self, within: float = 10) -> int:
        self.client.close()
        self.process.terminate()
        return self.process.wait(within)
