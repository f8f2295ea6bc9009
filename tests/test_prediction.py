"""Lazy prediction: it equals one forward pass over the whole image, however it is cut."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count, pairwise
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import rioxarray  # noqa: F401
import torch
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from toys import BANDS, Hourglass, Pooled, TwoLayers, random_image, segmenter_of, whole_image_scores

import geoseg
from geoseg import nets, prediction
from geoseg.blocks import run_block
from geoseg.devices import DevicePool, pool_for
from geoseg.errors import UserError
from geoseg.plan import Tiling
from geoseg.prediction import scene_of
from geoseg.raster import Grid, pixel_size
from geoseg.segmenter import Segmenter, load, shipped_models
from geoseg.tasks import Running, make_task

MODELS: dict[str, Callable[[], Segmenter]] = {
    "two layers": lambda: segmenter_of(TwoLayers()),
    "hourglass": lambda: segmenter_of(Hourglass()),
    "small u-net": lambda: segmenter_of(
        nets.build("unet", in_channels=3, classes=4, widths=(8, 8, 8)), window=128
    ),
    **{name: (lambda name=name: load(name)) for name in shipped_models()},  # type: ignore[misc]
}
SIZES = [(1, 1), (1, 97), (2, 3), (33, 64), (130, 31), (257, 311), (700, 900)]


@contextmanager
def blocks_of(side: int) -> Iterator[None]:
    """Graphs of several blocks, though the images are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "Tiling", partial(Tiling, block=side))
        yield


def predict_by_blocks(image: xr.DataArray, model: Segmenter, **options: Any) -> xr.DataArray:
    with blocks_of(64):
        labels = geoseg.predict(image, model, window=64, **options)
    assert min(labels.data.numblocks[-2:]) > 1
    return labels


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Segmenter:
    return MODELS[request.param]()


def image_for(model: Segmenter, shape: tuple[int, int], seed: int = 0) -> xr.DataArray:
    """Random pixels around the model's means."""
    noise = np.random.default_rng(seed).normal(size=(len(model.card.bands), *shape))
    mean, std = (np.array(each)[:, None, None] for each in (model.card.mean, model.card.std))
    pixels = (mean + std * noise).astype(np.float32)
    return xr.DataArray(pixels, dims=("band", "y", "x"), attrs={"long_name": model.card.bands})


@pytest.mark.parametrize("shape", SIZES)
def test_cropped_windows_equal_one_forward_pass_over_the_whole_image(
    model: Segmenter, shape: tuple[int, int]
) -> None:
    if model.card.halo is None:
        pytest.skip("a network that sees its whole window has no exact tiling")
    image = image_for(model, shape)
    expected = whole_image_scores(model, image.values)
    window = None if shape[0] < 700 else 2 * model.card.halo + 8 * model.card.stride
    scores = geoseg.predict(image, model, output="scores", window=window).values
    labels = geoseg.predict(image, model, window=window).values
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    values = np.array([each.value for each in model.card.classes])
    second, first = np.sort(expected, axis=0)[-2:]
    clear = first - second > 2e-5  # nearer scores may change places when sums are rounded otherwise
    np.testing.assert_array_equal(labels[clear], values[expected.argmax(0)][clear])
    assert clear.mean() > 0.999


