"""From the reasons of an order to the record that says what changed (contract.md §5)."""

from __future__ import annotations

from hashlib import blake2b, sha1
from uuid import NAMESPACE_URL

from msgspec import UNSET

from processor.rules.credit import Account
from processor.rules.judge import CREDIT, TRANSFER, Finding, Phase
from processor.rules.order import OrderState
from processor.rules.rows import Halt, Mark, Placed, Transfer, encode
from schemas.events import Money
from schemas.halted import (
    LISTED_MAX,
    CausedBy,
    Emission,
    EndedReason,
    FailedTransfer,
    OrderHalted,
    Reason,
    Subject,
    TransferError,
    emission,
)
from schemas.instants import format_instant
from schemas.partitioning import quote_id
from schemas.reasons import PRECEDENCE, AssetType, Change, Status, actions

_NAMESPACE = NAMESPACE_URL.bytes
_ASSET_TYPES = tuple(AssetType)
_ENDED_STATUS = {
    Phase.CANCELLED: Status.CANCELLED,
    Phase.SECURED: Status.TRANSFERRED,
    Phase.IN_FLIGHT: Status.RELEASED,
}


class Cause:
    """Why orders are judged: an input event, or new rules where `topic` is None."""

    __slots__ = ("event_id", "occurred_at", "offset", "partition", "rules", "topic")

    def __init__(
        self,
        occurred_at: int,
        event_id: str,
        topic: str | None = None,
        partition: int = -1,
        offset: int = -1,
        rules: int = -1,
    ) -> None:
        self.occurred_at = occurred_at
        self.event_id = event_id
        """`rules:VERSION` for new rules."""
        self.topic = topic
        """With its prefix."""
        self.partition = partition
        self.offset = offset
        self.rules = rules

    def reference(self) -> CausedBy:
        """Give what the record says of it."""
        if self.topic is None:
            return CausedBy(rules=self.rules)
        return CausedBy(self.topic, self.partition, self.offset, self.event_id)


def order_key(studio_id: str, order_id: str) -> str:
    """Give the key of an order's records and row (contract.md §1)."""
    return f"{quote_id(studio_id)}/{quote_id(order_id)}"


def compare_digest(placed: Placed, findings: tuple[Finding, ...]) -> bytes:
    """Digest all that makes a new record when it changes, before anything is cut to 100."""
    content = [
        (
            x.code,
            x.line_ids,
            [(a, m.occurred_at, m.deleted_by, m.restorable_until) for a, m in x.assets],
            [(t.package_id, t.transfer_id, t.attempt, t.lab_id, t.error) for t in x.transfers],
        )
        for x in findings
    ]
    whole = (placed.version, placed.paid, placed.cost_minor, placed.currency, content)
    return blake2b(encode(whole), digest_size=16).digest()


