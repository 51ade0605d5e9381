"""Ports: a taken one is named with what needs it; chosen ones can be listened on."""

import dataclasses
import socket

import pytest

from localstack.ports import PortError, check_ports, free_ports


def test_free_ports_pass_the_check_and_differ() -> None:
    ports = free_ports()
    check_ports(ports)
    assert len(set(dataclasses.astuple(ports))) == len(dataclasses.fields(ports))


@pytest.mark.parametrize(
    ("use", "kind", "host", "words"),
    [
        ("api", socket.SOCK_STREAM, "127.0.0.1", "the api"),
        ("dns", socket.SOCK_DGRAM, "127.0.0.1", "the dns"),
        ("submission_alternative", socket.SOCK_STREAM, "127.0.0.1", "the submission alternative"),
        ("mx", socket.SOCK_STREAM, "127.0.0.3", "the mx"),
    ],
)
def test_a_taken_port_is_named_with_what_needs_it(
    use: str, kind: socket.SocketKind, host: str, words: str
) -> None:
    ports = free_ports()
    with socket.socket(type=kind) as taken:
        taken.bind((host, getattr(ports, use)))
        if kind is socket.SOCK_STREAM:
            taken.listen(1)
        with pytest.raises(PortError, match=f"{getattr(ports, use)}.*{words}"):
            check_ports(ports)
