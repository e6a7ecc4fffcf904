"""The error for a file that cannot be loaded."""

from geosvc.errors import StartError

_MAX_LENGTH = 800


class SourceError(StartError):
    """A file cannot be loaded. Messages count features from 0 and lines from 1, as editors do.

    The message is one line of printable characters, because it may contain text of a damaged file.
    """

    def __init__(self, problem: str) -> None:
        line = " ".join(problem.split())
        message = "".join(char if char.isprintable() else "?" for char in line)
        if len(message) > _MAX_LENGTH:
            message = f"{message[: _MAX_LENGTH - 3]}..."
        super().__init__(message)
