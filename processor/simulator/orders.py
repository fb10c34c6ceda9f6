"""The life of an order, planned when it is placed: its lines, its troubles, its transfers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.topics import LAB_TRANSFER, ORDER_CANCELLED, ORDER_PLACED, ORDER_REINSTATED

if TYPE_CHECKING:
    from processor.simulator.money import Account
    from processor.simulator.shops import Studio
    from processor.simulator.world import World

_AMENDED_SHARE: Final = 0.04
_CANCELLED_SHARE: Final = 0.03
_REINSTATED_SHARE: Final = 0.25
#: These are scaled by `Settings.trouble`.
_PHOTO_GONE_SHARE: Final = 0.012
_PRODUCT_GONE_SHARE: Final = 0.003
_PACKAGE_GONE_SHARE: Final = 0.003
_RETRIED_SHARE: Final = 0.05
_FAILED_SHARE: Final = 0.015

_LAB_ERRORS: Final = (
    {"code": "UNREACHABLE", "message": "The lab's server did not answer within 30 s."},
    {"code": "IMAGE_UNREADABLE", "message": "An image could not be opened."},
    {"code": "UNKNOWN_ARTICLE", "message": ""},
    {"code": "ADDRESS_INCOMPLETE", "message": "The delivery address has no postcode."},
)


class Order:
    """What must be remembered of an order for its account's sake."""

    __slots__ = ("cost_minor", "order_id", "settled")

    def __init__(self, order_id: str, cost_minor: int) -> None:
        self.order_id = order_id
        self.cost_minor = cost_minor
        self.settled = False


class Try(NamedTuple):
    """One attempt to transfer one scope."""

    started_us: int
    ended_us: int
    package_id: str | None
    status: str
    will_retry: bool


def place_order(world: World, studio: Studio) -> None:
    """Place an order now and plan the rest of its life."""
    draw = world.random
    placed_us = world.now_us
    lines, cost_minor = _draw_lines(world, studio)
    order = Order(studio.next_order_id(), cost_minor)
    account = studio.draw_account()
    placement = {
        "order_id": order.order_id,
        "placed_at": world.instant(placed_us),
        "lines": lines,
        "production_cost": {"amount_minor": cost_minor, "currency": account.currency},
        "paid": draw.random() < 0.8,
    }
    world.send(ORDER_PLACED.name, studio, placed_us, placement)
    account.placed(order)
    ready_us = placed_us + world.draw_span(0.1, 0.9)
    if draw.random() < _AMENDED_SHARE:
        _amend(world, studio, account, order, placement, placed_us)
    ready_us, cancelled_us = _draw_trouble(world, studio, order, lines, placed_us, ready_us)
    tries, given_up_us = _draw_transfers(world, studio, lines, ready_us)
    cancelled_us = cancelled_us or given_up_us
    if cancelled_us is not None:
        tries = [each for each in tries if each.ended_us < cancelled_us]
        world.send(ORDER_CANCELLED.name, studio, cancelled_us, {"order_id": order.order_id})
        world.at(cancelled_us, partial(account.cancelled, order))
    _send_transfers(world, studio, order, tries)
    if cancelled_us is None:
        world.at(max(each.ended_us for each in tries), partial(account.secured, order))


