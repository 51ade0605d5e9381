"""Lambda entry point of the HTTPS API (handler `app.handler`)."""

from functools import cache

from mail_api.routes import create_app
from mail_api.wiring import from_environment, passage, tracing

from mailroom.adapters.chalice_http import http_api
from mailroom.adapters.xray import followed

app = create_app(cache(from_environment))
handler = followed(http_api(app, passage=passage()), "mailroom-api", tracing)