@given(
    shape=st.tuples(st.integers(130, 220), st.integers(130, 220)),
    chunks=st.tuples(st.integers(1, 3), st.integers(5, 220), st.integers(5, 220)),
    block=st.integers(1, 300),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_the_map_depends_on_neither_chunks_nor_blocks(
    shape: tuple[int, int], chunks: tuple[int, int, int], block: int, seed: int
) -> None:
    model = MODELS["hourglass"]()
    image = random_image(shape, seed, nodata=0)
    expected = geoseg.predict(image, model).values
    chunked = image.chunk(dict(zip(("band", "y", "x"), chunks, strict=True)))
    np.testing.assert_array_equal(predict_by_blocks(chunked, model), expected)
    np.testing.assert_array_equal(_by_blocks(image, model, block), expected)


def _by_blocks(image: xr.DataArray, model: Segmenter, side: int) -> np.ndarray:
    """The map put together by hand, block after block in an order of its own."""
    task = make_task(
        scene_of(image, model.card), model, ("classes",), Tiling(block=side), Running()
    )
    found = np.zeros(image.shape[1:], np.uint8)
    for block in reversed(list(task.plan.blocks())):
        result = run_block(task, block, task.scene.part(task.plan.hull(block)))
        found[task.plan.output(block)] = result["classes"]
    return found


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_the_map_does_not_depend_on_the_scheduler(scheduler: str) -> None:
    model = MODELS["hourglass"]()
    image = random_image((150, 170), nodata=0)
    with dask.config.set(scheduler=scheduler):
        labels = predict_by_blocks(image.chunk({"y": 40, "x": 60}), model).values
    np.testing.assert_array_equal(labels, geoseg.predict(image, model).values)


@given(st.integers(0, 1000), st.sampled_from(["all", "any"]), st.sampled_from(["crop", "hann"]))
@settings(max_examples=25, deadline=None)
def test_a_pixel_has_a_class_exactly_where_it_has_data(seed: int, policy: str, blend: str) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 255, (3, 90, 110)).astype(np.float32)
    pixels[rng.random(pixels.shape) < 0.4] = np.nan
    pixels[:, 20:60, 30:90] = np.nan
    image = xr.DataArray(pixels, dims=("band", "y", "x"))
    model = segmenter_of(Hourglass(), nodata=policy)
    labels = geoseg.predict(image, model, blend=blend).values  # type: ignore[arg-type]
    missing = np.isnan(pixels)
    gone = missing.all(0) if policy == "all" else missing.any(0)
    np.testing.assert_array_equal(labels == 255, gone)
    assert set(np.unique(labels[~gone])) <= {0, 1, 2, 3}


def test_missing_pixels_count_as_the_mean_of_their_band() -> None:
    model = segmenter_of(Hourglass())
    image = random_image((80, 90), nodata=0)
    filled = image.values.astype(np.float32)
    filled[image.values == 0] = 120.0
    expected = whole_image_scores(model, filled).argmax(0)
    expected[(image.values == 0).all(0)] = 255
    np.testing.assert_array_equal(geoseg.predict(image, model), expected)


@pytest.mark.parametrize("blend", ["hann", "mean"])
@pytest.mark.parametrize("stride", [16, 25, 64])
def test_blended_scores_are_weighted_means_of_the_windows(blend: str, stride: int) -> None:
    model = segmenter_of(Pooled())
    image = random_image((150, 131))
    scores = geoseg.predict(image, model, output="scores", blend=blend, stride=stride)  # type: ignore[arg-type]
    expected = _blended_by_hand(model, image.values, 64, stride, blend)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def _blended_by_hand(
    model: Segmenter, pixels: np.ndarray, side: int, stride: int, blend: str
) -> np.ndarray:
    ramp = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 if blend == "hann" else np.ones(side)
    weights = np.outer(ramp, ramp)
    shape = pixels.shape[1:]
    total, weight = np.zeros((4, *shape)), np.zeros(shape)
    starts = [
        sorted({min(i, n - side) for i in range(0, n - side + stride, stride)}) for n in shape
    ]
    for top in starts[0]:
        for left in starts[1]:
            box = slice(top, top + side), slice(left, left + side)
            total[:, *box] += whole_image_scores(model, pixels[:, *box]) * weights
            weight[box] += weights
    return np.asarray(total / weight)


def test_blended_maps_do_not_depend_on_blocks() -> None:
    model = segmenter_of(Pooled(), window=32)
    image = random_image((2000, 500), nodata=0)
    task = make_task(scene_of(image, model.card), model, ("classes",), Tiling(block=1), Running())
    assert len(list(task.plan.blocks())) > 1
    np.testing.assert_array_equal(_by_blocks(image, model, 1), geoseg.predict(image, model))


@pytest.mark.parametrize("gsd", [4.0, 17.0, 35.0])
@pytest.mark.parametrize("blend", ["crop", "hann"])
def test_resampled_maps_do_not_depend_on_blocks_and_keep_the_images_grid(
    gsd: float, blend: str
) -> None:
    model = segmenter_of(Hourglass(), gsd=10.0)
    image = random_image((210, 190), nodata=0).rio.write_crs(32633)
    image = image.rio.write_transform(_affine(10.0))
    scene = scene_of(image, model.card, gsd=gsd)
    assert scene.shape == tuple(round(n * 10 / gsd) for n in (210, 190))
    results = []
    for side in (1, 64, 5000):
        task = make_task(scene, model, ("scores",), Tiling(block=side, blend=blend), Running())  # type: ignore[arg-type]
        whole = np.zeros((4, 210, 190), np.float32)
        for block in task.plan.blocks():
            part = task.scene.part(task.plan.hull(block))
            whole[:, *task.plan.output(block)] = run_block(task, block, part)["scores"]
        results.append(whole)
    for first, second in pairwise(results):
        np.testing.assert_allclose(first, second, atol=1e-5)
    missing = (image.values == 0).all(0)
    np.testing.assert_array_equal(np.isnan(results[0][0]), missing)
    np.testing.assert_allclose(results[0].sum(0)[~missing], 1, atol=1e-5)


