"""What a client may do before it is told to stop."""

from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the submission server. Sizes are octets, times seconds; lines include CRLF."""

    message_size: int = 25 * MEGABYTE
    recipients: int = 150
    command_line: int = 512  # RFC 5321 section 4.5.3.1.4
    # Grown by SIZE, 8BITMIME, AUTH, SMTPUTF8, RET and ENVID (RFC 1870, 6152, 4954, 6531, 3461).
    mail_line: int = 512 + 26 + 17 + 500 + 10 + 9 + 107
    rcpt_line: int = 512 + 29 + 507  # grown by NOTIFY and ORCPT (RFC 3461)
    auth_line: int = 12_288  # RFC 4954 section 4
    chunk_size: int = 256 * MEGABYTE  # what is read past, not kept, to stay in step
    errors: int = 10
    login_failures: int = 3
    login_failure_wait: float = 1.0
    client_failures: int = 20  # failed logins from one client; they leak away evenly ...
    user_failures: int = 50  # ... as do those of one CRAM-MD5 user name ...
    failure_memory: float = 900.0  # ... within this time
    braked_names: int = 10_000  # clients and user names remembered for that
    commands: int = 20_000
    transactions: int = 1_000
    idle_time: float = 300.0  # RFC 5321 section 4.5.3.2.7
    login_time: float = 120.0  # from the connection to a successful login
    content_time: float = 1_800.0  # for one message, however slowly it drips
    handshake_time: float = 30.0
    proxy_time: float = 10.0  # for a PROXY header
    connections: int = 1_000
    connections_per_client: int = 50
    held_octets: int = 512 * MEGABYTE  # of all messages that are on their way in
