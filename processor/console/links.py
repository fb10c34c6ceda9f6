"""Turn ids into addresses of the shop, which has the names and pictures that our data lacks.

A template is an address with names in braces: `https://shop.example/photos/{photo_id}`. Whatever an
id is made of, it stays within its place: it is percent-encoded as one whole.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlsplit

#: What may stand in braces.
NAMES: Final = ("studio_id", "order_id", "photo_id", "product_id", "package_id")

_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_START: Final = re.compile(r"(https?://[^/{}?#\s\"'<>;,]+)?/[^\s\"'<>;]*", re.ASCII)


def check_template(template: str) -> None:
    """Raise ValueError, with the remedy, where a template is none."""
    if not template:
        return
    unknown = sorted(set(_BRACES.findall(template)) - set(NAMES))
    if unknown:
        raise ValueError(
            f"{{{unknown[0]}}} is not known; use {', '.join(f'{{{x}}}' for x in NAMES)}"
        )
    filled = _BRACES.sub("x", template)
    # The host must be plain in the template itself: no id may choose it.
    if not _START.fullmatch(filled) or not _START.match(template) or set("{}") & set(filled):
        raise ValueError(
            "expected https://HOST/PATH or /PATH, with names in braces in the path only"
        )


def fill(template: str, **ids: str) -> str | None:
    """Give the address of these ids; None without a template, or where an id cannot be in a path."""
    if not template:
        return None
    used = set(_BRACES.findall(template))
    # Browsers take a segment of dots, encoded or not, as a way up.
    if not used <= ids.keys() or any(ids[name] in (".", "..") for name in used):
        return None
    return _BRACES.sub(lambda found: quote(ids[found[1]], safe=""), template)


def origin(template: str) -> str | None:
    """Give scheme and host of a template, as a content security policy names them."""
    parts = urlsplit(template)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None
