"""Lambda entry point of the tracking host."""

from mail_tracking import wiring
from mail_tracking.routes import create_app

from mailroom.adapters.chalice_http import http_api

app = create_app(wiring.ports, hops=wiring.hops)
handler = http_api(app)