def _affine(size: float) -> object:
    from affine import Affine

    return Affine(size, 0, 500_000, 0, -size, 5_000_000)


def test_a_network_of_single_pixels_gives_the_same_map_at_any_pixel_size() -> None:
    net = torch.nn.Conv2d(3, 4, 1)
    model = segmenter_of(net, gsd=10.0)
    pixels = np.repeat(np.repeat(random_image((12, 15)).values, 40, 1), 40, 2)
    image = xr.DataArray(pixels, dims=("band", "y", "x")).rio.write_crs(32633)
    fine = geoseg.predict(image.rio.write_transform(_affine(5.0)), model).values
    native = geoseg.predict(image, model, gsd="native").values
    inner = np.zeros((40, 40), bool)
    inner[6:-6, 6:-6] = True  # away from the edges of the squares, where resampling mixes them
    inside = np.tile(inner, (12, 15))
    np.testing.assert_array_equal(fine[inside], native[inside])


def test_nothing_is_read_before_the_result_is_asked_for() -> None:
    reads: list[int] = []

    def chunk(block: np.ndarray) -> np.ndarray:
        reads.append(1)
        return block

    image = random_image((200, 200)).chunk({"y": 50, "x": 50})
    watched = image.copy(data=image.data.map_blocks(chunk, dtype="uint8", meta=np.array((), "u1")))
    labels = predict_by_blocks(watched, MODELS["two layers"]())
    assert not reads
    labels.compute()
    assert len(reads) == 16  # every chunk once, though blocks overlap


def test_a_part_of_the_result_reads_only_its_part() -> None:
    image = random_image((6000, 40)).chunk({"y": 500})
    labels = geoseg.predict(image, MODELS["two layers"]())
    (part,) = dask.optimize(labels[:100].data)
    names = {
        key[2] for key in dict(part.dask) if isinstance(key, tuple) and "xarray" in str(key[0])
    }
    assert max(names) < 11


@pytest.mark.parametrize("chunked", [False, True])
def test_a_hundred_thousand_pixels_a_side_make_a_small_graph(chunked: bool) -> None:
    import dask.array as da

    side = 100_000
    data = (
        da.zeros((3, side, side), dtype="uint8", chunks=(3, 4096, 4096))
        if chunked
        else np.broadcast_to(np.uint8(0), (3, side, side))
    )
    labels = geoseg.predict(xr.DataArray(data, dims=("band", "y", "x")), MODELS["hourglass"]())
    assert labels.shape == (side, side)
    assert len(labels.__dask_graph__()) < 10_000


def test_arrays_without_dask_from_zarr_and_from_numpy_give_the_same(tmp_path: object) -> None:
    model = MODELS["hourglass"]()
    image = random_image((120, 90)).rename("image")
    chunks = {"image": {"chunks": (3, 50, 50)}}
    image.to_dataset().to_zarr(
        f"{tmp_path}/image.zarr", zarr_format=2, consolidated=False, encoding=chunks
    )
    stored = xr.open_zarr(f"{tmp_path}/image.zarr", consolidated=False)["image"]
    np.testing.assert_array_equal(geoseg.predict(stored, model), geoseg.predict(image, model))


def test_the_accessor_is_the_same_function() -> None:
    model = MODELS["two layers"]()
    image = random_image((40, 50))
    np.testing.assert_array_equal(image.geoseg.predict(model), geoseg.predict(image, model))


def test_the_result_says_what_it_is() -> None:
    image = random_image((40, 50), nodata=0).assign_coords(
        y=np.arange(40) * -10.0, x=np.arange(50) * 10.0
    )
    image = image.rio.write_crs(32633)
    labels = geoseg.predict(image, MODELS["two layers"]())
    assert labels.dims == ("y", "x")
    assert labels.dtype == np.uint8
    assert labels.rio.nodata == 255
    assert labels.rio.crs == image.rio.crs
    assert labels.rio.transform() == image.rio.transform()
    assert labels.attrs["category_names"] == ["water", "forest", "field", "town"]
    assert labels.attrs["flag_values"] == [0, 1, 2, 3]
    scores = geoseg.predict(image, MODELS["two layers"](), output="scores")
    assert scores.dims == ("class", "y", "x")
    assert list(scores["class"].values) == ["water", "forest", "field", "town"]


