"""An installation of Postal as rows: two organisations, three servers, and what an import meets."""

from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SCHEMA = Path(__file__).with_name("postal_schema.sql")
MESSAGES = "-- messages of one server\n"
API_KEY, SMTP_KEY = "AbCdEfGhIjKlMnOpQrStUvWx", "zYxWvUtSrQpOnMlKjIhGfEdC"
LINK = ("AbCd5678EfGh9012", "https://shop.example/?a=1&b='quoted'")
Rows = dict[str, list[dict[str, Any]]]


@cache
def dkim_key() -> str:
    """A key as Postal makes them: RSA-1024, PKCS#1, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def main_rows() -> Rows:
    """The main database."""
    return {
        "organizations": [
            {"id": 1, "name": "Acme Größe", "permalink": "acme", "time_zone": "Berlin"},
            {"id": 2, "name": "Late", "permalink": "late", "suspended_at": "2026-01-01 00:00:00",
             "suspension_reason": "owes money", "time_zone": "UTC"},
            {"id": 3, "name": "Gone", "permalink": "gone", "deleted_at": "2026-01-01 00:00:00"},
        ],
        "ip_pools": [{"id": 1, "name": "Shared", "default": 1}, {"id": 2, "name": "Own"}],
        "ip_addresses": [
            {"id": 1, "ip_pool_id": 1, "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
             "hostname": "Out1.example.com", "priority": 60},
            {"id": 2, "ip_pool_id": 2, "ipv4": "192.0.2.2", "hostname": "out2.example.com"},
        ],
        "organization_ip_pools": [
            {"id": 1, "organization_id": 1, "ip_pool_id": 1},
            {"id": 2, "organization_id": 2, "ip_pool_id": 1},
            {"id": 3, "organization_id": 1, "ip_pool_id": 2},
        ],
        "servers": [
            {"id": 1, "organization_id": 1, "name": "Main", "permalink": "main", "token": "abc123",
             "mode": "Live", "send_limit": 500, "message_retention_days": 60,
             "raw_message_retention_days": 30, "privacy_mode": 1, "allow_sender": 1,
             "postmaster_address": "post@acme.example", "ip_pool_id": 1},
            {"id": 2, "organization_id": 1, "name": "Tests", "permalink": "tests",
             "token": "def456", "mode": "Development"},
            {"id": 3, "organization_id": 2, "name": "Main", "permalink": "main",
             "token": "ghi789", "mode": "Live", "message_retention_days": 900,
             "raw_message_retention_days": 900, "suspended_at": "2026-02-01 10:00:00",
             "suspension_reason": "spam"},
            {"id": 4, "organization_id": 1, "name": "Gone", "permalink": "gone",
             "token": "jkl012", "deleted_at": "2026-01-01 00:00:00"},
            {"id": 5, "organization_id": 3, "name": "Orphan", "permalink": "orphan",
             "token": "mno345"},
        ],
        "domains": [
            {"id": 1, "owner_type": "Server", "owner_id": 1, "name": "Acme.example",
             "verified_at": "2025-01-01 00:00:00", "verification_token": "v" * 32,
             "verification_method": "DNS", "dkim_private_key": dkim_key(),
             "dkim_identifier_string": "ABCDEF", "return_path_status": "OK"},
            {"id": 2, "owner_type": "Organization", "owner_id": 1, "name": "shared.example",
             "verified_at": "2025-01-01 00:00:00", "verification_token": "w" * 32,
             "dkim_private_key": dkim_key(), "dkim_identifier_string": "GHIJKL",
             "use_for_any": 1},
            {"id": 3, "owner_type": "Server", "owner_id": 3, "name": "late.example",
             "verification_token": "x" * 32, "dkim_private_key": dkim_key(),
             "dkim_identifier_string": "MNOPQR"},
            {"id": 4, "owner_type": "Server", "owner_id": 4, "name": "gone.example"},
        ],
        "track_domains": [
            {"id": 1, "server_id": 1, "domain_id": 1, "name": "click", "ssl_enabled": 1,
             "track_clicks": 1, "track_loads": 0,
             "excluded_click_domains": "a.example\r\nb.example"},
        ],
        "credentials": [
            {"id": 1, "server_id": 1, "type": "API", "name": "App", "key": API_KEY},
            {"id": 2, "server_id": 1, "type": "SMTP", "name": "Shop", "key": SMTP_KEY, "hold": 1},
            {"id": 3, "server_id": 1, "type": "SMTP-IP", "name": "Office", "key": "192.0.2.0/24"},
            {"id": 4, "server_id": 2, "type": "API", "name": "Twin", "key": API_KEY.lower()},
        ],
        "http_endpoints": [
            {"id": 1, "server_id": 1, "name": "Inbox", "url": "https://acme.example/in",
             "encoding": "FormData", "format": "RawMessage", "strip_replies": 1, "timeout": 2},
            {"id": 2, "server_id": 1, "name": "Copy", "url": "https://acme.example/copy",
             "encoding": "BodyAsJSON", "format": "Hash"},
        ],
        "smtp_endpoints": [
            {"id": 1, "server_id": 1, "name": "Old", "hostname": "Mail.acme.example",
             "ssl_mode": "STARTTLS", "port": 2525},
        ],
        "address_endpoints": [{"id": 1, "server_id": 1, "address": "ann@other.example"}],
        "routes": [
            {"id": 1, "server_id": 1, "domain_id": 1, "name": "info", "mode": "Endpoint",
             "spam_mode": "Quarantine", "endpoint_type": "HTTPEndpoint", "endpoint_id": 1,
             "token": "abcdefgh"},
            {"id": 2, "server_id": 1, "domain_id": 1, "name": "*", "mode": "Reject",
             "spam_mode": "Mark", "token": "ijklmnop"},
            {"id": 3, "server_id": 1, "name": "__returnpath__", "mode": "Endpoint",
             "spam_mode": "Mark", "endpoint_type": "HTTPEndpoint", "endpoint_id": 2,
             "token": "qrstuvwx"},
            {"id": 4, "server_id": 1, "domain_id": 99, "name": "lost", "mode": "Accept",
             "spam_mode": "Mark", "token": "yzabcdef"},
        ],
        "additional_route_endpoints": [
            {"id": 1, "route_id": 1, "endpoint_type": "HTTPEndpoint", "endpoint_id": 2},
            {"id": 2, "route_id": 1, "endpoint_type": "AddressEndpoint", "endpoint_id": 1},
        ],
        "webhooks": [
            {"id": 1, "server_id": 1, "name": "All", "url": "https://acme.example/hook",
             "all_events": 1, "enabled": 1},
            {"id": 2, "server_id": 1, "name": "Some", "url": "https://acme.example/some",
             "all_events": 0, "enabled": 1},
            {"id": 3, "server_id": 2, "name": "None", "url": "https://acme.example/none",
             "all_events": 0, "enabled": 1},
        ],
        "webhook_events": [
            {"id": 1, "webhook_id": 2, "event": "MessageSent"},
            {"id": 2, "webhook_id": 2, "event": "MessageBounced"},
            {"id": 3, "webhook_id": 2, "event": "Nonsense"},
        ],
        "ip_pool_rules": [
            {"id": 1, "owner_type": "Server", "owner_id": 1, "ip_pool_id": 2,
             "from_text": "news@acme.example\r\n", "to_text": "gmail.example\n"},
            {"id": 2, "owner_type": "Organization", "owner_id": 1, "ip_pool_id": 1,
             "to_text": "big.example"},
        ],
    }  # fmt: skip


def message_rows() -> Rows:
    """The message database of server 1."""
    return {
        "links": [
            {"id": 1, "message_id": 1, "token": LINK[0], "hash": "h", "url": LINK[1],
             "timestamp": 1760000000.5},
            {"id": 2, "message_id": 1, "token": "short", "url": "https://x.example/"},
            {"id": 3, "message_id": 1, "token": "Bcde5678EfGh9012", "url": "javascript:alert(1)"},
        ],
        "suppressions": [
            {"id": 1, "type": "recipient", "address": "dead@sim.example",
             "reason": "too many hard fails", "timestamp": 1760000000.25,
             "keep_until": 1798761600.0},
            {"id": 2, "type": "recipient", "address": "slow@sim.example",
             "reason": "too many soft fails", "timestamp": 1760000001.25,
             "keep_until": 1798761600.0},
        ],
        "raw-2026-01-01": [{"id": 1, "data": b"From: x\r\n\r\nINSERT INTO `links` ('\x00\\"}],
    }  # fmt: skip


def schema(*, messages: bool) -> str:
    """The statements that make the tables of the main or of a message database."""
    main, _, of_messages = SCHEMA.read_text().partition(MESSAGES)
    return of_messages if messages else main


def inserts(rows: Rows) -> str:
    """The rows as statements, as mysqldump --complete-insert writes them."""
    lines = []
    for table, found in rows.items():
        for row in found:
            names = ", ".join(f"`{name}`" for name in row)
            values = ", ".join(map(_literal, row.values()))
            lines.append(f"INSERT INTO `{table}` ({names}) VALUES ({values});\n")
    return "".join(lines)


def dump() -> str:
    """All of it in one file, as mysqldump --databases writes it."""
    return (
        "-- MariaDB dump\n--\n-- Host: localhost    Database: postal\n/*!40101 SET NAMES utf8 */;\n"
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `postal`;\nUSE `postal`;\n"
        f"{schema(messages=False)}{inserts(main_rows())}"
        f"USE `postal-server-1`;\n{schema(messages=True)}{inserts(message_rows())}"
    )


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int | float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return "'" + escaped.replace("\r", "\\r") + "'"
