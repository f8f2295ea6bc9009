"""Files that are nearly right: rasters, model files and masks with bytes and values changed.

    python tests/fuzz.py FOLDER --minutes 60 --seed 0

Each case is a small file with a few changes, drawn by its number, that a process of its own maps,
loads or reads. It must give a map of the right shape, or one line that tells the user; a traceback,
a crash, a hang of more than `PATIENCE` seconds, more memory than `MEMORY`, or anything left beside
the output counts as found. The files of such cases are kept in FOLDER/found.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from pointwise import UTM, pointwise, random_pixels
from toys import segmenter_of

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.segmenter import Segmenter
from geoseg.shapes import read_mask

SIDE = 48
PATIENCE = 60  # seconds; all files are small
MEMORY = 8 << 30  # bytes of address space
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {"compress": "none"},
    "tiles": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
    "lzw": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "lzw", "predictor": 2},
    "big": {"bigtiff": "yes", "interleave": "band", "compress": "zstd"},
    "packbits": {"compress": "packbits", "nodata": 0},
}
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 10**40, 1e308, -0.0, "", "..", "\x00", "\x1b[2J", "ä" * 300,
    "../../etc/passwd", [], [[]], {}, {"": {}}, [1] * 1000, "1e999",
)  # fmt: skip


def changed(data: bytes, dice: random.Random) -> bytes:
    """Some bytes flipped, copied, cut out, put in or cut off; headers most often."""
    found = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        reach = len(found) if dice.random() < 0.3 else min(len(found), 400)
        place = dice.randrange(max(reach, 1))
        match dice.randrange(6):
            case 0:
                found[place : place + 1] = bytes([dice.randrange(256)])
            case 1:
                count = dice.choice((2, 4, 8))
                odd = dice.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
                found[place : place + count] = odd.to_bytes(8, "little")[:count]
            case 2:
                del found[place : place + dice.randrange(1, 40)]
            case 3:
                other = dice.randrange(max(len(found), 1))
                found[place:place] = found[other : other + dice.randrange(1, 40)]
            case 4:
                found[place : place + 1] = (
                    bytes([found[place] ^ (1 << dice.randrange(8))]) if found else b""
                )
            case _:
                if dice.random() < 0.2:
                    del found[place:]
    return bytes(found)


def altered(value: Any, dice: random.Random) -> Any:
    """A document of JSON with some values, keys or parts replaced."""
    if dice.random() < 0.06:
        return dice.choice(VALUES)
    if isinstance(value, dict):
        kept = {k: altered(v, dice) for k, v in value.items() if dice.random() > 0.02}
        return kept | ({"odd": dice.choice(VALUES)} if dice.random() < 0.05 else {})
    if isinstance(value, list):
        return [altered(each, dice) for each in value if dice.random() > 0.03]
    return value


class Seeds:
    """Right files that cases are made of."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.model = pointwise()
        self.rasters = [self._raster(folder / f"{n}.tif", each) for n, each in LAYOUTS.items()]
        options = {"in_channels": 3, "classes": 4, "widths": [2, 2]}
        net = nets.build("unet", **options)
        model = segmenter_of(net, architecture="unet", options=options)
        model.save(folder / "toy.safetensors")
        self.card = (folder / "toy.safetensors").read_bytes()
        triangle = shapely.Polygon([(500000, 5600000), (500300, 5599900), (500100, 5599600)])
        masks = gpd.GeoDataFrame({"name": ["a"]}, geometry=[triangle], crs=32631)
        self.masks = {}
        for ending in (".geojson", ".gpkg", ".fgb"):
            masks.to_file(folder / f"mask{ending}")
            self.masks[ending] = (folder / f"mask{ending}").read_bytes()

    def _raster(self, path: Path, layout: dict[str, Any]) -> bytes:
        about = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8"}
        with rasterio.open(path, "w", crs="EPSG:32631", transform=UTM, **about, **layout) as file:
            file.write(random_pixels((3, SIDE, SIDE)).astype(np.uint8))
        return path.read_bytes()


