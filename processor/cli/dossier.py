"""Show a rejected record: as a row, as an object, and whole."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich.text import Text

from processor.cli.terminal import instant
from processor.rejected import Rejected
from schemas.catalogue import Language, catalogue
from schemas.instants import format_instant

_COLUMNS: Final = (("ID", 10), ("REJECTED", 23), ("CODE", 16), ("FROM", 30), ("KEY", 20))
_HEX_BYTES: Final = 1024


def table(records: Iterable[Rejected]) -> Iterator[Text]:
    """Give the lines of a table."""
    yield Text("  ".join(f"{name:<{width}}" for name, width in _COLUMNS) + "  ERROR", style="bold")
    for record in records:
        notes = record.notes
        place = f"{record.topic} {notes.get('partition')}:{notes.get('offset')}"
        cells = (record.id, _when(record.timestamp_ms), record.code, place, _shown(record.key))
        line = Text()
        for cell, (name, width) in zip(cells, _COLUMNS, strict=True):
            line.append(f"{cell:<{width}}  ", style="red" if name == "CODE" else "")
        yield line.append(notes.get("error", ""))


def _when(at_ms: int) -> str:
    return instant(format_instant(at_ms * 1000))


def _shown(key: bytes | None) -> str:
    return "-" if key is None else _safe(key.decode(errors="backslashreplace"))


def _safe(text: str) -> str:
    """Show control characters instead of sending them: a stranger's must not steer the terminal."""
    return "".join(x if x.isprintable() or x in "\n\t" else f"\\x{ord(x):02x}" for x in text)


def document(record: Rejected, *, whole: bool = False) -> dict[str, Any]:
    """Give a record as JSON has it; bytes that are no text stand in `…_base64`."""
    notes = record.notes
    found: dict[str, Any] = {
        "id": record.id,
        "rejected_at": format_instant(record.timestamp_ms * 1000),
        "code": record.code,
        "error": notes.get("error"),
        "topic": record.topic,
        "partition": _number(notes.get("partition")),
        "offset": _number(notes.get("offset")),
        "timestamp_ms": _number(notes.get("timestamp")),
        **_bytes("key", record.key),
    }
    if record.omitted is not None:
        found["omitted"] = record.omitted
    if whole:
        found["headers"] = [{"name": n, **_bytes("value", text)} for n, text in record.headers]
        found |= _bytes("value", record.value)
    return found


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def _bytes(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}


def tell(record: Rejected, language: Language) -> Iterator[Text]:
    """Give the lines that show a record."""
    words = catalogue().rejection(record.code)
    headline = Text(f"{record.id}: ").append(words.title.to(language), style="bold red")
    yield headline.append(f" ({record.code}), {_when(record.timestamp_ms)}")
    yield Text(f"  {record.notes.get('error', '')}")
    yield Text(f"  {words.explanation.to(language)}")
    yield Text(f"  → {words.solution.to(language)}", style="cyan")
    if record.omitted is not None:
        yield Text(f"  {record.omitted}", style="yellow")
    yield Text()
    notes = record.notes
    timestamp = _number(notes.get("timestamp"))
    came = "" if timestamp is None or timestamp < 0 else f", {_when(timestamp)}"
    place = f"{record.topic}, partition {notes.get('partition')}, offset {notes.get('offset')}"
    yield Text(f"  from     {place}{came}")
    yield Text(f"  key      {_shown(record.key)}")
    for name, text in record.headers:
        yield Text(f"  header   {name}: {_shown(text)}")
    value = record.value
    yield Text(f"  value    {'none' if value is None else f'{len(value):,} bytes'}")
    if value:
        yield Text()
        yield from _value(value)


def _value(value: bytes) -> Iterator[Text]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        for at in range(0, min(len(value), _HEX_BYTES), 16):
            row = value[at : at + 16]
            shown = "".join(chr(x) if 0x20 <= x < 0x7F else "." for x in row)
            yield Text(f"{at:08x}  {row.hex(' '):<47}  {shown}")
        if len(value) > _HEX_BYTES:
            yield Text(f"… {len(value) - _HEX_BYTES:,} more bytes; --value writes all of them")
        return
    yield Text(_safe(text))
