"""Writing directory rows: what the seed of the local stack and later the management API use."""

import json
from collections.abc import Iterable

from pynamodb.exceptions import PutError

from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow
from mailroom.domain.dns.spelling import domain_pk
from mailroom.domain.message import Credential, Server, Webhook
from mailroom.domain.tenancy.spelling import (
    credential_pk,
    dump_credential,
    dump_server,
    dump_webhook,
    login_pk,
    network_pk,
)
from mailroom.domain.webhook_target import check_webhook


class DirectoryRows:
    """Puts rows; secrets are hashed (credentials) or wrapped by KMS (keys) on the way."""

    def __init__(self, rows: type[DirectoryRow], keyring: KmsKeyring) -> None:
        self._rows = rows
        self._keyring = keyring

    def put_server(self, server: Server) -> None:
        """Write a server, and its place in the list the tracking function reads.

        In an order in which a crash between the two leaves a server more private, never less.
        """
        private = self._rows("platform", "private")
        if server.privacy:
            private.update(actions=[self._rows.servers.add({server.id})])
        self._put(f"server#{server.id}", "-", dump_server(server))
        if not server.privacy:
            private.update(actions=[self._rows.servers.delete({server.id})])

    def put_credential(self, credential: Credential, secret: str) -> None:
        """Write a credential; only the hash of `secret` is stored.

        One that allows CRAM-MD5 is also kept encrypted, because the server's side of that needs
        the secret itself.
        """
        self._put(credential_pk(secret), "-", dump_credential(credential))
        if credential.cram:
            wrapped = self._keyring.wrap(secret.encode(), f"server#{credential.server}")
            place = f"server#{credential.server}", f"cram#{credential.id}"
            self._put(*place, dump_credential(credential), wrapped)

    def put_network(self, credential: Credential, network: str) -> None:
        """Write an SMTP-IP credential: an IP address or network (`192.0.2.0/24`).

        Raises ValueError for what is no network or a very large one, and when the network
        belongs to another server already.
        """
        row = self._rows(network_pk(network), "-")
        row.json = dump_credential(credential)
        try:
            row.save(condition=self._rows.pk.does_not_exist())
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            owner = json.loads(self._rows.get(row.pk, "-").json)["server"]
            if owner != credential.server:
                raise ValueError(f"{network} belongs to another server") from error
            row.save()

    def put_login(self, organisation: str, server: Server) -> None:
        """Write the user name `organisation/server` (permalinks) of a server."""
        pk = login_pk(f"{organisation}/{server.permalink}")
        self._put(pk, "-", json.dumps({"server": server.id}))

    def put_domain(
        self,
        name: str,
        owner: str,
        *,
        selector: str,
        private_key: bytes,
        verified: bool,
        return_path_ok: bool,
    ) -> None:
        """Write a sending domain; `private_key` is PKCS#8 DER, wrapped for its owner."""
        stored = {"verified": verified, "selector": selector, "return_path_ok": return_path_ok}
        wrapped = self._keyring.wrap(private_key, owner)
        self._put(domain_pk(name), owner, json.dumps(stored), wrapped)

    def put_webhook(self, webhook: Webhook) -> None:
        """Write a webhook.

        Raises ValueError for a URL nothing may call and for an event there is not.
        """
        check_webhook(webhook)
        self._put(f"server#{webhook.server}", f"webhook#{webhook.id}", dump_webhook(webhook))

    def put_organisation_webhook(self, organisation: str, webhook: Webhook) -> None:
        """Write a webhook that hears of all servers of an organisation; its `server` is ignored.

        Raises ValueError as `put_webhook` does.
        """
        check_webhook(webhook)
        place = f"organisation#{organisation}", f"webhook#{webhook.id}"
        self._put(*place, dump_webhook(webhook))

    def put_key(
        self, purpose: str, kid: str, secret: bytes, *, created_at: float, public: str = ""
    ) -> None:
        """Write one of the platform's own keys (tracking, verp, token, webhook)."""
        wrapped = self._keyring.wrap(secret, f"platform#{purpose}")
        stored = {"public": public, "created_at": created_at}
        self._put("platform", f"key#{purpose}#{kid}", json.dumps(stored), wrapped)

    def put_block_list(self, servers: Iterable[str], hosts: Iterable[str]) -> None:
        """Replace the tracking block list."""
        stored = {"servers": sorted(servers), "hosts": sorted(hosts)}
        self._put("platform", "blocklist", json.dumps(stored))

    def _put(self, pk: str, sk: str, text: str, wrapped: bytes | None = None) -> None:
        row = self._rows(pk, sk)
        row.json, row.wrapped = text, wrapped
        row.save()
