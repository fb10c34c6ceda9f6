"""Run what a command does, and end it with a message and an exit code where that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import click
from aiokafka.errors import KafkaError

from processor.cli import exits
from processor.connection import refusal
from processor.runtime.failstop import EXIT_REFUSED, EXIT_UNAVAILABLE, KafkaUnavailable
from schemas.errors import StateRefused

Result = TypeVar("Result")


def stop(message: str, code: int = exits.FAILED) -> NoReturn:
    """End the command with a message on standard error."""
    click.echo(message, err=True)
    raise SystemExit(code)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end; what Kafka or the state says against it ends the command."""
    try:
        return asyncio.run(work)
    except KafkaUnavailable as error:
        stop(f"{error}\nStart Kafka, or set --bootstrap-servers.", EXIT_UNAVAILABLE)
    except StateRefused as error:
        stop(str(error), EXIT_REFUSED)
    except KafkaError as error:
        stop(refusal(error))
    except KeyboardInterrupt:
        raise SystemExit(exits.INTERRUPTED) from None
