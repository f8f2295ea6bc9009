# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest
from qgis.core import QgsApplication, QgsProcessingAlgorithm, QgsProcessingParameterDefinition

from geoseg_qgis.provider import GeosegProvider

IDS = ["evaluate", "modelinfo", "polygonize", "segment", "train"]
OUTPUTS = {
    "segment": ["CLASSES", "CONFIDENCE", "OUTPUT", "POLYGONS"],
    "polygonize": ["CLASSES", "OUTPUT"],
    "evaluate": ["ACCURACY", "MIOU", "OUTPUT", "REPORT"],
    "train": ["CLASSES", "MIOU", "OUTPUT", "REPORT"],
    "modelinfo": ["CARD", "OUTPUT"],
}


def algorithm(name: str) -> QgsProcessingAlgorithm:
    return QgsApplication.processingRegistry().createAlgorithmById(f"geoseg:{name}")


def test_the_toolbox_lists_the_five_algorithms(provider: GeosegProvider) -> None:
    assert sorted(each.name() for each in provider.algorithms()) == IDS


@pytest.mark.parametrize("name", IDS)
def test_an_algorithm_tells_what_it_is(provider: GeosegProvider, name: str) -> None:
    made = algorithm(name)
    assert made.displayName()
    assert made.shortDescription().endswith(".")
    assert "What it takes" in made.shortHelpString()
    assert "What it gives" in made.shortHelpString()
    assert len(made.tags()) > 3
    assert not made.icon().isNull()
    assert made.helpUrl().endswith(f"help/{name}.html")
    assert sorted(each.name() for each in made.outputDefinitions()) == OUTPUTS[name]


@pytest.mark.parametrize("name", IDS)
def test_an_algorithm_may_be_cancelled_batched_and_run_in_a_thread(
    provider: GeosegProvider, name: str
) -> None:
    flags = algorithm(name).flags()
    assert flags & QgsProcessingAlgorithm.Flag.FlagCanCancel
    assert flags & QgsProcessingAlgorithm.Flag.FlagSupportsBatch
    assert not flags & QgsProcessingAlgorithm.Flag.FlagNoThreading


def test_what_few_need_is_folded_away(provider: GeosegProvider) -> None:
    advanced = QgsProcessingParameterDefinition.Flag.FlagAdvanced
    made = algorithm("segment")
    folded = [each.name() for each in made.parameterDefinitions() if each.flags() & advanced]
    assert sorted(folded) == ["BLEND", "DEVICE", "GSD", "HALO", "MEMORY", "VIEWS", "WINDOW"]
