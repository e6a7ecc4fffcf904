"""The fields of a layer and their types, as GDAL names them."""

from collections.abc import Mapping
from typing import Any


def field_types(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The type of each field by its name, such as `OFTString`, in the order of the layer.

    Args:
        metadata: what pyogrio says of the layer.
    """
    names = [str(name) for name in metadata["fields"]]
    return dict(zip(names, metadata["ogr_types"], strict=True))
