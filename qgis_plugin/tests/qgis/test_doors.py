# SPDX-License-Identifier: GPL-2.0-or-later
"""The dialogs of the toolbox, batch mode, and the model designer."""

from __future__ import annotations

from typing import Any

import processing
import pytest
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProject,
    QgsRasterLayer,
)
from qgis.gui import QgsGui, QgsProcessingGui
from voice import Heard, forget

from geoseg_qgis.provider import GeosegProvider

NAMES = {10: "building", 30: "road", 50: "field", 70: "forest", 100: "other"}


def test_dialogs_offer_models_and_take_a_file(
    provider: GeosegProvider, qtbot: Any, context: QgsProcessingContext
) -> None:
    # Processing's dialogs want an application when they are imported.
    from processing.gui.wrappers import WidgetWrapperFactory

    model = provider.algorithm("segment").parameterDefinition("MODEL")
    for kind in ("AlgorithmDialog", "BatchAlgorithmDialog"):
        wrapper = WidgetWrapperFactory.create_wrapper(model, type(kind, (), {})())
        qtbot.addWidget(wrapper.widget)
        offered = [wrapper._names.itemText(place) for place in range(wrapper._names.count())]
        assert "sentinel2-landcover" in offered
        wrapper.setValue("/models/mine.safetensors")
        assert wrapper.value() == "/models/mine.safetensors"


def test_the_model_designer_may_take_the_model_from_an_input(
    provider: GeosegProvider, qtbot: Any, context: QgsProcessingContext
) -> None:
    from processing.gui.wrappers import WidgetWrapperFactory

    parameter = provider.algorithm("segment").parameterDefinition("MODEL")
    designed = QgsProcessingModelAlgorithm("a model", "tests")
    designed.addModelParameter(
        QgsProcessingParameterString("which", "Which"), QgsProcessingModelParameter("which")
    )
    child = QgsProcessingModelChildAlgorithm("geoseg:segment")
    child.setChildId("segment")
    designed.addChildAlgorithm(child)
    about = {"model": designed, "childId": "segment", "context": context}
    dialog = type("ModelerParametersDialog", (), about)()
    widget = WidgetWrapperFactory.create_wrapper(parameter, dialog)
    source = QgsProcessingModelChildParameterSource.fromModelParameter("which")
    widget.setWidgetValue(source)
    taken = widget.value()
    assert taken.source() == source.source()
    assert taken.parameterName() == "which"
    forget(widget)  # before the model, which it looks at


@pytest.mark.parametrize("kind", ["Standard", "Batch", "Modeler"])
@pytest.mark.parametrize("name", ["segment", "polygonize", "evaluate", "train", "modelinfo"])
def test_every_parameter_has_a_widget(
    provider: GeosegProvider, qtbot: Any, kind: str, name: str, context: QgsProcessingContext
) -> None:
    registry = QgsGui.processingGuiRegistry()
    algorithm = provider.algorithm(name)
    for each in algorithm.parameterDefinitions():
        if each.name() != "MODEL":  # which has one of its own, see above
            wrapper = registry.createParameterWidgetWrapper(
                each, getattr(QgsProcessingGui.WidgetType, kind)
            )
            assert wrapper is not None, each.name()


def model_of(source_name: str) -> QgsProcessingModelAlgorithm:
    """A model that classifies an image, with outputs named by its author."""
    model = QgsProcessingModelAlgorithm("a model", "tests")
    parameter = QgsProcessingParameterRasterLayer("image", "Image")
    model.addModelParameter(parameter, QgsProcessingModelParameter("image"))
    child = QgsProcessingModelChildAlgorithm("geoseg:segment")
    child.setChildId("segment")
    from_model = QgsProcessingModelChildParameterSource.fromModelParameter("image")
    name = QgsProcessingModelChildParameterSource.fromStaticValue(source_name)
    child.addParameterSources("INPUT", [from_model])
    child.addParameterSources("MODEL", [name])
    outputs = {}
    for title, wanted in (("My map", "OUTPUT"), ("My polygons", "POLYGONS")):
        output = QgsProcessingModelOutput(title)
        output.setChildId("segment")
        output.setChildOutputName(wanted)
        outputs[title] = output
    child.setModelOutputs(outputs)
    model.addChildAlgorithm(child)
    model.updateDestinationParameters()
    return model


@pytest.mark.usefixtures("provider", "engine")
def test_a_model_of_the_designer_keeps_its_names_and_our_colours(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    model = model_of("sentinel2-landcover")
    targets = {
        each.name(): QgsProcessingOutputLayerDefinition("TEMPORARY_OUTPUT", QgsProject.instance())
        for each in model.destinationParameterDefinitions()
    }
    assert len(targets) == 2
    processing.runAndLoadResults(
        model, {"image": scene, **targets}, feedback=heard, context=context
    )
    project = QgsProject.instance()
    layers = [each.layer() for each in project.layerTreeRoot().findLayers()]
    assert [each.name() for each in layers] == ["My polygons", "My map"]
    polygons, classes = layers
    shown = [{each.value(): each.label() for each in polygons.renderer().categories()}]
    shown.append({each.value: each.label for each in classes.renderer().classes()})
    assert shown == [NAMES, NAMES]
