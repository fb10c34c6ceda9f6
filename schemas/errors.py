"""The errors that cross a border: a record that is no event, a state that must not be used."""

from __future__ import annotations

from enum import StrEnum


class RejectionCode(StrEnum):
    """Why a record is not an event; the first fault in this order wins (contract.md §6)."""

    TOO_LARGE = "too_large"
    EMPTY_RECORD = "empty_record"
    MALFORMED_JSON = "malformed_json"
    INVALID_EVENT = "invalid_event"
    KEY_MISMATCH = "key_mismatch"
    WRONG_PARTITION = "wrong_partition"
    TOO_MANY_SCOPES = "too_many_scopes"
    QUARANTINED = "quarantined"


class Rejection(Exception):
    """A record is not an event: the producer's fault, and no reason to stop.

    `message` is one sentence that names the field; it never repeats the record's content.
    """

    def __init__(self, code: RejectionCode, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        """Path of the field at fault, such as `lines[2].photo_ids[0]`; None for the whole record."""


class StateRefused(Exception):
    """The state kept in Kafka must not be continued from; the message names the remedy."""
