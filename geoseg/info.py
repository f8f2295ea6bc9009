"""What a map says of itself: by its tags, and by the item that lies beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import hypot, isfinite
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import pyproj

from geoseg.addresses import WEB, address_of, bare
from geoseg.beside import PREFIX, read_item
from geoseg.classes import told_classes
from geoseg.errors import UserError
from geoseg.extent import bounds_of
from geoseg.places import Place, place, size_of
from geoseg.raster import class_table, opened
from geoseg.raster.damage import Unreadable
from geoseg.raster.files import band_name, grid_of_file, refuse_unusable
from geoseg.raster.grid import Grid, called, pixel_size

__all__ = ["describe", "examine"]

Facts = dict[str, Any]


def examine(path: str | PathLike[str]) -> Facts:
    """Look at a raster, a map of geoseg's or not.

    Parameters
    ----------
    path : path-like
        Anything GDAL opens.

    Returns
    -------
    dict
        For JSON: ``file``, ``shape`` (rows and columns), ``bands``, ``dtype``, ``crs``, ``nodata``,
        ``classes``, and ``sidecars``, names of the files beside it in which GDAL keeps more of it.
        ``place`` is None where the raster does not say where it lies, else ``bounds`` (west, south,
        east, north) and ``pixel`` (height, width) in the ``unit`` of its coordinates, and
        ``metres``, the same on the ground, None where that cannot be told. ``made`` is None where
        `geoseg.predict_file` has not made it, else ``version``, ``model``, ``sources``, ``options``
        and ``chosen`` of its tags. ``item`` is the file of the item beside it, and ``told`` what
        that says beyond the tags: ``time``, ``taken`` (when the imagery was, a list of one time or
        of two; None where that is not told), ``software``, ``model`` and ``run``. Both are None
        where there is none; where it tells of another file ``told`` alone. Items are found beside
        files and objects of a storage (``s3://``, ``/vsis3/``).

    Raises
    ------
    UserError
        When the file is no raster, or its tags cannot be read.
    """
    name = fspath(path)
    if name.lower().endswith(".json"):  # which GDAL opens, if it is in the right folder
        raise UserError(_why_no_raster(name))
    with opened(name) as dataset:
        refuse_unusable(dataset, name)
        tags = dataset.tags()
        facts: Facts = {
            "file": name,
            "shape": list(dataset.shape),
            "bands": [band_name(dataset, number) for number in dataset.indexes],
            "dtype": dataset.dtypes[0],
            "crs": None if dataset.crs is None else called(dataset.crs),
            "nodata": _number(dataset.nodata),
            "place": _place_of(grid_of_file(dataset)),
            "sidecars": [Path(each).name for each in dataset.files if each.endswith(".aux.xml")],
        }
    single = len(facts["bands"]) == 1
    facts["classes"] = told_classes(class_table(name)) if single else []
    made = _made(tags, name) if "GEOSEG_SOURCES" in tags else None
    item = told = None
    where = _where(name)
    if made is not None and where is not None:
        beside = where.with_name(f"{where.name}.json")
        if (found := read_item(beside)) is not None:
            item, told = str(beside), _told(found, made, where)
    return {**facts, "made": made, "item": item, "told": told}


def _why_no_raster(name: str) -> str:
    """What an item is, geoseg's or another, and which raster may be meant.

    Raises
    ------
    UserError
        When it cannot be read, or is no STAC Item.
    """
    where = _where(name)
    if where is not None and read_item(where) is not None:
        return f"{name} is an item beside a map; give the map itself"
    from geoseg.assets import items_in  # which needs packages that rasters do not

    first, *others = items_in(name)
    if not first.bands:
        return f"{bare(name)} is a STAC Item without rasters; name a raster"
    what = f"holds {1 + len(others)} STAC Items" if others else "is a STAC Item"
    asset = bare(first.layer(first.bands[:1]).path)
    return f"{bare(name)} {what}, whose assets are rasters; name one of them, as in {asset}"


def _where(name: str) -> Place | None:
    """Where a file lies that GDAL opens; None where items are not looked for: behind the web."""
    address = address_of(name)
    return None if address.partition("://")[0] in WEB else place(address)


def _place_of(grid: Grid) -> Facts | None:
    """Where a raster lies and how large its pixels are, as far as it says so."""
    if grid.transform is None:
        return None
    t, metres = grid.transform, pixel_size(grid)
    axes = [] if grid.crs is None else pyproj.CRS(grid.crs).axis_info
    return {
        "bounds": bounds_of(grid),
        "pixel": [hypot(t.b, t.e), hypot(t.a, t.d)],
        "unit": axes[0].unit_name if axes else None,
        "metres": None if metres is None or not all(map(isfinite, metres)) else list(metres),
    }


def _number(nodata: float | None) -> float | str | None:
    """A no-data value for JSON, which has no word for those that are no numbers."""
    return nodata if nodata is None or abs(nodata) < float("inf") else str(nodata)


def _made(tags: Mapping[str, str], name: str) -> Facts:
    try:
        sources, options, chosen = (
            json.loads(tags[f"GEOSEG_{each}"]) for each in ("SOURCES", "OPTIONS", "CHOSEN")
        )
        if not (isinstance(sources, list) and isinstance(options, dict)):
            raise TypeError("neither a list of sources nor options")
        return {
            "version": tags["GEOSEG_VERSION"],
            "model": {"name": tags["GEOSEG_MODEL"], "digest": tags["GEOSEG_MODEL_DIGEST"]},
            "sources": [dict(each) for each in sources],
            "options": dict(options),
            "chosen": dict(chosen),
            "unreadable": _unreadable(tags),
        }
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise UserError(
            f"the tags of {name} cannot be read ({type(error).__name__}: {error}); they are not as "
            "geoseg wrote them, make the map again"
        ) from error


def _unreadable(tags: Mapping[str, str]) -> Facts | None:
    """What of the input could not be read, and so has no data; None where all could."""
    if "GEOSEG_UNREADABLE" not in tags:
        return None
    told = json.loads(tags["GEOSEG_UNREADABLE"])
    boxes = [[int(edge) for edge in box] for box in told["boxes"]]
    if any(len(box) != 4 for box in boxes):
        raise ValueError("a box has four edges")
    return {"pixels": int(told["pixels"]), "boxes": boxes}


def _told(item: Mapping[str, Any], made: Facts, where: Place) -> Facts | None:
    """What an item says beyond the tags; None when it tells of another map."""
    facts = item["properties"]
    same = all(facts[f"{PREFIX}{name}"] == made[name] for name in ("sources", "options"))
    try:
        size, model = item["assets"]["classes"]["file:size"], facts[f"{PREFIX}model"]
        same = same and size == size_of(where) and model["digest"] == made["model"]["digest"]
    except (TypeError, LookupError):
        return None
    if not same:
        return None
    return {
        "time": facts["processing:datetime"],
        "taken": _taken(facts),
        "software": facts["processing:software"],
        "model": model,
        "run": facts[f"{PREFIX}run"],
    }


def _taken(properties: Mapping[str, Any]) -> list[str] | None:
    """When the imagery was taken, or the first and the last of it; None where that is not told."""
    if properties.get("datetime") == properties.get("created"):  # the time of the run
        return None
    span = [properties.get(f"{end}_datetime") for end in ("start", "end")]
    return [str(each) for each in (span if all(span) else [properties.get("datetime")])]


def describe(facts: Facts) -> str:
    """The facts in words, for the terminal."""
    rows, columns = facts["shape"]
    count, nodata = len(facts["bands"]), facts["nodata"]
    missing = (
        "no value" if nodata is None else nodata if isinstance(nodata, str) else f"{nodata:.10g}"
    )
    lines = [
        facts["file"],
        f"Raster     {rows} rows x {columns} columns of pixels, {count} band{'s' * (count > 1)} of "
        f"{facts['dtype']}; {missing} stands for no data",
        *_lines_of_bands(facts["bands"]),
        *_lines_of_place(facts),
    ]
    if facts["sidecars"]:
        lines.append(f"Beside     {', '.join(facts['sidecars'])}, which belongs to it: keep both")
    if facts["classes"]:
        lines += ["Classes"] + [
            f"{each['value']:>8}  {each['color']}  {each['name']}" for each in facts["classes"]
        ]
    made = facts["made"]
    if made is None:
        return "\n".join(
            [*lines, "           Not made by geoseg predict: it has none of its tags."]
        )
    lines += [
        f"Model      {made['model']['name']}",
        *(f"           {each}" for each in made["model"]["digest"].split(" + ")),
        f"Version    geoseg {made['version']}",
        *_listed("Sources", [_source(each) for each in made["sources"]]),
        *_listed("Options", _given({**made["options"], **_bands_by_name(made)})),
        *_listed("Chosen", _given(made["chosen"])),
    ]
    if made["unreadable"] is not None:
        lines += _listed("Gaps", [str(Unreadable(**made["unreadable"]))])
    return "\n".join(lines + _lines_of_item(facts))


def _lines_of_bands(names: Sequence[str]) -> list[str]:
    """Bands by number and name, or colour, where any has one."""
    told = ", ".join(f"{number} {name}".strip() for number, name in enumerate(names, 1))
    return [f"Bands      {told}"] if any(names) else []


def _lines_of_place(facts: Facts) -> list[str]:
    crs, where = facts["crs"] or "no coordinate system", facts["place"]
    if where is None:
        return [f"Place      {crs}, and not told where it lies"]
    unit = "" if where["unit"] is None else f" ({where['unit']})"
    height, width = where["pixel"]
    edges = zip(("west", "south", "east", "north"), where["bounds"], strict=True)
    lines = [
        f"Place      {crs}",
        "Extent     " + ", ".join(f"{edge} {at:.12g}" for edge, at in edges) + unit,
        f"Pixels     {width:.6g} wide and {height:.6g} high{unit}",
    ]
    if where["metres"] is not None and where["unit"] != "metre":
        height, width = where["metres"]
        lines.append(f"           on the ground {width:.4g} m wide and {height:.4g} m high")
    return lines


def _lines_of_item(facts: Facts) -> list[str]:
    told = facts["told"]
    if facts["item"] is None:
        return [
            f"Made       when and how long is not known: no {facts['file']}.json was found; "
            "of scores and confidence it is that of the class map"
        ]
    if told is None:
        return [f"Made       when and how long is not known: {facts['item']} is of another map"]
    run = told["run"]
    software = ", ".join(f"{name} {version}" for name, version in told["software"].items())
    taken = [] if told["taken"] is None else [f"Imagery    of {' to '.join(told['taken'])}"]
    return [
        *taken,
        f"Made       {told['time']} in {run['seconds']} s; of all threads: "
        + ", ".join(f"{name} {seconds} s" for name, seconds in run["spent"].items()),
        f"           {run['computed']} of {run['blocks']} blocks by the last call",
        f"With       {software}",
    ]


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    heads = [title, *[""] * len(lines)]
    return [f"{head:10} {line}" for head, line in zip(heads, lines, strict=False)]


def _source(source: Mapping[str, Any]) -> str:
    more = {
        "item": "item {}",
        "size": "{} bytes",
        "ends": "sha256 of its ends {}",
        "etag": "etag {}",
    }
    known = [text.format(source[name]) for name, text in more.items() if name in source]
    return ", ".join([str(source.get("name")), *known])


def _bands_by_name(made: Facts) -> Facts:
    """The bands that the options number, by the names that STAC Items have for them."""
    items = [each["bands"] for each in made["sources"] if isinstance(each.get("bands"), dict)]
    numbers = made["options"].get("bands")
    if not items or not isinstance(numbers, list):
        return {}
    names = {str(number): name for number, name in enumerate(items[0], 1)}
    known = [names[str(number)] for number in numbers if str(number) in names]
    return {"bands": known} if len(known) == len(numbers) else {}


def _given(options: Mapping[str, Any]) -> list[str]:
    """What was not left to its default, one a line."""
    return [
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in options.items()
        if value not in (None, {}, 0.0)
    ]
