"""Elastic IPs: against the emulator as far as it goes, and against EC2's own description.

The emulator's Elastic IPs know no network interface; requests and answers for these are checked by
botocore against its model of the service.
"""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from mailroom.adapters.ec2_addresses import Ec2Addresses
from mailroom.ports.elastic_ips import ElasticIp, PrivateIp

ONE = ElasticIp("192.0.2.1", "eipalloc-1", "eni-1", "10.0.0.2")


@pytest.fixture
def stubbed() -> Any:
    client = boto3.client(
        "ec2", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


@pytest.mark.emulator
def test_an_elastic_ip_is_found_by_its_address_and_associated(cloud: Any) -> None:
    ec2 = cloud.client("ec2")
    made = [ec2.allocate_address(Domain="vpc") for _ in range(2)]
    interface = ec2.create_network_interface(
        SubnetId=ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    )
    eni = interface["NetworkInterface"]["NetworkInterfaceId"]
    adapter = Ec2Addresses(ec2)
    wanted = made[0]["PublicIp"]
    found = adapter.find([wanted, "203.0.113.99"])
    assert {each.public: each.allocation for each in found.values()} == {
        wanted: made[0]["AllocationId"]
    }
    adapter.associate(found[wanted], eni, "10.0.0.9")
    described = ec2.describe_addresses(AllocationIds=[made[0]["AllocationId"]])["Addresses"]
    assert described[0]["AssociationId"]


def test_where_addresses_are_is_read(stubbed: Any) -> None:
    client, stubber = stubbed
    addresses = [
        {
            "PublicIp": ONE.public,
            "AllocationId": ONE.allocation,
            "NetworkInterfaceId": ONE.interface,
            "PrivateIpAddress": ONE.private,
        },
        {"PublicIp": "192.0.2.2", "AllocationId": "eipalloc-2"},
    ]
    wanted = [ONE.public, "192.0.2.2", "192.0.2.3"]
    filters = [{"Name": "public-ip", "Values": wanted}]
    stubber.add_response("describe_addresses", {"Addresses": addresses}, {"Filters": filters})
    found = Ec2Addresses(client).find([*wanted, ONE.public])
    assert found == {ONE.public: ONE, "192.0.2.2": ElasticIp("192.0.2.2", "eipalloc-2")}


def test_many_addresses_are_asked_for_in_parts(stubbed: Any) -> None:
    client, stubber = stubbed
    wanted = [f"192.0.{n // 200}.{n % 200}" for n in range(450)]
    for start in (0, 200, 400):
        filters = [{"Name": "public-ip", "Values": wanted[start : start + 200]}]
        stubber.add_response("describe_addresses", {"Addresses": []}, {"Filters": filters})
    assert Ec2Addresses(client).find(wanted) == {}
    assert Ec2Addresses(client).find([]) == {}


def test_addresses_of_an_interface_are_read(stubbed: Any) -> None:
    client, stubber = stubbed
    private = [
        {"PrivateIpAddress": "10.0.0.1", "Primary": True},
        {
            "PrivateIpAddress": "10.0.0.2",
            "Primary": False,
            "Association": {"PublicIp": ONE.public},
        },
    ]
    stubber.add_response(
        "describe_network_interfaces",
        {"NetworkInterfaces": [{"PrivateIpAddresses": private}]},
        {"NetworkInterfaceIds": ["eni-1"]},
    )
    assert Ec2Addresses(client).private_ips("eni-1") == [
        PrivateIp("10.0.0.1", primary=True),
        PrivateIp("10.0.0.2", public=ONE.public),
    ]


def test_a_move_takes_the_address_from_wherever_it_was(stubbed: Any) -> None:
    client, stubber = stubbed
    asked = {
        "AllocationId": ONE.allocation,
        "NetworkInterfaceId": "eni-9",
        "PrivateIpAddress": "10.0.9.2",
        "AllowReassociation": True,
    }
    stubber.add_response("associate_address", {"AssociationId": "eipassoc-1"}, asked)
    Ec2Addresses(client).associate(ONE, "eni-9", "10.0.9.2")