def _draw_lines(world: World, studio: Studio) -> tuple[list[dict[str, Any]], int]:
    """Draw an order's lines and what they cost."""
    random = world.random.random
    job = studio.draw_job()
    in_packages = random() < studio.package_share
    lines: list[dict[str, Any]] = []
    cost_minor = 0
    while not lines or (random() < 0.5 and len(lines) < 40):
        product = _draw_available(world, studio, studio.products)
        count = 1
        while random() < 0.35 and count < 60:
            count += 1
        photos = [job.photo(1 + int(random() * job.photo_count)) for _ in range(count)]
        line = {"line_id": str(len(lines) + 1), "product_id": product, "photo_ids": photos}
        if in_packages and random() < 0.95:
            line["package_id"] = _draw_available(world, studio, studio.packages)
        lines.append(line)
        cost_minor += studio.prices_minor[product] * (1 + count // 4)
    return lines, cost_minor


def _draw_available(world: World, studio: Studio, names: list[str]) -> str:
    """Choose one, the first more often than the last, that is not withdrawn if that can be."""
    random = world.random.random
    name = names[int(random() * random() * len(names))]
    if name in studio.gone:
        return next((each for each in names if each not in studio.gone), name)
    return name


def _amend(
    world: World,
    studio: Studio,
    account: Account,
    order: Order,
    placement: dict[str, Any],
    placed_us: int,
) -> None:
    """Replace an order's first line by another amount of the same, soon after it was placed."""
    changed_us = placed_us + world.draw_span(0.01, 0.1)
    lines = placement["lines"]
    first = lines[0] | {"photo_ids": lines[0]["photo_ids"][:1]}
    cost_minor = int(order.cost_minor * world.random.uniform(0.6, 1.3))
    amended = placement | {
        "version": 2,
        "lines": [first, *lines[1:]],
        "production_cost": {"amount_minor": cost_minor, "currency": account.currency},
    }
    world.send(ORDER_PLACED.name, studio, changed_us, amended)
    world.at(changed_us, partial(account.amended, order, cost_minor))


def _draw_trouble(
    world: World,
    studio: Studio,
    order: Order,
    lines: list[dict[str, Any]],
    placed_us: int,
    ready_us: int,
) -> tuple[int, int | None]:
    """Draw what goes wrong before the transfers; give when they start and when it is cancelled."""
    draw = world.random
    chance = draw.random()
    if chance < _CANCELLED_SHARE:
        cancelled_us = placed_us + world.draw_span(0.02, 0.8)
        if draw.random() >= _REINSTATED_SHARE:
            return ready_us, cancelled_us
        world.send(ORDER_CANCELLED.name, studio, cancelled_us, {"order_id": order.order_id})
        back_us = cancelled_us + world.draw_span(0.02, 0.3)
        world.send(ORDER_REINSTATED.name, studio, back_us, {"order_id": order.order_id})
        return max(ready_us, back_us), None
    chance = (chance - _CANCELLED_SHARE) / world.settings.trouble if world.settings.trouble else 1
    if chance < _PHOTO_GONE_SHARE:
        return _lose_photo(world, studio, lines, placed_us, ready_us)
    # A product is of many orders: what hits one hits more of them the larger the studio is.
    chance = (chance - _PHOTO_GONE_SHARE) * (1 + studio.in_flight / 10)
    gone_us = placed_us + world.draw_span(0.05, 0.3)
    back_us = gone_us + world.draw_span(0.3, 1.0)
    if chance < _PRODUCT_GONE_SHARE:
        studio.withdraw("product", lines[0]["product_id"], gone_us, back_us)
        return max(ready_us, back_us), None
    chance -= _PRODUCT_GONE_SHARE
    if chance < _PACKAGE_GONE_SHARE and "package_id" in lines[0]:
        studio.withdraw("package", lines[0]["package_id"], gone_us, back_us)
        return max(ready_us, back_us), None
    return ready_us, None


def _lose_photo(
    world: World, studio: Studio, lines: list[dict[str, Any]], placed_us: int, ready_us: int
) -> tuple[int, int | None]:
    """Delete a photo of the order: restored, given up, or never noticed."""
    photo = lines[0]["photo_ids"][0]
    gone_us = placed_us + world.draw_span(0.05, 0.5)
    noticed_us = gone_us + world.draw_span(0.2, 0.8)
    studio.delete("photo", [photo], gone_us)
    what = world.random.random()
    if what < 0.6:
        studio.restore("photo", [photo], noticed_us)
        return max(ready_us, noticed_us), None
    if what < 0.85:
        return ready_us, max(noticed_us, placed_us)
    return ready_us, None


def _draw_transfers(
    world: World, studio: Studio, lines: list[dict[str, Any]], ready_us: int
) -> tuple[list[Try], int | None]:
    """Draw every attempt, and when the order is given up after a failure, if it is."""
    draw = world.random
    scopes: list[str | None] = sorted({line.get("package_id", "") for line in lines})
    if scopes[0] == "" or draw.random() < 0.2:
        scopes = [None]  # a line in no package goes only with the whole order
    own = draw.random() < studio.own_share
    tries: list[Try] = []
    given_up_us: int | None = None
    for scope in scopes:
        started_us = ready_us + world.draw_span(0.0, 0.1)
        ended_us = started_us + world.draw_span(0.05, 0.5)
        trouble = world.settings.trouble
        while not own and (chance := draw.random() / trouble if trouble else 1) < _RETRIED_SHARE:
            final = chance < _FAILED_SHARE
            tries.append(Try(started_us, ended_us, scope, "failed", not final))
            if final and draw.random() < 0.25:
                given_up_us = ended_us + world.draw_span(0.2, 0.8)
            delay = world.draw_span(0.2, 0.8) if final else world.draw_span(0.02, 0.1)
            started_us = ended_us + delay
            ended_us = started_us + world.draw_span(0.05, 0.3)
        tries.append(Try(started_us if not own else ended_us, ended_us, scope, "succeeded", False))
    return tries, given_up_us


def _send_transfers(world: World, studio: Studio, order: Order, tries: list[Try]) -> None:
    """Send what the lab says of each attempt; own production says only that it is done."""
    if len(tries) > 1:
        tries = sorted(tries)
    for attempt, each in enumerate(tries, 1):
        draw = world.random
        body: dict[str, Any] = {
            "order_id": order.order_id,
            "transfer_id": f"{order.order_id}-{attempt}",
            "package_id": each.package_id,
            "attempt": attempt,
            "status": "started",
        }
        if each.started_us < each.ended_us:
            body["lab_id"] = studio.labs[int(draw.random() * len(studio.labs))]
            world.send(LAB_TRANSFER.name, studio, each.started_us, body)
        body["status"] = each.status
        if each.status == "failed":
            body["will_retry"] = each.will_retry
            body["error"] = _LAB_ERRORS[int(draw.random() * len(_LAB_ERRORS))]
        world.send(LAB_TRANSFER.name, studio, each.ended_us, body)
