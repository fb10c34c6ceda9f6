"""What stands before every route: who is it, from where, and what a browser may do with the answer.

Pure ASGI, because a middleware that reads answers would hold back the live stream.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processor.console.access import Access
from processor.console.problems import problem

COOKIE: Final = "orderhalt_token"
#: A request body is cut off there: ten thousand ids of the longest kind.
BODY_MAX_BYTES: Final = 4 * 1024 * 1024
#: What may be read without a token: nothing in there says anything of anybody.
_PUBLIC: Final = ("/login", "/static/", "/healthz", "/readyz")
_LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")


class Guard:
    """Checks the host, lets viewers in, and sets the headers of every answer."""

    def __init__(
        self, app: ASGIApp, *, access: Access, loopback_only: bool, image_origins: frozenset[str]
    ) -> None:
        self._app = app
        self._access = access
        self._loopback_only = loopback_only
        self._headers = _headers(image_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by ourselves, or let the request through with `state.viewer`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        # A page of somebody else's that has its name point at 127.0.0.1 comes with that name.
        if self._loopback_only and _host(headers) not in _LOOPBACK_HOSTS:
            return PlainTextResponse(
                "This service answers to localhost and 127.0.0.1 only. To reach it by another "
                "name, start it with --tokens.\n",
                421,
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_MAX_BYTES:
            return problem(
                413, f"The body is larger than {BODY_MAX_BYTES} bytes; send it in parts."
            )
        # Browsers say where a form comes from. None of anybody else's may log somebody in or out.
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign and scope["method"] not in ("GET", "HEAD"):
            return problem(
                403, "This was sent by a page of another site. Open the page here first."
            )
        viewer = self._access.let_in(_token(headers))
        scope.setdefault("state", {})["viewer"] = viewer
        path: str = scope["path"]
        if viewer is not None or path.startswith(_PUBLIC):
            return None
        if path.startswith("/api/"):
            refusal = problem(401, "Send a token: `Authorization: Bearer TOKEN`.")
            refusal.headers["WWW-Authenticate"] = 'Bearer realm="orderhalt"'
            return refusal
        wanted = path + (f"?{query}" if (query := scope["query_string"].decode("latin-1")) else "")
        login = f"/login?next={quote(wanted, safe='')}"
        if "hx-request" in headers:
            # htmx would put the page of a redirection into the middle of the one that is shown.
            return Response(None, 401, {"HX-Redirect": login})
        return RedirectResponse(login, 303)


def _host(headers: Headers) -> str:
    host = headers.get("host", "")
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def _token(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if cookie is None else cookie.value


def _headers(image_origins: frozenset[str]) -> dict[str, str]:
    images = " ".join(["'self'", *sorted(image_origins)])
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": images,
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        # Whose eyes an answer is for depends on the token: no cache between may keep it.
        "Cache-Control": "no-store",
    }
