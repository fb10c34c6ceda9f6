"""Collect the texts of pages and code that are to be translated.

    python -m processor.console.extract > /tmp/console.pot

`tests/console/test_words.py` fails where a text of these lacks its translation.
"""

from __future__ import annotations

import sys
from importlib.resources import as_file, files

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

_METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
_OPTIONS = {"templates/**.html": {"trimmed": "false", "silent": "false"}}


def extract() -> Catalog:
    """Give all texts, with where they stand."""
    found = Catalog(project="orderhalt", header_comment="# The texts of the pages.")
    with as_file(files("processor.console")) as directory:
        for name, line, text, _, context in extract_from_dir(
            directory, _METHODS, _OPTIONS, _KEYWORDS
        ):
            found.add(text, locations=[(name, line)], context=context)
    return found


if __name__ == "__main__":
    write_po(sys.stdout.buffer, extract(), no_location=True, omit_header=True)
