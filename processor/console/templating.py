"""Fill in the templates."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from processor.console.words import Words

STATIC: Final = files("processor.console").joinpath("static")
HTMX: Final = "vendor/htmx-2.0.11.min.js"


@cache
def environment() -> Environment:
    """Make the environment: everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=PackageLoader("processor.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        pass_context(_gettext), pass_context(_ngettext), newstyle=True
    )
    made.globals["static"] = _static_address
    made.globals["htmx"] = HTMX
    made.globals["address"] = address
    made.filters["time"] = pass_context(_time)
    # Compiled now: the first viewer is not to wait for it.
    for name in made.list_templates(["html"]):
        made.get_template(name)
    return made


def _words(context: Context) -> Words:
    words = context["w"]
    assert isinstance(words, Words)
    return words


def _gettext(context: Context, text: str) -> str:
    return _words(context).gettext(text)


def _ngettext(context: Context, one: str, many: str, count: int) -> str:
    return _words(context).ngettext(one, many, count)


def _time(context: Context, instant: str, kind: str = "time") -> Markup:
    """Write an instant as an element that says it to people and to programs."""
    words = _words(context)
    text = {"time": words.time, "exact": words.exact, "distance": words.distance}[kind](instant)
    title = f' title="{escape(words.exact(instant))}"' if kind == "distance" else ""
    live = " data-distance" if kind == "distance" else ""
    return Markup(f'<time datetime="{escape(instant)}"{title}{live}>{escape(text)}</time>')  # noqa: S704 - its parts are escaped


def address(path: str, **parameters: Any) -> str:
    """Make an address; parameters that are empty are left out."""
    given = {name: _text(value) for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_digests: Final[dict[str, str]] = {}


def _static_address(name: str) -> str:
    """Give the address of a static file, which changes when the file does."""
    digest = _digests.get(name)
    if digest is None:
        digest = _digests[name] = sha256(STATIC.joinpath(name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def render(templates: Environment, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Fill in a template."""
    return HTMLResponse(templates.get_template(name).render(values), status)
