"""A campaign against the runtime: `python -m tests.runtime.campaign --seed 1 --seconds 90`.

Three workers under load on a Kafka of its own; at random moments, drawn from the seed, workers are
killed, ended, stopped beyond the session time-out and woken up, or die at named points inside commits,
recoveries and rebalances; with `--broker` the broker is killed and restarted as well. Then everything
may finish, and an independent client judges: nothing missing, nothing twice, no gap, lag 0, every
input offset once in the journal. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from processor.localkafka import LocalKafka
from processor.runtime.failpoints import POINTS
from tests.runtime.harness import Deployment
from tests.support.processes import Worker

WORKERS = 3
LIMITS = {"TOY_WINDOW_SOFT_ENTRIES": "20", "TOY_WINDOW_HARD_ENTRIES": "60"}
RARE = {"after_fence", "in_load", "before_seek", "in_revoke", "after_revoke"}


class Campaign:
    """The deployment under fire."""

    def __init__(self, kafka: LocalKafka, directory: Path, seed: int) -> None:
        self.deployment = Deployment(kafka.bootstrap_servers, "camp-", directory, 6)
        self.deaths: Counter[str] = Counter()
        self._kafka = kafka
        self._chance = random.Random(seed)
        self._asleep_until: dict[int, float] = {}
        self._workers = [self._start(number) for number in range(WORKERS)]

    def run(self, seconds: float, *, broker: bool) -> None:
        """Do harm for so long, under load."""
        ended = threading.Event()
        loader = threading.Thread(target=self._load, args=(ended,))
        loader.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(self._chance.uniform(0.1, 1.5))
            self._replace_the_dead()
            if broker and self._chance.random() < 0.1:
                self._restart_broker()
            self._harm(self._chance.randrange(WORKERS))
        for number in self._asleep_until:
            self._workers[number].send(signal.SIGCONT)
        ended.set()
        loader.join()
        for worker in self._workers:
            if worker.running:
                worker.kill()

    def finish(self) -> list[str]:
        """Let two workers finish in peace, and return what is wrong."""
        deployment = self.deployment
        deployment.workers = [deployment.start(f"last{number}") for number in range(2)]
        deployment.wait_until_applied(120)
        problems = deployment.verdict().problems
        codes = [worker.terminate() for worker in deployment.workers]
        return problems if codes == [0, 0] else [*problems, f"the last workers ended with {codes}"]

    def _load(self, ended: threading.Event) -> None:
        first = 0
        while not ended.wait(0.02):
            self.deployment.send_many(60, first=first, keys=300)
            first += 60

    def _start(self, number: int) -> Worker:
        chance = self._chance
        environment = {"TOY_INSTANCE_ID": f"w{number}"} if number else {}
        if chance.random() < 0.4:
            points = chance.sample(sorted(POINTS), 3)
            environment["ORDERHALT_FAILPOINTS"] = ",".join(
                f"{point}:{0.05 if point in RARE else 0.005}" for point in points
            )
        if chance.random() < 0.2:
            environment |= LIMITS
        return self.deployment.start(f"w{number}", **environment)

    def _replace_the_dead(self) -> None:
        for number, worker in enumerate(self._workers):
            if not worker.running:
                self.deaths[f"by itself, {worker.process.returncode}"] += 1
                self._asleep_until.pop(number, None)
                self._workers[number] = self._start(number)

    def _harm(self, number: int) -> None:
        worker, draw = self._workers[number], self._chance.random()
        if number in self._asleep_until:
            if time.monotonic() > self._asleep_until[number]:
                del self._asleep_until[number]
                worker.send(signal.SIGCONT)
        elif draw < 0.35:
            self.deaths["kill -9"] += 1
            worker.kill()
        elif draw < 0.5:
            worker.send(signal.SIGTERM)
        elif draw < 0.6 and not self._asleep_until:
            self.deaths["SIGSTOP"] += 1
            worker.send(signal.SIGSTOP)
            self._asleep_until[number] = time.monotonic() + self._chance.choice([0.5, 3, 9])

    def _restart_broker(self) -> None:
        self.deaths["broker"] += 1
        self._kafka.kill()
        time.sleep(self._chance.uniform(0.1, 3))
        self._kafka.start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--broker", action="store_true", help="restart the broker as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderhalt-campaign-") as name:
        directory = Path(name)
        kafka = LocalKafka(data_dir=directory / "kafka")
        kafka.start()
        try:
            campaign = Campaign(kafka, directory, options.seed)
            campaign.run(options.seconds, broker=options.broker)
            problems = campaign.finish()
        finally:
            kafka.stop()
    sent = len(campaign.deployment.sent)
    print(f"seed {options.seed}: {sent} records, deaths {dict(campaign.deaths)}")
    for problem in problems:
        print(f"  {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
