"""A row of a query result. Packages that may not import asyncpg use this type."""

from collections.abc import Iterator
from typing import Any, Protocol, overload


class Row(Protocol):
    """The values of a row by position, as in asyncpg's Record, a tuple or a list."""

    @overload
    def __getitem__(self, index: int, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> tuple[Any, ...]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
