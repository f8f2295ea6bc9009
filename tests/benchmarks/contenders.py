"""Ways to classify one GeoTIFF, each run as a process of its own that prints one line of JSON.

    python contenders.py NAME SCENE NETWORK WEIGHTS OUT [--precision P]

Windows of 512 with a quarter overlap, four together, wherever a way has windows and lets choose.
"""

from __future__ import annotations

import argparse
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import networks
import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.windows import Window
from scene import CLASSES
from torch import Tensor, nn

WINDOW, STRIDE, TOGETHER = 512, 384, 4
NODATA = 255


class Watch:
    """Counts the pixels that a network is given, and the time that every thread spends in it."""

    def __init__(self, net: nn.Module) -> None:
        self.pixels = 0
        self.seconds: dict[int, float] = {}
        self._begun: dict[int, float] = {}
        net.register_forward_pre_hook(self._before)
        net.register_forward_hook(self._after)

    def _before(self, net: nn.Module, given: tuple[Tensor]) -> None:
        self.pixels += given[0].shape[0] * given[0].shape[2] * given[0].shape[3]
        self._begun[threading.get_ident()] = time.perf_counter()

    def _after(self, net: nn.Module, given: tuple[Tensor], scores: Tensor) -> None:
        own = threading.get_ident()
        spent = time.perf_counter() - self._begun[own]
        self.seconds[own] = self.seconds.get(own, 0.0) + spent

    @property
    def longest(self) -> float:
        """Seconds of the thread that spent most of them in the network."""
        return max(self.seconds.values(), default=0.0)

    def __deepcopy__(self, memo: dict[int, Any]) -> Watch:
        return self  # whoever copies the network is watched all the same


def normalised(pixels: NDArray[np.uint8]) -> Tensor:
    mean, std = (torch.tensor(each)[:, None, None] for each in (networks.MEAN, networks.STD))
    return (torch.from_numpy(pixels).float() - mean) / std


def starts(length: int) -> list[int]:
    found = list(range(0, max(length - WINDOW, 0) + 1, STRIDE))
    return found if found[-1] + WINDOW >= length else [*found, length - WINDOW]


def hann() -> Tensor:
    one = torch.hann_window(WINDOW + 2, periodic=False)[1:-1] + 1e-3
    return one[:, None] * one


def plain_profile(source: Any) -> dict[str, Any]:
    kept = {key: source.profile[key] for key in ("height", "width", "crs", "transform")}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    return {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": NODATA, **kept, **tiles}


def geoseg_(job: argparse.Namespace, net: nn.Module) -> None:
    """The file to file function, everything on its defaults."""
    import geoseg

    geoseg.predict_file(job.scene, job.out, job.model, overwrite=True, precision=job.precision)


def geoseg_model(net: nn.Module) -> Any:
    import geoseg

    return geoseg.Segmenter(
        net,
        classes=[f"class {i}" for i in range(CLASSES)],
        bands=("red", "green", "blue"),
        mean=networks.MEAN,
        std=networks.STD,
    )


def forward(job: argparse.Namespace, net: nn.Module) -> None:
    """The network alone over as many pixels as the raster has: no reading, no writing."""
    with rasterio.open(job.scene) as source:
        count = source.height * source.width // WINDOW**2
    net = net.to(memory_format=torch.channels_last)
    windows = torch.rand(8, 3, WINDOW, WINDOW).contiguous(memory_format=torch.channels_last)
    lower = job.precision == "bf16"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=lower):
        for i in range(count):
            net(windows[i % 8 : i % 8 + 1])


def read(job: argparse.Namespace, net: nn.Module) -> None:
    """Reading the raster once."""
    with rasterio.open(job.scene) as source:
        for top in range(0, source.height, 512):
            source.read(window=Window(0, top, source.width, min(512, source.height - top)))


def write(job: argparse.Namespace, net: nn.Module) -> None:
    """Writing the class map once, as a tiled GeoTIFF without overviews."""
    with rasterio.open(job.scene) as source:
        profile = plain_profile(source)
    with rasterio.open(job.map) as known:
        pixels = known.read()
    begun = time.perf_counter()
    with rasterio.open(job.out, "w", **profile) as target:
        target.write(pixels)
    job.seconds = time.perf_counter() - begun


