"""Ask a worker over HTTP, as Prometheus and a supervisor do."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from http.client import IncompleteRead
from typing import Any

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from processor.metrics import names
from tests.metrics.cluster import Scraped
from tests.support.processes import Worker, wait_until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TEXT = "text/plain; version=0.0.4"
_URL = re.compile(r"Health and metrics at (http://[0-9.]+:\d+)/")


def get(url: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Give status, content type and body."""
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - of our own
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


class Asked:
    """The admin port of one worker process."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        wait_until(lambda: bool(_URL.search(worker.log())), 30, lambda: worker.log()[-3000:])
        found = _URL.search(worker.log())
        assert found is not None
        self.url = found[1]

    def ready(self) -> tuple[bool, list[str]]:
        status, _, body = get(f"{self.url}/readyz")
        if not body:
            # The process has ended amid the headers, so that no length tells of it.
            raise IncompleteRead(b"")
        answer: dict[str, Any] = json.loads(body)
        assert answer["ok"] is (status == 200)
        return answer["ok"], answer["reasons"]

    def live(self) -> bool:
        return get(f"{self.url}/livez")[0] == 200

    def families(self) -> list[Any]:
        """Give a scrape as OpenMetrics, read by the strict parser of the specification's authors."""
        status, kind, body = get(f"{self.url}/metrics", OPENMETRICS)
        assert status == 200
        assert kind.startswith(OPENMETRICS)
        return list(openmetrics_parser.text_string_to_metric_families(body))

    def scrape(self) -> Scraped:
        """Give every sample of a scrape in the plain text format."""
        status, kind, body = get(f"{self.url}/metrics", TEXT)
        assert status == 200
        assert kind.startswith("text/plain")
        return {
            (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in parser.text_string_to_metric_families(body)
            for sample in family.samples
            if sample.name.startswith(names.PREFIX)
        }
