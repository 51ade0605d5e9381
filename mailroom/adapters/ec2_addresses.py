"""The ElasticIps port on EC2."""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

from mailroom.ports.elastic_ips import ElasticIp, PrivateIp

_VALUES = 200  # EC2's own limit for one filter


class Ec2Addresses:
    """Asks EC2 each time: it happens when an address moves, and at no other time."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def find(self, public: Collection[str]) -> Mapping[str, ElasticIp]:
        """See ElasticIps.find."""
        wanted = iter(dict.fromkeys(public))
        found: dict[str, ElasticIp] = {}
        while some := list(islice(wanted, _VALUES)):
            # Not by PublicIps: one that is not ours would be an error for all of them.
            filters = [{"Name": "public-ip", "Values": some}]
            answer = self._client.describe_addresses(Filters=filters)
            each = (_elastic(given) for given in answer["Addresses"] if "AllocationId" in given)
            found |= {elastic.public: elastic for elastic in each if elastic.public in some}
        return found

    def private_ips(self, interface: str) -> Sequence[PrivateIp]:
        """See ElasticIps.private_ips."""
        answer = self._client.describe_network_interfaces(NetworkInterfaceIds=[interface])
        return [
            PrivateIp(
                given["PrivateIpAddress"],
                bool(given.get("Primary")),
                given.get("Association", {}).get("PublicIp", ""),
            )
            for described in answer["NetworkInterfaces"]
            for given in described["PrivateIpAddresses"]
        ]

    def associate(self, elastic: ElasticIp, interface: str, private: str) -> None:
        """See ElasticIps.associate."""
        self._client.associate_address(
            AllocationId=elastic.allocation,
            NetworkInterfaceId=interface,
            PrivateIpAddress=private,
            AllowReassociation=True,
        )


def _elastic(given: Mapping[str, Any]) -> ElasticIp:
    return ElasticIp(
        given["PublicIp"],
        given["AllocationId"],
        given.get("NetworkInterfaceId", ""),
        given.get("PrivateIpAddress", ""),
    )