def test_confidence_and_entropy_follow_from_the_scores() -> None:
    model = MODELS["hourglass"]()
    image = random_image((60, 70), nodata=0)
    scores = geoseg.predict(image, model, output="scores").values
    confidence = geoseg.predict(image, model, output="confidence").values
    entropy = geoseg.predict(image, model, output="entropy").values
    np.testing.assert_array_equal(confidence, scores.max(0))
    expected = -(scores * np.log(scores)).sum(0) / np.log(4)
    np.testing.assert_allclose(entropy, expected, atol=1e-5)
    assert np.isnan(confidence[(image.values == 0).all(0)]).all()


def test_two_devices_give_the_same_map_as_one() -> None:
    model = MODELS["hourglass"]()
    image = random_image((300, 260), nodata=0).chunk({"y": 64})
    expected = predict_by_blocks(image, model).values
    # The first two blocks hold their devices until both have one.
    together, run, turns = threading.Barrier(2, timeout=60), DevicePool.run, count()

    def watched(pool: DevicePool, blocks: int, work: Callable[[Segmenter], None]) -> None:
        def late(segmenter: Segmenter) -> None:
            if next(turns) < 2:
                together.wait()
            work(segmenter)

        run(pool, blocks, late)

    with pytest.MonkeyPatch.context() as patch, blocks_of(64):
        patch.setattr(DevicePool, "run", watched)
        labels = geoseg.predict(image, model, window=64, device="cpu,cpu")
        found = labels.values
    assert next(turns) > 2
    np.testing.assert_array_equal(found, expected)


def test_threads_that_begin_together_share_one_pool() -> None:
    model, begin = MODELS["hourglass"](), threading.Barrier(4)

    def ask(_: int) -> DevicePool:
        begin.wait()
        return pool_for(model, "cpu", "fp32")

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(ask, range(4)))) == 1


def test_a_network_that_learnt_since_gives_its_new_map_and_has_a_new_digest() -> None:
    model = MODELS["hourglass"]()
    image = random_image((60, 70))
    geoseg.predict(image, model).compute()
    before = model.digest
    with torch.no_grad():
        for weights in model.net.parameters():
            weights.neg_()
    same = Segmenter.from_card(model.net, model.card)
    np.testing.assert_array_equal(geoseg.predict(image, model), geoseg.predict(image, same))
    assert model.digest == same.digest != before


@pytest.mark.parametrize(
    ("dims", "remedy"),
    [
        (("band", "latitude", "longitude"), r"image\.rename\(latitude='y', longitude='x'\)"),
        (("y", "x", "band"), r"image\.transpose\(\.\.\., 'y', 'x'\)"),
    ],
)
def test_an_image_of_other_dimensions_is_refused(dims: tuple[str, ...], remedy: str) -> None:
    image = xr.DataArray(np.zeros((3, 20, 3), np.uint8), dims=dims)
    with pytest.raises(UserError, match=remedy):
        geoseg.predict(image, MODELS["two layers"]())


def test_the_map_keeps_a_coordinate_system_of_any_name() -> None:
    image = random_image((40, 50)).rio.write_crs(32633, grid_mapping_name="crs")
    labels = geoseg.predict(image, MODELS["two layers"]())
    assert labels.rio.crs == image.rio.crs
    assert "crs" in labels.coords


def test_lower_precision_changes_few_pixels_and_is_asked_for() -> None:
    model = MODELS["hourglass"]()
    image = random_image((200, 200))
    exact = geoseg.predict(image, model).values
    rough = geoseg.predict(image, model, precision="bf16").values
    assert 0.9 < (exact == rough).mean() < 1.0


def test_class_values_may_be_any_and_past_254_take_sixteen_bits() -> None:
    classes = [geoseg.ClassInfo(v, f"class {v}", "#112233") for v in (10, 30, 300, 70)]
    plain = segmenter_of(TwoLayers())
    coded = Segmenter(
        plain.net, classes=classes, bands=("r", "g", "b"), mean=plain.card.mean, std=plain.card.std
    )
    image = random_image((50, 60), nodata=0)
    labels = geoseg.predict(image, coded)
    assert labels.dtype == np.uint16
    expected = geoseg.predict(image, plain).values
    np.testing.assert_array_equal(
        labels, np.where(expected == 255, 65535, np.array([10, 30, 300, 70])[expected % 4])
    )


