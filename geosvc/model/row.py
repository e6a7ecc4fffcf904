"""A row of a result, as every room sees it: values by place."""

from collections.abc import Iterator
from typing import Any, Protocol, overload


class Row(Protocol):
    """What asyncpg's Record, a tuple and a list have in common."""

    @overload
    def __getitem__(self, index: int, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> tuple[Any, ...]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
