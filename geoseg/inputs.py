"""What a run is given: the files of one scene, and what of them is to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from geoseg.card import Card
from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.prediction import scene_of
from geoseg.raster import clip, grid_of, open_raster, open_stack
from geoseg.raster.damage import Damage
from geoseg.raster.files import is_remote
from geoseg.raster.gaps import find_gaps

__all__ = ["Input", "found"]


@dataclass(frozen=True)
class Input:
    """The files of one scene, and what of them is to be seen.

    Parameters
    ----------
    sources : sequence of str
        A raster, or several that are the bands of one scene.
    bands, gsd, pixel_size, bbox, bbox_crs, assume_crs, mask, on_read_error
        As for `geoseg.predict_file`.

    Raises
    ------
    UserError
        When there is no source, or no such way with tiles that cannot be read.
    """

    sources: Sequence[str]
    bands: Sequence[str | int] | None
    gsd: float | Literal["auto", "native"]
    pixel_size: float | None
    bbox: tuple[float, float, float, float] | None
    bbox_crs: str | None
    assume_crs: str | None
    mask: str | PathLike[str] | None
    on_read_error: Literal["refuse", "nodata"]

    def __post_init__(self) -> None:
        if not self.sources:
            raise UserError(
                "no source is given; name a raster, or several that are bands of one scene"
            )
        if self.on_read_error == "nodata":
            _refuse_remote(self.sources)
        elif self.on_read_error != "refuse":
            raise UserError(f"on_read_error {self.on_read_error!r} must be refuse or nodata")

    def scene(self, card: Card) -> Scene:
        """The scene as the network of a card sees it."""
        first, is_stack = self.sources[0], len(self.sources) > 1
        # Where tiles that cannot be read are noted, if that is asked for.
        damage = Damage() if self.on_read_error == "nodata" else None
        image = (
            open_stack(self.sources, assume_crs=self.assume_crs, damage=damage)
            if is_stack
            else open_raster(first, bands=self.bands, assume_crs=self.assume_crs, damage=damage)
        )
        image = image if self.bbox is None else clip(image, self.bbox, self.bbox_crs)
        bands = self.bands if is_stack or self.bands is None else _all_of(image)
        scene = replace(scene_of(image, card, bands, self.gsd, self.pixel_size), damage=damage)
        if not is_stack:
            scene = replace(scene, gaps=find_gaps(first, scene.image))
        if self.mask is not None:
            from geoseg.shapes import Area, read_mask  # it takes half a second

            area = Area.of(read_mask(self.mask), grid_of(scene.image), first)
            scene = replace(scene, area=area)
        return scene

    def asked(self, scene: Scene) -> dict[str, Any]:
        """What was asked for that a scene follows from, for JSON; see `Run`."""
        return {
            "bbox": self.bbox,
            "bbox_crs": self.bbox_crs,
            "assume_crs": self.assume_crs,
            "mask": None if scene.area is None else scene.area.digest,
            "pixel_size": None if self.pixel_size is None else float(self.pixel_size),
            "on_read_error": self.on_read_error,
        }


def found(source: str | PathLike[str]) -> str:
    """A source as any process of this machine finds it, whatever folder it works in."""
    name = fspath(source)
    return str(Path(name).absolute()) if Path(name).exists() else name


def _all_of(image: xr.DataArray) -> list[int]:
    """Bands of a single file were chosen when it was opened, alpha bands among them."""
    return [int(number) for number in image.coords["band"].values]


def _refuse_remote(sources: Sequence[str]) -> None:
    for source in sources:
        if is_remote(source):
            raise UserError(
                f"{source.split('?')[0]} is read over a network, whose failures would become gaps "
                "in the map; copy it to a disk first, or leave out --on-read-error nodata"
            )
