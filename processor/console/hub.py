"""What has changed, for whoever watches: numbered batches that can be read again for a while.

A watcher is only a number: the last batch that it has. It asks for what came after, and waits when
there is nothing; so a thousand watchers cost one list, and a slow one holds up nobody. Whoever has
fallen behind what is kept is told to load everything anew: nothing is left out without a word.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import Final, Literal

import msgspec
from msgspec import Struct

from processor.console.entries import Entry
from processor.console.index import Index
from schemas.instants import format_instant
from schemas.reasons import ReasonCode

#: Batches that can be read again; at ten a second these are seven minutes.
_KEPT: Final = 4096
#: Changes that are kept in them altogether.
_CHANGES_KEPT: Final = 200_000


class ChangeNote(Struct, frozen=True):
    """One order that was halted, is halted otherwise, or is halted no more."""

    change: Literal["opened", "changed", "ended"]
    studio_id: str
    order_id: str
    sequence: int
    """Of `order-halted`; of an order whose halt has ended, the last while it was halted."""
    halted_since: str
    primary_reason: ReasonCode | None
    """None: it is halted no more."""


class Changes(Struct, frozen=True):
    """What the live stream sends."""

    halted: int
    """Orders that are halted now, of all that the watcher sees."""
    changes: list[ChangeNote]


class Batch:
    """The changes of one moment, and the bytes that they are for each kind of watcher."""

    __slots__ = ("_events", "_totals", "changes", "number", "place")

    def __init__(
        self, number: int, place: str, changes: list[ChangeNote], totals: dict[str | None, int]
    ) -> None:
        self.number = number
        self.place = place
        self.changes = changes
        self._totals = totals
        self._events: dict[str | None, bytes] = {}

    def event(self, studio_id: str | None) -> bytes:
        """Give the server-sent event of what a watcher sees, made once for all; empty: nothing."""
        if studio_id not in self._totals:
            return b""
        event = self._events.get(studio_id)
        if event is None:
            event = self._events[studio_id] = self._event(studio_id)
        return event

    def _event(self, studio_id: str | None) -> bytes:
        seen = [x for x in self.changes if studio_id is None or x.studio_id == studio_id]
        data = msgspec.json.encode(Changes(self._totals[studio_id], seen))
        return b"event: changes\nid: %b\ndata: %b\n\n" % (self.place.encode(), data)


class Hub:
    """The batches that are kept."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        """Tells the numbers of this process from those of another, or of one before it."""
        self.number = 0
        """Of the last batch."""
        self._batches: deque[Batch] = deque()
        self._changes = 0
        self._news = asyncio.Event()

    def publish(self, changes: list[tuple[Entry | None, Entry | None]], index: Index) -> None:
        """Tell all watchers."""
        notes = [_note(old, new) for old, new in changes]
        if not notes:
            return
        self.number += 1
        studios = {note.studio_id for note in notes}
        totals = {studio_id: index.total(studio_id) for studio_id in (None, *studios)}
        self._batches.append(Batch(self.number, self.place, notes, totals))
        self._changes += len(notes)
        while len(self._batches) > _KEPT or (
            self._changes > _CHANGES_KEPT and len(self._batches) > 1
        ):
            self._changes -= len(self._batches.popleft().changes)
        news, self._news = self._news, asyncio.Event()
        news.set()

    def after(self, number: int) -> list[Batch] | None:
        """Give the batches after this one; None where some of them are not kept any more."""
        missing = self.number - number
        if missing < 0 or missing > len(self._batches):
            return None
        return [self._batches[at] for at in range(len(self._batches) - missing, len(self._batches))]

    @property
    def place(self) -> str:
        """Name the last batch for a watcher who comes back."""
        return f"{self.epoch}-{self.number}"

    def number_at(self, place: str) -> int | None:
        """Give the number of a batch by its name; None where another process gave it, or nobody."""
        epoch, _, number = place.partition("-")
        if epoch != self.epoch or not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        return int(number)

    async def wait(self, number: int) -> None:
        """Wait for a batch after this one."""
        while self.number == number:
            await self._news.wait()


def _note(old: Entry | None, new: Entry | None) -> ChangeNote:
    entry = new or old
    assert entry is not None, "a change has a side"
    return ChangeNote(
        "ended" if new is None else "opened" if old is None else "changed",
        entry.studio_id,
        entry.order_id,
        entry.sequence,
        format_instant(entry.since_us),
        None if new is None else new.reasons[0],
    )
