"""A real Prometheus on 127.0.0.1 that scrapes workers every second, and questions to it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from processor.localkafka import free_port
from processor.watchdog import Watchdog

_ROOT: Final = Path(__file__).parents[2]
_RULES: Final = _ROOT / "deploy" / "prometheus" / "rules"
#: Where `make` unpacks Debian's packages.
_UNPACKED: Final = _ROOT / ".debian" / "usr" / "bin"
_STARTS_WITHIN_SECONDS: Final = 30.0
SCRAPE_SECONDS: Final = 1


def tool(name: str) -> Path:
    """Find a program of Debian's Prometheus packages; raises FileNotFoundError with the remedy."""
    found = shutil.which(name, path=str(_UNPACKED)) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not there. Run: make .debian/.prometheus")
    return Path(found)


class Prometheus:
    """One server with our rules; a context manager."""

    def __init__(self, directory: Path, targets: Sequence[str]) -> None:
        """Scrape `targets`, `host:port` each, as the job `orderhalt`."""
        self._directory = directory
        self._targets = list(targets)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        path = self._directory / "prometheus.yml"
        path.write_text(yaml.safe_dump(self._configuration()))
        with (self._directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(tool("prometheus")),
                    f"--config.file={path}",
                    f"--storage.tsdb.path={self._directory / 'prometheus'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--enable-feature=exemplar-storage",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._watchdog = Watchdog(self._process.pid, str(path))
        self._wait_until_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._watchdog.dismiss()

    def _configuration(self) -> dict[str, Any]:
        every = f"{SCRAPE_SECONDS}s"
        return {
            "global": {
                "scrape_interval": every,
                "scrape_timeout": every,
                "evaluation_interval": every,
            },
            "rule_files": [str(_RULES / "*.yml")],
            "scrape_configs": [
                {"job_name": "orderhalt", "static_configs": [{"targets": self._targets}]}
            ],
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
        while True:
            try:
                self._get("/-/ready", {})
            except OSError as error:
                if time.monotonic() > deadline:
                    log = (self._directory / "prometheus.log").read_text()[-2000:]
                    raise TimeoutError(f"Prometheus does not become ready:\n{log}") from error
                time.sleep(0.1)
            else:
                return

    def version(self) -> str:
        """Say which release it is."""
        return str(self._ask("status/buildinfo", {})["version"])

    def query(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """Ask for the samples of one instant; raises ValueError with Prometheus's words."""
        return self._result("query", {"query": expr, **({"time": at} if at else {})})

    def query_range(
        self, expr: str, start: float, end: float, step_seconds: int
    ) -> list[dict[str, Any]]:
        """Ask for series over time."""
        wanted = {"query": expr, "start": start, "end": end, "step": step_seconds}
        return self._result("query_range", wanted)

    def _result(self, path: str, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = self._ask(path, wanted)
        if answer["resultType"] in {"scalar", "string"}:
            return [{"metric": {}, "value": answer["result"]}]
        return list(answer["result"])

    def series_names(self, job: str) -> set[str]:
        """Give the name of every series of a job."""
        return set(self._ask("label/__name__/values", {"match[]": f'{{job="{job}"}}'}))

    def exemplars(self, expr: str, start: float, end: float) -> list[dict[str, Any]]:
        """Ask for the exemplars of an expression's series."""
        return list(self._ask("query_exemplars", {"query": expr, "start": start, "end": end}))

    def rules(self) -> list[dict[str, Any]]:
        """Give every rule with its health, and alerts with their state."""
        groups = self._ask("rules", {})["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def firing(self) -> dict[str, str]:
        """Give what fires now: alert → the instance or other labels that it is about."""
        return {
            alert["labels"]["alertname"]: alert["labels"].get("instance", "")
            for alert in self._ask("alerts", {})["alerts"]
            if alert["state"] == "firing"
        }

    def _ask(self, path: str, wanted: Mapping[str, Any]) -> Any:
        answer = json.loads(self._get(f"/api/v1/{path}", wanted))
        if answer["status"] != "success":
            raise ValueError(f"{path}: {answer['errorType']}: {answer['error']}")
        return answer["data"]

    def _get(self, path: str, wanted: Mapping[str, Any]) -> bytes:
        url = f"http://127.0.0.1:{self._port}{path}?{urllib.parse.urlencode(wanted)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            # Prometheus says what is wrong with a query in the body of its 400 or 422.
            body = error.read()
            if body.startswith(b"{"):
                return body
            raise
