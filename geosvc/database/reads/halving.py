"""Reads about many items of which PostgreSQL refuses some."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from geosvc.errors import RequestError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


async def read_in_halves(
    items: Sequence[_Item],
    read: Callable[[Sequence[_Item]], Awaitable[list[_Result]]],
    is_refusal: Callable[[RequestError], bool],
    read_refused: Callable[[_Item, RequestError], Awaitable[list[_Result]]],
) -> list[_Result]:
    """Read the results of all items, in order; a list that is refused is halved.

    One refused item fails its whole statement. It is found with about twice as many
    statements as the list can be halved.

    Args:
        read: reads the results of some items in one statement.
        is_refusal: whether an error is about an item; every other error is raised.
        read_refused: returns the results of an item that is refused by itself.
    Raises: RequestError.
    """
    if not items:
        return []
    try:
        return await read(items)
    except RequestError as error:
        if not is_refusal(error):
            raise
        if len(items) == 1:
            return await read_refused(items[0], error)
    half = len(items) // 2
    first = await read_in_halves(items[:half], read, is_refusal, read_refused)
    second = await read_in_halves(items[half:], read, is_refusal, read_refused)
    return first + second
