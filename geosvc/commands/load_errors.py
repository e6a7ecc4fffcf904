"""What the database refuses of a load, for a person: with the file, the feature and the column."""

from collections.abc import Iterator
from contextlib import contextmanager

from geosvc.commands.load_options import ONE_OBJECT_HINT
from geosvc.errors import RequestError, StartError
from geosvc.sources import FeatureBatch
from geosvc.sources.shapes import find_ring_fault

_TOO_LARGE = ("ProgramLimitExceededError", "TooManyColumnsError")
_REMEDIES = {
    "DependentObjectsStillExistError": (
        "views or other tables depend on the table: drop them, or empty the table and --append"
    ),
    "InsufficientPrivilegeError": (
        "the role of the database URL needs CREATE on the schema, or INSERT on the table"
    ),
}
"""The class of a PostgreSQL error: what the user can do."""


def load_error(error: RequestError) -> StartError:
    """The error of a whole load, with what the user can do."""
    message = error.detail
    if error.reason:
        message += f" ({error.reason})"
    if error.reason in _REMEDIES:
        message += f": {_REMEDIES[error.reason]}"
    return StartError(f"{message}; nothing was stored")


@contextmanager
def feature_errors(batch: FeatureBatch) -> Iterator[None]:
    """Names the feature that the database refuses in the block. Raises: StartError."""
    try:
        yield
    except RequestError as error:
        if error.index is None:
            raise
        index = error.index - batch.first
        problem = _problem(error, batch.geometries[index])
        raise StartError(f"{batch.where(index)}: {problem}; nothing was stored") from None


def _problem(error: RequestError, geometry: bytes | None) -> str:
    """What is wrong with a feature."""
    if error.pointer == "/geometry":
        fault = find_ring_fault(geometry)
        if fault is not None:
            return f"the geometry {fault}"
    message = error.detail
    column = (error.pointer or "").removeprefix("/properties/")
    if column and not message.startswith(column):
        message = f"{column}: {message}"
    if error.reason in _TOO_LARGE:
        return f"{message}, a row has at most 8 kB beside long texts: {ONE_OBJECT_HINT}"
    if error.reason:
        return f"{message} ({error.reason})"
    return message
