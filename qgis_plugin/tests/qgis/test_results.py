# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order results of a run lie, whatever the order they are loaded in."""

from __future__ import annotations

from itertools import permutations

import pytest
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

from geoseg_qgis.algorithms.base import Loaded
from geoseg_qgis.results import add_results


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_results_of_a_run_lie_by_rank(
    order: tuple[int, ...], context: QgsProcessingContext
) -> None:
    run: list[Loaded] = []
    results = [Loaded((), rank, run) for rank in range(3)]
    project = QgsProject.instance()
    for rank in order:
        layer = QgsVectorLayer("Polygon", str(rank), "memory")
        project.addMapLayer(layer)
        results[rank].postProcessLayer(layer, context, QgsProcessingFeedback())
    names = [each.name() for each in project.layerTreeRoot().findLayers()]
    assert names == ["2", "1", "0"]


def test_a_group_has_polygons_above_the_map(
    scene: QgsRasterLayer, context: QgsProcessingContext
) -> None:
    project = QgsProject.instance()
    project.addMapLayer(QgsVectorLayer("Point", "older", "memory"))
    classes, polygons = scene.clone(), QgsVectorLayer("Polygon", "polygons", "memory")
    classes.setName("classes")
    group = add_results(project, "scene of May", [classes, polygons])
    assert group.name() == "scene of May"
    assert [each.name() for each in group.findLayers()] == ["polygons", "classes"]
    names = [each.name() for each in project.layerTreeRoot().findLayers()]
    assert names == ["polygons", "classes", "older"]
