"""Lambda entry point of the HTTPS API (handler `app.handler`)."""

from functools import cache

from mail_api.door import door, lazy_desk
from mail_api.routes import create_app
from mail_api.wiring import from_environment, passage, tracing

from mailroom.adapters.chalice_http import http_api
from mailroom.adapters.xray import followed

api = cache(from_environment)
app = create_app(api)
handler = followed(
    door(app, api, lazy_desk(api), lambda served: http_api(served, passage=passage())),
    "mailroom-api",
    tracing,
)
