"""The JSON API keeps its own description, whatever it is asked."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import openapi
from schemathesis.specs.openapi.checks import negative_data_rejection
from starlette.testclient import TestClient

from processor.console.access import Viewer
from tests.console.scene import busy_shop
from tests.console.shop import Shop
from tests.console.test_access import SEVEN, STREAM, TOKENS, bearer

SHOP = busy_shop()
SCHEMA = openapi.from_asgi("/api/v1/openapi.json", SHOP.app(TOKENS), headers=bearer(SEVEN))


# The live stream has no end: what it answers is checked where it is read (test_live, test_access).
@SCHEMA.exclude(path=STREAM).parametrize()
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_the_api_keeps_its_description(case: schemathesis.Case[Any]) -> None:
    """Lawful and unlawful requests: answers as described, refusals as described, no failure."""
    # What does not fit as a value may fit as the text that is sent of it: `true` is an id, and of an
    # empty list nothing is sent at all. Refusals of parameters have their own tests below.
    ambiguous = case.method == "GET"
    case.call_and_validate(
        headers=bearer(SEVEN), excluded_checks=[negative_data_rejection] if ambiguous else None
    )


@pytest.fixture
def client() -> TestClient:
    return SHOP.client()


def test_the_description_is_an_openapi_document(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    described = {(m.upper(), p) for p, item in document["paths"].items() for m in item}
    app: Any = client.app
    routes = {
        (method, route.path)
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
        if route.path.startswith("/api/") and method != "HEAD"
    }
    assert routes - described == {("GET", "/api/v1/openapi.json")}
    stream = document["paths"][STREAM]["get"]
    assert list(stream["responses"]["200"]["content"]) == ["text/event-stream"]
    assert {x["name"] for x in stream["parameters"]} == {"studio_id", "after"}
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        assert schema.get("description") or "enum" in schema, f"{name} says what it is"


def test_pages_of_the_list(client: TestClient) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        query = {"limit": "3", "sort": "oldest"} | ({"cursor": cursor} if cursor else {})
        body = client.get("/api/v1/halts", params=query).json()
        found += [x["order_id"] for x in body["halts"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert len(found) == len(set(found)) == body["halted"] == 17
    since = [
        SHOP.console.index.entries[x.key].since_us for x in SHOP.console.index.entries.values()
    ]
    assert len(since) == 17


def test_an_order_tells_its_journal_coordinates(client: TestClient) -> None:
    query = {"studio_id": "studio-7", "order_id": "A-2102"}
    body = client.get("/api/v1/order", params=query).json()
    assert body["answer"]["state"] == "halted"
    first = body["history"][-1]
    assert first["change"] == "opened" and first["reasons"] == ["photos_missing"]
    assert (first["caused_by_topic"], first["caused_by_offset"]) == ("asset-deleted", 22)
    assert first["caused_by_event_id"] == "e22"


def test_impact_of_thousands(client: TestClient) -> None:
    ids = [f"x{n}" for n in range(9_997)] + ["c1", "w1a", "f82"]
    body = {"studio_id": "studio-7", "asset_type": "photo", "asset_ids": ids}
    said = client.post("/api/v1/impact", json=body).json()
    assert said["asset_count"] == 10_000
    assert [x["order_id"] for x in said["would_halt"]["orders"]] == ["A-2101"]
    assert said["would_halt"]["cost_minor"] == {"EUR": 1990}
    assert said["safe"]["count"] == 1
    body["asset_ids"] = [*ids, "one more"]
    assert client.post("/api/v1/impact", json=body).status_code == 400


def test_the_plan_of_every_account(client: TestClient) -> None:
    body = client.get("/api/v1/credit", params={"studio_id": "studio-7"}).json()
    (plan,) = body["plans"]
    assert plan["currency"] == "EUR" and plan["waiting_count"] == 3
    assert plan["steps"][0]["frees"] == ["A-2013"]
    only = client.get("/api/v1/credit", params={"studio_id": "studio-7", "currency": "USD"})
    assert only.json() == {"plans": []}


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/api/v1/order?studio_id=studio-7&order_id=nix", 404, "No order"),
        ("/api/v1/order?order_id=A-2102", 400, "studio_id is missing"),
        ("/api/v1/order?studio_id=studio-7", 400, "order_id"),
        ("/api/v1/halts?limit=0", 400, "limit"),
        ("/api/v1/halts?limit=201", 400, "limit"),
        ("/api/v1/halts?reason=nonsense", 400, "reason"),
        ("/api/v1/halts?colour=red", 400, "colour"),
        ("/api/v1/halts?colour=", 400, "colour"),
        ("/api/v1/halts?limit=x", 400, "limit"),
        ("/api/v1/halts?paid=maybe", 400, "paid"),
        ("/api/v1/halts?sort=x", 400, "sort"),
        ("/api/v1/halts?search=" + "x" * 257, 400, "search"),
        ("/api/v1/halts?studio_id=" + "x" * 129, 400, "studio_id"),
        ("/api/v1/credit?studio_id=s&currency=eur", 400, "currency"),
        ("/api/v1/credit?studio_id=s&from=1", 400, "from"),
        ("/api/v1/impact?studio_id=s&asset_type=photo", 400, "asset_id"),
        ("/api/v1/impact?studio_id=s&asset_id=f1", 400, "asset_type"),
        ("/api/v1/impact?studio_id=s&asset_type=x&asset_id=f1", 400, "asset_type"),
        ("/api/v1/impact?studio_id=s&asset_type=photo&asset_id=", 400, "asset_id"),
        ("/api/v1/impact?studio_id=s&asset_type=photo" + "&asset_id=f" * 51, 400, "asset_id"),
        ("/api/v1/order?studio_id=s&order_id=" + "x" * 257, 400, "order_id"),
        ("/api/v1/status?x=1", 400, "x"),
        ("/api/v1/halts?paid=true&paid=false", 400, "more than once"),
        ("/api/v1/halts?cursor=nonsense", 400, "cursor"),
        ("/api/v1/order?studio_id=studio-7&order_id=%9B", 404, "No order"),
        ("/api/v1/order?studio_id=studio-7&order_id=%00", 400, "control character"),
        ("/api/v1/order?studio_id=studio-7&order_id=%C2%9B", 400, "control character"),
        ("/api/v1/nothing", 404, "Not Found"),
        ("/api/v1/changes?from=1", 400, "from"),
        ("/api/v1/changes?after=" + "x" * 65, 400, "after"),
        ("/api/v1/changes?studio_id=", 400, "studio_id"),
    ],
)
def test_refusals_say_what_to_change(
    client: TestClient, path: str, status: int, detail: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status and detail in body["detail"]


def test_a_studio_need_not_name_itself() -> None:
    client = Shop().client(TOKENS)
    assert TOKENS.let_in(SEVEN) == Viewer("studio-7")
    answer = client.get("/api/v1/credit", headers=bearer(SEVEN))
    assert answer.json() == {"plans": []}


def test_impact_before_anything_is_known() -> None:
    """No partition has been read that knows the studio: nothing would be halted."""
    query = {"studio_id": "new", "asset_type": "photo", "asset_id": "f1"}
    said = Shop().client().get("/api/v1/impact", params=query).json()
    assert said["would_halt"]["count"] == 0
