"""Give all inputs of a partition number to one member, and leave them where they are.

Co-partitioning is what makes a shard: partition p of every input belongs to one machine. Kafka's own
assignors (and Faust's, without changelogs) spread topics one by one and would break it.

Sticky: every member says in its join which partitions it holds; it keeps them up to its fair share,
the rest goes to whoever has fewest. What moves costs a recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

from processor.runtime import failstop
from schemas.errors import StateRefused

_VERSION = 0


def share(partitions: int, claims: Mapping[str, Collection[int]]) -> dict[str, list[int]]:
    """Share `partitions` among members, given what each claims to hold.

    Deterministic; everybody gets the same number, give or take one; a claim is honoured up to that
    number, and of two claims for the same partition the one of the member with more claims.
    """
    members = sorted(claims)
    least, with_one_more = divmod(partitions, len(members))
    free = set(range(partitions))
    shares: dict[str, list[int]] = {}
    for member in sorted(members, key=lambda name: (-len(claims[name]), name)):
        held = [number for number in sorted(claims[member]) if number in free]
        most = least
        if len(held) > least and with_one_more:
            most, with_one_more = least + 1, with_one_more - 1
        shares[member] = held[:most]
        free.difference_update(shares[member])
    for number in sorted(free):
        poorest = min(members, key=lambda name: (len(shares[name]), name))
        shares[poorest].append(number)
    return {member: sorted(numbers) for member, numbers in shares.items()}


class CopartitionAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """The group protocol's view of `share`. The group's leader runs `assign` for all members."""

    name = "orderhalt-copartition"

    def __init__(self, held: Callable[[], Collection[int]]) -> None:
        self._held = held

    def metadata(self, topics: Collection[str]) -> ConsumerProtocolMemberMetadata:
        """Join with the topics and with what is held now."""
        claim = msgspec.json.encode(sorted(self._held()))
        return ConsumerProtocolMemberMetadata(_VERSION, sorted(topics), claim)

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Do nothing: `membership` learns of it from the consumer."""

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Share the partitions; refuse topics whose numbers of partitions differ."""
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        if len(set(counts.values())) != 1 or 0 in counts.values():
            listed = ", ".join(f"{topic}: {count}" for topic, count in counts.items())
            failstop.refuse(
                StateRefused(
                    f"The inputs do not have the same number of partitions ({listed}).\n"
                    "`orderhalt topics check` says what to change."
                )
            )
        claims = {member: _claim(metadata.user_data) for member, metadata in members.items()}
        shares = share(counts[topics[0]], claims)
        return {
            member: ConsumerProtocolMemberAssignment(
                _VERSION, [(topic, numbers) for topic in topics], b""
            )
            for member, numbers in shares.items()
        }


def _claim(user_data: bytes | None) -> list[int]:
    return msgspec.json.decode(user_data, type=list[int]) if user_data else []
