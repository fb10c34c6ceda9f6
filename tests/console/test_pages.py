"""The pages as a browser without scripts gets them."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import msgspec
import pytest
from starlette.testclient import TestClient

from processor.console.console import Health
from schemas.catalogue import catalogue
from schemas.reasons import ReasonCode
from tests.console.scene import HOSTILE, busy_shop, calm_shop, hostile_shop
from tests.console.shop import Shop
from tests.contract.vocabulary import deleted, line, placed


class Page(HTMLParser):
    """What a browser makes of a page: texts, and the attributes of its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}.items()
        return [a for t, a in self.elements if t == tag and wanted <= a.items()]


def open_page(client: TestClient, path: str, **headers: str) -> Page:
    answer = client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return busy_shop()


@pytest.fixture
def client(shop: Shop) -> TestClient:
    return shop.client(photo_link="https://shop.example/photos/{photo_id}")


def test_the_list_says_why_what_to_do_and_until_when(client: TestClient) -> None:
    page = open_page(client, "/halts")
    words = catalogue()
    for code in ReasonCode:
        assert words.reason(code).title.en in page.text
    for text in (
        "Order halted",
        "f77",
        "mug-white",
        "pack-gifts",
        "Page 3 has no trim box",
        "anna",
    ):
        assert text in page.text
    assert "Restore by 3 Jan 2026, 18:00 (in 30 hours)" in " ".join(page.text.split())
    assert "a top-up of €" in page.text
    assert "The order has been paid. Contact Customer Care." in page.text
    assert page.all("a", href="https://shop.example/photos/f77")


def test_orders_broken_by_one_deletion_are_one_row_that_leads_to_all(client: TestClient) -> None:
    page = open_page(client, "/halts")
    assert "12 orders halted" in page.text
    assert "4 of the others are paid differently" in page.text
    (group,) = [a["href"] for a in page.all("a") if "cause=" in a.get("href", "")]
    page = open_page(client, group)
    rows = page.all("tr", role="row")
    assert len([x for x in rows if "halt" in x.get("class", "")]) == 12
    assert "Only orders that one deletion broke." in page.text


def test_everything_is_said_in_german(client: TestClient) -> None:
    page = open_page(client, "/halts", Accept_Language="fr;q=0.5, de-AT, en;q=0.8")
    assert "Auftrag angehalten" in page.text
    assert "Manuelle Revision" in page.text and "Nicht bezahlt" in page.text
    assert "in 30 Stunden" in page.text and "54,00\xa0€" in page.text
    assert ("html", {"lang": "de", "data-zone": "UTC"}) in page.elements
    assert "Customer Care" in page.text and "What to do" not in page.text


def test_the_language_is_switched_and_remembered(client: TestClient) -> None:
    page = open_page(client, "/halts?sort=oldest")
    (link,) = page.all("a", hreflang="de")
    assert "sort=oldest" in link["href"]
    assert "Auftrag angehalten" in open_page(client, link["href"]).text
    assert "Auftrag angehalten" in open_page(client, "/halts", Accept_Language="en").text
    client.cookies.clear()


def test_times_are_in_the_zone_of_the_viewer(client: TestClient) -> None:
    answer = client.post("/zone", data={"zone": "Asia/Tokyo", "next": "/halts"})
    assert answer.headers["location"] == "/halts"
    assert "4 Jan 2026, 03:00" in open_page(client, "/halts").text
    client.cookies.clear()
    assert client.post("/zone", data={"zone": "Nowhere/Land"}).status_code == 400
    assert client.post("/zone", data={"zone": "../../etc/passwd"}).status_code == 400


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("reason=transfer_failed", ["A-2104"]),
        ("reason=photos_missing&paid=true&studio_id=studio-7&q=A-2102", ["A-2102"]),
        ("q=a-2103", ["A-2103"]),
        ("q=mug-white", ["A-2103"]),
        ("q=pack-lab-2", ["A-2104"]),
        ("studio_id=studio-nord", ["N-2"]),
        ("q=&reason=&paid=&sort=newest&studio_id=studio-nord", ["N-2"]),
        ("q=nothing-like-this", []),
    ],
)
def test_filters_and_search(client: TestClient, query: str, rows: list[str]) -> None:
    page = open_page(client, f"/halts?{query}")
    links = [x["href"] for x in page.all("a") if x.get("class") == "open"]
    assert [x.rpartition("order_id=")[2] for x in links] == rows
    if not rows:
        assert "No halted order matches" in page.text


