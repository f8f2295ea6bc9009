"""What a map says of itself: by its tags, and by the item that lies beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

from geoseg.classes import told_classes
from geoseg.errors import UserError
from geoseg.item import PREFIX, read_item
from geoseg.places import Place, address_of, place, size_of
from geoseg.raster import class_table, opened
from geoseg.raster.damage import Unreadable
from geoseg.raster.files import refuse_unusable
from geoseg.raster.grid import called

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
        For JSON: ``file``, ``shape``, ``bands``, ``dtype``, ``crs``, ``nodata``, ``classes``, and
        ``made``: None where `geoseg.predict_file` has not made it, else ``version``, ``model``,
        ``sources``, ``options`` and ``chosen`` of its tags. ``item`` is the file of the item beside
        it, and ``told`` what that says beyond the tags: ``time``, ``software``, ``model`` and
        ``run``. Both are None where there is none; where it tells of another file ``told`` alone.
        Items are found beside files and objects of a storage (``s3://``, ``/vsis3/``).

    Raises
    ------
    UserError
        When the file is no raster, or its tags cannot be read.
    """
    name = fspath(path)
    if name.lower().endswith(".json"):  # which GDAL opens, if it is in the right folder
        raise UserError(f"{name} is an item beside a map; give the map itself")
    with opened(name) as dataset:
        refuse_unusable(dataset, name)
        tags = dataset.tags()
        facts: Facts = {
            "file": name,
            "shape": list(dataset.shape),
            "bands": [text or "" for text in dataset.descriptions],
            "dtype": dataset.dtypes[0],
            "crs": None if dataset.crs is None else called(dataset.crs),
            "nodata": _number(dataset.nodata),
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


def _where(name: str) -> Place | None:
    """Where a file lies that GDAL opens; None where items are not looked for: behind the web."""
    address = address_of(name).removeprefix("/vsicurl/")
    return None if address.startswith(("http://", "https://", "ftp://")) else place(address)


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
        "software": facts["processing:software"],
        "model": model,
        "run": facts[f"{PREFIX}run"],
    }


def describe(facts: Facts) -> str:
    """The facts in words, for the terminal."""
    rows, columns = facts["shape"]
    lines = [
        facts["file"],
        f"Raster     {rows} x {columns} pixels, {len(facts['bands'])} band(s) of {facts['dtype']}, "
        f"{facts['crs'] or 'no coordinate system'}, no data {facts['nodata']}",
    ]
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
        *_listed("Options", _given(made["options"])),
        *_listed("Chosen", _given(made["chosen"])),
    ]
    if made["unreadable"] is not None:
        lines += _listed("Gaps", [str(Unreadable(**made["unreadable"]))])
    return "\n".join(lines + _lines_of_item(facts))


def _lines_of_item(facts: Facts) -> list[str]:
    told = facts["told"]
    if facts["item"] is None:
        return [f"Made       when and how long is not known: no {facts['file']}.json was found"]
    if told is None:
        return [f"Made       when and how long is not known: {facts['item']} is of another map"]
    run = told["run"]
    software = ", ".join(f"{name} {version}" for name, version in told["software"].items())
    return [
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


def _given(options: Mapping[str, Any]) -> list[str]:
    """What was not left to its default, one a line."""
    return [
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in options.items()
        if value not in (None, {}, 0.0)
    ]