def plain(job: argparse.Namespace, net: nn.Module, run: Callable[..., Any] | None = None) -> None:
    """What a good engineer writes in an afternoon: loader process, Hann weights, strips."""
    from torch.utils.data import DataLoader, Dataset

    class Windows(Dataset[Any]):
        def __init__(self, places: list[tuple[int, int]]) -> None:
            self.places, self.source = places, None

        def __len__(self) -> int:
            return len(self.places)

        def __getitem__(self, i: int) -> tuple[NDArray[np.uint8], int, int]:
            self.source = self.source or rasterio.open(job.scene)
            row, column = self.places[i]
            return self.source.read(window=Window(column, row, WINDOW, WINDOW)), row, column

    with rasterio.open(job.scene) as source:
        height, width, profile = source.height, source.width, plain_profile(source)
    places = [(r, c) for r in starts(height) for c in starts(width)]
    loader = DataLoader(Windows(places), TOGETHER, num_workers=1, prefetch_factor=8)
    sums, weights = torch.zeros(CLASSES, WINDOW, width), torch.zeros(WINDOW, width)
    gone = torch.zeros(WINDOW, width, dtype=torch.bool)
    weight, top = hann(), 0
    call = run or net
    with rasterio.open(job.out, "w", **profile) as target, torch.inference_mode():

        def flush(bottom: int) -> None:
            nonlocal top
            count = bottom - top
            if count <= 0:
                return
            found = sums[:, :count].argmax(0).to(torch.uint8)
            found[gone[:count]] = NODATA
            target.write(found.numpy(), 1, window=Window(0, top, width, count))
            for each in (sums.transpose(0, 1), weights, gone):
                each[: WINDOW - count] = each[count:].clone()
                each[WINDOW - count :] = 0
            top = bottom

        for pixels, rows, columns in loader:
            scores = call(normalised(pixels.numpy())).softmax(1)
            for i, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
                flush(row)
                own = slice(column, column + WINDOW)
                sums[:, :, own].addcmul_(scores[i], weight)
                weights[:, own] += weight
                gone[:, own] = (pixels[i] == 0).all(0)
        flush(height)


def plain_onnx(job: argparse.Namespace, net: nn.Module) -> None:
    """The same script with onnxruntime instead of torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        str(job.weights.with_suffix(".onnx")), options, providers=["CPUExecutionProvider"]
    )
    plain(job, net, lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0]))


def dask_overlap(job: argparse.Namespace, net: nn.Module) -> None:
    """`dask.array.map_overlap` over chunks of windows, the overlap trimmed by hand."""
    import dask
    import rioxarray

    image = rioxarray.open_rasterio(job.scene, chunks={"band": -1, "y": STRIDE, "x": STRIDE})
    margin = (WINDOW - STRIDE) // 2

    @torch.inference_mode()
    def classify(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
        found = net(normalised(block)[None]).argmax(1)[0].to(torch.uint8).numpy()
        found[(block == 0).all(0)] = NODATA
        return found[None, margin:-margin, margin:-margin]

    labels = image.data.map_overlap(
        classify,
        depth={1: margin, 2: margin},
        boundary="reflect",
        trim=False,
        dtype="uint8",
        chunks=((1,), *image.data.chunks[1:]),
    )
    torch.set_num_threads(1)
    with dask.config.set(scheduler="threads", num_workers=2):
        found = labels.compute()
    with rasterio.open(job.scene) as source:
        profile = plain_profile(source)
    with rasterio.open(job.out, "w", **profile) as target:
        target.write(found)


def monai(job: argparse.Namespace, net: nn.Module) -> None:
    """MONAI's `sliding_window_inference` over the whole image in memory."""
    from monai.inferers import sliding_window_inference

    with rasterio.open(job.scene) as source:
        pixels, profile = source.read(), plain_profile(source)
    with torch.inference_mode():
        scores = sliding_window_inference(
            normalised(pixels)[None], (WINDOW, WINDOW), TOGETHER, net, 0.25, mode="gaussian"
        )
    found = scores[0].argmax(0).to(torch.uint8).numpy()
    found[(pixels == 0).all(0)] = NODATA
    with rasterio.open(job.out, "w", **profile) as target:
        target.write(found, 1)


CONTENDERS: dict[str, Callable[[argparse.Namespace, nn.Module], None]] = {
    "geoseg": geoseg_,
    "forward": forward,
    "read": read,
    "write": write,
    "plain": plain,
    "plain-onnx": plain_onnx,
    "dask": dask_overlap,
    "monai": monai,
}


IMPORTS = {
    "geoseg": ["geoseg.job", "torch._meta_registrations", "torch.utils._python_dispatch"],
    "plain": ["torch.utils.data"],
    "plain-onnx": ["torch.utils.data", "onnxruntime"],
    "dask": ["dask.array", "rioxarray"],
    "monai": ["monai.inferers"],
}


def import_what_it_needs(name: str) -> None:
    """Import beforehand what is not the job: processes are timed as a whole as well."""
    for module in IMPORTS.get(name, []):
        importlib.import_module(module)


def bytes_read() -> int:
    """Bytes that this process has asked the system for so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


def main() -> Iterator[str]:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("scene", type=Path)
    parser.add_argument("network", choices=networks.NETWORKS)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--map", type=Path)
    job = parser.parse_args()
    import_what_it_needs(job.name)
    net, job.seconds = networks.build(job.network, CLASSES, job.weights), None
    job.model = geoseg_model(net) if job.name == "geoseg" else None
    watch = Watch(net)  # last: what a model is measured by when it is made does not count
    before, begun = bytes_read(), time.perf_counter()
    CONTENDERS[job.name](job, net)
    seconds = job.seconds or time.perf_counter() - begun
    facts = {
        "seconds": seconds,
        "network_seconds": watch.longest,
        "pixels": watch.pixels,
        "bytes": bytes_read() - before,
    }
    yield json.dumps(facts)


if __name__ == "__main__":
    for line in main():
        print(line)
