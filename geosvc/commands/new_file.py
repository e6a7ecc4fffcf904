"""A file that has its name only when it is complete.

Until then it has none at all where the platform can do that (O_TMPFILE), so that nothing remains of
it, whatever ends the process. Elsewhere it has a hidden name in the same folder, which is removed
unless the process is killed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from geosvc.errors import StartError

_BUFFER_BYTES = 1 << 20
_MODE = 0o666  # what the user's mask takes away is not there
_DESCRIPTORS = Path("/proc/self/fd")  # of Linux: how a file without a name is named


class NewFile:
    """A file that is being written.

    Attributes:
        stream: to write to, from the beginning; it can seek.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hidden: Path | None = None
        self.stream = self._open()

    def _open(self) -> IO[bytes]:
        """Raises: OSError."""
        if hasattr(os, "O_TMPFILE") and _DESCRIPTORS.is_dir():
            with suppress(OSError):  # the file system has no files without names
                number = os.open(self._path.parent, os.O_TMPFILE | os.O_RDWR, _MODE)
                return os.fdopen(number, "w+b", _BUFFER_BYTES)
        number = os.open(self._hide(), os.O_CREAT | os.O_EXCL | os.O_RDWR, _MODE)
        return os.fdopen(number, "w+b", _BUFFER_BYTES)

    def _hide(self) -> Path:
        """A hidden name, which is free."""
        self._hidden = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        self._hidden.unlink(missing_ok=True)
        return self._hidden

    def publish(self, *, replace: bool) -> None:
        """Gives the file its name, when all of it is on the disk.

        Raises: FileExistsError if there is one of this name and it must not be replaced; OSError.
        """
        self.stream.flush()
        os.fsync(self.stream.fileno())
        has_no_name = self._hidden is None
        if has_no_name and not replace:
            self._link(self._path)
            return
        hidden = self._hidden or self._hide()
        if has_no_name:
            self._link(hidden)
        elif self._path.exists() and not replace:
            raise FileExistsError
        hidden.replace(self._path)

    def _link(self, name: Path) -> None:
        # only with a folder for its source os.link follows the link that a descriptor is
        folder = os.open(_DESCRIPTORS, os.O_RDONLY)
        try:
            os.link(str(self.stream.fileno()), name.absolute(), src_dir_fd=folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Ends the writing; what has no name is gone."""
        with suppress(OSError):  # of what is thrown away the disk may have no room
            self.stream.close()
        if self._hidden is not None:
            self._hidden.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path, *, replace: bool) -> Iterator[IO[bytes]]:
    """A stream to a file that gets its name after the block, unless the block raises.

    Raises: StartError for a file that exists and must not be replaced, and for what the system
        refuses.
    """
    check_path(path, replace=replace)
    try:
        file = NewFile(path)
        try:
            yield file.stream
            file.publish(replace=replace)
        finally:
            file.close()
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise StartError(f"{path}: {error.strerror or error}") from None


def check_path(path: Path, *, replace: bool) -> None:
    """Checks that a file can be written. Raises: StartError."""
    if path.is_dir():
        raise StartError(f"{path} is a folder")
    if not path.parent.is_dir():
        raise StartError(f"the folder {path.parent} does not exist")
    if path.exists() and not replace:
        raise _exists(path)


def _exists(path: Path) -> StartError:
    return StartError(f"{path} exists: --force replaces it")
