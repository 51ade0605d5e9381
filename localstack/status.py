"""What a running stack tells people and programs about itself."""

import json
import shlex
from collections.abc import Mapping
from html import escape
from typing import Any

from localstack.config import (
    FROM_DOMAIN,
    LOOPBACK,
    MAX_MESSAGE_MB,
    RECIPIENT_DOMAIN,
    StackConfig,
)
from localstack.supervisor import Child
from localstack.tenant import SMTP_USER, public_pem

Status = dict[str, Any]


def describe(config: StackConfig, kept: Mapping[str, Any], children: Mapping[str, Child]) -> Status:
    """Return what `./run status --json` prints. `kept` are the tenant's secrets, if made."""
    platform = kept.get("platform", {})
    return {
        "api_url": config.api_url,
        "api_large_url": config.api_large_url,
        "tracking_url": config.tracking_url,
        "simulator_url": config.simulator_url,
        "control_url": config.control_url,
        "smtp": {
            "host": LOOPBACK,
            "submission_port": config.ports.submission,
            "alternative_port": config.ports.submission_alternative,
            "tls_port": config.ports.submission_tls,
            "mx_port": None,
            "username": SMTP_USER,
            "password": kept.get("smtp_password"),
            "ca_file": str(config.path("certificates", "ca.pem")),
        },
        "ca_file": str(config.path("certificates", "ca.pem")),
        "api_key": kept.get("api_key"),
        "platform_key": kept.get("platform_key"),
        "server": kept.get("server"),
        "from_domain": FROM_DOMAIN,
        "recipient_domain": RECIPIENT_DOMAIN,
        "dns": f"{LOOPBACK}:{config.ports.dns}",
        "xray": f"{LOOPBACK}:{config.ports.xray}",
        "webhook_public_key": public_pem(platform["webhook"]["secret"]) if platform else None,
        "retry_delay_factor": config.delay_divisor,
        "delay_divisor": config.delay_divisor,
        "emulator_url": config.emulator_url,
        "state_dir": str(config.state),
        "processes": {
            name: {"pid": child.pid, "healthy": child.healthy, "restarts": child.restarts}
            for name, child in children.items()
        },
    }


def summary(status: Status) -> str:
    """Say in a few lines what runs."""
    lines = [
        f"API          {status['api_url']}    key {status['api_key']}",
        f"  reference  {status['api_url']}/api/v2/docs    platform key {status['platform_key']}",
        f"API, large   {status['api_large_url']}    messages up to {MAX_MESSAGE_MB} MB",
        f"  trust      {status['ca_file']}",
        f"SMTP         {_smtp_line(status)}",
        f"Mailboxes    {status['simulator_url']}    anything@{status['recipient_domain']}",
        f"Tracking     {status['tracking_url']}",
        f"Sender       {status['control_url']}/metrics (/health, /view)",
        f"DNS          {status['dns']}    AWS endpoint {status['emulator_url']}",
        f"State, logs  {status['state_dir']}",
    ]
    for name, process in status["processes"].items():
        health = "healthy" if process["healthy"] else "NOT healthy"
        restarts = f", restarted {process['restarts']} times" if process["restarts"] else ""
        lines.append(f"  {name:<12} pid {process['pid']} {health}{restarts}")
    return "\n".join(lines)


def guide(status: Status) -> str:
    """Say where everything is, with lines to paste that send a message."""
    return "\n".join(
        [
            "",
            "Mailroom runs.",
            "",
            summary(status),
            "",
            "Send a message with the HTTP API:",
            "",
            curl_line(status),
            "",
            "The same over SMTP:",
            "",
            smtp_line(status),
            "",
            f"Then look at {status['simulator_url']}",
        ]
    )


def curl_line(status: Status) -> str:
    """Return a command that sends HTML and text with three links and an attachment."""
    sender, recipient = _parties(status)
    targets = [f"https://example.com/{path}" for path in ("one", "two?a=1&b=2", "three")]
    anchors = ", ".join(f'<a href="{escape(target)}">{escape(target)}</a>' for target in targets)
    message = {
        "from": f"Demo <{sender}>",
        "to": [recipient],
        "subject": "Hello from Mailroom",
        "plain_body": "Three links: " + " ".join(targets),
        "html_body": f"<html><body><p>Three links: {anchors}</p></body></html>",
        "attachments": [
            {"name": "hello.txt", "content_type": "text/plain", "data": "SGVsbG8sIHdvcmxkIQo="}
        ],
    }
    body = json.dumps(message, indent=2)
    return (
        f"curl -sS {status['api_url']}/api/v1/send/message \\\n"
        f"  -H 'Content-Type: application/json' -H 'X-Server-API-Key: {status['api_key']}' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def smtp_line(status: Status) -> str:
    """Return a command that sends a message over SMTP with STARTTLS and a checked certificate."""
    sender, recipient = _parties(status)
    smtp = status["smtp"]
    program = f"""import smtplib, ssl
smtp = smtplib.SMTP("{smtp["host"]}", {smtp["submission_port"]})
smtp.starttls(context=ssl.create_default_context(cafile="{smtp["ca_file"]}"))
smtp.login("{smtp["username"]}", "{smtp["password"]}")
smtp.sendmail("{sender}", ["{recipient}"], \"\"\"From: {sender}
To: {recipient}
Subject: Hello over SMTP

It works.
\"\"\")
smtp.quit()"""
    return f"python3 -c {shlex.quote(program)}"


def _parties(status: Status) -> tuple[str, str]:
    return f"hello@{status['from_domain']}", f"accept+demo@{status['recipient_domain']}"


def _smtp_line(status: Status) -> str:
    smtp = status["smtp"]
    return (
        f"{smtp['host']}:{smtp['submission_port']} (or {smtp['alternative_port']}), STARTTLS; "
        f"smtps {smtp['tls_port']}"
        f"    user {smtp['username']}    password {smtp['password']}"
    )