@pytest.mark.parametrize(
    "query", ["reason=x", "paid=maybe", "sort=x", "cursor=!", "q=" + "x" * 257, "nonsense=1"]
)
def test_what_is_not_understood_is_said(client: TestClient, query: str) -> None:
    answer = client.get(f"/halts?{query}")
    assert answer.status_code == (200 if query == "nonsense=1" else 400)


def test_a_list_of_many_has_pages() -> None:
    shop = Shop()
    shop.send(*(placed(f"o{n:03}", line("l1", f"p{n}")) for n in range(120)))
    shop.send(*(deleted("product", f"p{n}", at=n % 20) for n in range(120)))
    client = shop.client()
    path, found = "/halts", []
    while path:
        page = open_page(client, path)
        rows = [x["href"] for x in page.all("a") if x.get("class") == "open"]
        assert len(rows) <= 50
        found += rows
        path = next((x["href"] for x in page.all("a", rel="next")), "")
    assert len(found) == len(set(found)) == 120


def test_nothing_halted_is_good_news() -> None:
    page = open_page(calm_shop().client(), "/halts")
    assert "No order is halted" in page.text
    assert not page.all("table")


def test_a_lost_connection_to_kafka_is_said() -> None:
    shop = busy_shop()
    shop.console.health = Health(ready=True, connected=False, behind=3)
    page = open_page(shop.client(), "/halts")
    assert "The connection to Kafka is lost" in page.text
    assert "3 changes are being read" in page.text
    assert "f77" in page.text
    (notice,) = page.all("p", id="kafka")
    assert "hidden" not in notice
    (notice,) = open_page(busy_shop().client(), "/halts").all("p", id="kafka")
    assert "hidden" in notice


def test_what_can_be_restored_no_more_is_not_to_be_restored() -> None:
    """Its deadline is over: then there is no such action, whatever the record says."""
    shop = Shop()
    for name, until in (("past", "2026-01-02T11:59:00Z"), ("open", "2026-01-02T12:01:00Z")):
        shop.send(
            placed(name, line("l1", photos=name)), deleted("photo", name, restorable_until=until)
        )
    client = shop.client()
    for name, offered in (("past", False), ("open", True)):
        text = open_page(client, f"/order?studio_id=s1&order_id={name}").text
        assert ("Restore what was deleted" in text) is offered, name


def test_htmx_gets_the_results_alone(client: TestClient) -> None:
    text = client.get("/halts", headers={"HX-Request": "true"}).text
    assert "<html" not in text and 'id="list"' in text
    assert "HX-Request" in client.get("/halts").headers["vary"]


def test_the_order_page_tells_the_whole_story(client: TestClient) -> None:
    page = open_page(client, "/order?studio_id=studio-7&order_id=A-2102")
    text = " ".join(page.text.split())
    for part in (
        "Order halted",
        "Photos missing",
        "Restore what was deleted",
        "asset-deleted partition 0, offset 22, event e22",
        "record 1 of order-halted, partition 0, offset",
        "Order placed",
        "canvas-60x40",
        "Credit limit reached",
        "What all orders of this account wait for",
    ):
        assert part in text, part
    assert page.all("s", class_="gone")


@pytest.mark.parametrize(
    ("order", "status", "text"),
    [
        ("A-2101", 200, "nothing stands against it"),
        ("A-2105", 200, "All of the order has been transferred"),
        ("nix", 404, "No order with this id is known"),
    ],
)
def test_an_order_that_is_not_halted_says_why(
    client: TestClient, order: str, status: int, text: str
) -> None:
    answer = client.get(f"/order?studio_id=studio-7&order_id={order}")
    assert answer.status_code == status
    assert text in answer.text and "Order halted" not in answer.text


def test_the_history_tells_how_a_halt_ended() -> None:
    page = open_page(calm_shop().client(), "/order?studio_id=s1&order_id=A-1")
    text = " ".join(page.text.split())
    assert "Released — the photos are back" in text
    assert "Halted — Photos missing" in text


def test_credit_says_what_each_top_up_frees(client: TestClient) -> None:
    text = " ".join(open_page(client, "/credit?studio_id=studio-7").text.split())
    assert "Account in EUR" in text and "Short by" in text
    assert re.search(r"€24\.20 1 A-2013 ", text)


