"""Writing directory rows: what the seed of the local stack and later the management API use."""

import json
from collections.abc import Iterable

from mailroom.adapters.dynamo_directory import credential_pk, dump_server
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow
from mailroom.domain.message import Credential, Server, Webhook


class DirectoryRows:
    """Puts rows; secrets are hashed (credentials) or wrapped by KMS (keys) on the way."""

    def __init__(self, rows: type[DirectoryRow], keyring: KmsKeyring) -> None:
        self._rows = rows
        self._keyring = keyring

    def put_server(self, server: Server) -> None:
        """Write a server."""
        self._put(f"server#{server.id}", "-", dump_server(server))

    def put_credential(self, credential: Credential, secret: str) -> None:
        """Write a credential; only the hash of `secret` is stored."""
        stored = {
            "id": credential.id,
            "server": credential.server,
            "kind": credential.kind,
            "name": credential.name,
        }
        self._put(credential_pk(secret), "-", json.dumps(stored))

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
        self._put(f"domain#{name.lower()}", owner, json.dumps(stored), wrapped)

    def put_webhook(self, webhook: Webhook) -> None:
        """Write a webhook."""
        stored = {
            "url": webhook.url,
            "events": sorted(webhook.events),
            "enabled": webhook.enabled,
        }
        self._put(f"server#{webhook.server}", f"webhook#{webhook.id}", json.dumps(stored))

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
