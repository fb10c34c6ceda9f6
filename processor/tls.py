"""TLS for the connections to Kafka: the context, and what is wrong with its files, in words."""

from __future__ import annotations

import ssl
from pathlib import Path


def context(
    authorities: Path | None, certificate: Path | None, key: Path | None, password: str | None
) -> ssl.SSLContext:
    """Make the context of a client; brokers are checked by certificate and host name, always."""
    made = ssl.create_default_context(cafile=authorities)
    if certificate is not None:
        _load(made, certificate, key, password)
    return made


def check_authorities(path: Path | None) -> None:
    """Raise ValueError where the file holds no certificates."""
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{path} holds no certificates in PEM") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def check_certificate(certificate: Path, key: Path | None, password: str | None) -> None:
    """Raise ValueError where certificate, key and password do not fit together."""
    try:
        _load(ssl.create_default_context(), certificate, key, password)
    except ssl.SSLError as error:
        where = certificate if key is None else f"{certificate} and {key}"
        raise ValueError(
            f"certificate and key in {where} do not fit, are not PEM, or need another "
            f"ssl_key_password ({error.reason or 'no PEM'})"
        ) from None
    except OSError as error:
        raise ValueError(
            f"{error.filename or certificate} cannot be read: {error.strerror}"
        ) from None


def _load(made: ssl.SSLContext, certificate: Path, key: Path | None, password: str | None) -> None:
    # Without a password OpenSSL would ask for one on the terminal; an empty one is refused instead.
    made.load_cert_chain(certificate, key, password or "")
