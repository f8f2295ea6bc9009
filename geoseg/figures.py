"""Pictures of results: image, class map and polygons side by side.

Files are read decimated, so a picture of a raster of any size takes the memory of a picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from os import PathLike, fspath, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.path import Path as Outline
from mpl_toolkits.axes_grid1.anchored_artists import (  # type: ignore[import-untyped]
    AnchoredSizeBar,
)
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from geoseg.classes import ClassInfo, as_classes
from geoseg.errors import UserError
from geoseg.raster import Grid, class_table, pixel_size
from geoseg.raster.place import working_folder
from geoseg.rendering import MISSING, Rgb, limits, natural_color, paint, shade, variety
from geoseg.windows import Box, Windows, box_shape

__all__ = ["preview"]

PANEL = 580
"""Side of a panel in pixels of the picture: no more are read of a raster."""
DETAIL = 320
"""Side in pixels of the part whose polygons are shown; with more of them outlines merge."""
IN_A_ROW = 8
"""Classes that the legend has room for side by side."""
StrPath = str | PathLike[str]


@dataclass(frozen=True)
class _ClassMap:
    grid: Grid
    classes: tuple[ClassInfo, ...]
    labels: NDArray[Any]  # decimated
    nodata: float | None

    @property
    def whole(self) -> Box:
        return slice(0, self.grid.shape[0]), slice(0, self.grid.shape[1])


def preview(
    image: StrPath,
    class_map: StrPath,
    polygons: StrPath,
    out: StrPath,
    *,
    bands: Sequence[int] = (),
) -> None:
    """Draw image, class map and polygons side by side.

    The image is stretched from its 2nd to its 98th percentile. The polygons are drawn over the
    part of the image with the most even mix of classes, which is outlined in the other panels. The
    legend gives the share of each class in the classified area, to the nearest percent.

    Parameters
    ----------
    image : path-like
        A raster.
    class_map : path-like
        The class map of that image, on the same grid.
    polygons : path-like
        The polygons of that map: a vector file with the column ``class_id``.
    out : path-like
        A PNG of 1800 x 700 pixels; a file of that name is replaced.
    bands : sequence of int
        Numbers, from 1, of the bands to show as red, green and blue. By default those of these
        names, else the first three, or one in grey.

    Raises
    ------
    UserError
        When image and map differ in size, or a band is not there.
    """
    shown = _read_class_map(class_map)
    with _opened(image) as dataset:
        _check_same_size(dataset, shown, image, class_map)
        _check_bands(dataset, bands)
        detail = _most_varied(shown)
        numbers = list(bands) or _visible_bands(dataset)
        pictures = [_picture(dataset, numbers, box) for box in (shown.whole, detail)]
    colors = {each.value: each.rgb for each in shown.classes}
    whole, close = (shade(picture, limits(pictures[0])) for picture in pictures)
    figure = Figure(figsize=(18, 7), dpi=100)
    left, middle, right = (
        figure.add_axes((0.008 + 0.331 * i, 0.11, 0.322, 0.83)) for i in range(3)
    )
    _show(left, whole, shown.whole, shown.grid, "Image")
    _show(middle, paint(shown.labels, colors), shown.whole, shown.grid, "Class map")
    _show(right, close, detail, shown.grid, "Polygons, in the outlined part")
    for axes in (left, middle):
        _outline(axes, detail)
    _draw_polygons(right, polygons, detail, shown)
    _add_legend(figure, shown)
    _save(figure, Path(out))


# -- reading ---------------------------------------------------------------------------------------


@contextmanager
def _opened(path: StrPath) -> Iterator[Any]:
    """A raster file; one without a place on Earth is drawn as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        warnings.simplefilter("ignore", NodataShadowWarning)
        with rasterio.open(fspath(path)) as dataset:
            yield dataset


def _read_class_map(path: StrPath) -> _ClassMap:
    with _opened(path) as dataset:
        grid = Grid(dataset.shape, dataset.crs, dataset.transform)
        labels = dataset.read(1, out_shape=_decimated(dataset.shape), resampling=Resampling.nearest)
        nodata = dataset.nodata
    return _ClassMap(grid, class_table(path) or _numbered(labels, nodata), labels, nodata)


