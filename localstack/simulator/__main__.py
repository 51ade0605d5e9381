"""`python -m localstack.simulator --folder STATE`: runs the mailbox simulator until SIGTERM."""

import argparse
import asyncio
import fcntl
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from localstack.ready import write_ready
from localstack.simulator.hosts import MxHosts, has_ipv6, special_hosts, start_hosts
from localstack.simulator.mailboxes import Mailboxes
from localstack.simulator.playbook import Playbook
from localstack.simulator.profiles import Certificate
from localstack.simulator.scripts import Scripts
from localstack.simulator.signatures import SignatureChecker
from localstack.simulator.smtp import World
from localstack.simulator.tls import contexts
from localstack.simulator.verdicts import Verdicts, key_source
from localstack.simulator.web import Site
from localstack.simulator.webhooks import Webhooks
from localstack.zones import (
    IPV6_ADDRESS,
    IPV6_HOST,
    mx_hosts,
    profile_hosts,
    scriptable_hosts,
)

log = logging.getLogger("localstack.simulator")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    addresses = list(mx_hosts().values())
    parser = argparse.ArgumentParser(prog="python -m localstack.simulator")
    option = parser.add_argument
    option("--folder", type=Path, required=True, help="mail and webhooks are kept here")
    option("--smtp-port", type=int, default=0, help="on every MX address; 0 takes a free one")
    option("--web-port", type=int, default=0)
    option("--web-host", default="127.0.0.1")
    option("--ready-file", type=Path, help="written once it listens: pid, smtp_port, web_port")
    option("--hosts", type=_addresses, default=addresses, help="MX addresses, comma-separated")
    option("--busy-hosts", type=_addresses, default=addresses[-1:], help="those that greet 421")
    option("--ca-folder", type=Path, help="local authority for STARTTLS; default FOLDER/ca")
    option("--dns", type=_endpoint, default=("127.0.0.1", 53), help="ADDRESS:PORT for DKIM keys")
    option("--webhook-public-key", type=Path, help="PEM file, which may appear later")
    option("--verify", choices=["receipt", "view"], default="receipt", help="when DKIM is verified")
    return parser.parse_args(arguments)


def _addresses(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _endpoint(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT")
    return host, int(port)


@contextmanager
def _only_user(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f"another simulator is using {folder}") from error
        yield


async def _start_mx(options: argparse.Namespace, world: World) -> MxHosts:
    """Start the hosts asked for, those of the table below the same base, and the IPv6 one."""
    base = _base(options.hosts)
    names = [*mx_hosts(base), *profile_hosts(base), IPV6_HOST]
    folder = options.ca_folder or options.folder / "ca"
    tls = contexts(folder, [*names, *options.hosts, IPV6_ADDRESS])
    ipv6 = [IPV6_ADDRESS] if has_ipv6() else []
    if not ipv6:
        log.warning("this machine has no IPv6: %s does not answer", IPV6_HOST)
    return await start_hosts(
        [*options.hosts, *ipv6],
        options.busy_hosts,
        options.smtp_port,
        world,
        tls[Certificate.GOOD],
        special_hosts(tls, base),
    )


def _base(hosts: Sequence[str]) -> str:
    return f"{hosts[0].rpartition('.')[0]}." if hosts else "127.0.0."


async def _start_web(site: Site, host: str, port: int) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(site.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, int(runner.addresses[0][1])


async def _run(options: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    mailboxes = Mailboxes(options.folder)
    webhooks = Webhooks(options.folder, SignatureChecker(options.webhook_public_key))
    verdicts = Verdicts(mailboxes, key_source(*options.dns))
    scripts = Scripts(Playbook(scriptable_hosts(_base(options.hosts))))
    world = World(mailboxes, verdicts, scripts, verify_on_receipt=options.verify == "receipt")
    runner: web.AppRunner | None = None
    mx: MxHosts | None = None
    try:
        mx = await _start_mx(options, world)
        site = Site(mailboxes, verdicts, webhooks, scripts)
        runner, web_port = await _start_web(site, options.web_host, options.web_port)
        facts = {"smtp_port": mx.port, "web_port": web_port, "hosts": options.hosts}
        write_ready(options.ready_file, facts)
        log.info("MX hosts on port %d, web on port %d", mx.port, web_port)
        await stopping.wait()
    finally:
        if mx is not None:
            await mx.stop()
        if runner is not None:
            await runner.cleanup()
        await verdicts.stop()
        webhooks.close()
        mailboxes.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Returns 0, or 2 when a port, an address or the folder is not to be had."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="simulator: %(message)s", stream=sys.stderr)
    # The library reports each command of each session.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    try:
        with _only_user(options.folder):
            asyncio.run(_run(options))
    except OSError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
