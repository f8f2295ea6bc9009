"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import geoseg

__all__ = ["describe", "examine"]

PACKAGES = (
    "torch", "numpy", "xarray", "dask", "zarr", "rasterio", "rioxarray", "geopandas", "shapely",
    "pyogrio", "pyproj", "pyarrow", "numba", "scipy", "safetensors", "matplotlib",
)  # fmt: skip
RASTER_DRIVERS = ("GTiff", "COG", "VRT", "PNG", "JPEG", "JP2OpenJPEG")
VECTOR_DRIVERS = ("GPKG", "FlatGeobuf", "GeoJSON")
EXTRAS = {  # what an extra of the package brings, and what it is for
    "train": ("sklearn", "baselines to compare a trained model with"),
    "smp": ("segmentation_models_pytorch", "networks of segmentation-models-pytorch"),
    "onnx": ("onnxscript", "export of models to ONNX"),
}
LEAST_DISK = 2_000_000_000  # bytes; a scene of 20,000 x 20,000 pixels needs less

Facts = dict[str, Any]
Problem = dict[str, str]


def examine() -> Facts:
    """Look at this installation; a missing or broken package is a finding, never an error.

    Returns
    -------
    dict
        ``versions``, ``drivers``, ``projections``, ``devices``, ``threads``, ``memory`` and
        ``disk`` in bytes, ``extras``, ``models``, ``problems`` (each with ``what`` and ``remedy``)
        and ``ok``: whether there are none.
    """
    facts: Facts = {
        "geoseg": geoseg.__version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
    }
    problems: list[Problem] = []
    looks: dict[str, Callable[[], Any]] = {
        "drivers": _drivers,
        "projections": _projections,
        "devices": _devices,
        "threads": _threads,
        "memory": _memory,
        "disk": _disk,
        "extras": _extras,
        "models": _models,
    }
    facts["versions"] = {name: _version(name, problems) for name in PACKAGES}
    for name, look in looks.items():
        try:
            facts[name] = look()
        except Exception as error:  # whatever is broken is what the doctor was called for
            facts[name] = None
            problems.append(
                {
                    "what": f"{name} cannot be looked at ({type(error).__name__}: {error})",
                    "remedy": "install geoseg into a fresh environment: python3 -m venv NAME",
                }
            )
    problems += _gaps(facts)
    return facts | {"problems": problems, "ok": not problems}


def _version(name: str, problems: list[Problem]) -> str | None:
    try:
        importlib.import_module(name)
        return metadata.version(name)
    except Exception as error:  # an import can fail in any way
        problems.append(
            {
                "what": f"{name} cannot be imported ({type(error).__name__}: {error})",
                "remedy": f"pip install --upgrade --force-reinstall {name}",
            }
        )
        return None


def _drivers() -> dict[str, Any]:
    import pyogrio
    from rasterio import __gdal_version__
    from rasterio.env import Env

    with Env() as env:
        rasters = env.drivers()
    vectors = pyogrio.list_drivers(write=True)
    return {
        "gdal": __gdal_version__,
        **{name: name in rasters for name in RASTER_DRIVERS},
        **{name: name in vectors for name in VECTOR_DRIVERS},
    }


def _projections() -> bool:
    """Whether the database of coordinate systems that rasterio uses can be read."""
    from rasterio.crs import CRS

    return bool(CRS.from_epsg(32633).is_projected)


def _devices() -> list[dict[str, Any]]:
    import torch

    found: list[dict[str, Any]] = [
        {"name": "cpu", "capability": torch.backends.cpu.get_cpu_capability()}
    ]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found.append({"name": f"cuda:{index}", "model": facts.name, "memory": facts.total_memory})
    if torch.backends.mps.is_available():
        found.append({"name": "mps"})
    return found


def _threads() -> dict[str, int]:
    import torch

    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cores": mine or 1, "torch": torch.get_num_threads()}


def _memory() -> dict[str, int]:
    """Total and available bytes; empty where the system does not tell."""
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return {}
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "total": page * os.sysconf("SC_PHYS_PAGES"),
        "available": page * os.sysconf("SC_AVPHYS_PAGES"),
    }


def _disk() -> dict[str, Any]:
    folder = tempfile.gettempdir()
    return {"folder": folder, "free": shutil.disk_usage(folder).free}


def _extras() -> dict[str, bool]:
    return {name: find_spec(module) is not None for name, (module, _) in EXTRAS.items()}


def _models() -> list[str]:
    return [geoseg.load(name).card.name for name in geoseg.shipped_models()]


def _gaps(facts: Facts) -> list[Problem]:
    """What works but lacks something that the main job needs."""
    gaps = [
        {
            "what": f"GDAL has no driver {name}",
            "remedy": "pip install --force-reinstall rasterio pyogrio: their wheels carry it",
        }
        for name in ("GTiff", "COG", "GPKG")
        if facts["drivers"] is not None and not facts["drivers"][name]
    ]
    if facts["disk"] is not None and facts["disk"]["free"] < LEAST_DISK:
        gaps.append(
            {
                "what": f"{facts['disk']['folder']} has {facts['disk']['free'] / 1e9:.1f} GB free",
                "remedy": "free some space, or point TMPDIR at a larger disk",
            }
        )
    return gaps


def describe(facts: Facts) -> str:
    """The findings in words, for the terminal."""
    lines = [
        f"geoseg {facts['geoseg']}, Python {facts['python']} ({facts['executable']})",
        facts["system"],
        "",
        "Packages    " + ", ".join(f"{k} {v or 'MISSING'}" for k, v in facts["versions"].items()),
    ]
    if facts["drivers"]:
        drivers = {name: there for name, there in facts["drivers"].items() if name != "gdal"}
        lines.append(f"GDAL        {facts['drivers']['gdal']}")
        lines.append("Drivers     " + ", ".join(name for name, there in drivers.items() if there))
        absent = [name for name, there in drivers.items() if not there]
        lines += [f"            not there: {', '.join(absent)}"] if absent else []
    lines += [f"Device      {_device_words(device)}" for device in facts["devices"] or []]
    if facts["threads"]:
        lines.append(
            f"Cores       {facts['threads']['cores']}, torch uses {facts['threads']['torch']}"
        )
    if facts["memory"]:
        total, free = (facts["memory"][key] / 1e9 for key in ("total", "available"))
        lines.append(f"Memory      {total:.1f} GB, {free:.1f} GB available")
    lines.append("Models      " + (", ".join(facts["models"] or []) or "none"))
    for name, there in (facts["extras"] or {}).items():
        hint = "there" if there else f"for {EXTRAS[name][1]}: pip install 'geoseg[{name}]'"
        lines.append(f"Extra       {name}: {hint}")
    lines += ["", "All is well." if facts["ok"] else "Problems:"]
    for problem in facts["problems"]:
        lines += [f"  - {problem['what']}", f"    {problem['remedy']}"]
    return "\n".join(lines)


def _device_words(device: dict[str, Any]) -> str:
    detail = [str(device[key]) for key in ("model", "capability") if key in device]
    if "memory" in device:
        detail.append(f"{device['memory'] / 1e9:.0f} GB")
    return f"{device['name']} ({', '.join(detail)})" if detail else str(device["name"])
