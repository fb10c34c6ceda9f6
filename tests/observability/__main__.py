"""Dashboards, rules and alerts against a real Prometheus, real workers and a real Kafka.

Exit code 0 where everything holds, 1 with a sentence for each fault.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.observability import drills, queries, verdict
from tests.observability.drawing.page import draw
from tests.observability.results import Span, ask
from tests.observability.scene import Scene
from tests.observability.server import Prometheus

_EXAMPLE: Final = "Example: python -m tests.observability --seconds 180 --pictures docs/dashboards"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.observability", description=__doc__, epilog=_EXAMPLE
    )
    parser.add_argument("--seconds", type=int, default=120, help="how long shops are open [120]")
    parser.add_argument("--pictures", type=Path, help="draw the dashboards into this directory")
    parser.add_argument("--no-drills", action="store_true", help="freeze and stop nothing")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="orderhalt-observability-") as directory:
        faults = run(Path(directory), options, lambda words: _say(words, started))
    for fault in faults:
        sys.stdout.write(f"FAULT  {fault}\n")
    _say(f"{len(faults)} faults", started)
    return int(bool(faults))


def run(directory: Path, options: argparse.Namespace, say: Callable[[str], None]) -> list[str]:
    """Set the scene, look at it, break it; give what did not hold."""
    with Scene(directory) as scene, Prometheus(directory, scene.targets) as prometheus:
        say(f"Prometheus {prometheus.version()} scrapes {len(scene.targets)} workers every second")
        try:
            span = watch(prometheus, scene, options.seconds, say)
            faults = verdict.scene_faults(prometheus, span.end)
            # Pictures take a while; the drills wait most of theirs.
            with ThreadPoolExecutor(1) as painter:
                found, paintings = look(prometheus, span, options.pictures, painter, say)
                faults += found
                if not options.no_drills:
                    faults += drills.frozen_worker(prometheus, scene, say)
                    faults += drills.stopped_broker(prometheus, scene, say)
            for painting in paintings:
                say(f"drawn: {painting.result()}")
        except BaseException:
            sys.stderr.write(scene.logs())
            raise
        return faults


def watch(prometheus: Prometheus, scene: Scene, seconds: int, say: Callable[[str], None]) -> Span:
    """Open the shops, kill a worker half-way; give the time in which something was to be seen."""
    drills.wait(lambda: drills.ready(prometheus) == len(scene.ports), 60, "workers to be ready")
    started = time.time()
    scene.open_shops()
    say(f"shops are open for {seconds} s")
    time.sleep(seconds / 2)  # time is what graphs are made of
    scene.send("worker-2", signal.SIGKILL)
    say("kill -9 of worker-2; it is started again")
    time.sleep(seconds / 2)
    return Span(started, time.time())


def look(
    prometheus: Prometheus,
    span: Span,
    pictures: Path | None,
    painter: Executor,
    say: Callable[[str], None],
) -> tuple[list[str], list[Future[Path]]]:
    """Ask everything that panels and rules ask; let the answers be painted meanwhile.

    Gives what is wrong, and the pictures to come.
    """
    faults: list[str] = []
    paintings: list[Future[Path]] = []
    caption, asked = _caption(prometheus, span), 0
    for name, document in queries.documents().items():
        answers = ask(prometheus, document, span)
        asked += sum(len(panel) for panel in answers.values())
        faults += verdict.panel_faults(answers)
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            path = pictures / f"{name.removesuffix('.json')}.png"
            paintings.append(painter.submit(draw, document, answers, span, caption, path))
    faults += verdict.rule_faults(prometheus, span.end) + verdict.metric_faults(prometheus)
    say(f"{asked} panel queries and {len(queries.rules())} rules asked; {len(faults)} faults")
    return faults, paintings


def _caption(prometheus: Prometheus, span: Span) -> str:
    return (
        f"Drawn from Prometheus {prometheus.version()}: two workers, simulated shops, "
        f"{span.end - span.start:.0f} s, on {platform.machine()}, Python {platform.python_version()}."
    )


def _say(words: str, started: float) -> None:
    sys.stdout.write(f"{time.monotonic() - started:6.1f} s  {words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