def _numbered(labels: NDArray[Any], nodata: float | None) -> tuple[ClassInfo, ...]:
    """Classes of a map that does not name them."""
    values = [int(value) for value in np.unique(labels) if value != nodata]
    colors = as_classes([str(value) for value in values])
    return tuple(ClassInfo(v, str(v), each.color) for v, each in zip(values, colors, strict=True))


def _check_same_size(dataset: Any, shown: _ClassMap, image: StrPath, class_map: StrPath) -> None:
    if dataset.shape != shown.grid.shape:
        raise UserError(
            f"{fspath(image)} has {dataset.shape} rows and columns, {fspath(class_map)} "
            f"{shown.grid.shape}; give the class map of this image"
        )


def _check_bands(dataset: Any, bands: Sequence[int]) -> None:
    if bands and (len(bands) != 3 or not set(bands) <= set(dataset.indexes)):
        raise UserError(
            f"bands {tuple(bands)} cannot be shown; give three numbers from 1 to {dataset.count}"
        )


def _decimated(shape: tuple[int, int]) -> tuple[int, int]:
    step = max(*shape, PANEL) / PANEL
    return ceil(shape[0] / step), ceil(shape[1] / step)


def _picture(dataset: Any, numbers: list[int], box: Box) -> NDArray[np.float32]:
    """Three bands of a box, NaN where there are no data: (rows, columns, 3)."""
    pixels = dataset.read(
        numbers,
        window=Window.from_slices(*box),
        out_shape=(len(numbers), *_decimated(box_shape(box))),
        resampling=Resampling.average,
        masked=True,
        out_dtype="float32",
    )
    return np.moveaxis(pixels.filled(np.nan), 0, -1)


def _visible_bands(dataset: Any) -> list[int]:
    return [place + 1 for place in natural_color([name or "" for name in dataset.descriptions])]


# -- the part with polygons ------------------------------------------------------------------------


def _most_varied(shown: _ClassMap) -> Box:
    """The box of `DETAIL` pixels with the most even mix of classes."""
    step = shown.grid.shape[0] / shown.labels.shape[0]
    side = max(round(DETAIL / step), 1)
    size = min(side, shown.labels.shape[0]), min(side, shown.labels.shape[1])
    stride = ceil(size[0] / 2), ceil(size[1] / 2)
    windows = Windows(shown.labels.shape, size, stride)
    rows, columns = max(windows, key=lambda box: variety(shown.labels[box], shown.nodata))
    return (
        _full_size(rows, step, shown.grid.shape[0]),
        _full_size(columns, step, shown.grid.shape[1]),
    )


def _full_size(span: slice, step: float, length: int) -> slice:
    start = min(round(span.start * step), max(length - DETAIL, 0))
    return slice(start, min(start + DETAIL, length))


def _draw_polygons(axes: Axes, path: StrPath, box: Box, shown: _ClassMap) -> None:
    outlines, values = _read_polygons(path, box, shown.grid)
    colors = {each.value: each.color for each in shown.classes}
    edges = [colors.get(value, "black") for value in values]
    faces = [to_rgba(color, 0.35) for color in edges]
    axes.add_collection(
        PathCollection(outlines, facecolors=faces, edgecolors=edges, linewidths=1.2), False
    )


def _read_polygons(path: StrPath, box: Box, grid: Grid) -> tuple[list[Outline], list[int]]:
    """Outlines in (column, row) of the raster, and the class of each."""
    to_map = grid.transform or rasterio.Affine.identity()
    # The first layer: a GeoPackage keeps styles in another one.
    bounds = _bounds(box, grid, pyogrio.read_info(path, layer=0)["crs"])
    frame = pyogrio.read_dataframe(path, layer=0, bbox=bounds, columns=["class_id"])
    if frame.crs is not None and grid.crs is not None:
        frame = frame.to_crs(grid.crs)
    to_pixels = ~to_map

    def in_pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_pixels @ (xy[:, 0], xy[:, 1]))

    shapes = shapely.transform(frame.geometry.to_numpy(), in_pixels)
    parts, owner = shapely.get_parts(shapes, return_index=True)
    parts = shapely.orient_polygons(parts)  # holes stay empty when they run the other way round
    return [_as_outline(part) for part in parts], frame["class_id"].to_numpy()[owner].tolist()


