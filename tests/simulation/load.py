"""Send the input records of a scenario, with or without transactions of their producer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from aiokafka import TopicPartition

from tests.simulation.broker import Broker
from tests.simulation.log import Content
from tests.simulation.loop import SimLoop, until
from tests.simulation.scenario import Scenario, Sending
from tests.simulation.transactions import CONCURRENT_TRANSACTIONS

#: How long the coordinator lets a producer of inputs keep a transaction open.
_TIMEOUT_SECONDS: Final = 3.0


class Load:
    """The producers of the inputs. They never die, but may leave a transaction open."""

    def __init__(
        self,
        loop: SimLoop,
        broker: Broker,
        random: Random,
        scenario: Scenario,
        say: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._broker = broker
        self._random = random
        self._scenario = scenario
        self._say = say
        self._used = 0
        self._under_way = 0

    async def run(self) -> None:
        """Send everything; what an aborted transaction held is sent again."""
        for sending in self._scenario.sendings:
            await asyncio.sleep(max(0.0, sending.at - self._loop.now))
            if self._random.random() < self._scenario.transactional_share:
                self._under_way += 1
                self._loop.create_task(self._send_in_transaction(sending))
            else:
                self._append(sending)
        await until(lambda: not self._under_way, 0.1)

    def _append(self, sending: Sending) -> None:
        content = Content(sending.timestamp, sending.key, sending.value, ())
        self._broker.append(sending.topic, sending.partition, [content])

    async def _send_in_transaction(self, sending: Sending) -> None:
        """Send it in a transaction that commits, or aborts, or is left to its time-out."""
        random, transactions = self._random, self._broker.transactions
        self._used += 1
        name = f"loader-{self._used}"
        place = sending.topic, sending.partition
        _, producer, epoch = transactions.init(name, _TIMEOUT_SECONDS)
        assert transactions.add(name, producer, epoch, [place]) == 0
        content = Content(sending.timestamp, sending.key, sending.value, ())
        log = self._broker.logs[TopicPartition(*place)]
        log.append_in_transaction(producer, epoch, 0, [content])
        await asyncio.sleep(random.random() * 0.1)
        draw = random.random()
        if draw < 0.1:
            self._say("loader", f"leaves a transaction open in {place}")
            await asyncio.sleep(_TIMEOUT_SECONDS)
        else:
            transactions.end(name, producer, epoch, commit=draw < 0.7)
        if draw < 0.7 and draw >= 0.1:
            self._under_way -= 1
            return
        await until(
            lambda: transactions.init(name, _TIMEOUT_SECONDS)[0] != CONCURRENT_TRANSACTIONS, 0.05
        )
        self._append(sending)
        self._under_way -= 1
