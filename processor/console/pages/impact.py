"""Before you delete: what would be halted if these were gone."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from processor.console.problems import Refused
from processor.console.requests import read_form, studio_seen, viewer_of
from processor.console.site import Site
from processor.console.whatif import Impact, impact
from processor.console.words import Words
from schemas.reasons import AssetType

#: As many as one `asset-deleted` names (contract.md §2).
IDS_MAX = 10_000
ID_MAX_CHARACTERS = 256


class ImpactPage:
    """The page that asks first."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, request: Request) -> Response:
        """Show the form, and the answer where it has been sent."""
        site, words = self._site, self._site.words(request)
        fields = await read_form(request) if request.method == "POST" else {}
        given = {**request.query_params, **fields}
        studio_id = studio_seen(viewer_of(request), given.get("studio_id"))
        kind = given.get("asset_type", AssetType.PHOTO)
        if kind not in set(AssetType):
            raise Refused(400, "asset_type is none of photo, product and package.")
        text = given.get("asset_ids", "")
        ids = list(dict.fromkeys(x for line in text.splitlines() if (x := line.strip())))
        fault = _fault(words, ids, studio_id) if fields else ""
        found: Impact | None = None
        if ids and not fault and studio_id is not None:
            found = self.ask(studio_id, AssetType(kind), ids)
        return site.page(
            request,
            "impact.html",
            words,
            status=400 if fault else 200,
            studio_id=studio_id,
            asset_type=kind,
            types=[(x, words.catalogue.subject(x).many.to(words.language)) for x in AssetType],
            text=text,
            fault=fault,
            found=found,
        )

    def ask(self, studio_id: str, kind: AssetType, ids: list[str]) -> Impact | None:
        """Ask the rules; None where nobody knows the studio."""
        console = self._site.console
        machine = console.machine_of(studio_id)
        if machine is None:
            return None
        return impact(machine, studio_id, kind, ids, console.secured(studio_id))


def _fault(words: Words, ids: list[str], studio_id: str | None) -> str:
    """Give what is wrong with the form; empty: nothing."""
    if studio_id is None:
        return words.gettext("Say which studio is meant.")
    if not ids:
        return words.gettext("Put at least one id into the field, one a line.")
    if len(ids) > IDS_MAX:
        return words.gettext("These are more than 10,000 ids. Ask in parts.")
    if any(len(x) > ID_MAX_CHARACTERS for x in ids):
        return words.gettext("An id is longer than 256 characters. Put each on a line of its own.")
    return ""
