"""The shape of the package: a module imports only from lower layers, and none in a circle."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pointwise import write

import geoseg

ROOT = Path(geoseg.__file__).parent

# Layer of each module or folder of modules; those of one layer may import each other acyclically.
LAYERS = {
    "errors": 0,
    "addresses": 0,
    "classes": 0,
    "windows": 0,
    "resample": 0,
    "metrics": 0,
    "places": 0,
    "lease": 1,
    "locks": 1,
    "remote": 1,
    "identity": 1,
    "multilabel": 0,
    "attached": 0,
    "console": 0,
    "progress": 0,
    "taken": 0,
    "allocator": 0,
    "nets": 1,
    "raster": 1,
    "reach": 1,
    "beside": 1,
    "card": 1,
    "footprint": 1,
    "shapes": 1,
    "extent": 1,
    "pixels": 0,
    "kernels": 0,
    "rendering": 0,
    "page": 0,
    "charts": 1,
    "landscape": 1,
    "loader": 2,
    "polygons": 2,
    "figures": 2,
    "segmenter": 3,
    "ensembles": 3,
    "views": 3,
    "bands": 3,
    "plan": 3,
    "devices": 3,
    "decisions": 3,
    "documents": 1,
    "assets": 4,
    "stac": 4,
    "exchange": 4,
    "tasks": 4,
    "blocks": 4,
    "precision": 4,
    "reading": 5,
    "store": 4,
    "checks": 4,
    "prediction": 4,
    "versions": 5,
    "runs": 5,
    "item": 5,
    "info": 5,
    "assembly": 5,
    "inputs": 5,
    "refusals": 5,
    "finishing": 5,
    "crew": 5,
    "orders": 6,
    "hiring": 6,
    "cluster": 6,
    "job": 6,
    "train": 5,
    "evaluation": 5,
    "doctor": 5,
    "demo": 6,
    "recipes": 6,
    "batch": 7,
    "cli": 7,
    "accessor": 7,
    "__main__": 8,
}
# The package itself gives names to users by importing them when they are asked for; what imports it
# (a version, a function of the public interface) must be in the upper half.
PACKAGE = 5

MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def unit_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def _is_for_types_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports_of(path: Path) -> set[str]:
    """Units of geoseg that a module imports when it runs, inside of functions as well."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and node.module == "geoseg":
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geoseg."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            names = [each.name.split(".") for each in node.names]
            found |= {n[1] if len(n) > 1 else "" for n in names if n[0] == "geoseg"}
        children = (c for c in ast.iter_child_nodes(node) if not _is_for_types_only(c))  # type: ignore[arg-type]
        pending += children
    return found


def test_every_module_has_a_layer() -> None:
    assert {unit_of(path) for path in MODULES} == set(LAYERS)


def test_the_layer_of_every_module_is_told_to_contributors() -> None:
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (\d) \|(.*)\|$", text, re.MULTILINE)
    told = {unit: int(layer) for layer, row in rows for unit in re.findall(r"`(\w+)/?`", row)}
    assert told == LAYERS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_lower_layers(path: Path) -> None:
    own = LAYERS[unit_of(path)]
    for unit in imports_of(path) - {unit_of(path)}:
        below = PACKAGE if unit == "" else LAYERS[unit]
        assert below <= own, f"{path.name} (layer {own}) imports {unit or 'geoseg'} (layer {below})"


def test_no_modules_import_each_other_in_a_circle() -> None:
    needs: dict[str, set[str]] = {unit: set() for unit in LAYERS}
    for path in MODULES:
        needs[unit_of(path)] |= imports_of(path) - {unit_of(path), ""}
    while needs:
        free = {unit for unit, others in needs.items() if not others & needs.keys()}
        assert free, f"a circle among {sorted(needs)}"
        needs = {unit: others for unit, others in needs.items() if unit not in free}


HEAVY = ("torch", "numba", "dask", "xarray", "pandas", "geopandas", "scipy", "zarr")


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["info", "{file}"]])
def test_what_computes_nothing_waits_for_no_large_package(words: list[str], tmp_path: Path) -> None:
    file = write(tmp_path / "a.tif", np.zeros((1, 2, 3), np.uint8))
    code = f"""
import sys
from geoseg.cli import main
try:
    main({[word.format(file=file) for word in words]!r})
except SystemExit as end:
    assert not end.code, end.code
assert not (found := set({HEAVY!r}) & sys.modules.keys()), found
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_networks_need_torch_alone() -> None:
    allowed = {
        "torch",
        "geoseg",
        "__future__",
        "collections",
        "typing",
        "inspect",
        "math",
        "functools",
        "itertools",
    }
    optional = {"smp.py": {"segmentation_models_pytorch", "timm"}}
    for path in (ROOT / "nets").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        found = {name.split(".")[0] for name in modules}
        assert found <= allowed | optional.get(path.name, set())
