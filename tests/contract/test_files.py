"""Files of jobs: fake and adapter keep the same promises."""

import urllib.error
import urllib.request

import pytest

from mailroom.adapters.clients import file_client
from mailroom.adapters.s3_files import S3Files
from mailroom.fakes.files import MemoryFiles


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.emulator)])
def files(request):
    if request.param == "memory":
        return MemoryFiles()
    settings = request.getfixturevalue("cloud").settings
    return S3Files(file_client(), settings.resource("bucket", "bodies"))


def test_a_file_is_read_in_ranges(files):
    files.put("3/aa/x", b"0123456789", "text/csv")
    assert files.size("3/aa/x") == 10
    assert files.read("3/aa/x", 0, 4) == b"0123"
    assert files.read("3/aa/x", 8, 4) == b"89"
    assert files.read("3/aa/x", 10, 4) == b""
    assert files.read("3/aa/x", 0, 0) == b""
    files.put("3/aa/x", b"", "text/csv")
    assert files.size("3/aa/x") == 0
    assert files.read("3/aa/x", 0, 4) == b""


def test_a_file_that_is_gone_is_a_key_error(files):
    files.put("3/aa/x", b"x", "text/csv")
    files.delete("3/aa/x")
    files.delete("3/aa/x")
    with pytest.raises(KeyError):
        files.size("3/aa/x")
    with pytest.raises(KeyError):
        files.read("3/aa/x", 0, 1)


@pytest.mark.emulator
def test_links_carry_a_file_in_and_out(cloud):
    files = S3Files(file_client(), cloud.settings.resource("bucket", "bodies"))
    link = files.upload_link("3/aa/up", 5, 60)
    put = urllib.request.Request(link, data=b"hello", method="PUT")
    with urllib.request.urlopen(put) as answer:
        assert answer.status == 200
    assert "X-Amz-Signature" in link
    assert "content-length" in link
    with urllib.request.urlopen(files.download_link("3/aa/up", "x.csv", 60)) as answer:
        assert answer.read() == b"hello"
