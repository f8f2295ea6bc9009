"""A synthetic landscape as a satellite sees it at 10 m: four bands and the truth beneath them.

Nothing is read or downloaded, so it serves where imagery with a known truth is wanted: the demo,
its model, tests and benchmarks. Single pixels do not tell the classes apart: a garden has the
spectrum of a meadow, a roof that of a quarry, a shaded wood that of a lake. Context does.

The scene is painted from the ground up: farmland by parcels, woods, meadows by the river, water,
towns, roads. Every pixel gets a *material*, which has a class, a spectrum and a texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoseg.classes import ClassInfo
from geoseg.errors import UserError

__all__ = ["BANDS", "CLASSES", "GSD", "IGNORE", "NODATA", "make"]

BANDS = ("blue", "green", "red", "nir")
CLASSES = (
    ClassInfo(0, "water", "#3b7fc4"),
    ClassInfo(1, "forest", "#1b5e34"),
    ClassInfo(2, "cropland", "#e3c35a"),
    ClassInfo(3, "grassland", "#9acb6b"),
    ClassInfo(4, "bare soil", "#a8754a"),
    ClassInfo(5, "road", "#4a4a4a"),
    ClassInfo(6, "built-up", "#c8353a"),
)
GSD = 10.0
"""Ground sample distance in metres."""
NODATA = 0
"""Value of every band where a cloud was masked out."""
IGNORE = 255
"""Truth where the image has no data."""

WATER, FOREST, CROPLAND, GRASSLAND, SOIL, ROAD, BUILT = range(7)

Field = NDArray[np.float32]
Painting = NDArray[np.uint8]  # a material a pixel


@dataclass(frozen=True)
class Material:
    """What covers the ground of a pixel.

    Spectra are reflectance x 10000 in the order of `BANDS`, rounded from what Sentinel-2 level 2A
    scenes of central Europe show in early summer. The rest are relative standard deviations of
    brightness: `grain` from pixel to pixel, `mottle` over some ten pixels, `rows` across the
    working direction of a parcel.
    """

    label: int
    spectrum: tuple[int, int, int, int]
    grain: float = 0.02
    mottle: float = 0.05
    rows: float = 0.0


MATERIALS = {
    "river": Material(WATER, (520, 700, 560, 330), mottle=0.10),
    "lake": Material(WATER, (330, 420, 240, 140), mottle=0.12),
    "conifers": Material(FOREST, (230, 410, 270, 1900), grain=0.16, mottle=0.10),
    "broadleaves": Material(FOREST, (270, 560, 340, 3100), grain=0.13, mottle=0.10),
    "wheat": Material(CROPLAND, (350, 700, 430, 3700), mottle=0.03, rows=0.07),
    "barley": Material(CROPLAND, (580, 1060, 1080, 2900), mottle=0.03, rows=0.07),
    "rapeseed": Material(CROPLAND, (430, 1200, 1020, 3600), mottle=0.03, rows=0.06),
    "maize": Material(CROPLAND, (560, 880, 950, 2350), mottle=0.04, rows=0.09),
    "pasture": Material(GRASSLAND, (390, 760, 520, 3100), grain=0.06, mottle=0.11),
    "meadow": Material(GRASSLAND, (560, 930, 850, 2700), grain=0.07, mottle=0.12),
    "ploughed": Material(SOIL, (560, 800, 1080, 1700), mottle=0.06, rows=0.04),
    "fallow": Material(SOIL, (800, 1180, 1580, 2250), mottle=0.08, rows=0.02),
    "sand": Material(SOIL, (1400, 1850, 2250, 2750), grain=0.05, mottle=0.08),
    "asphalt": Material(ROAD, (860, 960, 1020, 1300), grain=0.04),
    "gravel": Material(ROAD, (1350, 1560, 1750, 2050), grain=0.05),
    "red roof": Material(BUILT, (850, 1010, 1650, 2150), grain=0.10),
    "grey roof": Material(BUILT, (1250, 1350, 1420, 1650), grain=0.10),
    "bright roof": Material(BUILT, (2700, 2800, 2850, 2950), grain=0.06),
    "garden": Material(BUILT, (400, 740, 520, 2800), grain=0.12),
    "street": Material(BUILT, (860, 960, 1020, 1300), grain=0.06),
    "yard": Material(BUILT, (560, 640, 640, 1200), grain=0.10),
}
_ID = {name: index for index, name in enumerate(MATERIALS)}
_LABELS = np.array([each.label for each in MATERIALS.values()], np.uint8)
_SPECTRA = np.array([each.spectrum for each in MATERIALS.values()], np.float32).T
_GRAIN, _MOTTLE, _ROWS = (
    np.array([getattr(each, name) for each in MATERIALS.values()], np.float32)
    for name in ("grain", "mottle", "rows")
)


def make(
    shape: tuple[int, int] = (2048, 2048), seed: int = 0
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Make a landscape.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns, each at least 192: smaller scenes have no room for a town and a river.
    seed : int
        The same shape and seed make the same landscape; on another kind of processor a value may
        differ by its last bit.

    Returns
    -------
    image : ndarray of uint16, shape (4, y, x)
        Reflectance x 10000 in the order of `BANDS`; 0 in every band where a cloud was masked out,
        above 0 elsewhere.
    truth : ndarray of uint8, shape (y, x)
        Position in `CLASSES`; 255 where the image has no data.

    Raises
    ------
    UserError
        When the shape is too small.
    """
    if min(shape) < 192:
        raise UserError(f"a landscape of {shape} pixels is too small; ask for 192 x 192 or more")
    rng = np.random.default_rng(seed)
    land = _farmland(rng, shape)
    ground = _sow(rng, land)
    _plant_woods(rng, ground, land)
    _lead_river(rng, ground)
    _build(rng, ground)
    image = _reflect(rng, ground, land)
    clouds = _cover_with_clouds(rng, image)
    truth = _LABELS[ground]
    truth[clouds] = IGNORE
    return _digitise(rng, image, clouds), truth


