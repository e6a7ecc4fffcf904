"""Run by the Python that PyQGIS is installed for: reads layers of a service by QGIS's provider
OAPIF, and prints them as JSON.

The arguments are the address, then `layer` or `layer:xmin,ymin,xmax,ymax` for those of a box.
"""

import json
import sys
from typing import Any

from qgis.core import Qgis, QgsApplication, QgsFeatureRequest, QgsRectangle, QgsVectorLayer
from qgis.PyQt.QtCore import QDate, QDateTime, Qt, QVariant


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or (isinstance(value, QVariant) and value.isNull()):
        return None
    if isinstance(value, QDateTime | QDate):
        return value.toString(Qt.ISODate)
    return value


def read(address: str, name: str, box: str) -> dict[str, Any]:
    """What QGIS tells of a layer, and its features."""
    source = f"url='{address}' typename='{name}' pageSize='1000'" + (
        " restrictToRequestBBOX='1'" if box else ""
    )
    layer = QgsVectorLayer(source, name, "OAPIF")
    request = QgsFeatureRequest()
    if box:
        request.setFilterRect(QgsRectangle(*map(float, box.split(","))))
    names = [field.name() for field in layer.fields()]
    features = [
        {
            "properties": dict(zip(names, map(plain, feature.attributes()), strict=True)),
            "wkb": bytes(feature.geometry().asWkb()).hex(),
        }
        for feature in (layer.getFeatures(request) if layer.isValid() else ())
    ]
    return {
        "valid": layer.isValid(),
        "crs": layer.crs().authid(),
        "count": layer.featureCount(),
        "types": {field.name(): field.typeName() for field in layer.fields()},
        "features": features,
    }


application = QgsApplication([], False)
application.initQgis()
asked = [argument.partition(":") for argument in sys.argv[2:]]
found = {f"{name}{colon}{box}": read(sys.argv[1], name, box) for name, colon, box in asked}
print(json.dumps({"version": Qgis.QGIS_VERSION, "layers": found}))
application.exitQgis()
