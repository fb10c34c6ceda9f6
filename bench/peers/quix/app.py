"""The job on Quix Streams, exactly once: one dataframe over all inputs, rows in its state store.

    python -m bench.peers.quix.app

Its state is by message key, so a studio's rows lie together. It cannot say into which partition number
a record goes, so `order-halted` is partitioned by its own key.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from quixstreams import Application, State, message_context
from quixstreams.models import Serializer

from bench.peers import ours

#: Several topics are read in the order of time, in batches of up to 10,000: it waits so long for one to
#: fill. A second is the default; 10 ms took the fewest CPU an event of what was tried.
_POLL_SECONDS = 0.01


class _ValueOfPair(Serializer):  # type: ignore[misc]  # not installed where types are checked
    """Write the second of (key, value)."""

    def __call__(self, value: Any, ctx: Any) -> bytes:
        written: bytes = value[1]
        return written


def handle(value: bytes, key: bytes, timestamp: int, _headers: Any, state: State) -> list[Any]:
    """Apply one record, put what it changed into the state, give what is to be said."""
    place = message_context()
    emissions, rows = ours.apply(place.topic, place.partition, place.offset, timestamp, key, value)
    for table, row_key, row in rows:
        name = f"{table}/{row_key.decode()}"
        if row is None:
            state.delete(name)
        else:
            state.set_bytes(name, row)
    return [(emission.key, emission.value) for emission in emissions]


def main() -> None:
    """Run until SIGTERM."""
    app = Application(
        broker_address=ours.SERVERS,
        consumer_group=ours.GROUP,
        auto_offset_reset="earliest",
        commit_interval=ours.INTERVAL_SECONDS,
        processing_guarantee="exactly-once",
        state_dir=ours.STATE_DIR,
        loglevel="WARNING",
        consumer_poll_timeout=_POLL_SECONDS,
    )
    frames = [
        app.dataframe(app.topic(name, key_deserializer="bytes", value_deserializer="bytes"))
        for name in ours.INPUTS
    ]
    frame = reduce(lambda one, other: one.concat(other), frames)
    output = app.topic(ours.OUTPUT, key_serializer="bytes", value_serializer=_ValueOfPair())
    said = frame.apply(handle, stateful=True, metadata=True, expand=False)
    said = said.apply(lambda emitted: emitted, expand=True)
    said.to_topic(output, key=lambda emitted: emitted[0])
    app.run()


if __name__ == "__main__":
    main()
