"""Prediction over a DataArray: the block task, and the lazy graph around it.

The raster is covered by one lattice of windows (`plan`). Dask schedules blocks of them, never
single windows: a task reads the hull of its windows once, runs them in batches on a device, decides
there what each pixel is, and returns its own pixels as bytes. Blocks share nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NoReturn

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from geoseg.bands import choose_bands
from geoseg.blocks import run_block
from geoseg.card import Card
from geoseg.decisions import Output, dtype_of, missing_value
from geoseg.ensembles import Models, ensemble
from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.plan import Blend, Block, Tiling
from geoseg.raster.arrays import grid_of
from geoseg.raster.grid import stated_size
from geoseg.raster.sidecar import class_attrs
from geoseg.tasks import Running, Task, make_task
from geoseg.views import Turns, viewed
from geoseg.windows import box_shape

__all__ = ["predict", "scene_of", "zoom_for"]

log = logging.getLogger(__name__)

FARTHEST_ZOOM = 8.0  # beyond it no resampling brings back what the network looks for


def predict(
    image: xr.DataArray,
    model: Models,
    *,
    output: Output = "classes",
    window: int | None = None,
    halo: int | None = None,
    blend: Blend | None = None,
    stride: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    bands: Sequence[str | int] | None = None,
    gsd: float | Literal["auto", "native"] = "auto",
    pixel_size: float | None = None,
    views: Turns | None = None,
    scales: Sequence[float] | None = None,
) -> xr.DataArray:
    """Classify an image, lazily: nothing is read or computed before the result is.

    Parameters
    ----------
    image : DataArray, dims (band, y, x)
        From `geoseg.open_raster`, rioxarray, odc-stac, zarr or numpy; any chunks, any real dtype.
    model : Segmenter, path-like or str, or sequence of these
        A model, a model file, or the name of a shipped model; the probabilities of several are
        averaged (`geoseg.ensemble`).
    output : {"classes", "scores", "confidence", "entropy"}
        What to give for each pixel: the value of its class; the probability of every class; the
        highest of these; their entropy divided by that of equal ones (0 sure, 1 clueless).
    window : int, optional
        Side of a window in the network's pixels. By default what the model's card recommends, and
        more where windows are cropped and memory allows it: less is computed twice.
    halo : int, optional
        Pixels of context cut off each side of a window. By default the model's measured halo, with
        which the result equals one forward pass over the whole image.
    blend : {"crop", "hann", "mean"}, optional
        Keep the core of each window (the default where the halo is known), or average overlapping
        windows with Hann or equal weights (Hann is the default where it is not).
    stride : int, optional
        Pixels between blended windows; by default half a window.
    batch_size : int, optional
        Windows run together on a GPU; a processor takes one after the other.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, or several separated by commas.
    precision : {"auto", "fp32", "bf16", "fp16"}
        ``auto`` is fp32, for nothing is read before the result is asked for; only
        `geoseg.predict_file` tries what another costs.
    bands : sequence of str or int, optional
        Bands of the image for the model's, in the model's order. By default they are matched by
        name, and taken in order where the image names none.
    gsd : float or {"auto", "native"}
        Ground sample distance in metres at which the network is to see the image. ``auto``
        resamples, block by block, when the image's is outside the model's range; scores come back
        to the image's grid.
    pixel_size : float, optional
        Side of the image's pixels in metres, for an image that does not say it: a photograph, or an
        array without a coordinate system. Without it such an image is seen as it is.
    views : {"flips", "d4"}, optional
        Average the probabilities of each window and its mirror images, or of all eight ways to lay
        a square on itself. It takes four or eight times as long.
    scales : sequence of float, optional
        Average the probabilities of each window resized by these factors, e.g. (0.75, 1, 1.25);
        with `views` each of them in each way.

    Returns
    -------
    DataArray, dims (y, x), or (class, y, x) for scores
        On the image's grid. Classes: uint8, 255 where there is no data (uint16 and 65535 when
        class values need it), names and colours in ``attrs``. Others: float32, NaN where there is
        no data.

    Raises
    ------
    UserError
        When image, model and options do not fit each other.

    Notes
    -----
    Why windows are cropped by default: with the measured halo no class depends on where windows
    lie, with Hann weights and half an overlap 1 to 5 pixels in 10,000 do, with equal weights 50 to
    80; the IoU is the same within 0.1 points. Cropping costs what half an overlap costs where
    windows are four halos wide, and less where memory has room for wider ones (BENCHMARKS.md,
    "Windows").
    """
    segmenter = viewed(ensemble(model), views, scales)
    task = make_task(
        scene_of(image, segmenter.card, bands, gsd, pixel_size),
        segmenter,
        (output,),
        Tiling(window, halo, blend, stride),
        Running(device, precision, batch_size),
    )
    return _lazy(task)


def scene_of(
    image: xr.DataArray,
    card: Card,
    bands: Sequence[str | int] | None = None,
    gsd: float | Literal["auto", "native"] = "auto",
    pixel_size: float | None = None,
) -> Scene:
    """The image as the network of a card sees it: its bands, its pixel size."""
    chosen = choose_bands(image, card, bands)
    return Scene(chosen, zoom=zoom_for(chosen, card, gsd, pixel_size))


def zoom_for(
    image: xr.DataArray,
    card: Card,
    gsd: float | Literal["auto", "native"],
    pixel_size: float | None = None,
) -> tuple[float, float]:
    """Network pixels per image pixel, along rows and columns.

    Raises
    ------
    UserError
        When the image's pixels are more than 8 times larger or smaller than the network's, are to
        be brought to a size and nobody says which they have, or the image says another size than
        `pixel_size`.
    """
    if isinstance(gsd, str) and gsd not in ("auto", "native"):
        raise UserError(f"gsd {gsd!r} must be auto, native or metres, e.g. 10")
    wanted = card.gsd if isinstance(gsd, str) else gsd
    size = stated_size(grid_of(image), pixel_size)
    if size is None and not isinstance(gsd, str):
        raise UserError(
            f"the image does not say how large its pixels are, which bringing them to {gsd:g} m "
            "needs; say it with --pixel-size (pixel_size), or take them as they are: --gsd native"
        )
    if size is None and gsd == "auto" and wanted is not None:
        _tell_unknown_size(card.name, wanted)
    if gsd == "native" or wanted is None or size is None:
        return 1.0, 1.0
    if not 0 < wanted < float("inf"):
        raise UserError(f"gsd {gsd} must be a positive number of metres")
    low, high = card.gsd_range or (wanted, wanted)
    if gsd == "auto" and all(low <= each <= high for each in size):
        return 1.0, 1.0
    rows, columns = size[0] / wanted, size[1] / wanted
    if not all(1 / FARTHEST_ZOOM <= each <= FARTHEST_ZOOM for each in (rows, columns)):
        raise UserError(
            f"pixels of {size[1]:.4g} x {size[0]:.4g} m are more than {FARTHEST_ZOOM:g} times off "
            f"the {wanted:g} m that {card.name} sees; use imagery nearer to it, or --gsd native to "
            "take the pixels as they are"
        )
    return rows, columns


@cache  # once for a model: a batch has many images of one kind
def _tell_unknown_size(model: str, metres: float) -> None:
    log.warning(
        "%s has learnt from pixels of %g m, and the image does not say how large its own are: it "
        "is seen as it is; say it with --pixel-size (pixel_size), or --gsd native if that is meant",
        model,
        metres,
    )


def _lazy(task: Task) -> xr.DataArray:
    """The result as a DataArray whose blocks are computed when they are asked for."""
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    (output,) = task.outputs
    card, plan, image = task.segmenter.card, task.plan, task.scene.image
    token = uuid.uuid4().hex
    name, common = f"geoseg-{output}-{token}", f"geoseg-task-{token}"
    lead = (0,) if output == "scores" else ()
    layer: dict[Any, Any] = {common: Shared(_without_pixels(task) if image.chunks else task)}
    for block in plan.blocks():
        key = (name, *lead, block.row, block.column)
        layer[key] = (_compute, common, block, *_sources(task, block))
    graph = HighLevelGraph.from_collections(name, layer, [image.data] if image.chunks else [])
    chunks = plan.chunks if output != "scores" else ((len(card.classes),), *plan.chunks)
    data = da.Array(graph, name, chunks, dtype_of(card, output))  # type: ignore[no-untyped-call]
    return _described(data, task, output)


@dataclass(frozen=True)
class Shared:
    """What all blocks of a graph share, kept from dask's eyes, which look into tuples and lists."""

    task: Task


