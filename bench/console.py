"""How fast the read service answers over a large replica, and what it holds.

    python -m bench.console [--halted N] [--in-flight N] [--clients N] [--rate N] [--seconds N]

The rows of a deployment with so many halted orders and orders in flight are loaded into a console as
its changelogs would be, in this process; the application answers on a real port, and another process
asks, first every list once, as nobody has before. Then so many clients of another process hold the
live stream while halts come in at the given rate: each must get every one of them. Latencies are
those that the asking process sees; what the service takes of its core includes loading those halts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import uvicorn

from bench.machine import description
from processor.console.access import Open
from processor.console.app import create_app
from processor.console.console import Console, Health
from processor.console.feed import keep_settled
from processor.console.index import Sort
from processor.console.serve import listen
from processor.console.settings import ConsoleSettings
from processor.rules.machine import Machine
from processor.rules.rows import FORMAT, Balance, Halt, Line, Mark, Order, Placed, encode
from processor.runtime import garbage
from schemas.partitioning import join_key
from schemas.reasons import ReasonCode

_ASKED_TIMES = 30
_JOB_PHOTOS = 3_000
_START_US = 1_767_225_600_000_000
_STUDIOS = 2_000


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--halted", type=int, default=100_000)
    parser.add_argument("--in-flight", type=int, default=500_000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rate", type=int, default=1_000, help="halts a second")
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    garbage.defer()
    console, loading = _loaded(arguments.halted, arguments.in_flight)
    garbage.settle()
    result = {
        "measured": "the read service over a replica in memory",
        **description(),
        "halted_orders": console.index.total(None),
        "orders_in_flight": arguments.in_flight,
        **loading,
        "rss_mib": _rss_mib(),
    }
    with _Serving(console) as serving:
        result |= _in_another_process(_ask, serving.port)
        result |= _watch(serving, arguments.clients, arguments.rate, arguments.seconds)
    print(json.dumps(result, indent=2))  # noqa: T201 - this is what it is for
    if result["halts_lost"]:
        sys.exit("Halts were lost: the figures do not count.")


# ---- the state


def _loaded(halted: int, in_flight: int) -> tuple[Console, dict[str, Any]]:
    machine = Machine(0, any_partitioner=True)
    console = Console({0: machine})
    started = time.perf_counter()
    for table, key, value in _rows(halted, in_flight):
        machine.load(table, key, value)
    rows_seconds = time.perf_counter() - started
    started = time.perf_counter()
    for _ in console.fill():
        pass
    console.health = Health(ready=True, connected=True, behind=0)
    return console, {
        "load_rows_seconds": round(rows_seconds, 1),
        "index_seconds": round(time.perf_counter() - started, 1),
    }


def _rows(halted: int, in_flight: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Make rows as workers write them: two lines an order, ten orders of a deletion."""
    gone = Mark(FORMAT, 1, _START_US, True, "e", "anna", _START_US + 10**12)
    for number in range(_STUDIOS):
        balance = Balance(FORMAT, 1, _START_US, "b", 10**9, 10**6, True)
        yield "balances", join_key(f"studio-{number}", "EUR").encode(), encode(balance)
    for number in range(halted + in_flight):
        studio = f"studio-{number % _STUDIOS}"
        halt = None
        if number < halted:
            event = f"deletion-{number // 10}"
            at_us = _START_US + number // 10 * 1_000_000
            mark = encode(Mark(FORMAT, 1, at_us, True, event, gone.deleted_by, None))
            yield "photos", join_key(studio, f"f{number}-0").encode(), mark
            halt = Halt(1, 1, at_us, ((1, at_us),), b"0" * 16)
        yield "orders", join_key(studio, f"o{number}").encode(), encode(_order(number, halt))


def _order(number: int, halt: Halt | None, photos: int = 4) -> Order:
    lines = (
        Line("1", f"album-{number % 50}", tuple(f"f{number}-{n}" for n in range(photos)), None),
        Line("2", "print-10x15", (f"f{number}-0",), None),
    )
    placed = Placed(1, _START_US, f"p{number}", _START_US + number, lines, 1250, "EUR", False)
    return Order(FORMAT, 1, placed, None, (), (), halt)


def _rss_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


