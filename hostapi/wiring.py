"""The composition root: environment in, running process out."""

import asyncio
import logging
import os
import secrets
import signal
import sys
from dataclasses import replace
from functools import partial

from chalice.app import Chalice
from mail_api.door import door, lazy_desk
from mail_api.routes import create_app
from mail_api.wiring import Api, from_environment

from egress.limits import check_descriptors
from egress.listening import load_certificate_again, loop_factory, write_ready
from egress.log import log_as_json
from egress.submission.host import tls_context
from hostapi.counter import Setting
from hostapi.desk import Desk
from hostapi.host import ApiHost, http_limits, read_host
from hostapi.limits import MEGABYTE
from hostapi.ration import Ration, RationedBodies
from hostapi.reply import Reply
from hostapi.server import HostApi
from mailroom.adapters.chalice_http import Handler, http_api
from mailroom.adapters.xray import Tracing, followed, tracing_of
from mailroom.settings import SettingsError, load_settings

log = logging.getLogger(__name__)


def on_host(api: Api) -> Api:
    """Return `api` with this host's limits in place of Lambda's: those of the largest message."""
    # Whole: the largest message in base64 in its JSON, on the way in as on the way out.
    return replace(api, gateway_limit=api.ports.max_message_size * 2 + 2 * MEGABYTE, large_url="")


def setting_of(api: Api, host: ApiHost, spans: Tracing) -> Setting:
    """Plug everything together. Raises SettingsError if this process cannot hold it."""
    check_descriptors(host.connections, "MAILROOM_HOSTAPI_CONNECTIONS")
    limits = http_limits(host, body=api.max_body, message=api.ports.max_message_size)
    ration = Ration(host.large_threads)
    rationed = replace(
        api, ports=replace(api.ports, bodies=RationedBodies(api.ports.bodies, ration))
    )

    def the_api() -> Api:
        return rationed

    desk = lazy_desk(the_api)  # of all threads: it keeps nothing of a request

    def make_handler() -> Handler:
        def serving(app: Chalice) -> Handler:
            return http_api(app, max_body=api.max_body)

        whole = door(create_app(the_api), the_api, desk, serving)
        return followed(whole, "mailroom-hostapi", lambda: spans)

    return Setting(
        limits=limits,
        desk=Desk(
            make_handler,
            partial(Reply, in_memory=limits.in_memory, folder=host.folder),
            ration,
            threads=host.threads,
            large_threads=host.large_threads,
        ),
        new_id=partial(secrets.token_hex, 8),
        proxies=host.proxies,
        folder=host.folder,
    )


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    log_as_json()
    try:
        host = read_host(os.environ)
        context = tls_context(host.certificate, host.key)
        api = on_host(from_environment())
        setting = setting_of(api, host, tracing_of(load_settings(os.environ)))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2

    async def run() -> int:
        return await serve(HostApi(setting, context), host)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(run())


async def serve(server: HostApi, host: ApiHost) -> int:
    """Listen, say so, and stop gracefully when asked to; return the exit code."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    loop.add_signal_handler(signal.SIGHUP, load_certificate_again, server, host)
    try:
        await server.start(host.addresses, host.ports)
    except OSError as error:
        sys.stderr.write(f"cannot listen: {error.strerror or error}\n")
        return 1
    if host.ready_file:
        write_ready(host.ready_file, {"ports": server.ports})
    await stop.wait()
    await server.stop(host.grace)
    return 0
