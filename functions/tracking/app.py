"""Lambda entry point of the tracking host."""

from mail_tracking import wiring
from mail_tracking.routes import create_app

from mailroom.adapters.chalice_http import http_api
from mailroom.adapters.xray import followed

app = create_app(wiring.ports, hops=wiring.hops, legacy=wiring.legacy)
handler = followed(http_api(app), "mailroom-tracking", wiring.tracing)
