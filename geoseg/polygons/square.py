"""Square corners for buildings, by the library buildingregulariser."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.errors import UserError

__all__ = ["refuse_without_squares", "squared"]

STAIRS = 3
"""Pixels by which the outline of a building strays from its walls: what is smaller are stairs."""

LARGE = (8 * STAIRS) ** 2
"""Pixels of a building that loses none of its walls when stairs of that size are taken away; of a
smaller one those of a single pixel are."""


def refuse_without_squares() -> None:
    """Refuse to begin without the library.

    Raises
    ------
    UserError
    """
    try:
        import buildingregulariser  # noqa: F401
    except ImportError as error:
        raise UserError(
            "regularize needs buildingregulariser, which is not installed; "
            "pip install 'geoseg[regularize]'"
        ) from error


def squared(geometries: NDArray[np.object_], pixel: float) -> NDArray[np.object_]:
    """Polygons whose edges follow their main direction and the one across it.

    Parameters
    ----------
    geometries : ndarray of Polygon or MultiPolygon
        On a plane.
    pixel : float
        Side of a pixel.

    Returns
    -------
    ndarray of MultiPolygon
        In the same order. One of which the library makes nothing that covers half of it is left as
        it is.
    """
    large = shapely.area(geometries) >= LARGE * pixel**2
    made = np.empty(geometries.size, object)
    for chosen, stairs in ((large, STAIRS), (~large, 1)):
        if chosen.any():
            made[chosen] = _squared(geometries[chosen], stairs * pixel)
    return made


def _squared(geometries: NDArray[np.object_], stairs: float) -> NDArray[np.object_]:
    import geopandas as gpd
    from buildingregulariser import regularize_geodataframe

    frame = gpd.GeoDataFrame({"region": np.arange(geometries.size)}, geometry=list(geometries))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own use of geopandas
        made = regularize_geodataframe(
            frame,
            parallel_threshold=stairs,
            simplify_tolerance=stairs,
            allow_45_degree=False,
            allow_circles=False,
            num_cores=1,
        )
    # Its rows are parts of what was given, split further or dropped, under new numbers.
    parts, row = shapely.get_parts(made.geometry.to_numpy(), return_index=True)
    region = made["region"].to_numpy()[row]
    order = np.argsort(region, kind="stable")
    out = np.array([_as_multipolygon(each) for each in geometries], object)
    made_of = out.copy()
    shapely.multipolygons(parts[order], indices=region[order], out=made_of)
    sound = shapely.is_valid(made_of)
    # Of some regions of a few pixels it makes what hardly covers them.
    sound[sound] = (
        shapely.area(shapely.intersection(made_of[sound], geometries[sound]))
        >= shapely.area(geometries[sound]) / 2
    )
    return np.asarray(shapely.orient_polygons(np.where(sound, made_of, out)), object)


def _as_multipolygon(geometry: shapely.Geometry) -> Any:
    return shapely.multipolygons(shapely.get_parts(geometry))
