"""The API's own description: OpenAPI 3.1, and the same for people to read."""

from functools import cache

from mail_api.v2.operation import Answer, Call, Operation

_KEPT = {"cache-control": "public, max-age=300"}


@cache
def _document() -> str:
    import json

    from mail_api.v2.openapi import describe
    from mail_api.v2.table import OPERATIONS as TABLE

    return json.dumps(describe(TABLE), separators=(",", ":"))


@cache
def _page() -> str:
    import json

    from mail_api.v2.reference_page import render

    return render(json.loads(_document()))


def document(_: Call) -> Answer:
    """Return the OpenAPI document."""
    return Answer(_document(), headers=_KEPT)


def page(_: Call) -> Answer:
    """Return the reference as a page."""
    return Answer(_page(), headers=_KEPT)


OPERATIONS = (
    Operation("api.description", "GET", "/openapi.json", "The OpenAPI description of this API",
              document, None, public=True),
    Operation("api.reference", "GET", "/docs", "The reference of this API as a page", page, None,
              public=True, gives="text/html; charset=utf-8"),
)  # fmt: skip
