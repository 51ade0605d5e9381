"""One person's data in an organisation: what there is, a copy of it, its erasure."""

from collections.abc import Sequence
from typing import Any

from mail_api.v2.models.jobs import Job
from mail_api.v2.models.recipients import Recipient
from mail_api.v2.operation import Answer, Call, Operation, invalid
from mail_api.v2.resources.jobs import begin
from mailroom.domain.address import MalformedAddressError
from mailroom.domain.suppression import normal_address
from mailroom.domain.tenancy.access import Scope
from mailroom.usecases.recipients import ERASE, EXPORT, RecipientPorts, summary


def read_recipient(call: Call) -> Any:
    """Sum up what there is."""
    return summary(
        call.target.organisation, _address(call), call.desk.registrar.clock.now(), _ports(call)
    )


def export_recipient(call: Call) -> Answer:
    """Start to copy all of it into files."""
    return _begun(call, EXPORT, "export")


def erase_recipient(call: Call) -> Answer:
    """Start to erase it."""
    return _begun(call, ERASE, "erase")


def _begun(call: Call, kind: str, action: str) -> Answer:
    address, registrar = _address(call), call.desk.registrar
    organisation = call.target.organisation
    entry = {
        "kind": "recipient",
        "id": _ports(call).hashed(address),
        "parent": f"organisation#{organisation}",
    }
    note = registrar.note(action, entry, organisation=organisation, actor=call.actor)
    answer = begin(call, kind, {"organisation": organisation, "address": address})
    call.desk.registry.write([note])
    return answer


def _address(call: Call) -> str:
    try:
        return normal_address(call.path["recipient"])
    except MalformedAddressError as error:
        raise invalid("recipient", str(error), "address") from error


def _ports(call: Call) -> RecipientPorts:
    ports: RecipientPorts = call.desk.area("recipients")
    return ports


_ERASED = (
    "Deliveries keep a keyed hash in the place of the address, events lose addresses, networks and"
    " user agents, bodies that were for nobody else are deleted, suppressions stay by their hash."
    " The job's result names messages that keep something, why and until when."
)


def _operations(owner: str, tag: str, flat: str) -> Sequence[Operation]:
    one, reads, writes = (
        f"{owner}/recipients/{{recipient}}",
        Scope.RECIPIENTS_READ,
        (Scope.RECIPIENTS_WRITE),
    )
    return (
        Operation(f"{tag}.read", "GET", one, "Sum up what is stored about a person",
                  read_recipient, reads, answer=Recipient, flat=flat),
        Operation(f"{tag}.export", "POST", f"{one}/export",
                  "Copy all that is stored about a person", export_recipient, reads, answer=Job,
                  status=202, flat=flat),
        Operation(f"{tag}.erase", "DELETE", one, "Erase a person", erase_recipient, writes,
                  answer=Job, status=202, flat=flat, description=_ERASED),
    )  # fmt: skip


OPERATIONS = (
    *_operations("/organisations/{organisation}", "recipients", ""),
    *_operations("", "own_recipients", "organisation"),
)
