"""What is wrong with a file."""

from geosvc.errors import StartError


class SourceError(StartError):
    """A file cannot be loaded. Features are counted from 0, as everywhere, and lines from 1, as editors do."""
