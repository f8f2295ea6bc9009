"""``image.geoseg``: the same functions, on the array itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from geoseg.ensembles import Models

__all__ = ["GeosegAccessor"]


@xr.register_dataarray_accessor("geoseg")  # type: ignore[no-untyped-call]
class GeosegAccessor:
    """Classify an image, or make polygons of a class map."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def predict(self, model: Models, **options: Any) -> xr.DataArray:
        """Classify the image, lazily; see `geoseg.predict`."""
        from geoseg.prediction import predict

        return predict(self._array, model, **options)

    def polygonize(self, **options: Any) -> GeoDataFrame:
        """Polygons of the class map; see `geoseg.polygonize`."""
        from geoseg.polygons import polygonize

        return polygonize(self._array, **options)
