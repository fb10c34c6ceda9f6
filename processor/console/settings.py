"""What the operator of the read service may choose: where it listens, who may read, where links go."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from processor.config import ConfigurationError
from processor.console.links import check_template

ENV_PREFIX: Final = "ORDERHALT_WEB_"


class ConsoleSettings(BaseSettings):
    """One frozen object, read once from `ORDERHALT_WEB_…` variables and options."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8321
    """0 picks a free one."""
    tokens: Path | None = None
    """File of the bearer tokens; without one only this machine may read, and reads everything."""
    secure_cookies: bool = False
    """The service stands behind TLS: browsers send its cookie over nothing else."""
    order_link: str = ""
    """Where an order, photo, product or package is found in the shop; empty: no link."""
    photo_link: str = ""
    product_link: str = ""
    package_link: str = ""
    photo_thumbnail: str = ""
    """Picture of a photo; empty: none is shown."""

    @field_validator("order_link", "photo_link", "product_link", "package_link", "photo_thumbnail")
    @classmethod
    def _template(cls, value: str) -> str:
        check_template(value)
        return value

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def load(**options: Any) -> ConsoleSettings:
    """Read the settings; an option that is not None beats its variable.

    Raises ConfigurationError with all faults.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = ConsoleSettings(**given)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_fault(x) for x in error.errors())) from None
    if not settings.is_loopback and settings.tokens is None:
        raise ConfigurationError(
            f"{ENV_PREFIX}HOST: {settings.host} can be reached from other machines, and no tokens "
            "say who may read. Name a file with --tokens, or listen on 127.0.0.1."
        )
    return settings


def _fault(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    message = error["msg"].removeprefix("Value error, ")
    return f"{ENV_PREFIX}{name.upper()}: {message}" if name else message
