"""What a client may do before it is told to stop."""

from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the submission server. Sizes are octets, times seconds; lines include CRLF."""

    message_size: int = 14 * MEGABYTE  # Postal's default
    recipients: int = 150
    command_line: int = 512  # RFC 5321 section 4.5.3.1.4
    mail_line: int = 512 + 26 + 17 + 500  # grown by SIZE, 8BITMIME and AUTH (RFC 1870, 6152, 4954)
    auth_line: int = 12_288  # RFC 4954 section 4
    errors: int = 10
    login_failures: int = 3
    login_failure_wait: float = 1.0
    commands: int = 20_000
    transactions: int = 1_000
    idle_time: float = 300.0  # RFC 5321 section 4.5.3.2.7
    login_time: float = 120.0  # from the connection to a successful login
    content_time: float = 1_800.0  # for one message, however slowly it drips
    handshake_time: float = 30.0
    connections: int = 1_000
    connections_per_client: int = 50
    held_octets: int = 512 * MEGABYTE  # of all messages that are on their way in
