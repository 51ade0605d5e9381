"""Where the files of jobs lie: in the bucket of bodies, under a class that its rules delete."""

from zlib import crc32

UPLOAD_DAYS = 3
RESULT_DAYS = 7


def upload_key(owner: str, upload: str) -> str:
    """Return the key of a file that an owner ("server#<id>" ...) brings for a job."""
    return _key(UPLOAD_DAYS, "uploads", owner, upload)


def result_key(owner: str, job: str, name: str) -> str:
    """Return the key of a file that a job makes for its owner."""
    return f"{_key(RESULT_DAYS, 'jobs', owner, job)}/{name}"


def _key(days: int, kind: str, owner: str, name: str) -> str:
    spread = crc32(name.encode()) & 0xFF
    return f"{days}/{spread:02x}/{kind}/{owner.replace('#', '/')}/{name}"
