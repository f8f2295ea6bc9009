"""geoseg: georeferenced imagery in, class maps and polygons out.

Importing it is light: torch, dask and xarray are imported when something needs them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from geoseg.allocator import share_memory

if TYPE_CHECKING:
    from geoseg.card import Card
    from geoseg.classes import ClassInfo
    from geoseg.ensembles import ensemble
    from geoseg.errors import UserError
    from geoseg.evaluation import evaluate
    from geoseg.job import predict_file
    from geoseg.polygons import area_by_class, polygonize, polygonize_file
    from geoseg.prediction import predict
    from geoseg.raster import class_table, open_raster, open_stack, write_raster
    from geoseg.segmenter import Segmenter, load, shipped_models
    from geoseg.stac import open_stac

__version__ = "0.1.0"

__all__ = [
    "Card",
    "ClassInfo",
    "Segmenter",
    "UserError",
    "area_by_class",
    "class_table",
    "ensemble",
    "evaluate",
    "load",
    "open_raster",
    "open_stac",
    "open_stack",
    "polygonize",
    "polygonize_file",
    "predict",
    "predict_file",
    "shipped_models",
    "write_raster",
]

_HOME = {
    "Card": "card",
    "ClassInfo": "classes",
    "Segmenter": "segmenter",
    "UserError": "errors",
    "area_by_class": "polygons",
    "class_table": "raster",
    "ensemble": "ensembles",
    "evaluate": "evaluation",
    "load": "segmenter",
    "open_raster": "raster",
    "open_stac": "stac",
    "open_stack": "raster",
    "polygonize": "polygons",
    "polygonize_file": "polygons",
    "predict": "prediction",
    "predict_file": "job",
    "shipped_models": "segmenter",
    "write_raster": "raster",
}


share_memory()  # before anything else is imported


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geoseg' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"geoseg.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _AfterXarray(MetaPathFinder, Loader):
    """Registers the accessor ``image.geoseg`` once xarray is imported, whoever imports it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "xarray":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        importlib.import_module("geoseg.accessor")


if "xarray" in sys.modules:
    importlib.import_module("geoseg.accessor")
else:
    sys.meta_path.insert(0, _AfterXarray())
