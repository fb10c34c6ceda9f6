"""The credit of a studio: what each order waits for, and what the smallest top-ups would do."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from processor.console.plan import Plan, plan
from processor.console.requests import studio_seen, viewer_of
from processor.console.site import Site


class CreditPage:
    """The page of one studio's accounts."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, request: Request) -> Response:
        """Show the accounts in all currencies; customer care names the studio first."""
        site = self._site
        studio_id = studio_seen(viewer_of(request), request.query_params.get("studio_id"))
        plans = [] if studio_id is None else self.plans(studio_id)
        return site.page(
            request, "credit.html", site.words(request), studio_id=studio_id, plans=plans
        )

    def plans(self, studio_id: str) -> list[Plan]:
        """Give the plan of every account."""
        console = self._site.console
        machine = console.machine_of(studio_id)
        if machine is None:
            return []
        return [plan(machine, studio_id, x) for x in console.currencies(studio_id)]
