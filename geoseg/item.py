"""What lies beside a map: a STAC Item that says how, when and of what the map was made.

The map's own tags tell what is the same wherever and whenever it is made, for the same inputs give
the same bytes. Time, seconds and sizes that follow from the machine are told here alone. What STAC
and its extensions have no field for is written with the prefix ``geoseg:``.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyproj
import rasterio

import geoseg
from geoseg.addresses import address_of
from geoseg.beside import PREFIX, read_item
from geoseg.decisions import missing_value
from geoseg.errors import UserError
from geoseg.extent import bounds_of, extent_of
from geoseg.places import Place, Remote, size_of
from geoseg.raster import Grid, grid_of
from geoseg.runs import QUANTA, Run, files_behind
from geoseg.taken import fields_of

__all__ = ["differences", "item_of", "refuse_foreign", "written"]

CHANGED = "no longer as it was made"  # what is said of outputs
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
EXTENSIONS = (
    PROJECTION,
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
MEDIA = {
    ".gpkg": "application/geopackage+sqlite3",
    ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet",
    ".geojson": "application/geo+json",
}
SOFTWARE = ("torch", "numpy", "rasterio", "shapely")
SHA256 = "1220"  # what a multihash begins with: which hash it is, and its 32 bytes

Facts = Mapping[str, Any]


def item_of(run: Run, facts: Facts) -> dict[str, Any]:
    """The item of a run whose outputs are finished drafts.

    Parameters
    ----------
    run : Run
    facts : mapping of str to object
        What the work took: ``seconds`` and the like, for JSON.

    Returns
    -------
    dict
        STAC 1.1.
    """
    grid, now = grid_of(run.task.scene.image), _now()
    extent = extent_of(grid)
    members = [
        {"name": each.card.name, "digest": digest}
        for each, digest in zip(run.members, run.digests, strict=True)
    ]
    tags = run.tags
    properties = {
        # An item must tell a time, and no raster says reliably when it was taken.
        **(_taken(run) or {"datetime": now}),
        "created": now,
        **_place(grid),
        "processing:datetime": now,
        "processing:software": _software(),
        "processing:lineage": f"Classified by {run.model.card.name}.",
        f"{PREFIX}model": {"name": run.model.card.name, "digest": run.digest, "members": members},
        f"{PREFIX}sources": json.loads(tags["GEOSEG_SOURCES"]),
        f"{PREFIX}options": json.loads(tags["GEOSEG_OPTIONS"]),
        f"{PREFIX}chosen": {**json.loads(tags["GEOSEG_CHOSEN"]), "device": run.task.kind},
        f"{PREFIX}run": {**facts, "sizes": run.chosen, "changed": _times(run)},
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(EXTENSIONS),
        "id": Path(run.targets.classes.name).stem,
        **({"geometry": None} if extent is None else {"geometry": extent[0], "bbox": extent[1]}),
        "properties": properties,
        "links": _links(run),
        "assets": {
            name: _asset(run, name, path)
            for name, path in run.targets.all.items()
            if name != "item"
        },
    }


def written(item: Facts) -> str:
    """An item as the text of its file."""
    return json.dumps(item, indent=1, allow_nan=False) + "\n"


def differences(item: Facts, run: Run) -> list[str]:
    """How a run differs from what an item tells of its outputs and its input; not at all: nothing.

    Returns
    -------
    list of str
        To be said of the outputs that the item tells of.
    """
    told, here = item["properties"], run.targets.item.parent
    sources, options = (json.loads(run.tags[f"GEOSEG_{each}"]) for each in ("SOURCES", "OPTIONS"))
    outputs = {name: path for name, path in run.targets.all.items() if name != "item"}
    try:
        digest, times = told[f"{PREFIX}model"]["digest"], told[f"{PREFIX}run"]["changed"]
        there = {name: (each["href"], each["file:size"]) for name, each in item["assets"].items()}
    except (TypeError, LookupError, AttributeError):
        return ["and nothing tells what it was made of"]
    of_same = told[f"{PREFIX}sources"] == sources and _taken(run).items() <= told.items()
    differs = {
        "made of other input": not of_same,
        "made of files that have other dates now": of_same and times != _times(run),
        "made by another model": digest != run.digest,
        "made with other options": told[f"{PREFIX}options"] != options,
        "made without some of these outputs": not outputs.keys() <= there.keys(),
        CHANGED: any(
            there[name] != (_href(str(path), here), size_of(path))
            for name, path in outputs.items()
            if name in there
        ),
    }
    # What rasters say of themselves proves nothing more where they should say something else.
    differs[CHANGED] |= not any(differs.values()) and not run.is_tagged()
    return [how for how, is_so in differs.items() if is_so]


def refuse_foreign(path: Place) -> None:
    """Refuse to replace a file that is no item of geoseg's.

    Raises
    ------
    UserError
    """
    if path.is_dir() or (path.exists() and read_item(path) is None):
        raise UserError(
            f"{path} is where the facts of the map would be kept, and geoseg has not written it; "
            "move it, or choose another name for the map"
        )


def _taken(run: Run) -> dict[str, str | None]:
    """When the input was taken, as its items say it; empty where they do not."""
    return fields_of(each.taken for each in run.origins)


def _times(run: Run) -> list[int | None]:
    """When the files of the input were changed, in nanoseconds, where that can be told."""
    return [each.get("changed") for each in run.files]


def _classes(run: Run) -> list[dict[str, Any]]:
    """The classes of a map as the classification extension has them."""
    return [
        {
            "value": each.value,
            "name": re.sub(r"[^0-9A-Za-z_-]+", "-", each.name).strip("-") or f"class-{each.value}",
            "title": each.name,
            "color_hint": each.color[1:].upper(),
        }
        for each in run.task.segmenter.card.classes
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _software() -> dict[str, str]:
    return {
        "geoseg": geoseg.__version__,
        **{name: version(name) for name in SOFTWARE},
        "GDAL": rasterio.__gdal_version__,
        "Python": platform.python_version(),
    }


def _place(grid: Grid) -> dict[str, Any]:
    """The fields of the projection extension."""
    place: dict[str, Any] = {"proj:code": None, "proj:shape": list(grid.shape)}
    if grid.crs is not None:
        authority = grid.crs.to_authority()
        if authority is not None:
            place["proj:code"] = ":".join(authority)
        else:
            place["proj:wkt2"] = pyproj.CRS(grid.crs).to_wkt()
    if grid.transform is not None:
        place["proj:transform"] = [float(each) for each in grid.transform]
        place["proj:bbox"] = bounds_of(grid)
    return place


def _links(run: Run) -> list[dict[str, str]]:
    """One to each file or address of items that the input is of; else to each file of it."""
    folder = run.targets.item.parent
    if run.origins:
        names: dict[str, list[str]] = {}
        for each in run.origins:
            names.setdefault(_href(each.where, folder), []).append(each.name)
        return [
            {
                "rel": "derived_from",
                "href": href,
                "type": "application/geo+json",
                "title": items[0] if len(items) == 1 else f"{len(items)} items",
            }
            for href, items in names.items()
        ]
    return [
        {"rel": "derived_from", "href": _href(file, folder), "title": _title(file)}
        for file in files_behind(run.sources)
    ]


def _title(file: str) -> str:
    return re.split(r"[/\\]", file.split("?")[0])[-1] or file


def _href(file: str, folder: Place) -> str:
    """Where a file is, seen from a folder; an address without its signature."""
    if file.startswith(f"{folder}/") and isinstance(folder, Remote):
        return quote(file.removeprefix(f"{folder}/"))
    address = address_of(file)
    if "://" in address:
        return address.split("?")[0]
    if isinstance(folder, Remote):  # which no path leads out of
        return Path(file).absolute().as_uri()
    try:
        seen = os.path.relpath(Path(file).absolute(), folder.absolute())
    except ValueError:  # on another drive of Windows
        return Path(file).absolute().as_uri()
    return quote(Path(seen).as_posix().encode(errors="surrogateescape"))


def _asset(run: Run, name: str, path: Place) -> dict[str, Any]:
    draft, here = run.draft(name), run.targets.item.parent
    asset = {
        "href": _href(str(path), here),
        "type": MEDIA.get(path.suffix.lower(), COG),
        "roles": ["data"] if name == "classes" else [name],
        "file:size": draft.stat().st_size,
        "file:checksum": SHA256 + _digest(draft),
    }
    if name == "polygons":
        return asset
    if name == "classes":
        nodata = int(missing_value(run.task.segmenter.card, "classes"))
        described: dict[str, Any] = {"classification:classes": _classes(run)}
    else:
        nodata = 255
        classes = [each.name for each in run.task.segmenter.card.classes]
        names = classes if name == "scores" else [name]
        described = {
            "bands": [{"name": each} for each in names],
            "description": f"Probability in steps of 1/{QUANTA}.",
        }
    layout = next(run.layout(output) for output in run.targets.rasters if output == name)
    return {**asset, "data_type": layout.dtype, "nodata": nodata, **described}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
