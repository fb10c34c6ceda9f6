"""Who may read what: a bearer token for each studio and for customer care.

The tokens stand in a file, in TOML:

    [[access]]
    studio_id = "studio-7"
    token = "…at least 24 characters, from a random generator…"

    [[access]]
    care = true
    token = "…"

Another way of logging in (OpenID Connect) takes the place of `Tokens`: all else asks for a Viewer.
"""

from __future__ import annotations

import hmac
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol

from msgspec import Struct

from processor.config import ConfigurationError

TOKEN_MIN_CHARACTERS: Final = 24


class Viewer(Struct, frozen=True):
    """Somebody who has been let in."""

    studio_id: str | None
    """The one studio that they see; None: customer care, who see all."""

    def sees(self, studio_id: str) -> bool:
        """Tell whether they may know anything of a studio."""
        return self.studio_id is None or self.studio_id == studio_id


CARE: Final = Viewer(None)


class Access(Protocol):
    """Lets people in."""

    @property
    def needs_token(self) -> bool:
        """Whether anybody has to show one."""

    def let_in(self, token: str | None) -> Viewer | None:
        """Give who holds this token; None: nobody."""


class Open:
    """Whoever can connect sees everything: for a service that only its own machine reaches."""

    needs_token = False

    def let_in(self, token: str | None) -> Viewer | None:
        """Let everybody in."""
        return CARE


class Tokens:
    """The tokens of a file; they are kept as digests, so that none is in memory for long."""

    needs_token = True

    def __init__(self, viewers: list[tuple[str, Viewer]]) -> None:
        self._viewers = [(_digest(token), viewer) for token, viewer in viewers]

    def let_in(self, token: str | None) -> Viewer | None:
        """Compare with every token, in a time that does not tell how far or with which it agrees."""
        shown = _digest(token or "")
        found = None
        for digest, viewer in self._viewers:
            if hmac.compare_digest(digest, shown):
                found = viewer
        return found


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def read_tokens(path: Path) -> Tokens:
    """Read a file of tokens; raises ConfigurationError with every fault."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigurationError(
            f"The tokens file {path} cannot be read: {fault}. `orderhalt web --help` shows one."
        ) from None
    entries = content.get("access")
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError(
            f"The tokens file {path} has no [[access]] entry. `orderhalt web --help` shows one."
        )
    faults: list[str] = []
    viewers: list[tuple[str, Viewer]] = []
    for number, entry in enumerate(entries, 1):
        problem = _fault(entry, [token for token, _ in viewers])
        if problem:
            faults.append(f"{path}, entry {number}: {problem}")
        else:
            viewers.append((entry["token"], Viewer(entry.get("studio_id"))))
    if faults:
        raise ConfigurationError("\n".join(faults))
    return Tokens(viewers)


def _fault(entry: Any, before: list[str]) -> str | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
        return "token is missing"
    if len(entry["token"]) < TOKEN_MIN_CHARACTERS:
        return f"token has fewer than {TOKEN_MIN_CHARACTERS} characters; take a random one"
    if entry["token"] in before:
        return "token stands in an earlier entry already"
    studio_id = entry.get("studio_id")
    if (studio_id is None) == (entry.get("care") is not True):
        return "expected either studio_id or care = true"
    if studio_id is not None and (not isinstance(studio_id, str) or not studio_id):
        return "studio_id is not a text"
    unknown = sorted(set(entry) - {"token", "studio_id", "care"})
    return f"{unknown[0]} is not known" if unknown else None
