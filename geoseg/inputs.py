"""What a run is given: the files of one scene, and what of them is to be seen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from geoseg.addresses import bare, is_remote
from geoseg.bands import refuse_other_count
from geoseg.card import Card
from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.places import UnreachableError
from geoseg.prediction import scene_of
from geoseg.raster import clip, grid_of, open_raster, open_stack
from geoseg.raster.damage import Damage
from geoseg.raster.files import opened
from geoseg.raster.gaps import find_gaps
from geoseg.runs import facts_before, facts_of, facts_of_files
from geoseg.stac import Chosen, Origin, choose, is_stac

__all__ = ["Input", "Pictured", "facts_of_mask", "facts_of_scene", "found", "size_of_scene"]


@dataclass(frozen=True)
class Pictured:
    """A scene, and what it comes from.

    Parameters
    ----------
    scene : Scene
    sources : sequence of str
        What is opened to read it.
    files : tuple of mapping
        What tells the files behind them from others; see `facts_of`.
    origins : tuple of Origin
        STAC Items that the sources are assets of, if they are,
    assets : tuple of str
        and the files of these.
    """

    scene: Scene
    sources: Sequence[str]
    files: tuple[Mapping[str, Any], ...]
    origins: tuple[Origin, ...] = ()
    assets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """The files of one scene, and what of them is to be seen.

    Parameters
    ----------
    sources : sequence of str
        A raster, or several that are the bands of one scene; or a file of STAC Items.
    bands, gsd, pixel_size, bbox, bbox_crs, assume_crs, mask, on_read_error
        As for `geoseg.predict_file`.

    Raises
    ------
    UserError
        When there is no source, no such way with tiles that cannot be read, or something that does
        not go with items.
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
        if self.on_read_error not in ("refuse", "nodata"):
            raise UserError(f"on_read_error {self.on_read_error!r} must be refuse or nodata")
        if any(map(is_stac, self.sources)):
            self._refuse_beside_items()
        elif self.on_read_error == "nodata":
            _refuse_remote(self.sources)

    def pictured(self, card: Card) -> Pictured:
        """The scene as the network of a card sees it, and what it comes from."""
        if is_stac(self.sources[0]):
            names = [*map(str, card.bands if self.bands is None else self.bands)]
            refuse_other_count(names, card)
            chosen = choose(self.sources[0], names)
            before = _facts_before(chosen)
            items = chosen.opened()
            scene = self._scene(items.image, card, _all_of(items.image))
            sources = tuple(items.files)
            scene = self._within_mask(scene, sources[0])
            files = facts_of_files(items.files, before)
            return Pictured(scene, sources, files, items.origins, items.assets)
        files = facts_of(self.sources)  # before they are opened, or a change would not be noticed
        first = self.sources[0]
        # Where tiles that cannot be read are noted, if that is asked for.
        damage = Damage() if self.on_read_error == "nodata" else None
        if len(self.sources) > 1:
            image = open_stack(self.sources, assume_crs=self.assume_crs, damage=damage)
            scene = self._scene(image, card, self.bands)
        else:
            image = open_raster(first, bands=self.bands, assume_crs=self.assume_crs, damage=damage)
            scene = self._scene(image, card, None if self.bands is None else _all_of(image))
            scene = replace(scene, gaps=find_gaps(first, scene.image))
        scene = self._within_mask(replace(scene, damage=damage), first)
        return Pictured(scene, self.sources, files)

    def _scene(self, image: xr.DataArray, card: Card, bands: Sequence[str | int] | None) -> Scene:
        image = image if self.bbox is None else clip(image, self.bbox, self.bbox_crs)
        return scene_of(image, card, bands, self.gsd, self.pixel_size)

    def _within_mask(self, scene: Scene, source: str) -> Scene:
        if self.mask is None:
            return scene
        from geoseg.shapes import Area, read_mask  # it takes half a second

        return replace(scene, area=Area.of(read_mask(self.mask), grid_of(scene.image), source))

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

    def _refuse_beside_items(self) -> None:
        """Refuse what does not go with a STAC Item."""
        if len(self.sources) > 1:
            raise UserError(
                "a STAC Item is a scene of its own and no band of one; leave --stack out, or give "
                "the rasters themselves; several items go into one file, an ItemCollection"
            )
        if self.assume_crs is not None:
            raise UserError(
                "the assets of STAC Items say where they lie; leave --assume-crs (assume_crs) out"
            )
        if self.on_read_error != "refuse":
            raise UserError(
                "what cannot be read of STAC Items is refused; leave --on-read-error "
                "(on_read_error) out, or give the rasters themselves: --stack"
            )


def found(source: str | PathLike[str]) -> str:
    """A source as any process of this machine finds it, whatever folder it works in."""
    name = fspath(source)
    return str(Path(name).absolute()) if os.path.exists(name) else name


def facts_of_scene(source: str, names: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    """What tells a scene from others: its files, and of an item's assets those on disks.

    Parameters
    ----------
    source : str
    names : sequence of str
        Of the bands, by which assets are found.

    Raises
    ------
    UserError
        When something is not there or cannot be opened.
    """
    files = facts_of([source])
    if is_remote(source) or not is_stac(source):
        return files
    # What lies at an address is the same for all.
    own = [path for path in choose(source, names).paths if not is_remote(path)]
    return (*files, *facts_before(own).values())


def facts_of_mask(mask: str | PathLike[str] | None) -> tuple[Mapping[str, Any], ...]:
    """What tells a mask from others, whatever files it is in; nothing where there is none.

    Raises
    ------
    UserError
        As `geoseg.shapes.read_mask` does.
    """
    if mask is None:
        return ()
    from geoseg.shapes import digest_of, read_mask  # it takes half a second

    return ({"name": Path(mask).name, "digest": digest_of(read_mask(mask))},)


def size_of_scene(source: str, names: Sequence[str]) -> int:
    """Pixels of a raster, or of a mosaic of items; 0 for an item alone, whose assets say it.

    There may be thousands of items, and each of their assets takes requests to a server.

    Raises
    ------
    UserError
        When something is not there or cannot be opened.
    """
    if not is_stac(source):
        with opened(source) as dataset:
            return int(dataset.width * dataset.height)
    chosen = choose(source, names)
    return chosen.opened().image[0].size if len(chosen.scenes) > 1 else 0


def _all_of(image: xr.DataArray) -> list[int]:
    """Bands of a single file were chosen when it was opened, alpha bands among them."""
    return [int(number) for number in image.coords["band"].values]


def _facts_before(chosen: Chosen) -> dict[str, dict[str, Any]]:
    """What assets are before they are opened, or a change in between would not be noticed."""
    try:
        return facts_before(chosen.paths)
    except UnreachableError:
        chosen.opened()  # which tells better what is wrong, as a rule
        raise


def _refuse_remote(sources: Sequence[str]) -> None:
    for source in sources:
        if is_remote(source):
            raise UserError(
                f"{bare(source)} is read over a network, whose failures would become gaps "
                "in the map; copy it to a disk first, or leave out --on-read-error nodata"
            )
