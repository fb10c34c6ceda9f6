"""An id of any characters stays within its place in an address."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.console.links import check_template, fill, origin

TEMPLATE = "https://shop.example/photos/{photo_id}?of={studio_id}"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=256))
def test_an_id_is_one_segment_of_the_path(photo_id: str) -> None:
    address = fill(TEMPLATE, photo_id=photo_id, studio_id="s")
    if photo_id in (".", ".."):
        assert address is None
        return
    assert address is not None
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc, parts.query) == ("https", "shop.example", "of=s")
    segments = parts.path.split("/")
    assert [unquote(x) for x in segments] == ["", "photos", photo_id]
    assert address.isascii() and not set(address) & set("<>\"' \n\\")


@pytest.mark.parametrize(
    "template",
    [
        "javascript:alert({photo_id})",
        "https://{studio_id}.example/",
        "https://shop.example{photo_id}",
        "photos/{photo_id}",
        "https://shop.example/{customer}",
        "https://shop.example/ x",
        'https://shop.example/"{photo_id}',
        "ftp://shop.example/{photo_id}",
        "https:///{photo_id}",
        "https://shop.example/{photo_id",
    ],
)
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"expected|not known"):
        check_template(template)


@pytest.mark.parametrize(
    "template", ["", "/p/{photo_id}", TEMPLATE, "http://localhost:8080/{order_id}"]
)
def test_a_template_is_taken(template: str) -> None:
    check_template(template)


def test_without_a_template_or_an_id_there_is_no_link() -> None:
    assert fill("", photo_id="f1") is None
    assert fill("/orders/{order_id}", photo_id="f1") is None


def test_the_origin_is_what_a_policy_names() -> None:
    assert origin(TEMPLATE) == "https://shop.example"
    assert origin("/p/{photo_id}") is None
