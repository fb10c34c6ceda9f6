"""Rows of the proxy: answers and requests of a transaction that are lost, late or cut off."""

from __future__ import annotations

from typing import Any

from processor.runtime.failstop import EXIT_REFUSED
from tests.broker.fleet import Different, Fleet
from tests.faults.brokers import proxied_kafka
from tests.faults.proxy import TRANSACTION, Api, Fault, Harm, Proxy
from tests.faults.rows import Row
from tests.faults.stage import Act, Stage, under_load

#: Kafka's own codes, of a producer whose epoch has ended.
FENCED = {47: "INVALID_PRODUCER_EPOCH", 90: "PRODUCERFENCED"}
#: Shorter than by default, so that a transaction is given up after 3.2 s and not after 8.
_ENVIRONMENT = {"ORDERHALT_TRANSACTION_TIMEOUT_MS": "4000"}
_TORN = "the offsets of the consumer group and of the state differ"
#: Beyond the time a transaction may take.
_LATE_SECONDS = 6.0


def suffer(act: Act, proxy: Proxy, fault: Fault) -> None:
    """Let one fault happen, and wait until what had been sent by its end is applied."""
    fleet = act.fleet
    proxy.inflict(fault)
    if fault.api is Api.INIT_PRODUCER_ID:
        fleet.kill("w0")
    fleet.wait(fault.happened.is_set, f"{fault.harm} of {fault.api}")
    fleet.wait(fault.over.is_set, f"the end of {fault.harm} of {fault.api}")
    # The client gives up an answer to InitProducerId after 40 s.
    act.catch_up(within=120)


def _play(stage: Stage, harms: list[tuple[Harm, float]]) -> None:
    rounds = stage.times(2, 1)
    with proxied_kafka() as (kafka, proxy):
        servers = kafka.bootstrap_servers
        options: dict[str, Any] = {"worker_servers": proxy.address, "environment": _ENVIRONMENT}
        with under_load(stage, servers, per_second=40, **options) as act:
            for harm, seconds in harms * rounds:
                for api in TRANSACTION:
                    suffer(act, proxy, Fault(api, harm, seconds))
                    stage.say(f"{api.name}: {harm.value}")
                by = f" by {seconds:g} s" if seconds else ""
                stage.did(f"{harm.value}{by}; each of the six requests")


def _dropped(stage: Stage) -> None:
    _play(stage, [(Harm.ANSWER_DROPPED, 0)])


def _late(stage: Stage) -> None:
    _play(stage, [(Harm.ANSWER_LATE, 1.0), (Harm.ANSWER_LATE, _LATE_SECONDS)])


def _cut(stage: Stage) -> None:
    _play(stage, [(Harm.ANSWER_CUT, 0)] * stage.times(3, 1))


def _late_request(stage: Stage) -> None:
    _play(stage, [(Harm.REQUEST_LATE, _LATE_SECONDS), (Harm.REQUEST_LATE_AND_CUT, 2.0)])


def _latency(stage: Stage) -> None:
    seconds = stage.times(30, 10)
    with proxied_kafka(latency_seconds=0.1) as (kafka, proxy):
        options: dict[str, Any] = {"worker_servers": proxy.address}
        with under_load(stage, kafka.bootstrap_servers, per_second=100, **options) as act:
            wanted = act.fleet.view.applied() + 100 * seconds
            act.fleet.wait(lambda: act.fleet.view.applied() >= wanted, "records", within=180)
            act.fleet.kill("w0")
            act.catch_up()
            stage.did("kill -9")
            stage.did("every answer takes 100 ms more")


def late_end(act: Act, proxy: Proxy) -> Fault:
    """Let an EndTxn reach the broker in the midst of the next transaction of the same producer.

    Its connection is cut, so that the worker knows nothing; it is delivered when that producer's next
    transaction has its records and is about to have its offsets.
    """
    fault = Fault(Api.END_TXN, Harm.REQUEST_LATE_AND_CUT, 30.0, until=Api.TXN_OFFSET_COMMIT)
    proxy.inflict(fault)
    act.fleet.wait(fault.over.is_set, "the late EndTxn to be answered")
    return fault


def _late_end(stage: Stage) -> None:
    with proxied_kafka() as (kafka, proxy):
        options: dict[str, Any] = {"worker_servers": proxy.address}
        with under_load(stage, kafka.bootstrap_servers, **options) as act:
            for _ in range(stage.times(10, 2)):
                code = late_end(act, proxy).error_code
                name = FENCED.get(code or 0)
                stage.did(f"late EndTxn in the midst of the next transaction: answered {name}")
                if name is None:
                    stage.result.problems.append(f"a late EndTxn was answered with code {code}")
                act.catch_up()


def _unguarded(stage: Stage) -> None:
    """Show what the guard is for: without it the late EndTxn commits a half transaction."""

    def prepare(fleet: Fleet) -> None:
        for name in ("w0", "w1"):
            fleet.differently[name] = Different(module="tests.faults.unguarded")

    with proxied_kafka() as (kafka, proxy):
        options: dict[str, Any] = {"worker_servers": proxy.address, "prepare": prepare}
        try:
            with under_load(stage, kafka.bootstrap_servers, **options) as act:
                code = late_end(act, proxy).error_code
                stage.note(f"Without the guard the late EndTxn was answered with code {code}.")
        except AssertionError as error:
            if _TORN not in str(error) or "ended with 78" not in str(error):
                raise
            stage.did("late EndTxn to a worker without the guard: a torn transaction, refused")
            stage.note(
                "Rows and records were committed, the offsets were not; the next start said so and "
                f"refused (exit code {EXIT_REFUSED}): *{_TORN}*."
            )
        else:
            stage.result.problems.append(
                "the late EndTxn did no harm to a worker without the guard"
            )


ROWS = [
    Row("answer-dropped", "The answer of every request of a transaction is dropped", _dropped),
    Row("answer-late", "The same answers are late: by 1 s, and beyond every time-out", _late),
    Row("answer-cut", "The connection is cut in place of these answers", _cut),
    Row(
        "request-late",
        "These requests reach the broker late, some with their connection cut",
        _late_request,
    ),
    Row(
        "late-end",
        "EndTxn reaches the broker in the midst of the producer's next transaction",
        _late_end,
    ),
    Row(
        "late-end-unguarded",
        "The same to workers that ask again when an answer is lost, as the client library does: must be noticed",
        _unguarded,
    ),
    Row("latency", "100 ms latency on every answer", _latency),
]
