"""Break something, and time how long it takes until the right alert fires."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Final

from tests.observability.scene import Scene
from tests.observability.server import Prometheus

WITHIN_SECONDS: Final = 120.0
_RECOVERED_WITHIN_SECONDS: Final = 90.0
_FROZEN: Final = frozenset({"OrderhaltWorkerDown"})
_NO_BROKER: Final = frozenset({"OrderhaltNoWorkerReady", "OrderhaltKafkaUnreachable"})


def wait(condition: Callable[[], bool], within: float, what: str) -> None:
    """Wait for something that others bring about; raises TimeoutError."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:.0f} s: {what}")
        time.sleep(0.2)


def ready(prometheus: Prometheus) -> int:
    """Count the workers that are ready, as Prometheus knows it."""
    found = prometheus.query("sum(orderhalt_ready)")
    return int(float(found[0]["value"][1])) if found else 0


def frozen_worker(prometheus: Prometheus, scene: Scene, say: Callable[[str], None]) -> list[str]:
    """SIGSTOP of one of two workers: somebody hears of it, nobody is woken up, the other takes over."""
    name = "worker-1"
    instance = f"127.0.0.1:{scene.ports[name]}"
    scene.send(name, signal.SIGSTOP)
    faults = _expect(prometheus, _FROZEN, "a frozen worker", say)
    firing = prometheus.firing()
    if firing.get("OrderhaltWorkerDown") != instance:
        faults.append(
            f"OrderhaltWorkerDown names {firing.get('OrderhaltWorkerDown')}, not {instance}"
        )
    if "OrderhaltNoWorkerReady" in firing:
        faults.append("OrderhaltNoWorkerReady fires although the other worker is ready")
    scene.send(name, signal.SIGCONT)
    return faults + _recovery(prometheus, scene, _FROZEN, say)


def stopped_broker(prometheus: Prometheus, scene: Scene, say: Callable[[str], None]) -> list[str]:
    """Kill -9 of the only broker: somebody is woken up.

    A worker that was writing stops at once and cannot start again; one that had nothing to write may
    live on for a minute.
    """
    scene.kafka.kill()
    faults = _expect(prometheus, _NO_BROKER, "a stopped broker", say)
    say(f"workers have ended with {sorted({code for _, code in scene.ended})}")
    scene.kafka.start()
    return faults + _recovery(prometheus, scene, _NO_BROKER, say)


def _expect(
    prometheus: Prometheus, alerts: frozenset[str], what: str, say: Callable[[str], None]
) -> list[str]:
    """Wait until one of `alerts` fires, and say which."""
    broken = time.monotonic()
    wanted = " or ".join(sorted(alerts))
    try:
        wait(lambda: bool(alerts & set(prometheus.firing())), WITHIN_SECONDS, wanted)
    except TimeoutError:
        return [f"{what}: no {wanted} in {WITHIN_SECONDS:.0f} s; firing: {_all(prometheus)}"]
    found = " and ".join(sorted(alerts & set(prometheus.firing())))
    say(f"{what}: {found} after {time.monotonic() - broken:.0f} s; firing: {_all(prometheus)}")
    return []


def _all(prometheus: Prometheus) -> str:
    return ", ".join(sorted(prometheus.firing())) or "none"


def _recovery(
    prometheus: Prometheus, scene: Scene, alerts: frozenset[str], say: Callable[[str], None]
) -> list[str]:
    """Wait until all workers are ready again and the alerts have ended."""

    def recovered() -> bool:
        quiet = not alerts & set(prometheus.firing())
        return quiet and ready(prometheus) == len(scene.ports)

    try:
        wait(recovered, _RECOVERED_WITHIN_SECONDS, f"{', '.join(sorted(alerts))} to end")
    except TimeoutError as error:
        return [str(error)]
    say(f"all {len(scene.ports)} workers are ready again, and the alert has ended")
    return []
