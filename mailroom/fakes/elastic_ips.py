"""The ElasticIps port in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mailroom.ports.elastic_ips import ElasticIp, PrivateIp


@dataclass(slots=True)
class MemoryElasticIps:
    """Public addresses by address, and the addresses of interfaces (the first is primary)."""

    elastic: dict[str, ElasticIp] = field(default_factory=dict)
    interfaces: dict[str, list[str]] = field(default_factory=dict)
    broken: bool = False

    def find(self, public: Collection[str]) -> Mapping[str, ElasticIp]:
        """See ElasticIps.find. Raises ConnectionError while `broken`."""
        if self.broken:
            raise ConnectionError("no EC2")
        return {each: self.elastic[each] for each in public if each in self.elastic}

    def private_ips(self, interface: str) -> Sequence[PrivateIp]:
        """See ElasticIps.private_ips."""
        led = {
            each.private: each.public
            for each in self.elastic.values()
            if each.interface == interface
        }
        return [
            PrivateIp(address, number == 0, led.get(address, ""))
            for number, address in enumerate(self.interfaces[interface])
        ]

    def associate(self, elastic: ElasticIp, interface: str, private: str) -> None:
        """See ElasticIps.associate."""
        here = replace(elastic, interface=interface, private=private)
        self.elastic[elastic.public] = here
