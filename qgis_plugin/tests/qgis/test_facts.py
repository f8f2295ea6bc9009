# SPDX-License-Identifier: GPL-2.0-or-later
"""How large a pixel is on the ground."""

from __future__ import annotations

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsRasterLayer, QgsRectangle

from geoseg_qgis.facts import facts_of, ground_size

pytestmark = pytest.mark.usefixtures("qgis_app")

LOCAL = 'LOCAL_CS["a building site", UNIT["US survey foot", 0.3048006096]]'


# Radii of curvature on WGS 84 at 60 degrees: 6,394,209 m across and 6,383,454 m along the meridian.
@pytest.mark.parametrize(
    ("crs", "place", "size", "expected"),
    [
        ("EPSG:32633", (500_000, 5_400_000), 10.0, (10.004, 10.004)),  # 0.9996 on its meridian
        ("EPSG:3857", (2_000_000, 8_399_738), 10.0, (5.0126, 5.0041)),
        ("EPSG:3857", (2_000_000, 8_399_738), 0.1, (0.050126, 0.050041)),
        ("EPSG:4326", (20, 60), 0.001, (55.800, 111.412)),
        ("EPSG:2263", (984_250, 160_000), 10.0, (3.048, 3.048)),  # feet
        (LOCAL, (0, 0), 10.0, (3.048, 3.048)),
        ("EPSG:3857", (1e12, 1e12), 10.0, (10.0, 10.0)),  # nowhere on Earth
    ],
)
def test_pixels_are_measured_on_the_ground(
    crs: str, place: tuple[float, float], size: float, expected: tuple[float, float]
) -> None:
    known = (
        QgsCoordinateReferenceSystem(crs)
        if crs.startswith("EPSG")
        else QgsCoordinateReferenceSystem.fromWkt(crs)
    )
    assert known.isValid()
    x, y = place
    box = QgsRectangle(x - 1, y - 1, x + 1, y + 1)
    assert ground_size(known, box, (size, size)) == pytest.approx(expected, rel=2e-4)


def test_without_a_coordinate_system_nothing_is_known_of_the_ground() -> None:
    box = QgsRectangle(0, 0, 1, 1)
    assert ground_size(QgsCoordinateReferenceSystem(), box, (1.0, 1.0)) is None


@pytest.mark.parametrize("provider", ["gdal", "wms", "none of all"])
def test_a_layer_that_cannot_be_opened_has_no_bands(provider: str) -> None:
    layer = QgsRasterLayer("/no/such/file.tif", "gone", provider)
    assert not layer.isValid()
    assert facts_of(layer, layer.extent()).bands == ()
