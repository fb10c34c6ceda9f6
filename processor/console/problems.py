"""Answers to requests that cannot be served: RFC 9457 problem details."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from msgspec import Struct
from starlette.responses import Response


class Problem(Struct, frozen=True):
    """Why a request was not answered."""

    title: str
    status: int
    detail: str
    """What was wrong, and what to do about it."""


class Refused(Exception):
    """A request that cannot be served; `detail` says what was wrong and what to do about it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problem(status: int, detail: str) -> Response:
    """Make the answer."""
    body = Problem(HTTPStatus(status).phrase, status, detail)
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")
