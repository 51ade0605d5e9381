"""The demonstration tenant's rows: server, credentials, verified domain, webhook, keys.

Written through the platform's own adapters, so what is demonstrated is what runs.
"""

import base64

from localstack.config import FROM_DOMAIN, StackConfig
from localstack.tenant import ORGANISATION, PERMALINK, Secrets, public_pem
from mailroom.adapters.clients import client
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import Credential, Server, ServerId, Tracking, Webhook
from mailroom.settings import Settings


def seed(config: StackConfig, kept: Secrets, settings: Settings, now: float) -> None:
    """Write the tenant's and the platform's rows. `now` is Unix seconds."""
    keyring = KmsKeyring(client("kms"), settings.resource("key", "secrets"))
    rows = DirectoryRows(bound(DirectoryRow, settings.resource("table", "directory")), keyring)
    server = ServerId(kept["server"])
    demo = Server(
        id=server,
        organisation=ORGANISATION,
        name="Main",
        permalink=PERMALINK,
        token=kept["server_token"],
        tracking=Tracking(config.tracking_url),
    )
    rows.put_server(demo)
    rows.put_login(ORGANISATION, demo)
    rows.put_credential(Credential("demo-api", server, "api", "Demo api"), kept["api_key"])
    # The local host offers CRAM-MD5, and some clients insist on it once they see it.
    smtp = Credential("demo-smtp", server, "smtp", "Demo smtp", cram=True)
    rows.put_credential(smtp, kept["smtp_password"])
    rows.put_domain(
        FROM_DOMAIN,
        f"server#{server}",
        selector=kept["dkim"]["selector"],
        private_key=base64.b64decode(kept["dkim"]["key"]),
        verified=True,
        return_path_ok=True,
    )
    rows.put_webhook(Webhook("demo", server, f"{config.simulator_url}/webhooks/demo"))
    rows.put_block_list((), ())
    for purpose, key in kept["platform"].items():
        public = public_pem(key["secret"]) if purpose == "webhook" else ""
        secret_octets = base64.b64decode(key["secret"])
        rows.put_key(purpose, key["kid"], secret_octets, created_at=now, public=public)
