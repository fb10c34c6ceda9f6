"""Who gets in, what they see, and what a browser may do with it."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from processor.config import ConfigurationError
from processor.console.access import CARE, Tokens, Viewer, read_tokens
from processor.console.console import Health
from processor.console.guard import BODY_MAX_BYTES
from processor.console.pages.login import ours
from processor.console.serve import listen
from processor.console.settings import load
from tests.console.scene import busy_shop
from tests.console.shop import Shop

SEVEN, NORD, CARE_TOKEN = "token-of-studio-7-" + "a" * 20, "token-of-nord-" + "b" * 20, "c" * 40
TOKENS = Tokens([(SEVEN, Viewer("studio-7")), (NORD, Viewer("studio-nord")), (CARE_TOKEN, CARE)])
#: What only studio-7 may see: ids that stand in its events and nowhere else.
SECRETS = re.compile(r"A-2\d\d\d|f77|mug-white|pack-gifts|job-cleanup|lab-berlin|w1a")


@pytest.fixture(scope="module")
def shop() -> Shop:
    return busy_shop()


@pytest.fixture
def client(shop: Shop) -> TestClient:
    return shop.client(TOKENS)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def routes(client: TestClient) -> list[tuple[str, str]]:
    """List every method and path that there is."""
    found = []
    for route in cast(Any, client.app).routes:
        if isinstance(route, Route):
            found += [(method, route.path) for method in sorted(route.methods or ())]
        else:
            assert isinstance(route, Mount) and route.path == "/static"
    return found


STREAM = "/api/v1/changes"

#: For every route that answers with anything of a studio, how to ask it about studio-7.
ASKED: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("GET", "/halts"): [
        {"params": {}},
        {"params": {"studio_id": "studio-7"}},
        {"params": {"q": "A-2101"}},
        {"params": {"q": "f77"}},
        {"params": {"studio_id": "studio-7", "cause": "e22"}},
        {"params": {"cause": "e22"}},
    ],
    ("GET", "/halts.csv"): [{"params": {}}, {"params": {"studio_id": "studio-7"}}],
    ("GET", "/order"): [
        {"params": {"studio_id": "studio-7", "order_id": "A-2102"}},
        {"params": {"order_id": "A-2102"}},
    ],
    ("GET", "/credit"): [{"params": {}}, {"params": {"studio_id": "studio-7"}}],
    ("GET", "/impact"): [
        {"params": {"studio_id": "studio-7", "asset_type": "photo", "asset_ids": "c1"}},
        {"params": {"asset_type": "photo", "asset_ids": "c1"}},
    ],
    ("POST", "/impact"): [
        {"data": {"studio_id": "studio-7", "asset_type": "photo", "asset_ids": "c1"}},
        {"data": {"asset_type": "photo", "asset_ids": "c1"}},
    ],
    ("GET", "/api/v1/halts"): [
        {"params": {}},
        {"params": {"studio_id": "studio-7"}},
        {"params": {"search": "f77"}},
    ],
    ("GET", "/api/v1/order"): [
        {"params": {"studio_id": "studio-7", "order_id": "A-2102"}},
        {"params": {"order_id": "A-2102"}},
    ],
    ("GET", "/api/v1/credit"): [{"params": {}}, {"params": {"studio_id": "studio-7"}}],
    ("GET", "/api/v1/impact"): [
        {"params": {"studio_id": "studio-7", "asset_type": "photo", "asset_id": "c1"}},
        {"params": {"asset_type": "photo", "asset_id": "c1"}},
    ],
    ("POST", "/api/v1/impact"): [
        {"json": {"studio_id": "studio-7", "asset_type": "photo", "asset_ids": ["c1"]}},
        {"json": {"asset_type": "photo", "asset_ids": ["c1"]}},
    ],
    # FIRST stands for the place before everything that has happened in the shop.
    ("GET", STREAM): [
        {"params": {"after": "FIRST"}},
        {"params": {"after": "FIRST", "studio_id": "studio-7"}},
    ],
}
#: Routes that say nothing of any studio.
SILENT = {
    "/",
    "/login",
    "/logout",
    "/zone",
    "/healthz",
    "/readyz",
    "/api/v1/openapi.json",
    "/api/v1/status",
}


class Said(NamedTuple):
    """What an answer says."""

    status: int
    text: str


def ask(client: TestClient, token: str, method: str, path: str, request: dict[str, Any]) -> Said:
    """Ask a route; of the live stream, take what comes of what has been already."""
    if path == STREAM:
        return asyncio.run(_hear(client, token, request["params"]))
    answer = client.request(method, path, headers=bearer(token), **request)
    return Said(answer.status_code, answer.text)


async def _hear(client: TestClient, token: str, params: dict[str, str]) -> Said:
    app: Any = client.app
    now = client.get("/api/v1/halts", headers=bearer(token)).json()["live_place"]
    first = now.partition("-")[0] + "-0"
    query = {name: first if x == "FIRST" else x for name, x in params.items()}
    given = client.build_request("GET", STREAM, params=query, headers=bearer(token))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": STREAM,
        "query_string": given.url.query,
        "headers": [(k.lower(), v) for k, v in given.headers.raw],
    }
    status, chunks, enough = [0], list[str](), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status[0] = message["status"]
        else:
            chunks.append(message["body"].decode())
            # The state comes first, then all that was missed. Nothing more is waited for: the hub
            # belongs to the event loop that waits in it first, and each request has its own here.
            if len(chunks) == 2 or status[0] != 200:
                enough.set()
                raise asyncio.CancelledError

    answering = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait([answering], timeout=10)
    assert answering.cancelled() or answering.result() is None
    return Said(status[0], "".join(chunks))


def test_two_tenants_walk_all_routes(client: TestClient) -> None:
    """What one studio's token shows of another's: nothing, on no route, asked in no way."""
    for method, path in routes(client):
        if method == "HEAD":
            continue
        if path in SILENT:
            assert (method, path) not in ASKED
            assert not SECRETS.search(ask(client, SEVEN, method, path, {}).text), path
            continue
        asked = ASKED.get((method, path))
        assert asked, f"a new route must be walked here: {method} {path}"
        seen = [ask(client, SEVEN, method, path, x) for x in asked]
        assert any(SECRETS.search(x.text) for x in seen), f"{path} shows studio-7 its own"
        for request in asked:
            answer = ask(client, NORD, method, path, request)
            text = answer.text
            for given in (*request.get("params", {}).values(), *request.get("data", {}).values()):
                # What they typed themselves is shown to them in the field.
                text = text.replace(str(given), "")
            assert not SECRETS.search(text), f"{method} {path} {request}"
            named = {
                **request.get("params", {}),
                **request.get("data", {}),
                **request.get("json", {}),
            }
            if named.get("studio_id") == "studio-7":
                assert answer.status == 403, f"{method} {path} {request}"


def test_nobody_sees_anything_without_a_token(client: TestClient) -> None:
    for method, path in routes(client):
        answer = client.request(method, path)
        if path.startswith("/api/"):
            assert answer.status_code == 401, path
            if method != "HEAD":
                assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
        elif path in ("/login", "/healthz", "/readyz"):
            assert answer.status_code == 200, path
        else:
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/login?next="), path
    assert client.get("/static/console.css").status_code == 200


@pytest.mark.parametrize("token", ["", "x", SEVEN[:-1], SEVEN + "a", SEVEN.upper(), "ü"])
def test_only_the_whole_token_lets_in(token: str) -> None:
    assert TOKENS.let_in(token) is None
    assert TOKENS.let_in(None) is None


def test_every_token_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that it takes does not tell which token agrees, or how far."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("processor.console.access.hmac.compare_digest", compare)
    assert TOKENS.let_in(SEVEN) == Viewer("studio-7")
    assert len(compared) == 3
    assert {len(x) for pair in compared for x in pair} == {32}, "digests, whatever was shown"


def test_a_browser_logs_in_and_out(client: TestClient) -> None:
    wrong = client.post("/login", data={"token": "nonsense", "next": "/credit"})
    assert wrong.status_code == 403 and "not known" in wrong.text
    right = client.post("/login", data={"token": SEVEN, "next": "/credit?studio_id=studio-7"})
    assert right.headers["location"] == "/credit?studio_id=studio-7"
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    assert "A-2102" in client.get("/halts").text
    out = client.post("/logout")
    assert out.headers["location"] == "/login"
    assert client.get("/halts").status_code == 303


@pytest.mark.parametrize(
    ("sent_by", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 303)]
)
def test_a_page_of_somebody_else_s_logs_nobody_in_or_out(
    client: TestClient, sent_by: str, status: int
) -> None:
    headers = {"Sec-Fetch-Site": sent_by}
    for path in ("/login", "/logout", "/zone"):
        form = {"token": SEVEN, "zone": "UTC"}
        answer = client.post(path, data=form, headers=bearer(SEVEN) | headers)
        assert answer.status_code == status, path
        assert ("set-cookie" in answer.headers) == (status == 303), path
    # A link in somebody's mail still leads to a page.
    assert client.get("/halts", headers=bearer(SEVEN) | headers).status_code == 200


def test_a_list_whose_token_has_ended_goes_to_the_login_as_a_whole(client: TestClient) -> None:
    answer = client.get("/halts?q=1", headers={"HX-Request": "true"})
    assert answer.status_code == 401 and not answer.text
    assert answer.headers["hx-redirect"] == "/login?next=%2Fhalts%3Fq%3D1"


def test_cookies_are_secure_behind_tls(shop: Shop) -> None:
    client = shop.client(TOKENS, secure_cookies=True)
    assert "Secure" in client.post("/login", data={"token": SEVEN}).headers["set-cookie"]


@pytest.mark.parametrize(
    ("goal", "place"),
    [
        ("/halts?q=1", "/halts?q=1"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\nb", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_login_goes_on_to_our_own_pages_only(goal: str | None, place: str) -> None:
    assert ours(goal) == place


def test_every_answer_has_its_headers(client: TestClient) -> None:
    for path in ("/login", "/halts", "/nothing", "/api/v1/halts", "/static/console.css", "/readyz"):
        headers = client.get(path, headers=bearer(SEVEN)).headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self';" in policy and "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        if not path.startswith("/static/"):
            assert headers["cache-control"] == "no-store"


def test_pages_have_nothing_inline(client: TestClient) -> None:
    """What the policy forbids would not run; nothing relies on it."""
    for path in ("/halts", "/order?order_id=A-2102", "/credit", "/impact", "/login"):
        text = client.get(path, headers=bearer(SEVEN)).text
        assert not re.search(r"<script(?![^>]*\ssrc=)", text)
        assert not re.search(r"<[^>]*\s(on\w+|style)=", text)
        assert "<style" not in text and "javascript:" not in text


def test_pictures_come_from_the_shop_alone(shop: Shop) -> None:
    client = shop.client(photo_thumbnail="https://pictures.example/{photo_id}.jpg")
    answer = client.get("/halts")
    policy = answer.headers["content-security-policy"]
    assert "img-src 'self' https://pictures.example" in policy
    assert 'src="https://pictures.example/f77.jpg"' in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example"])
def test_without_tokens_only_this_machine_s_names_are_answered(shop: Shop, host: str) -> None:
    """A foreign page whose name points at 127.0.0.1 gets nothing."""
    client = shop.client()
    assert client.get("/halts", headers={"Host": host}).status_code == 421
    for mine in ("localhost", "localhost:8321", "127.0.0.1:1", "[::1]", "[::1]:8321"):
        assert client.get("/halts", headers={"Host": mine}).status_code == 200, mine


def test_bodies_have_a_limit(client: TestClient) -> None:
    too_long = b'{"asset_ids": ["' + b"x" * BODY_MAX_BYTES + b'"]}'
    headers = bearer(SEVEN) | {"Content-Type": "application/json"}
    assert client.post("/api/v1/impact", content=too_long, headers=headers).status_code == 413
    # Without a length it is cut off while it comes.
    chunks = (too_long[at : at + 65536] for at in range(0, len(too_long), 65536))
    assert client.post("/api/v1/impact", content=chunks, headers=headers).status_code == 413


def test_nothing_is_answered_before_all_has_been_read() -> None:
    shop = busy_shop()
    shop.console.health = Health(ready=False, connected=True, behind=1234)
    client = shop.client()
    page = client.get("/halts")
    assert page.status_code == 503 and "1,234" in page.text
    assert page.headers["retry-after"] == "2"
    assert client.get("/api/v1/halts").status_code == 503
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    assert client.get("/api/v1/status").json() == {
        "ready": False,
        "connected": True,
        "behind": 1234,
    }


# ---- the configuration


def test_another_address_needs_tokens(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.0.2.7", "::", "shop.example"):  # noqa: S104 - refused
        with pytest.raises(ConfigurationError, match="no tokens"):
            load(host=host)
        assert load(host=host, tokens=tmp_path).host == host
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert load(host=host).is_loopback


def test_tokens_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(
        f'[[access]]\nstudio_id = "s/1"\ntoken = "{SEVEN}"\n'
        f'[[access]]\ncare = true\ntoken = "{CARE_TOKEN}"\n'
    )
    tokens = read_tokens(path)
    assert tokens.let_in(SEVEN) == Viewer("s/1")
    assert tokens.let_in(CARE_TOKEN) == CARE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no [[access]] entry"),
        ("nonsense", "cannot be read"),
        ('[[access]]\nstudio_id = "s1"', "token is missing"),
        ('[[access]]\nstudio_id = "s1"\ntoken = "short"', "fewer than 24"),
        (f'[[access]]\ntoken = "{SEVEN}"', "either studio_id or care"),
        (
            f'[[access]]\ncare = true\nstudio_id = "s"\ntoken = "{SEVEN}"',
            "either studio_id or care",
        ),
        (f'[[access]]\ncare = false\ntoken = "{SEVEN}"', "either studio_id or care"),
        (f'[[access]]\nstudio_id = ""\ntoken = "{SEVEN}"', "not a text"),
        (f'[[access]]\nstudio_id = "s"\nrole = "x"\ntoken = "{SEVEN}"', "role is not known"),
        (f'[[access]]\nstudio_id = "s"\ntoken = "{SEVEN}"\n' * 2, "earlier entry"),
    ],
)
def test_a_file_of_tokens_with_faults_lets_nobody_in(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_tokens(path)
    assert fault in str(refused.value)


def test_all_faults_of_the_configuration_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(port=99999, photo_link="javascript:alert({photo_id})", order_link="/x/{nonsense}")
    text = str(refused.value)
    assert "ORDERHALT_WEB_PORT" in text and "ORDERHALT_WEB_PHOTO_LINK" in text
    assert "{nonsense} is not known" in text


def test_answers_wait_for_no_acknowledgement() -> None:
    """Headers and body are two writes: without this, the second waits 40 ms for the first's."""
    with listen("127.0.0.1", 0) as listening:
        asking = socket.create_connection(listening.getsockname())
        answering, _ = listening.accept()
        with asking, answering:
            assert answering.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
