"""The coordinator of consumer groups (the classic protocol): members, generations, offsets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.loop import SimLoop

UNKNOWN_MEMBER_ID = 25
ILLEGAL_GENERATION = 22
REBALANCE_IN_PROGRESS = 27
FENCED_INSTANCE_ID = 82

EMPTY, PREPARING, COMPLETING, STABLE = (
    "Empty",
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
)

Offsets = dict[tuple[str, int], int]


@dataclass(slots=True)
class Joined:
    """The answer to JoinGroup."""

    error: int
    member: str = ""
    generation: int = -1
    leader: str = ""
    members: dict[str, Any] = field(default_factory=dict)
    """Member → its metadata; empty for all but the leader."""


@dataclass(slots=True)
class _Member:
    name: str
    instance: str | None
    session: float
    rebalance: float
    metadata: Any
    joining: asyncio.Future[Joined] | None = None
    syncing: asyncio.Future[tuple[int, Any]] | None = None
    timer: Any = None


class Group:
    """One consumer group."""

    def __init__(self, loop: SimLoop) -> None:
        self.offsets: Offsets = {}
        self.pending: dict[int, Offsets] = {}
        """Producer → offsets of its open transaction."""
        self.generation = 0
        self.state = EMPTY
        self.members: dict[str, _Member] = {}
        self._loop = loop
        self._assignments: dict[str, Any] = {}
        self._leader = ""
        self._seen_at = 0.0
        self._named = 0
        self._deadline: Any = None

    # -- requests

    def join(
        self, member: str, instance: str | None, session: float, rebalance: float, metadata: Any
    ) -> Joined | asyncio.Future[Joined]:
        """JoinGroup: answered when all members have joined, or the rebalance time-out is over."""
        if member and member not in self.members:
            return Joined(UNKNOWN_MEMBER_ID)
        found = self.members.get(member) or self._of_instance(instance)
        if found is None:
            self._named += 1
            found = _Member(f"member-{self._named}", instance, session, rebalance, metadata)
            self.members[found.name] = found
        elif not member and self._replace(found, metadata):
            return self._joined(found, lead=False)
        found.metadata = metadata
        self._alive(found)
        if found.joining is None or found.joining.done():
            found.joining = self._loop.create_future()
        if self.state != PREPARING:
            self._prepare()
        else:
            self._maybe_complete()
        return found.joining

    def sync(
        self, member: str, generation: int, assignments: dict[str, Any]
    ) -> tuple[int, Any] | asyncio.Future[tuple[int, Any]]:
        """SyncGroup: answered when the leader has said who gets what."""
        error = self._check(member, generation)
        if error:
            return error, None
        if self.state == PREPARING:
            return REBALANCE_IN_PROGRESS, None
        found = self.members[member]
        self._alive(found)
        if self.state == STABLE:
            return 0, self._assignments.get(member)
        if member != self._leader:
            found.syncing = self._loop.create_future()
            return found.syncing
        self.state, self._assignments = STABLE, assignments
        for other in self.members.values():
            _answer(other.syncing, (0, assignments.get(other.name)))
            other.syncing = None
        return 0, assignments.get(member)

    def heartbeat(self, member: str, generation: int) -> int:
        """Heartbeat: tell whether the member has to join again."""
        error = self._check(member, generation)
        if error:
            return error
        self._alive(self.members[member])
        return REBALANCE_IN_PROGRESS if self.state == PREPARING else 0

    def leave(self, member: str) -> int:
        """LeaveGroup."""
        if member not in self.members:
            return UNKNOWN_MEMBER_ID
        self._remove(self.members[member])
        return 0

    # -- offsets

    def end_transaction(self, producer: int, delay: float, *, commit: bool) -> None:
        """Take a producer's pending offsets, or drop them; a moment later, who asks sees them."""
        pending = self.pending.pop(producer, {})
        if commit:
            self._seen_at = max(self._seen_at, self._loop.now + delay)
            self._loop.call_at(
                self._seen_at, self.offsets.update, pending, context=self._loop.world
            )

    # -- members

    def _check(self, member: str, generation: int) -> int:
        if member not in self.members:
            return UNKNOWN_MEMBER_ID
        return ILLEGAL_GENERATION if generation != self.generation else 0

    def _of_instance(self, instance: str | None) -> _Member | None:
        if instance is None:
            return None
        return next((m for m in self.members.values() if m.instance == instance), None)

    def _replace(self, found: _Member, metadata: Any) -> bool:
        """Give a static member that is back a new name; True where nothing else changes."""
        del self.members[found.name]
        before, self._named = found.name, self._named + 1
        _answer(found.joining, Joined(FENCED_INSTANCE_ID))
        _answer(found.syncing, (FENCED_INSTANCE_ID, None))
        found.name, found.joining, found.syncing = f"member-{self._named}", None, None
        self.members[found.name] = found
        if self._leader == before:
            self._leader = found.name
        if before in self._assignments:
            self._assignments[found.name] = self._assignments.pop(before)
        unchanged = self.state == STABLE and found.metadata == metadata
        if unchanged:
            self._alive(found)
        return unchanged

    def _alive(self, member: _Member) -> None:
        if member.timer is not None:
            member.timer.cancel()
        member.timer = self._loop.call_later(
            member.session, self._expire, member, context=self._loop.world
        )

    def _expire(self, member: _Member) -> None:
        waiting = member.joining is not None and not member.joining.done()
        if self.members.get(member.name) is member and not waiting:
            self._remove(member)

    def _remove(self, member: _Member) -> None:
        del self.members[member.name]
        if member.timer is not None:
            member.timer.cancel()
        _answer(member.joining, Joined(UNKNOWN_MEMBER_ID))
        _answer(member.syncing, (UNKNOWN_MEMBER_ID, None))
        if not self.members:
            self.state = EMPTY
            self.generation += 1
        elif self.state != PREPARING:
            self._prepare()
        else:
            self._maybe_complete()

    # -- rebalances

    def _prepare(self) -> None:
        self.state = PREPARING
        for member in self.members.values():
            _answer(member.syncing, (REBALANCE_IN_PROGRESS, None))
            member.syncing = None
        longest = max(member.rebalance for member in self.members.values())
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(longest, self._complete, context=self._loop.world)
        self._maybe_complete()

    def _maybe_complete(self) -> None:
        if all(m.joining is not None and not m.joining.done() for m in self.members.values()):
            self._complete()

    def _complete(self) -> None:
        if self.state != PREPARING:
            return
        for member in list(self.members.values()):
            # A static one keeps its place until its session is over.
            if (member.joining is None or member.joining.done()) and member.instance is None:
                del self.members[member.name]
                if member.timer is not None:
                    member.timer.cancel()
        self.generation += 1
        joined = [
            m for m in self.members.values() if m.joining is not None and not m.joining.done()
        ]
        if not joined:
            self.state = EMPTY
            return
        self.state, self._assignments = COMPLETING, {}
        if self._leader not in {member.name for member in joined}:
            self._leader = joined[0].name
        for member in joined:
            self._alive(member)
            _answer(member.joining, self._joined(member, lead=member.name == self._leader))

    def _joined(self, member: _Member, *, lead: bool) -> Joined:
        members = {m.name: m.metadata for m in self.members.values()} if lead else {}
        return Joined(0, member.name, self.generation, self._leader if lead else "", members)


def _answer(future: asyncio.Future[Any] | None, result: Any) -> None:
    if future is not None and not future.done():
        future.set_result(result)
