"""What every route needs, and the frame of every page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from processor.console.access import Access, Viewer
from processor.console.console import Console
from processor.console.settings import ConsoleSettings
from processor.console.templating import address, environment, render
from processor.console.views import Viewing
from processor.console.words import (
    DEFAULT_ZONE,
    Words,
    as_language,
    as_zone,
    negotiate,
    prepare,
)

LANGUAGE_COOKIE: Final = "orderhalt_language"
ZONE_COOKIE: Final = "orderhalt_zone"
_YEAR_SECONDS: Final = 365 * 86_400


def _now() -> datetime:
    return datetime.now(UTC)


class Site:
    """The service, as its routes see it."""

    def __init__(
        self,
        console: Console,
        settings: ConsoleSettings,
        access: Access,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.console = console
        self.settings = settings
        self.access = access
        self.clock = clock
        self._templates = environment()
        prepare()

    def words(self, request: Request) -> Words:
        """Choose language and zone: what was asked for last, else what the browser says."""
        language = (
            as_language(request.query_params.get("lang"))
            or as_language(request.cookies.get(LANGUAGE_COOKIE))
            or negotiate(request.headers.get("accept-language", ""))
        )
        zone = as_zone(request.cookies.get(ZONE_COOKIE)) or ZoneInfo(DEFAULT_ZONE)
        return Words(language, zone, self.clock())

    def viewing(self, words: Words) -> Viewing:
        """Make the views of one viewer."""
        return Viewing(words, self.settings)

    def page(
        self, request: Request, template: str, words: Words, status: int = 200, **values: Any
    ) -> Response:
        """Fill in a page, with what its frame needs."""
        viewer: Viewer | None = request.state.viewer
        others = [(n, v) for n, v in request.query_params.multi_items() if n != "lang"]
        response = render(
            self._templates,
            template,
            status,
            w=words,
            viewer=viewer,
            health=self.console.health,
            needs_token=self.access.needs_token,
            path=request.url.path,
            here=address(request.url.path, **dict(others)),
            languages=[
                (code, name, address(request.url.path, **dict(others), lang=code))
                for code, name in words.languages
            ],
            halted_total=None if viewer is None else self.console.index.total(viewer.studio_id),
            live_place=self.console.hub.place,
            **values,
        )
        if as_language(request.query_params.get("lang")):
            self.remember(response, LANGUAGE_COOKIE, words.language)
        response.headers["Vary"] = "Cookie, Accept-Language, HX-Request"
        return response

    def remember(self, response: Response, cookie: str, value: str) -> None:
        """Keep a choice of the viewer's in their browser."""
        response.set_cookie(
            cookie,
            value,
            max_age=_YEAR_SECONDS,
            samesite="lax",
            secure=self.settings.secure_cookies,
        )
