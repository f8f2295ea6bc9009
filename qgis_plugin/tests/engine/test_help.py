# SPDX-License-Identifier: GPL-2.0-or-later
"""Help and icons: there for each algorithm, small, and of what QGIS can show."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parents[2] / "geoseg_qgis"
ALGORITHMS = ["segment", "polygonize", "evaluate", "train", "modelinfo"]
ICONS = sorted((FOLDER / "icons").glob("*.svg"))
# What QtSvg, which draws SVG Tiny 1.2, passes over in silence: elements and attributes.
NOT_DRAWN = {"clipPath", "mask", "filter", "pattern", "style", "foreignObject"}
NOT_HEEDED = {"clip-path", "mask", "filter", "style", "class", "paint-order"}


@pytest.mark.parametrize("name", ["index", *ALGORITHMS])
def test_a_page_has_a_picture_of_its_own_and_links_to_all_others(name: str) -> None:
    text = (FOLDER / "help" / f"{name}.html").read_text(encoding="utf-8")
    assert f'<img src="{name}.png"' in text
    for other in {"index", *ALGORITHMS} - {name}:
        assert f'href="{other}.html"' in text


def test_no_picture_lies_there_that_no_page_shows() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (FOLDER / "help").glob("*.html"))
    pictures = [path.name for path in (FOLDER / "help").glob("*.png")]
    assert [name for name in pictures if f'src="{name}"' not in pages] == []


def test_pictures_are_small() -> None:
    assert max(path.stat().st_size for path in (FOLDER / "help").glob("*.png")) < 15_000


def test_each_algorithm_and_the_plugin_have_an_icon() -> None:
    assert {path.stem for path in ICONS} == {"geoseg", *ALGORITHMS}


@pytest.mark.parametrize("path", ICONS, ids=lambda path: path.stem)
def test_an_icon_is_a_square_of_shapes_that_qt_can_draw(path: Path) -> None:
    root = ElementTree.parse(path).getroot()  # noqa: S314  (a file of this repository)
    assert root.get("viewBox") == "0 0 64 64"
    elements = list(root.iter())
    assert not {each.tag.split("}")[1] for each in elements} & NOT_DRAWN
    assert not {key for each in elements for key in each.attrib} & NOT_HEEDED
