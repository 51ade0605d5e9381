"""What `./run up` prints can be pasted, and what `./run status` says is complete."""

import copy
import json
import shlex
from pathlib import Path

import pytest

from localstack.config import Ports, StackConfig
from localstack.status import Status, curl_line, describe, guide, smtp_line
from localstack.tenant import make_secrets

CONFIG = StackConfig(Path("project"), Path("state folder"), Ports())


@pytest.fixture(scope="module")
def status(tmp_path_factory: pytest.TempPathFactory) -> Status:
    secrets = make_secrets(tmp_path_factory.mktemp("state") / "secrets.json")
    return describe(CONFIG, secrets, {})


def test_the_printed_curl_is_one_command_with_a_whole_message(status: Status) -> None:
    words = shlex.split(curl_line(status))
    message = json.loads(words[words.index("-d") + 1])
    assert words[0] == "curl"
    assert f"X-Server-API-Key: {status['api_key']}" in words
    assert message["html_body"].count("<a href=") == 3
    assert len(message["attachments"]) == 1


def test_the_printed_smtp_line_is_a_program_python_accepts(status: Status) -> None:
    interpreter, flag, program = shlex.split(smtp_line(status))
    assert (interpreter, flag) == ("python3", "-c")
    compile(program, "pasted", "exec")
    assert status["smtp"]["password"] in program


def test_the_status_has_every_documented_key(status: Status) -> None:
    documented = {
        "api_url", "api_large_url", "ca_file", "tracking_url", "simulator_url", "smtp", "api_key",
        "control_url",
        "from_domain", "recipient_domain", "dns", "webhook_public_key", "retry_delay_factor",
        "processes",
    }  # fmt: skip
    assert documented <= set(status)
    assert {"host", "submission_port", "tls_port", "mx_port", "username"} <= set(status["smtp"])
    assert status["api_key"] in guide(status)


def test_secrets_are_made_once_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = make_secrets(path)
    assert make_secrets(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert make_secrets(tmp_path / "other.json")["api_key"] != first["api_key"]


def test_secrets_of_an_older_release_get_what_came_later(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = make_secrets(path)
    whole = copy.deepcopy(first)
    del first["platform"]["recipients"]
    path.write_text(json.dumps(first))
    after = make_secrets(path)
    assert make_secrets(path) == after
    assert set(after["platform"]) == set(whole["platform"])
    assert {**after["platform"], "recipients": 0} == {**whole["platform"], "recipients": 0}
