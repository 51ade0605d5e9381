"""Raw messages: fake and adapter keep the same promises."""

import pytest

from mailroom.adapters.s3_bodies import S3Bodies
from mailroom.fakes.memory import MemoryBodies


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.emulator)])
def bodies(request):
    if request.param == "memory":
        return MemoryBodies()
    cloud = request.getfixturevalue("cloud")
    return S3Bodies(cloud.client("s3"), cloud.settings.resource("bucket", "bodies"))


@pytest.mark.parametrize(
    "raw", [b"", b"From: x\r\n\r\n\x00\xff\r\n", b"x" * 1_000_000, b"x" * 5_000_000]
)
def test_a_body_comes_back_octet_by_octet(bodies, raw):
    bodies.put("30/ab/org1/abcdefghij/5", raw)
    assert bodies.get("30/ab/org1/abcdefghij/5") == raw


def test_keys_are_apart(bodies):
    bodies.put("30/ab/a", b"a")
    bodies.put("30/ab/b", b"b")
    assert bodies.get("30/ab/a") == b"a"


def test_a_body_that_is_gone_is_a_key_error(bodies):
    with pytest.raises(KeyError):
        bodies.get("30/ab/nothing")