# -- noise and strokes -----------------------------------------------------------------------------


def _smooth(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Field:
    """Smooth noise, mean 0 and standard deviation 1, with hills about `cell` pixels wide."""
    down, across = (_splines(length, cell) for length in shape)
    heights = rng.standard_normal((down.shape[1], across.shape[1]), dtype=np.float32)
    # Each axis scales the variance by the integral of the squared cubic B-spline, 151 / 315.
    return np.asarray(down @ (heights * (315 / 151)) @ across.T)


def _splines(length: int, cell: float) -> Field:
    """Uniform cubic B-splines with knots every `cell` pixels: (length, knots)."""
    position = (np.arange(length, dtype=np.float32) + 0.5) / np.float32(cell)
    knots = np.arange(-1, int(position[-1]) + 3, dtype=np.float32)
    distance = np.abs(position[:, None] - knots)
    inner, outer = (np.clip(width - distance, 0, None) for width in (1, 2))
    return np.asarray((outer * outer * outer - 4 * inner * inner * inner) / 6)


def _fractal(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int) -> Field:
    """Smooth noise with ever smaller and fainter detail, standard deviation 1."""
    weights = 0.6 ** np.arange(octaves)
    total = np.zeros(shape, np.float32)
    for octave, weight in enumerate(weights / np.linalg.norm(weights)):
        total += float(weight) * _smooth(rng, shape, cell / 2**octave)
    return total


def _above(noise: Field, share: float) -> NDArray[np.bool_]:
    """The highest `share` of the pixels, as judged by every eighth."""
    return np.asarray(noise > np.quantile(noise[::8, ::8], 1 - share))


def _stroke(
    shape: tuple[int, int], path: NDArray[np.float64], radius: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """The pixels within `radius` of a path of (y, x) points, a pixel or less apart."""
    reach = int(np.ceil(np.max(radius)))
    radius = np.broadcast_to(radius, len(path))
    near = np.all((path > -reach) & (path < np.array(shape) + reach), axis=-1)
    near &= np.arange(len(path)) % max(reach // 4, 1) == 0  # discs overlap: fewer do for wide ones
    centres = path[near].astype(np.float32)
    offsets = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1, 1)
    y, x = np.round(centres).astype(np.int32).T[:, None] + offsets
    inside = (y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2 <= radius[near] ** 2
    inside &= (y >= 0) & (x >= 0) & (y < shape[0]) & (x < shape[1])
    mask = np.zeros(shape, bool)
    mask[y[inside], x[inside]] = True
    return mask


def _hash(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.uint32]:
    """Spread pairs of integers over 0..4095, the places of the tables that parcels draw from."""
    mixed = first.astype(np.uint32) * np.uint32(73856093)
    mixed ^= second.astype(np.uint32) * np.uint32(19349663)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(2246822519)
    return np.asarray(mixed >> np.uint32(20))


# -- the ground, layer by layer --------------------------------------------------------------------
_DRAWS = 4096
_CROPS = {
    "wheat": 0.22,
    "barley": 0.13,
    "rapeseed": 0.09,
    "maize": 0.16,
    "pasture": 0.13,
    "meadow": 0.09,
    "ploughed": 0.10,
    "fallow": 0.08,
}


@dataclass(frozen=True)
class _Farmland:
    district: NDArray[np.int32]
    parcel: NDArray[np.uint32]  # a place in tables of `_DRAWS`
    across: Field  # pixels across the working direction


def _farmland(rng: np.random.Generator, shape: tuple[int, int]) -> _Farmland:
    district = _districts(rng, shape)
    along, across = _working_directions(rng, district)
    return _Farmland(district, _parcels(rng, district, along, across), across)


def _sow(rng: np.random.Generator, land: _Farmland) -> Painting:
    """A crop for every parcel; tracks around some districts, hedges around some parcels."""
    crops = np.array([_ID[name] for name in _CROPS], np.uint8)
    ground = rng.choice(crops, _DRAWS, p=list(_CROPS.values()))[land.parcel]
    region = _smooth(rng, land.parcel.shape, 180)
    ground[_borders(land.parcel) & (region > 1.0)] = _ID["broadleaves"]
    ground[_borders(land.district) & (region < 0.6)] = _ID["gravel"]
    return ground


def _borders(regions: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels on either side of a border, two wide."""
    borders = np.zeros(regions.shape, bool)
    for before, after in (
        ((slice(-1),), (slice(1, None),)),
        ((..., slice(-1)), (..., slice(1, None))),
    ):
        differs = regions[before] != regions[after]
        borders[before] |= differs
        borders[after] |= differs
    return borders


def _districts(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Voronoi cells with bent borders; fields of a district share a direction."""
    y, x = (
        axis.astype(np.float32) + 14 * _fractal(rng, shape, 110, 2)
        for axis in np.ogrid[: shape[0], : shape[1]]
    )
    cell = 230
    corners = np.mgrid[-1 : shape[0] // cell + 2, -1 : shape[1] // cell + 2].reshape(2, -1).T
    seeds = (corners + rng.uniform(0.25, 0.75, corners.shape)) * cell
    nearest = np.full(shape, np.inf, np.float32)
    owner = np.zeros(shape, np.int32)
    for index, seed in enumerate(seeds.astype(np.float32)):
        box = _around(seed, 1.25 * cell, shape)
        distance = (y[box] - seed[0]) ** 2 + (x[box] - seed[1]) ** 2
        closer = distance < nearest[box]
        np.copyto(nearest[box], distance, where=closer)
        np.copyto(owner[box], index, where=closer)
    return owner


def _around(
    centre: NDArray[np.floating], radius: float, shape: tuple[int, int]
) -> tuple[slice, slice]:
    """The part of the scene within `radius` rows and columns of a point."""
    rows, columns = (
        slice(max(int(middle - radius), 0), max(min(int(middle + radius) + 1, length), 0))
        for middle, length in zip(centre, shape, strict=True)
    )
    return rows, columns


def _working_directions(
    rng: np.random.Generator, district: NDArray[np.int32]
) -> tuple[Field, Field]:
    """Coordinates in pixels along and across the fields of every district."""
    angle = rng.uniform(0, np.pi, district.max() + 1)
    cos, sin = (turn(angle).astype(np.float32)[district] for turn in (np.cos, np.sin))
    y, x = (axis.astype(np.float32) for axis in np.ogrid[: district.shape[0], : district.shape[1]])
    bend = 5 * _smooth(rng, district.shape, 90)
    return x * cos + y * sin + bend, y * cos - x * sin + bend


def _parcels(
    rng: np.random.Generator, district: NDArray[np.int32], along: Field, across: Field
) -> NDArray[np.uint32]:
    """Cut districts into strips and strips into parcels; gives every pixel a place in a table."""
    width = rng.uniform(13, 34, district.max() + 1).astype(np.float32)
    strip = _hash(district, np.floor(across / width[district]).astype(np.int32))
    length = rng.uniform(22, 80, _DRAWS).astype(np.float32)
    start = rng.uniform(0, 80, _DRAWS).astype(np.float32)
    piece = np.floor((along + start[strip]) / length[strip])
    return _hash(strip.astype(np.int32), piece.astype(np.int32))


def _plant_woods(rng: np.random.Generator, ground: Painting, land: _Farmland) -> None:
    """Woods large and small, and grazing on the hills; their edges keep in part to parcels."""
    shape = ground.shape
    hills = _fractal(rng, shape, 300, 5)
    edge = 0.3 * rng.standard_normal(_DRAWS, dtype=np.float32)[land.parcel]
    ground[_above(hills + edge, 0.30)] = _ID["pasture"]
    woods = _above(hills + edge + 0.4 * _fractal(rng, shape, 50, 4), 0.20)
    woods |= _above(_fractal(rng, shape, 60, 4), 0.03)
    conifers = _fractal(rng, shape, 120, 4) + edge > 0.2
    ground[woods] = np.where(conifers, _ID["conifers"], _ID["broadleaves"])[woods]


def _lead_river(rng: np.random.Generator, ground: Painting) -> None:
    """A meandering river with its meadows, banks of sand and wood, a tributary, and lakes."""
    shape = ground.shape
    heading = rng.uniform(0, np.pi)
    spring = np.array(shape) * rng.uniform(0.35, 0.65, 2)
    river = _meander(rng, spring, heading, bend=330, length=3 * max(shape))
    brook = _meander(rng, spring, heading + np.pi / 2, bend=130, length=3 * max(shape))
    rough = _fractal(rng, shape, 40, 3)
    ground[_stroke(shape, river, 34) & (rough > -0.4)] = _ID["meadow"]
    ground[_stroke(shape, river, 15) & (rough > 0.7)] = _ID["broadleaves"]
    ground[_stroke(shape, brook, 6) & (rough > -0.2)] = _ID["broadleaves"]
    width = 8 + 2.5 * np.sin(np.arange(len(river)) / 170)
    ground[_stroke(shape, river, width + 2) & (rough < -1.2)] = _ID["sand"]
    ground[_stroke(shape, brook, 1.8) | _stroke(shape, river, width)] = _ID["river"]
    for _ in range(max(1, ground.size // 250_000)):
        ground[_blob(rng, shape, rng.uniform(8, 55))] = _ID["lake"]
    for _ in range(max(1, ground.size // 600_000)):
        ground[_blob(rng, shape, rng.uniform(6, 16))] = _ID["sand"]


def _meander(
    rng: np.random.Generator, middle: NDArray[np.float64], heading: float, bend: float, length: int
) -> NDArray[np.float64]:
    """A path of (y, x) points a pixel apart, both ways from `middle`.

    Its direction swings as a sine of the way travelled: the sine-generated curve that rivers
    follow (Langbein and Leopold 1966, USGS Professional Paper 422-H, equation 1). A swing of
    2.2 radians would close the loops.
    """
    way = np.arange(length)
    swing = 1.3 + 0.5 * np.sin(way / rng.uniform(2, 3) / bend)
    angle = heading + swing * np.sin(2 * np.pi * way / bend + np.sin(way / bend))
    path = np.cumsum(np.stack([np.sin(angle), np.cos(angle)], -1), axis=0)
    return np.asarray(path - path[length // 2] + middle)


def _blob(rng: np.random.Generator, shape: tuple[int, int], radius: float) -> NDArray[np.bool_]:
    """A patch of uneven outline somewhere in the scene."""
    centre = np.array(shape) * rng.uniform(0.05, 0.95, 2)
    mask = np.zeros(shape, bool)
    box = _around(centre, 2 * radius, shape)
    mask[box] = _distance(rng, centre, radius, box) < 1
    return mask


def _distance(
    rng: np.random.Generator, centre: NDArray[np.float64], radius: float, box: tuple[slice, slice]
) -> Field:
    """Distance from a centre in radii, with bumps and bays, for the pixels of a box."""
    y, x = ((axis - middle) / radius for axis, middle in zip(np.ogrid[box], centre, strict=True))
    distance = np.asarray(np.hypot(y, x), np.float32)
    distance += 0.22 * _fractal(rng, distance.shape, 0.8 * radius, 2)
    return distance


# -- what people built -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Town:
    centre: NDArray[np.float64]
    radius: float


def _build(rng: np.random.Generator, ground: Painting) -> None:
    """Towns, the roads between them, and farms."""
    shape = ground.shape
    towns = _found_towns(rng, ground)
    for path, radius in _roads(rng, shape, towns):
        ground[_stroke(shape, path, radius)] = _ID["asphalt"]
    for town in [*towns, *_found_farms(rng, ground)]:
        _lay_out(rng, ground, town)


def _found_towns(rng: np.random.Generator, ground: Painting) -> list[_Town]:
    """Towns of all sizes, on dry land, far enough apart for fields between them."""
    largest = min(ground.shape) / 6
    towns: list[_Town] = []
    for _ in range(10 + ground.size // 60_000):
        radius = float(np.clip(rng.lognormal(3.4, 0.6), 14, min(largest, 95)))
        centre = np.array(ground.shape) * rng.uniform(0.1, 0.9, 2)
        dry = _LABELS[ground[tuple(centre.astype(int))]] != WATER
        if dry and all(_apart(centre, radius, other) for other in towns):
            towns.append(_Town(centre, radius))
    return towns


def _apart(centre: NDArray[np.float64], radius: float, town: _Town) -> bool:
    return bool(np.linalg.norm(centre - town.centre) > 1.4 * (radius + town.radius) + 60)


def _found_farms(rng: np.random.Generator, ground: Painting) -> list[_Town]:
    """Farms, anywhere: a few houses that are too small for a street."""
    count = ground.size // 40_000
    centres = np.array(ground.shape) * rng.uniform(0.02, 0.98, (count, 2))
    radii = rng.uniform(4, 8, count)
    return [_Town(centre, radius) for centre, radius in zip(centres, radii, strict=True)]


def _lay_out(rng: np.random.Generator, ground: Painting, town: _Town) -> None:
    """Streets, houses with gardens, and halls at one end; water stays water."""
    box = _around(town.centre, 1.6 * town.radius, ground.shape)
    place = _distance(rng, town.centre, town.radius, box)
    along, across = _street_grid(rng, town, box)
    houses = _blocks(rng, along, across, (3, 4), _HOUSES)
    halls = _blocks(rng, along, across, (9, 14), _HALLS)
    plan = np.where(across > 0.4 * town.radius + 8, halls, houses)
    if town.radius > 10:
        plan[(along % 20 < 2.2) | (across % 32 < 2.2)] = _ID["street"]
    local = ground[box]
    plan[local == _ID["asphalt"]] = _ID["street"]
    built = (place < 1) & (_LABELS[local] != WATER)
    local[built] = plan[built]


def _street_grid(
    rng: np.random.Generator, town: _Town, box: tuple[slice, slice]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels along and across the main street, slightly bent."""
    y, x = (axis - middle for axis, middle in zip(np.ogrid[box], town.centre, strict=True))
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    bend = rng.normal(0, 0.12) / town.radius
    return along + bend * across**2, across + bend * along**2


_HOUSES = {"red roof": 0.30, "grey roof": 0.17, "bright roof": 0.05, "garden": 0.33, "yard": 0.15}
_HALLS = {"bright roof": 0.28, "grey roof": 0.37, "yard": 0.25, "garden": 0.10}


def _blocks(
    rng: np.random.Generator,
    along: NDArray[np.float64],
    across: NDArray[np.float64],
    size: tuple[int, int],
    shares: dict[str, float],
) -> Painting:
    """A material for every block of `size` pixels along and across the streets."""
    places = (
        np.floor(axis / length).astype(np.int32)
        for axis, length in zip((along, across), size, strict=True)
    )
    materials = np.array([_ID[name] for name in shares], np.uint8)
    return rng.choice(materials, _DRAWS, p=list(shares.values()))[_hash(*places)]


def _roads(
    rng: np.random.Generator, shape: tuple[int, int], towns: list[_Town]
) -> list[tuple[NDArray[np.float64], float]]:
    """Paths and radii: every town to its two nearest, and a main road across the scene."""
    centres = np.array([town.centre for town in towns])
    roads = [(_wander(rng, centres[a], centres[b]), 1.6) for a, b in _neighbours(centres)]
    west, east = rng.uniform(0.2, 0.8, 2) * shape[0]
    across = _wander(rng, np.array([west, -20.0]), np.array([east, shape[1] + 20.0]))
    return [*roads, (across, 2.2)]


def _neighbours(centres: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of which one is among the two nearest of the other."""
    order = np.argsort(np.linalg.norm(centres[:, None] - centres, axis=-1), axis=1)
    pairs = {(min(a, b), max(a, b)) for a, *rest in order[:, :3].tolist() for b in rest}
    return sorted(pairs)


def _wander(
    rng: np.random.Generator, start: NDArray[np.float64], stop: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A path of (y, x) points half a pixel apart, bent to the sides by up to a tenth or so."""
    straight = stop - start
    way = np.linspace(0, 1, 2 + int(2 * np.abs(straight).max()))
    waves = np.arange(1, 7)
    swing = rng.normal(0, 0.05, waves.size) / waves
    aside = np.sum(swing[:, None] * np.sin(np.pi * waves[:, None] * way), axis=0)
    return np.asarray(
        start + way[:, None] * straight + aside[:, None] * straight[::-1] * np.array([1, -1])
    )


# -- what the sensor sees --------------------------------------------------------------------------


def _reflect(rng: np.random.Generator, ground: Painting, land: _Farmland) -> Field:
    """Reflectance x 10000 of the ground under sun and haze, blurred by the optics: (4, y, x)."""
    texture = _texture(rng, ground, land)
    farmed = np.isin(np.arange(len(MATERIALS)), [_ID[name] for name in _CROPS])
    parcel = np.where(farmed[ground], land.parcel, _DRAWS)
    image = np.stack(
        [
            _blur(spectrum[ground] * texture * tint[parcel])
            for spectrum, tint in zip(_SPECTRA, _tints(rng), strict=True)
        ]
    )
    haze = np.array([130, 80, 50, 20], np.float32)[:, None, None]
    image += haze * np.linspace(0, 1, ground.shape[1], dtype=np.float32)
    return image


def _tints(rng: np.random.Generator) -> Field:
    """Factors by band and parcel: light or dark, lush (less red, more infrared) or poor.

    The last column is for pixels of no parcel.
    """
    tints = np.ones((len(BANDS), _DRAWS + 1))
    tints[:, :-1] += rng.normal(0, 0.08, _DRAWS)
    tints[:, :-1] += np.array([[-0.6], [-0.4], [-1], [0.7]]) * rng.normal(0, 0.13, _DRAWS)
    return np.clip(tints, 0.5, None).astype(np.float32)


def _texture(rng: np.random.Generator, ground: Painting, land: _Farmland) -> Field:
    """Brightness, about 1: grain, mottle and rows of the materials in the light of the sun."""
    shape = ground.shape
    pitch = (2 * np.pi / rng.uniform(3, 8, _DRAWS)).astype(np.float32)
    texture = 1 + _ROWS[ground] * np.sin(land.across * pitch[land.parcel])
    texture += _GRAIN[ground] * rng.standard_normal(shape, dtype=np.float32)
    texture += _MOTTLE[ground] * _fractal(rng, shape, 24, 2)
    texture *= _sunlight(rng, shape)
    return np.asarray(texture)


def _sunlight(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Brightness, about 1: slopes facing the sun in the north-west of the picture, and a trend."""
    relief = 20 * _fractal(rng, shape, 260, 4)
    slope = np.diff(relief, axis=0, prepend=relief[:1]) + np.diff(
        relief, axis=1, prepend=relief[:, :1]
    )
    trend = np.linspace(0.06, -0.06, shape[0], dtype=np.float32)[:, None]
    return np.asarray(1 + 0.25 * np.tanh(slope) + trend, np.float32)


def _blur(band: Field) -> Field:
    """The optics: a sixth of a pixel's light falls on either neighbour along each axis."""
    weights = np.array([1, 4, 1], np.float32) / 6
    for axis in (0, 1):
        band = ndimage.correlate1d(band, weights, axis, mode="nearest")
    return band


def _cover_with_clouds(rng: np.random.Generator, image: Field) -> NDArray[np.bool_]:
    """Darken the ground in the shadow of clouds, brighten it at their rims; say where they are."""
    density = _fractal(rng, image.shape[1:], 150, 5)
    core = float(np.quantile(density[::8, ::8], 0.96))
    shadow = np.clip((ndimage.shift(density, (34, 22), order=0) - core) * 4 + 0.5, 0, 1)
    image *= 1 - 0.45 * shadow
    veil = np.clip((density - core) * 2 + 1, 0, 1)
    image += 0.06 * veil * (9000 - image)
    return np.asarray(density > core)


def _digitise(
    rng: np.random.Generator, image: Field, clouds: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Add the sensor's noise and count; masked pixels become `NODATA`."""
    image += 22 * rng.standard_normal(image.shape, dtype=np.float32)
    counts = np.clip(image, 1, 10_000).astype(np.uint16)
    counts[:, clouds] = NODATA
    return counts
