"""Lambda entry point of the HTTPS API (handler `app.handler`)."""

from functools import cache

from mail_api.routes import create_app
from mail_api.wiring import from_environment, tracing

from mailroom.adapters.chalice_http import http_api
from mailroom.adapters.xray import followed

app = create_app(cache(from_environment))
# The app's own, smaller limit answers first.
handler = followed(http_api(app, max_body=128 * 1024 * 1024), "mailroom-api", tracing)