def _bounds(box: Box, grid: Grid, crs: str | None) -> tuple[float, float, float, float]:
    """West, south, east and north of a box, in the coordinates of the polygons."""
    to_map = grid.transform or rasterio.Affine.identity()
    rows, columns = box
    corners = [
        to_map @ (c, r) for r in (rows.start, rows.stop) for c in (columns.start, columns.stop)
    ]
    (west, south), (east, north) = np.min(corners, axis=0), np.max(corners, axis=0)
    if crs is None or grid.crs is None or rasterio.CRS.from_user_input(crs) == grid.crs:
        return west, south, east, north
    bounds: tuple[float, float, float, float] = transform_bounds(
        grid.crs, crs, west, south, east, north
    )
    return bounds


def _as_outline(polygon: shapely.Polygon) -> Outline:
    rings = [polygon.exterior, *polygon.interiors]
    return Outline.make_compound_path(
        *(Outline(shapely.get_coordinates(ring), closed=True) for ring in rings)
    )


# -- drawing ---------------------------------------------------------------------------------------


def _show(axes: Axes, picture: Rgb, box: Box, grid: Grid, title: str) -> None:
    """A picture with its title and a scale bar; axes count pixels of the raster."""
    rows, columns = box
    height, width = pixel_size(grid) or (1.0, 1.0)
    extent = (columns.start, columns.stop, rows.stop, rows.start)
    axes.imshow(picture, extent=extent, aspect=height / width, interpolation="nearest")
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    axes.set_title(title, fontsize=13)
    _add_scale_bar(axes, box, pixel_size(grid))


def _outline(axes: Axes, box: Box) -> None:
    rows, columns = box
    for color, width in (("black", 3.0), ("white", 1.5)):
        axes.add_patch(
            Rectangle(
                (columns.start, rows.start),
                columns.stop - columns.start,
                rows.stop - rows.start,
                fill=False,
                edgecolor=color,
                linewidth=width,
            )
        )


def _add_scale_bar(axes: Axes, box: Box, size: tuple[float, float] | None) -> None:
    """A bar of a round length, at most a quarter of the width, in metres or else in pixels."""
    rows, columns = box_shape(box)
    metres = size[1] if size else 1.0
    length = _round_length(columns * metres / 4)
    label = _length_label(length) if size else f"{length:g} pixels"
    bar = AnchoredSizeBar(
        axes.transData, length / metres, label, "lower left", size_vertical=rows / 100, sep=4
    )
    axes.add_artist(bar)


def _round_length(longest: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(longest))
    # 0.5: the logarithm of a number just below a power of ten may round up to that power.
    return float(max(factor * power for factor in (0.5, 1, 2, 5) if factor * power <= longest))


def _length_label(metres: float) -> str:
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"


def _add_legend(figure: Figure, shown: _ClassMap) -> None:
    known = shown.labels != shown.nodata
    total = max(int(known.sum()), 1)
    entries = [
        (each.name, each.color, np.sum(shown.labels == each.value) / total)
        for each in shown.classes
    ]
    handles = [
        Patch(facecolor=color, edgecolor="black", label=f"{name} {_percent(share)}")
        for name, color, share in entries
    ]
    if not known.all():
        handles.append(Patch(facecolor=MISSING, edgecolor="black", label="no data"))
    rows = ceil(len(handles) / IN_A_ROW)
    columns = ceil(len(handles) / rows)
    figure.legend(handles=handles, loc="lower center", ncols=columns, frameon=False, fontsize=12)


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def _save(figure: Figure, out: Path) -> None:
    with working_folder(out) as folder:
        draft = folder / out.name
        figure.savefig(draft, format="png")
        replace(draft, out)