def case_of(number: int, seeds: Seeds, folder: Path) -> tuple[Path, Callable[[], object]]:
    """The file of a case, and what is to be done with it."""
    dice = random.Random(number)  # noqa: S311
    kind = number % 4
    if kind < 2:
        path = folder / "case.tif"
        path.write_bytes(changed(dice.choice(seeds.rasters), dice))
        return path, lambda: mapped(path, folder / "map.tif", seeds.model)
    if kind == 2:
        path = folder / "case.safetensors"
        data = changed(seeds.card, dice) if dice.random() < 0.5 else other_card(seeds.card, dice)
        path.write_bytes(data)
        return path, lambda: geoseg.load(path)
    ending = dice.choice(sorted(seeds.masks))
    path = folder / f"case{ending}"
    data = seeds.masks[ending]
    if ending == ".geojson" and dice.random() < 0.7:
        path.write_text(json.dumps(altered(json.loads(data), dice)))
    else:
        path.write_bytes(changed(data, dice))
    return path, lambda: read_mask(path)


def other_card(data: bytes, dice: random.Random) -> bytes:
    """A model file whose header says something else."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    if dice.random() < 0.7:
        card = altered(json.loads(header["__metadata__"]["geoseg"]), dice)
        header["__metadata__"]["geoseg"] = json.dumps(card)
    else:
        header = altered(header, dice)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def mapped(source: Path, target: Path, model: Segmenter) -> None:
    """Map a raster; looks at what comes of it."""
    try:
        geoseg.predict_file(source, target, model, gsd="native", overwrite=True)
    except UserError:
        left = [path.name for path in target.parent.iterdir() if path.name.startswith("map.tif")]
        assert not left, f"a run that was refused left {left}"
        raise
    with rasterio.open(source) as given, rasterio.open(target) as made:
        assert given.shape == made.shape
        assert made.read(1).dtype == np.uint8


def work(folder: Path, first: int, count: int) -> None:
    """Try cases one after another; tells each before it is tried, and what came of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    seeds = Seeds(folder / "seeds")
    for number in range(first, first + count):
        place = folder / f"case{number % 8}"  # of which the last ones stay to be kept
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        path, act = case_of(number, seeds, place)
        print(json.dumps({"case": number, "file": path.name}), flush=True)
        try:
            act()
            outcome = "right"
        except UserError as error:
            outcome = "refused" if "\n" not in str(error) else f"two lines: {error!r}"
        except Exception:
            outcome = traceback.format_exc()
        print(json.dumps({"outcome": outcome}), flush=True)


class Hunt:
    """Cases tried by a process that is begun anew when one ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outcomes = folder, Counter[str]()
        self.found: list[str] = []
        (folder / "found").mkdir(parents=True, exist_ok=True)

    def run(self, first: int, count: int) -> int:
        """Try cases in one process, as far as it comes; tells how many were tried."""
        call = [sys.executable, __file__, str(self.folder), "--work", str(first), str(count)]
        tried = 0
        with subprocess.Popen(
            ["timeout", str(PATIENCE * 20), *call],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            case: dict[str, Any] | None = None
            began = time.monotonic()
            for line in process.stdout:
                told = json.loads(line)
                if "case" in told:
                    case, began = told, time.monotonic()
                    continue
                assert case is not None
                seconds = time.monotonic() - began
                slow = f"took {seconds:.0f} s" if seconds > PATIENCE else ""
                self._note(case, slow or told["outcome"])
                case, tried = None, tried + 1
        if case is not None:  # it ended in the middle
            self._note(case, f"the process ended with status {process.returncode}")
            tried += 1
        return tried

    def _note(self, case: dict[str, Any], outcome: str) -> None:
        if outcome in ("right", "refused"):
            self.outcomes[outcome] += 1
            return
        self.outcomes["found"] += 1
        self.found.append(f"{case['case']}: {outcome.strip().splitlines()[-1]}")
        path = self.folder / f"case{case['case'] % 8}" / case["file"]
        if path.exists():
            shutil.copy(path, self.folder / "found" / f"{case['case']}-{path.name}")
        (self.folder / "found" / f"{case['case']}.txt").write_text(outcome)
        print(self.found[-1], flush=True)


def main() -> None:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=int, nargs=2)
    given = parser.parse_args()
    if given.work:
        work(given.folder, *given.work)
        return
    hunt, number, end = (
        Hunt(given.folder),
        given.seed * 10**9,
        time.monotonic() + 60 * given.minutes,
    )
    while time.monotonic() < end:
        number += max(hunt.run(number, 500), 1)
    print(f"{sum(hunt.outcomes.values()):,} cases: {dict(hunt.outcomes)}")
    sys.exit(1 if hunt.found else 0)


if __name__ == "__main__":
    main()