def test_impact_asks_before_a_deletion(client: TestClient) -> None:
    form = {"studio_id": "studio-7", "asset_type": "photo", "asset_ids": "c1\r\nf82\nw1a\n\nc1"}
    answer = client.post("/impact", data=form)
    text = " ".join(Page(answer.text).text.split())
    assert "1 order would be halted 3 ids were asked about." in text
    assert "A-2101" in text and "Safe: 1" in text
    none = client.post("/impact", data=form | {"asset_ids": "unknown"})
    assert "No order would be halted" in none.text


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"studio_id": "", "asset_ids": "a"}, "Say which studio"),
        ({"asset_ids": " \n "}, "at least one id"),
        ({"asset_ids": "\n".join(f"f{n}" for n in range(10_001))}, "more than 10,000"),
        ({"asset_ids": "x" * 257}, "longer than 256"),
    ],
)
def test_impact_says_what_is_wrong_with_the_form(
    client: TestClient, fields: dict[str, str], fault: str
) -> None:
    form = {"studio_id": "studio-7", "asset_type": "photo"} | fields
    answer = client.post("/impact", data=form)
    assert answer.status_code == 400 and fault in answer.text


def test_the_file_holds_every_order(client: TestClient) -> None:
    answer = client.get("/halts.csv?studio_id=studio-7")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 16
    by_order = {row["order_id"]: row for row in rows}
    assert by_order["A-2102"]["reasons"] == "photos_missing credit_limit_reached"
    assert by_order["A-2102"]["restorable_until"] == "2026-01-03T18:00:00.000000Z"


# ---- ids made to break things


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_ids_are_text_and_lead_where_they_should(name: str) -> None:
    client = hostile_shop().client(
        photo_link="https://shop.example/photos/{photo_id}",
        order_link="https://shop.example/o/{studio_id}/{order_id}",
    )
    page = open_page(client, "/halts")
    assert name in page.text
    studio = name[:128]
    links = [x["href"] for x in page.all("a") if x.get("class") == "open"]
    own = [x for x in links if open_page(client, x).text.count(name) > 3]
    assert own, "its row leads to its own page"
    order = open_page(client, own[0])
    assert {x["src"] for x in page.all("script") + order.all("script")} <= {
        x["src"] for x in page.all("script")
    }
    for element, attributes in (*page.elements, *order.elements):
        assert not [x for x in attributes if x.startswith("on")], element
        href = attributes.get("href", "/")
        assert href.startswith(("/", "#", "https://shop.example/")), href
        assert href.isascii() and " " not in href
    credit = client.get("/credit", params={"studio_id": studio})
    assert name in Page(credit.text).text
    form = {"studio_id": studio, "asset_type": "package", "asset_ids": name}
    asked = Page(client.post("/impact", data=form).text)
    assert name in asked.text
    found = client.get("/api/v1/order", params={"studio_id": studio, "order_id": name})
    assert found.json()["answer"]["order_id"] == name
    searched = open_page(client, str(client.build_request("GET", "/halts", params={"q": name}).url))
    assert name in searched.text


def test_a_spreadsheet_takes_no_id_for_a_formula() -> None:
    text = hostile_shop().client().get("/halts.csv").text
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert len(rows) == 1 + len(HOSTILE)
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_the_api_gives_what_the_page_shows(client: TestClient) -> None:
    body = client.get("/api/v1/halts?studio_id=studio-7&limit=200").json()
    assert body["halted"] == body["matching"] == len(body["halts"]) == 16
    page = client.get("/halts.csv?studio_id=studio-7").text
    assert all(x["order_id"] in page for x in body["halts"])
    assert msgspec.json.decode(client.get("/readyz").content)["ready"]


@pytest.mark.parametrize(
    "query", ["", "sort=placed", "q=a-20&paid=true", "studio_id=studio-7&cause=e23&sort=deadline"]
)
def test_a_file_has_what_the_list_has_in_its_order(client: TestClient, query: str) -> None:
    """As filtered, each order by itself; what is sorted backwards comes backwards."""

    def ids(address: str) -> list[str]:
        text = client.get(address).text.removeprefix("\ufeff")
        return [row["order_id"] for row in csv.DictReader(io.StringIO(text))]

    found = ids(f"/halts.csv?{query}")
    cause = "e23" if "cause" in query else ""
    assert len(found) == {"": 17, "sort=placed": 17}.get(query, 12 if cause else 4)
    if "sort" not in query:
        assert ids(f"/halts.csv?{query}&sort=oldest") == found[::-1]
    if "cause" not in query and "q=" not in query:
        sort = query.partition("=")[2] or "newest"
        body = client.get("/api/v1/halts", params={"sort": sort, "limit": "200"}).json()
        assert found == [x["order_id"] for x in body["halts"]]
