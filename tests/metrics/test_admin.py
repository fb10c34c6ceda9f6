"""The admin port: loopback, any free port, a taken one, formats, probes."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator

import pytest

from processor.metrics.admin import Admin
from processor.metrics.exporter import Exporter
from tests.metrics.cluster import Clock, make_exporter
from tests.metrics.scraping import OPENMETRICS, TEXT, get


@pytest.fixture
def exporter() -> Exporter:
    return make_exporter(Clock(1e9))


@pytest.fixture
def admin(exporter: Exporter) -> Iterator[Admin]:
    made = Admin(exporter.registry, exporter.health)
    yield made
    made.stop()


def url(admin: Admin, port: int = 0) -> str:
    at = admin.start("127.0.0.1", port)
    assert at is not None
    return f"http://{at[0]}:{at[1]}"


@pytest.mark.parametrize("kind", [OPENMETRICS, TEXT])
def test_metrics_come_in_the_format_that_is_asked_for(admin: Admin, kind: str) -> None:
    status, content_type, body = get(url(admin) + "/metrics", kind)
    assert status == 200
    assert content_type.startswith(kind)
    assert body.endswith("# EOF\n") is (kind == OPENMETRICS)


def test_probes_say_why(admin: Admin, exporter: Exporter) -> None:
    at = url(admin)
    assert get(at + "/livez")[0] == 200
    status, kind, body = get(at + "/readyz")
    assert (status, kind) == (503, "application/json")
    assert json.loads(body)["reasons"] == [
        "No assignment has been taken over: it starts, rebalances or recovers."
    ]
    exporter.owned(frozenset([1]))
    assert get(at + "/readyz")[0] == 200
    exporter.stopping()
    assert json.loads(get(at + "/readyz")[2])["reasons"] == ["The worker ends."]


def test_other_paths_are_not_found_and_say_which_there_are(admin: Admin) -> None:
    status, _, body = get(url(admin) + "/")
    assert status == 404
    assert body.split() == ["/livez", "/readyz", "/metrics"]


def test_a_taken_port_gives_a_free_one_and_a_warning(
    admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.INFO):
        port = taken.getsockname()[1]
        at = url(admin, port)
        assert get(at + "/livez")[0] == 200
        assert not at.endswith(f":{port}")
    assert f"The admin port {port} of 127.0.0.1 cannot be had" in caplog.text
    assert f"Health and metrics at {at}/" in caplog.text


def test_an_address_that_is_not_ours_stops_nothing(
    admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    assert admin.start("192.0.2.1", 0) is None
    assert "No admin port: 192.0.2.1 cannot be listened on" in caplog.text


def test_a_client_that_says_nothing_holds_nobody_up(admin: Admin) -> None:
    at = url(admin)
    with socket.create_connection(("127.0.0.1", int(at.rpartition(":")[2]))):
        assert get(at + "/livez")[0] == 200