def _without_pixels(task: Task) -> Task:
    """The task without its image, which dask's own tasks bring; only sizes are looked at."""
    image = task.scene.image
    data = indexing.LazilyIndexedArray(Hollow(image.shape, image.dtype))
    hollow = xr.DataArray(xr.Variable(image.dims, data, image.attrs), image.coords)
    return replace(task, scene=replace(task.scene, image=hollow))


class Hollow(BackendArray):
    """Stands for pixels that are somewhere else; takes no memory, when it is sent neither."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NoReturn:
        raise TypeError("these pixels are brought by tasks, and not to be read here")


def _sources(task: Task, block: Block) -> tuple[Any, ...]:
    """For an image in chunks: the chunks under a block, and where the block lies in them."""
    image = task.scene.image
    if not image.chunks:
        return ()
    box = task.scene.native_box(task.plan.hull(block))
    spans = [slice(0, image.shape[0]), *box]
    found = [_overlapping(sizes, span) for sizes, span in zip(image.chunks, spans, strict=True)]
    bands, rows, columns = (chunks for chunks, _ in found)
    name = image.data.name
    keys = [[[(name, b, r, c) for c in columns] for r in rows] for b in bands]
    return keys, tuple(start for _, start in found[1:]), tuple(box_shape(box))


def _overlapping(sizes: tuple[int, ...], span: slice) -> tuple[range, int]:
    """The chunks of an axis under a span, and where the span begins in the first of them."""
    ends = np.cumsum(sizes)
    first, last = np.searchsorted(ends, [span.start, span.stop - 1], side="right")
    return range(int(first), int(last) + 1), span.start - int(ends[first] - sizes[first])


def _compute(
    shared: Shared,
    block: Block,
    chunks: list[list[list[NDArray[Any]]]] | None = None,
    start: tuple[int, int] = (0, 0),
    shape: tuple[int, int] = (0, 0),
) -> NDArray[Any]:
    """One task of the graph: read, or join the chunks that dask brought, and classify."""
    task = shared.task
    hull = task.plan.hull(block)
    if chunks is None:
        part = task.scene.part(hull)
    else:
        rows, columns = (slice(a, a + n) for a, n in zip(start, shape, strict=True))
        part = task.scene.part_of(np.block(chunks)[:, rows, columns], hull)
    (result,) = run_block(task, block, part).values()
    return result


def _described(data: Any, task: Task, output: Output) -> xr.DataArray:
    """The result with the image's grid, no-data value, and what its values mean."""
    card, image = task.segmenter.card, task.scene.image
    mapping = image.rio.grid_mapping
    kept = {name: image.coords[name] for name in ("y", "x", mapping) if name in image.coords}
    names = [each.name for each in card.classes]
    dims: tuple[str, ...] = ("y", "x")
    if output == "scores":
        dims, kept = ("class", *dims), kept | {"class": names}
    labels = xr.DataArray(data, dims=dims, coords=kept, name=output, attrs=_attrs(card, output))
    described: xr.DataArray = labels.rio.write_nodata(missing_value(card, output))
    return described.rio.write_grid_mapping(mapping) if mapping in kept else described


def _attrs(card: Card, output: Output) -> dict[str, Any]:
    if output != "classes":
        return {"long_name": [each.name for each in card.classes]} if output == "scores" else {}
    return class_attrs(card.classes)