class _Serving:
    """The application in a thread of its own."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._socket = listen("127.0.0.1", 0)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            create_app(console, ConsoleSettings(), Open()),
            log_level="error",
            lifespan="off",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.loop.run_until_complete(self._server.serve([self._socket]))

    def __enter__(self) -> _Serving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


# ---- who asks


def _in_another_process(work: Any, *arguments: Any) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, Any] = pool.apply(work, arguments)
    return found


def _ask(port: int) -> dict[str, Any]:
    # A job of 3,000 photos, of which every order in flight of the studio has some.
    job = [f"f{n * _STUDIOS}-{photo}" for n in range(_JOB_PHOTOS // 4) for photo in range(4)]
    wanted = {"studio_id": "studio-0", "asset_type": "photo", "asset_ids": job}
    requests: dict[str, dict[str, Any]] = {
        "page_first_ms": {"method": "GET", "url": "/halts"},
        "page_of_a_studio_ms": {"method": "GET", "url": "/halts?studio_id=studio-7"},
        "page_by_reason_ms": {"method": "GET", "url": "/halts?reason=photos_missing&sort=deadline"},
        "page_search_ms": {"method": "GET", "url": "/halts?q=o9999"},
        "page_search_of_nothing_ms": {"method": "GET", "url": "/halts?q=nothing-like-this"},
        "api_first_page_ms": {"method": "GET", "url": "/api/v1/halts"},
        "api_order_ms": {"method": "GET", "url": "/api/v1/order?studio_id=studio-7&order_id=o7"},
        "impact_of_3000_photos_ms": {"method": "POST", "url": "/api/v1/impact", "json": wanted},
    }
    found: dict[str, Any] = {}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        lists = [
            f"/halts?reason={reason}&paid={paid}&sort={sort}"
            for reason in ("", *ReasonCode)
            for paid in ("", "true", "false")
            for sort in Sort
        ]
        taken = [_time(client, {"method": "GET", "url": url}) for url in lists]
        found["first_page_of_every_list_ms"] = {
            "lists": len(lists),
            "first": round(taken[0], 1),
            "median": round(statistics.median(taken), 1),
            "max": round(max(taken), 1),
        }
        for name, request in requests.items():
            taken = [_time(client, request) for _ in range(_ASKED_TIMES)]
            found[name] = {
                "first": round(taken[0], 1),
                "median": round(statistics.median(taken), 1),
                "max_of_the_others": round(max(taken[1:]), 1),
            }
        said = client.request(**requests["impact_of_3000_photos_ms"]).json()
        found["impact_would_halt"] = said["would_halt"]["count"]
    return found


def _time(client: httpx2.Client, request: dict[str, Any]) -> float:
    """Ask once; give how long it took, in milliseconds."""
    started = time.perf_counter()
    answer = client.request(**request)
    taken = (time.perf_counter() - started) * 1000
    if answer.status_code != 200:
        sys.exit(f"{request['url']} answered {answer.status_code}: {answer.text[:500]}")
    return taken


def _watch(serving: _Serving, clients: int, rate: int, seconds: int) -> dict[str, Any]:
    """Let halts come in while clients in another process watch; count what each has got."""
    expected = rate * seconds
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Queue()
    watcher = context.Process(target=_watchers, args=(serving.port, clients, expected, ready, done))
    watcher.start()
    if not ready.wait(120):
        sys.exit("The clients did not connect.")
    cpu_before = time.process_time()
    coming = asyncio.run_coroutine_threadsafe(_halts(serving.console, rate, seconds), serving.loop)
    took = coming.result(seconds * 10 + 60)
    core = (time.process_time() - cpu_before) / took
    got, last_seconds = done.get(timeout=120)
    watcher.join(10)
    return {
        "live_clients": clients,
        "halts_sent": expected,
        "halts_sent_in_seconds": round(took, 1),
        "service_took_of_a_core": round(core, 2),
        "halts_lost": sum(expected - min(x, expected) for x in got),
        "last_client_done_after_seconds": round(last_seconds, 1),
        "rss_mib_at_the_end": _rss_mib(),
    }


async def _halts(console: Console, rate: int, seconds: int) -> float:
    """Load the rows of new halts, as a replica does, in steps of 50 ms."""
    news = asyncio.Event()
    settling = asyncio.create_task(keep_settled(console, news))
    machine = console.machines[0]
    started = time.perf_counter()
    step, sent = rate // 20, 0
    while sent < rate * seconds:
        for number in range(sent, sent + step):
            for table, key, row in _late(number):
                machine.load(table, key, row)
                console.note(0, table, key)
        sent += step
        news.set()
        await asyncio.sleep(max(0.0, started + sent / rate - time.perf_counter()))
    took = time.perf_counter() - started
    settling.cancel()
    while console.settle():
        pass
    return took


def _late(number: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Make the rows of one more halt: an order of which a photo has just been deleted."""
    studio, at_us = f"studio-{number % _STUDIOS}", _START_US + 10**11 + number
    mark = Mark(FORMAT, 1, at_us, True, f"late-{number}", None, None)
    yield "photos", join_key(studio, f"f{10_000_000 + number}-0").encode(), encode(mark)
    halt = Halt(1, 1, at_us, ((1, at_us),), b"0" * 16)
    order = _order(10_000_000 + number, halt)
    yield "orders", join_key(studio, f"late-{number}").encode(), encode(order)


def _watchers(port: int, clients: int, expected: int, ready: Any, done: Any) -> None:
    async def watch(connected: asyncio.Semaphore) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        writer.write(b"GET /api/v1/changes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        got = 0
        async for line in reader:
            if line.startswith(b"event: state"):
                connected.release()
            got += line.count(b'"change":')
            if got >= expected:
                break
        writer.close()
        return got

    async def run() -> None:
        connected = asyncio.Semaphore(0)
        watching = [asyncio.create_task(watch(connected)) for _ in range(clients)]
        for _ in range(clients):
            await connected.acquire()
        ready.set()
        started = time.perf_counter()
        finished, late = await asyncio.wait(watching, timeout=expected / 50 + 30)
        for task in late:
            task.cancel()
        done.put(
            ([*(x.result() for x in finished), *(0 for _ in late)], time.perf_counter() - started)
        )

    asyncio.run(run())


if __name__ == "__main__":
    main()
