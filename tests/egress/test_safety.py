"""Policies come from servers that a host's own authorities vouch for, as it was put together."""

import ssl
from pathlib import Path

import pytest

from egress.core.mx import Addresses, Lookup
from egress.sender.safety import sts_fetcher
from egress.sts_fetch import StsFetchError
from mailroom.domain.transport.sts import StsMode, StsPolicy
from mailroom.domain.transport.tls_result import TlsResult
from tests.egress.tls_peers import Authority, an_authority
from tests.egress.web_policy import page, web_server


class Book:
    """Everything is on this machine."""

    async def addresses(self, host: str) -> Addresses:
        assert host == "mta-sts.example.org"
        return Addresses(Lookup.FOUND, ("127.0.0.1",))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("authority"))


async def fetched(host: ssl.SSLContext, authorities: Path | None) -> StsPolicy:
    with web_server(host, page()) as (port, _):
        fetcher = sts_fetcher(Book(), networks=("127.0.0.0/8",), port=port, authorities=authorities)
        try:
            return await fetcher.fetch("example.org")
        finally:
            fetcher.close()


async def test_a_hosts_own_authorities_vouch_for_policies(authority: Authority) -> None:
    policy = await fetched(authority.host("mta-sts.example.org"), authority.file)
    assert policy.mode is StsMode.ENFORCE


@pytest.mark.parametrize("own", [False, True])
async def test_a_stranger_vouches_for_none(authority: Authority, tmp_path: Path, own: bool) -> None:
    authorities = an_authority(tmp_path).file if own else None
    with pytest.raises(StsFetchError) as caught:
        await fetched(authority.host("mta-sts.example.org"), authorities)
    assert caught.value.result is TlsResult.STS_WEBPKI_INVALID


async def test_authorities_that_cannot_be_read_stop_the_host_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        sts_fetcher(Book(), networks=(), port=443, authorities=tmp_path / "none.pem")