def _uuid5(name: str) -> str:
    """Give what `uuid.uuid5(NAMESPACE_URL, name)` does as text, in a quarter of its time."""
    digest = sha1(_NAMESPACE + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


class Writer:
    """Writes the records of one deployment; `source` is ce_source."""

    def __init__(self, topic_prefix: str) -> None:
        self.source = "/orderhalt" + (f"/{topic_prefix}" if topic_prefix else "")

    def write(
        self,
        studio_id: str,
        order: OrderState,
        findings: tuple[Finding, ...],
        account: Account | None,
        cause: Cause,
    ) -> tuple[Halt, Emission] | None:
        """Give the order's next halt and its record; None where there is nothing to say.

        `findings` are all active reasons by precedence, credit included; `account` is the order's.
        """
        before = order.halt
        active = before.reasons if before is not None else ()
        if not findings and not active:
            return None
        placed = order.placed
        assert placed is not None, "only an order that was placed is halted"
        digest = compare_digest(placed, findings) if findings else b""
        since = dict(active)
        reasons = tuple([(x.code, since.get(x.code, cause.occurred_at)) for x in findings])
        if active and before is not None:
            if reasons == active and digest == before.digest:
                return None
            halt = Halt(before.sequence + 1, before.episode, before.halted_since, reasons, digest)
        else:
            sequence, episode = (before.sequence, before.episode) if before is not None else (0, 0)
            halt = Halt(sequence + 1, episode + 1, cause.occurred_at, reasons, digest)
        order_id = order.id
        key = order_key(studio_id, order_id)
        name = f"{self.source}/{key}/{halt.sequence}/{cause.event_id}"
        ended = {code for code, _ in active}.difference([code for code, _ in reasons])
        record = OrderHalted(
            event_id=_uuid5(name),
            occurred_at=format_instant(cause.occurred_at),
            studio_id=studio_id,
            order_id=order_id,
            order_version=placed.version,
            placed_at=format_instant(placed.placed_at),
            paid=placed.paid,
            production_cost=Money(placed.cost_minor, placed.currency),
            sequence=halt.sequence,
            change=_change(active, reasons),
            status=Status.HALTED if reasons else _ENDED_STATUS[order.phase],
            episode=halt.episode,
            halted_since=format_instant(halt.halted_since),
            primary_reason=PRECEDENCE[reasons[0][0]] if reasons else None,
            reasons=tuple(
                [
                    reason(order_id, placed, finding, at, account)
                    for finding, (_, at) in zip(findings, reasons, strict=True)
                ]
            ),
            ended_reasons=tuple(
                [
                    EndedReason(PRECEDENCE[code], format_instant(at))
                    for code, at in active
                    if code in ended
                ]
            ),
            caused_by=cause.reference(),
        )
        return halt, emission(key, self.source, record)


def _change(before: tuple[tuple[int, int], ...], after: tuple[tuple[int, int], ...]) -> Change:
    if not after:
        return Change.ENDED
    return Change.CHANGED if before else Change.OPENED


def reason(
    order_id: str, placed: Placed, finding: Finding, since: int, account: Account | None
) -> Reason:
    """Say a finding as the record does; `since` in microseconds, `account` as of its last `fund`."""
    code = PRECEDENCE[finding.code]
    restorable = _restorable_until(finding)
    is_transfer = finding.code == TRANSFER
    if is_transfer:
        subjects = [_transfer_subject(order_id, x) for x in finding.transfers[:LISTED_MAX]]
        subject_count = len(finding.transfers)
    else:
        kind = _ASSET_TYPES[finding.code] if finding.assets else ""
        subjects = [asset_subject(kind, a, mark) for a, mark in finding.assets[:LISTED_MAX]]
        subject_count = len(finding.assets)
    return Reason(
        code=code,
        since=format_instant(since),
        line_ids=finding.line_ids[:LISTED_MAX],
        line_count=len(finding.line_ids),
        subjects=tuple(subjects),
        subject_count=subject_count,
        restorable_until=_instant(restorable),
        actions=actions(code, paid=placed.paid, restorable=restorable is not None),
        credit=account.sums(order_id) if finding.code == CREDIT and account is not None else UNSET,
        transfers=tuple([_transfer(x) for x in finding.transfers[:LISTED_MAX]])
        if is_transfer
        else UNSET,
        transfer_count=len(finding.transfers) if is_transfer else UNSET,
    )


def _restorable_until(finding: Finding) -> int | None:
    """Give the earliest of all subjects, None where one of them has none."""
    untils = [mark.restorable_until for _, mark in finding.assets]
    known = [until for until in untils if until is not None]
    return min(known) if known and len(known) == len(untils) else None


def asset_subject(kind: str, asset: str, mark: Mark) -> Subject:
    """Say which asset is gone, since when and by whom."""
    return Subject(
        kind,
        asset,
        format_instant(mark.occurred_at),
        mark.deleted_by,
        _instant(mark.restorable_until),
    )


def _transfer_subject(order_id: str, transfer: Transfer) -> Subject:
    if transfer.package_id is None:
        return Subject("order", order_id, None, None, None)
    return Subject("package", transfer.package_id, None, None, None)


def _transfer(transfer: Transfer) -> FailedTransfer:
    return FailedTransfer(
        transfer.transfer_id,
        transfer.package_id,
        transfer.attempt,
        transfer.lab_id,
        None if transfer.error is None else TransferError(*transfer.error),
    )


def _instant(at_us: int | None) -> str | None:
    return None if at_us is None else format_instant(at_us)
