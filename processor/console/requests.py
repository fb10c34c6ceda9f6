"""Read what a request asks for, strictly: what is not understood is said, and not passed over."""

from __future__ import annotations

import re
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request

from processor.console.access import Viewer
from processor.console.guard import BODY_MAX_BYTES
from processor.console.problems import Refused

S = TypeVar("S", bound=Struct)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
#: A form with so many fields is none of ours.
_FIELDS_MAX = 20


def viewer_of(request: Request) -> Viewer:
    """Give who asks; the guard has let them in."""
    viewer: Viewer | None = request.state.viewer
    if viewer is None:
        raise Refused(401, "Log in first.")
    return viewer


def studio_seen(viewer: Viewer, wanted: str | None) -> str | None:
    """Give the studio that is asked about, None for all: their own, where they see one only."""
    if viewer.studio_id is None:
        return wanted or None
    if wanted and wanted != viewer.studio_id:
        raise Refused(403, "This token is of another studio. Leave studio_id out.")
    return viewer.studio_id


def one_studio(viewer: Viewer, wanted: str | None) -> str:
    """Give the studio that is asked about, where there must be one."""
    studio_id = studio_seen(viewer, wanted)
    if studio_id is None:
        raise Refused(400, "studio_id is missing: with this token, say which studio is meant.")
    return studio_id


def read_query(request: Request, kind: type[S], *, lists: tuple[str, ...] = ()) -> S:
    """Read the parameters of an address; those in `lists` may come more than once."""
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Refused(400, f"{name} is given more than once.")
        else:
            found[name] = value
    return convert(found, kind)


def convert(found: dict[str, Any], kind: type[S]) -> S:
    """Turn texts into what they stand for."""
    try:
        return _checked(msgspec.convert(found, kind, strict=False))
    except msgspec.ValidationError as fault:
        raise Refused(400, f"The parameters do not fit: {_plain(fault)}.") from None


def _checked(given: S) -> S:
    """Refuse ids with control characters: no id has one (contract.md §2), types do not say so."""
    for name in given.__struct_fields__:
        value = getattr(given, name)
        if name.endswith(("_id", "_ids")) and value is not None:
            for text in value if isinstance(value, list) else (value,):
                if _CONTROL.search(text):
                    raise Refused(400, f"{name}: an id holds a control character.")
    return given


async def read_body(request: Request) -> bytes:
    """Read a body, up to the size that is taken."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_MAX_BYTES:
                raise Refused(
                    413, f"The body is larger than {BODY_MAX_BYTES} bytes; send it in parts."
                )
    except ClientDisconnect:
        raise Refused(400, "The body has ended too early.") from None
    return bytes(body)


async def read_json(request: Request, kind: type[S]) -> S:
    """Read a body of JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refused(415, "Send the body as application/json.")
    try:
        return _checked(msgspec.json.decode(await read_body(request), type=kind))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise Refused(400, f"The body does not fit: {_plain(fault)}.") from None


async def read_form(request: Request) -> dict[str, str]:
    """Read a form as a browser sends it."""
    body = await read_body(request)
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_FIELDS_MAX,
            errors="strict",
        )
    except ValueError:
        raise Refused(400, "The form cannot be read.") from None
    return dict(fields)


def _plain(fault: Exception) -> str:
    return str(fault).replace("`", "").rstrip(".")
