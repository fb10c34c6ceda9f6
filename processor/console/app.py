"""The web application, put together: routes, guard, answers to what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from processor.console import links
from processor.console.access import Access
from processor.console.api import Api, as_json, endpoint
from processor.console.console import Console
from processor.console.guard import Guard
from processor.console.live import Live
from processor.console.openapi import Operation
from processor.console.pages.credit import CreditPage
from processor.console.pages.halts import Halts
from processor.console.pages.impact import ImpactPage
from processor.console.pages.login import Login
from processor.console.pages.order import OrderPage
from processor.console.problems import Refused, problem
from processor.console.settings import ConsoleSettings
from processor.console.site import Site
from processor.console.templating import STATIC

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def create_app(
    console: Console,
    settings: ConsoleSettings,
    access: Access,
    clock: Callable[[], datetime] | None = None,
) -> Starlette:
    """Make the application over a state that somebody else keeps up to date."""
    site = Site(console, settings, access, clock) if clock else Site(console, settings, access)
    live, login = Live(site), Login(site)
    api = Api(site, live)
    halts, impact = Halts(site), ImpactPage(site)

    async def start(_: Request) -> Response:
        return RedirectResponse("/halts", 303)

    async def healthz(_: Request) -> Response:
        return as_json({"status": "ok"})

    async def readyz(_: Request) -> Response:
        health = console.health
        answer = as_json(health)
        answer.status_code = HTTPStatus.OK if health.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return answer

    def ready(handler: Handler) -> Handler:
        async def respond(request: Request) -> Response:
            if console.health.ready:
                return await handler(request)
            if request.url.path.startswith("/api/"):
                refusal = problem(503, "The replica is still being read. Ask again in a moment.")
            else:
                refusal = site.page(request, "loading.html", site.words(request), status=503)
            refusal.headers["Retry-After"] = "2"
            return refusal

        return respond

    routes = [
        Route("/", start),
        Route("/halts", ready(halts.page)),
        Route("/halts.csv", ready(halts.file)),
        Route("/order", ready(OrderPage(site).page)),
        Route("/credit", ready(CreditPage(site).page)),
        Route("/impact", ready(impact.page), methods=["GET", "POST"]),
        Route("/login", login.page, methods=["GET", "POST"]),
        Route("/logout", login.out, methods=["POST"]),
        Route("/zone", login.zone, methods=["POST"]),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/api/v1/openapi.json", api.description),
        *_api_routes(api.operations(), ready),
        Mount("/static", _Static(directory=str(STATIC))),
    ]
    templates = (settings.photo_thumbnail,)
    guard = Middleware(
        Guard,
        access=access,
        loopback_only=not access.needs_token,
        image_origins=frozenset(x for x in map(links.origin, templates) if x),
    )
    return Starlette(
        routes=routes,
        middleware=[guard],
        exception_handlers={Refused: _refuse(site), HTTPException: _refuse(site)},
    )


def _api_routes(
    operations: list[Operation], ready: Callable[[Handler], Handler]
) -> Iterator[Route]:
    """Make one route of each path, whatever methods it has; only the status is told at any time."""
    paths: dict[str, dict[str, Handler]] = {}
    for x in operations:
        answer = endpoint(x.answer) if x.events is None else x.answer
        known = paths.setdefault(x.path, {})
        known[x.method] = answer if x.path.endswith("/status") else ready(answer)
    for path, handlers in paths.items():
        yield Route(path, _by_method(handlers), methods=list(handlers))


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def respond(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return respond


class _Static(StaticFiles):
    """Our own files; their addresses change when they do, so that a browser may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _refuse(site: Site) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    async def respond(request: Request, fault: Exception) -> Response:
        status, headers = 500, None
        if isinstance(fault, Refused):
            status, detail = fault.status, fault.detail
        else:
            assert isinstance(fault, HTTPException), "registered for these two"
            status, detail, headers = fault.status_code, fault.detail, fault.headers
        if request.url.path.startswith(("/api/", "/static/")):
            response = problem(status, detail)
        else:
            title = HTTPStatus(status).phrase
            words = site.words(request)
            response = site.page(request, "error.html", words, status, title=title, detail=detail)
        for name, value in (headers or {}).items():
            response.headers[name] = value
        return response

    return respond