def test_a_class_that_is_ruled_out_is_never_found() -> None:
    model = segmenter_of(TwoLayers())
    with torch.no_grad():
        model.net.last.bias[1] = -torch.inf  # type: ignore[union-attr, index]
    labels = geoseg.predict(random_image((20, 20)), model)
    assert set(np.unique(labels)) <= {0, 2, 3}


@pytest.mark.parametrize("output", ["scores", "confidence", "entropy"])
def test_other_results_have_no_holes_either(output: Any) -> None:
    model = segmenter_of(TwoLayers())
    with torch.no_grad():
        model.net.last.bias[1] = torch.nan  # type: ignore[union-attr, index]
    with pytest.raises(UserError, match="gave scores that are not numbers in row 0, column 0"):
        geoseg.predict(random_image((20, 20)), model, output=output).compute()


def test_scores_that_are_not_numbers_are_an_error_and_no_hole() -> None:
    model = segmenter_of(TwoLayers())
    with torch.no_grad():
        model.net.last.bias[1] = torch.nan  # type: ignore[union-attr, index]
    with pytest.raises(UserError, match="gave scores that are not numbers in row 0, column 0"):
        geoseg.predict(random_image((20, 20)), model).compute()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "labels"}, "output 'labels' is unknown; choose one of classes, scores"),
        ({"batch_size": 0}, "batch size 0 must be 1 or more"),
        ({"device": "abacus"}, "device 'abacus' is unknown"),
        ({"device": "cuda:99"}, r"device 'cuda:99' is not there: torch sees \d+ GPUs"),
        ({"precision": "fp8"}, "precision 'fp8' is unknown; choose one of auto, fp32"),
        ({"gsd": "coarse"}, "gsd 'coarse' must be auto, native or metres"),
        ({"bands": ["red"]}, "1 bands are named .*takes 3: red, green, blue"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_any_work(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        geoseg.predict(random_image((20, 20)), MODELS["two layers"](), **options)  # type: ignore[arg-type]


def test_a_pixel_size_that_no_resampling_can_bridge_is_refused() -> None:
    model = segmenter_of(TwoLayers(), gsd=10.0)
    image = random_image((20, 20)).rio.write_crs(32633).rio.write_transform(_affine(0.5))
    with pytest.raises(UserError, match=r"pixels of 0.5 x 0.5 m are more than 8 times off"):
        geoseg.predict(image, model)
    assert geoseg.predict(image, model, gsd="native").shape == (20, 20)


@pytest.mark.parametrize("latitude", [0.0, 37.0, -50.0, 70.0])
def test_pixels_of_web_mercator_are_as_large_as_on_the_ground(latitude: float) -> None:
    """Its map unit is a metre on the equator, and cos(latitude) of one elsewhere (on a sphere)."""
    north = np.log(np.tan(np.pi / 4 + np.radians(latitude) / 2)) * 6378137
    grid = Grid((2, 2), CRS.from_epsg(3857), Affine(4.0, 0, 1e6, 0, -3.0, north + 3))
    metres = np.cos(np.radians(latitude))
    # The ellipsoid is flatter than the sphere by one part in 298.
    assert pixel_size(grid) == pytest.approx((3 * metres, 4 * metres), rel=0.01)


def test_planes_made_to_measure_on_are_taken_at_their_word() -> None:
    for crs, corner in (
        (32633, (300_000, 5e6)),
        (27700, (400_000, 300_000)),
        (2056, (2.6e6, 1.2e6)),
    ):
        grid = Grid((9, 9), CRS.from_epsg(crs), Affine(0.5, 0, corner[0], 0, -0.5, corner[1]))
        assert pixel_size(grid) == (0.5, 0.5)
    nowhere = Affine(0.5, 0, 1e30, 0, -0.5, 1e30)  # coordinates that no place on earth has
    assert pixel_size(Grid((9, 9), CRS.from_epsg(3857), nowhere)) == (0.5, 0.5)
    in_a_building = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    assert pixel_size(Grid((9, 9), in_a_building, Affine.scale(0.5))) == (0.5, 0.5)


def test_a_network_sees_web_mercator_at_its_own_scale_on_the_ground() -> None:
    model = segmenter_of(Hourglass(), gsd=10.0, gsd_range=(9.0, 11.0))
    image = random_image((90, 121)).rio.write_crs(3857)
    image = image.rio.write_transform(Affine(20.0, 0, 0, 0, -20.0, 8_399_738))  # 60 degrees north
    plain = random_image((90, 121)).rio.write_crs(32631)
    plain = plain.rio.write_transform(Affine(10.0, 0, 5e5, 0, -10.0, 6.65e6))
    np.testing.assert_array_equal(
        geoseg.predict(image, model).values, geoseg.predict(plain, model).values
    )


def test_a_graph_that_is_sent_holds_no_pixels() -> None:
    def sent(side: int) -> int:
        image = da.zeros((3, side, side), dtype=np.uint8, chunks=(3, side // 2, side // 2))
        scene = xr.DataArray(image, dims=("band", "y", "x"), attrs={"long_name": BANDS})
        lazy = geoseg.predict(scene, segmenter_of(TwoLayers()))
        return len(pickle.dumps(dict(lazy.__dask_graph__()))) // lazy.data.npartitions

    assert sent(20_000) < 2 * sent(2_000) < 20_000


def test_a_pixel_size_cannot_be_asked_of_an_image_that_tells_none() -> None:
    model = segmenter_of(TwoLayers(), gsd=10.0)
    image = xr.DataArray(np.ones((3, 8, 8), np.uint8), dims=("band", "y", "x"))
    image = image.assign_attrs(long_name=model.card.bands)
    with pytest.raises(UserError, match=r"does not say how large its pixels are, which bringing"):
        geoseg.predict(image, model, gsd=2.0)
    assert geoseg.predict(image, model).shape == (8, 8)
    assert geoseg.predict(image, model, gsd=2.0, pixel_size=4.0).shape == (8, 8)


@pytest.mark.parametrize("gsd", ["auto", 2.0, "native"])
@pytest.mark.parametrize("output", ["classes", "scores"])
def test_a_stated_pixel_size_is_as_good_as_one_that_the_image_says(gsd: Any, output: Any) -> None:
    model = segmenter_of(MODELS["hourglass"]().net, gsd=1.0)
    image = random_image((90, 121))
    located = image.rio.write_crs(32633).rio.write_transform(_affine(0.5))
    options: dict[str, Any] = {"gsd": gsd, "output": output}
    expected = geoseg.predict(located, model, **options).values
    found = image.geoseg.predict(model, **options, pixel_size=0.5)
    np.testing.assert_array_equal(found.values, expected)
    assert found.shape[-2:] == (90, 121)
    # One that agrees with what the image says is not in the way.
    again = geoseg.predict(located, model, **options, pixel_size=0.501).values
    np.testing.assert_array_equal(again, expected)
    if gsd != "native":
        assert (geoseg.predict(image, model, output=output).values != expected).any()


@pytest.mark.parametrize("gsd", ["auto", "native"])
def test_a_pixel_size_that_the_image_denies_is_refused(gsd: Any) -> None:
    image = random_image((20, 20)).rio.write_crs(32633).rio.write_transform(_affine(10.0))
    says = r"pixels of 0\.5 m are stated, and the image itself says 10 x 10 m; leave --pixel-size"
    with pytest.raises(UserError, match=says):
        geoseg.predict(image, segmenter_of(TwoLayers()), pixel_size=0.5, gsd=gsd)


@pytest.mark.parametrize("metres", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pixel_size_that_is_no_size_is_refused(metres: float) -> None:
    with pytest.raises(UserError, match=r"must be a positive number of metres, e\.g\. 0\.5"):
        geoseg.predict(random_image((9, 9)), segmenter_of(TwoLayers()), pixel_size=metres)


def test_a_model_that_knows_its_pixels_tells_once_that_the_image_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    image = random_image((20, 20))
    model = segmenter_of(TwoLayers(), gsd=10.0, name="told once")
    for options in ({"gsd": "native"}, {"pixel_size": 10.0}):
        geoseg.predict(image, model, **options)
    geoseg.predict(image, segmenter_of(TwoLayers()))  # knows pixels of any size
    assert caplog.messages == []
    for _ in range(3):
        geoseg.predict(image, model)
    (told,) = caplog.messages
    assert told.startswith("told once has learnt from pixels of 10 m, and the image does not say")
    assert "--pixel-size (pixel_size)" in told
