"""Letting people in with a token, and out again; and what they prefer."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from processor.console.guard import COOKIE
from processor.console.problems import Refused
from processor.console.requests import read_form
from processor.console.site import ZONE_COOKIE, Site
from processor.console.words import as_zone

#: A place of ours, and of nobody else: what browsers read as another host is none.
_OURS: Final = re.compile(r"/(?![/\\])[^\\\x00-\x1f\x7f]*")


def ours(place: str | None) -> str:
    """Give where to go on, which must be one of our pages."""
    return place if place and _OURS.fullmatch(place) else "/"


class Login:
    """The login page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, request: Request) -> Response:
        """Ask for the token; set the cookie where it is one."""
        site = self._site
        fields = await read_form(request) if request.method == "POST" else {}
        goal = ours(fields.get("next") or request.query_params.get("next"))
        token = fields.get("token", "").strip()
        if site.access.let_in(token or None) is not None:
            response: Response = RedirectResponse(goal, 303)
            if site.access.needs_token:
                response.set_cookie(
                    COOKIE,
                    token,
                    httponly=True,
                    samesite="lax",
                    secure=site.settings.secure_cookies,
                )
            return response
        return site.page(
            request,
            "login.html",
            site.words(request),
            status=403 if fields else 200,
            goal=goal,
            wrong=bool(fields),
        )

    async def out(self, request: Request) -> Response:
        """Forget the token."""
        await read_form(request)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    async def zone(self, request: Request) -> Response:
        """Keep the time zone that was chosen."""
        fields = await read_form(request)
        zone = as_zone(fields.get("zone", "").strip())
        if zone is None:
            raise Refused(400, "There is no such time zone. Names look like Europe/Berlin or UTC.")
        response = RedirectResponse(ours(fields.get("next")), 303)
        self._site.remember(response, ZONE_COOKIE, zone.key)
        return response
