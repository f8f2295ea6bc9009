"""Square corners for buildings, by the library buildingregulariser."""

from __future__ import annotations

import warnings

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.errors import UserError

__all__ = ["refuse_without_squares", "squared"]


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
        Side of a pixel: what is smaller are stairs.

    Returns
    -------
    ndarray of MultiPolygon
        In the same order. What the library makes nothing of is left as it is.
    """
    import geopandas as gpd
    from buildingregulariser import regularize_geodataframe

    frame = gpd.GeoDataFrame(geometry=list(geometries))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own use of geopandas
        made = regularize_geodataframe(
            frame,
            parallel_threshold=pixel,  # with twice that, buildings of 4 x 5 pixels lose half
            simplify_tolerance=pixel,
            allow_45_degree=False,
            allow_circles=False,
            num_cores=1,
        )
    out = geometries.copy()
    made = made[made.geometry.is_valid & made.geom_type.isin(["Polygon", "MultiPolygon"])]
    out[made.index.to_numpy()] = made.geometry.to_numpy()
    return np.array([shapely.multipolygons(shapely.get_parts(each)) for each in out], object)
