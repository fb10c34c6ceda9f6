"""Rows of the network: a worker in a network namespace of its own is cut off from the broker."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from processor.localkafka import free_port
from processor.runtime.failstop import EXIT_FAILSTOP, EXIT_UNAVAILABLE
from tests.broker.fleet import Different, Fleet
from tests.faults.brokers import kafka_with_listener
from tests.faults.rows import NotRun, Row
from tests.faults.stage import Stage, under_load

#: Private, and hardly anybody's own; the broker's end and the worker's end of the cable.
_BROKER, _WORKER = "10.213.77.1", "10.213.77.2"
#: A member that is not heard of for so long is given up by the group.
_SESSION_SECONDS = 6.0


class Cable(NamedTuple):
    """A namespace, and the near end of the virtual cable that leads into it."""

    namespace: str
    near: str

    def plug(self, *, into: bool) -> None:
        _ip("link", "set", self.near, "up" if into else "down")


@contextmanager
def cable() -> Iterator[Cable]:
    """Make a network namespace that reaches this machine over a cable, for as long as the block lasts."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        raise NotRun("network namespaces need root and `ip`")
    namespace, near, far = f"ohf{os.getpid()}", f"ohn{os.getpid()}", f"ohw{os.getpid()}"
    try:
        _ip("netns", "add", namespace)
    except subprocess.CalledProcessError as error:
        raise NotRun(f"the kernel refuses network namespaces: {error.stderr}") from error
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
        _ip("address", "add", f"{_BROKER}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", namespace, "address", "add", f"{_WORKER}/30", "dev", far)
        for device in (far, "lo"):
            _ip("-n", namespace, "link", "set", device, "up")
        yield Cable(namespace, near)
    finally:
        # The cable goes with the namespace.
        _ip("netns", "delete", namespace)


def _ip(*arguments: str) -> None:
    command = [shutil.which("ip") or "ip", *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _cut_off(stage: Stage) -> None:
    with cable() as line:
        listener = f"{_BROKER}:{free_port()}"

        def prepare(fleet: Fleet) -> None:
            fleet.differently["w1"] = Different(under=("ip", "netns", "exec", line.namespace))

        with (
            kafka_with_listener(listener, listener) as kafka,
            under_load(
                stage,
                kafka.bootstrap_servers,
                worker_servers=listener,
                prepare=prepare,
                lawful_ends=(EXIT_FAILSTOP, EXIT_UNAVAILABLE),
            ) as act,
        ):
            for seconds in stage.times(1, 1) * ([5, 20] if stage.result.quick else [5, 30, 90]):
                until = time.monotonic() + seconds
                line.plug(into=False)
                if seconds > 2 * _SESSION_SECONDS:
                    # The other worker takes over meanwhile.
                    act.catch_up()
                act.fleet.wait(lambda at=until: time.monotonic() > at, "time", within=120)  # type: ignore[misc]
                line.plug(into=True)
                act.catch_up()
                act.fleet.wait(lambda: act.fleet.owned("w1") is not None, "w1 to be back")
                stage.did(f"cut off for {seconds} s")


ROWS = [
    Row("cut-off", "One of two workers is cut off from the broker (network namespace)", _cut_off)
]
