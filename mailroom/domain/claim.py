"""The ids of claims: they name the process that has the claim, so that its death can be seen."""


def claim_id(process: str, token: str) -> str:
    """Return the id of a claim; `token` is random and has no dot."""
    return f"{process}.{token}"


def process_of(claim: str) -> str:
    """Return the process that made a claim; "" for an id that names none."""
    return claim.rpartition(".")[0]


def claim_name(claim: str) -> str:
    """Return what logs and histories call a claim: eight characters of its random part."""
    return claim.rpartition(".")[2][:8]
