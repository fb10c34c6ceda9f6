"""Fill the parts of docs/*.md that are made from the code: examples, and tables of the catalogue.

`python -m tests.published.pages` writes them; a test says when they differ.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from schemas.catalogue import OTHER, catalogue
from schemas.errors import RejectionCode
from schemas.examples import EXAMPLES
from schemas.reasons import PRECEDENCE
from tests.published.unsaid import BEYOND_VALUES, UNSAID

ROOT = Path(__file__).parents[2]
PAGES = tuple(ROOT / "docs" / name for name in ("consuming.md", "producing.md"))
_MADE = re.compile(r"(<!-- made: (\w+) ?([\w-]*) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def filled(page: str) -> str:
    """Give a page with all its made parts as they have to be."""
    return _MADE.sub(lambda m: f"{m[1]}{_MAKERS[m[2]](m[3])}{m[4]}", page)


def _example(topic: str) -> str:
    text = json.dumps(EXAMPLES[topic], indent=2, ensure_ascii=False)
    # Short objects and lists on one line: a page is read, not parsed.
    short = re.compile(r"([\[{])\n\s+([^\[\]{}]{1,90}?)\n\s+([\]}])")
    text = short.sub(lambda m: m[1] + re.sub(r"\n\s+", " ", m[2]) + m[3], text)
    return f"```json\n{text}\n```\n"


def _reasons(_: str) -> str:
    words = catalogue()
    rows = ["| reason | in words | in German |", "|---|---|---|"]
    for code in (*PRECEDENCE, OTHER):
        reason = words.reason(code)
        name = f"`{code}`" if code != OTHER else "any other"
        english, german = reason.title.en, reason.title.de
        rows.append(f"| {name} | {english}: {reason.explanation.en} | {german} |")
    return "\n".join(rows) + "\n"


def _rejections(_: str) -> str:
    rows = ["| code | why | what to do |", "|---|---|---|"]
    for code in RejectionCode:
        words = catalogue().rejection(code)
        rows.append(f"| `{code}` | {words.explanation.en} | {words.solution.en} |")
    return "\n".join(rows) + "\n"


def _unsaid(_: str) -> str:
    rules = [*(rule.rule for rule in UNSAID), *BEYOND_VALUES]
    return "".join(f"- {rule}\n" for rule in rules)


_MAKERS = {
    "example": _example,
    "reasons": _reasons,
    "rejections": _rejections,
    "unsaid": _unsaid,
}


def main() -> None:
    """Write all pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
