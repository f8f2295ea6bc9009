"""A scheduler in one network and its workers in another make what one process makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clusters import Processes, wait_until
from items import contents
from pointwise import random_pixels, write
from toys import segmenter_of

from geoseg import nets
from geoseg.job import predict_file

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
NETWORK = "192.0.2"  # for examples (RFC 5737): nothing else has such addresses


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces that only know each other, the second at the end of a cable."""
    names = tuple(f"geoseg{os.getpid()}{end}" for end in "ab")
    try:
        try:
            for name in names:
                ip("netns", "add", name)
            first, second = names
            cable = "type", "veth", "peer", "name", "gs1", "netns", second
            ip("link", "add", "gs0", "netns", first, *cable)
            for number, name in enumerate(names):
                ip("-n", name, "addr", "add", f"{NETWORK}.{number + 1}/24", "dev", f"gs{number}")
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "link", "set", f"gs{number}", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces can be made here: {error}")
        yield first, second
    finally:
        if shutil.which("ip"):
            for name in names:
                subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def test_workers_in_another_network_that_fails_for_seconds_make_the_bytes_of_one_process(
    hosts: tuple[str, str], tmp_path: Path
) -> None:
    model, scene = tmp_path / "model.safetensors", tmp_path / "scene.tif"
    segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS).save(model)
    write(scene, random_pixels((3, 400, 360)).astype(np.uint8))
    one, many = tmp_path / "one", tmp_path / "many"
    for folder in (one, many):
        folder.mkdir()
    predict_file(
        scene, one / "map.tif", model, polygons=one / "map.gpkg", memory=200_000, precision="fp32"
    )
    first, second = (("ip", "netns", "exec", name) for name in hosts)
    (tmp_path / "cluster").mkdir()
    group = Processes(tmp_path / "cluster", (first, second), ("--host", f"{NETWORK}.1"))
    try:
        for _ in range(2):
            group.add_worker()
        assert group.address.startswith(f"tcp://{NETWORK}.1:")
        words = ["predict", str(scene), str(many / "map.tif"), "-m", str(model)]
        words += ["--polygons", str(many / "map.gpkg"), "--scheduler", group.address]
        words += ["--memory", "200kB", "--precision", "fp32"]
        command = [*first, sys.executable, "-m", "geoseg", *words]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as call:
            wait_until(lambda: group.logged() > 2 or call.poll() is not None)
            ip("-n", hosts[1], "link", "set", "gs1", "down")
            time.sleep(3)
            ip("-n", hosts[1], "link", "set", "gs1", "up")
            _, told = call.communicate(timeout=120)
        assert call.returncode == 0, told
    finally:
        group.close()
    assert contents(many) == contents(one)
