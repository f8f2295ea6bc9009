# SPDX-License-Identifier: GPL-2.0-or-later
"""What a model takes, gives and is good for, as a page."""

# ruff: noqa: N802  (names that QGIS calls)

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterFileDestination,
)

from ..engine import commands
from .base import EngineAlgorithm
from .models import brief, model_parameter

__all__ = ["ModelInfo"]

STYLE = (
    "body{font-family:sans-serif;max-width:45em;margin:1em auto;padding:0 1em}"
    "td,th{text-align:left;padding:.2em .8em .2em 0;vertical-align:top}"
    ".swatch{display:inline-block;width:1.2em;height:1.2em;border:1px solid #888}"
)


class ModelInfo(EngineAlgorithm):
    """Tell all that a model's card says."""

    def name(self) -> str:
        """Id within the provider."""
        return "modelinfo"

    def displayName(self) -> str:
        """Name in the toolbox."""
        return self.tr("Model information")

    def shortDescription(self) -> str:
        """One line for tool tips."""
        return self.tr("Tells which bands and pixels a model takes, and which classes it gives.")

    def tags(self) -> list[str]:
        """Words that find it."""
        return self.tr("model,card,bands,classes,licence,metrics,training").split(",")

    def shortHelpString(self) -> str:
        """What the dialog shows beside the parameters."""
        return self.tr(
            "<p>Tells what a model takes, gives and is good for.</p>"
            "<h3>What it takes</h3>"
            "<p><b>Model</b>: the name of one that comes with geoseg, or a model file "
            "(.safetensors).</p>"
            "<h3>What it gives</h3>"
            "<p>A <b>page</b> with bands, pixel size, values, classes and their colours, training "
            "data, scores and licence, shown in the results viewer, and the same as JSON.</p>"
        )

    def initAlgorithm(self, configuration: Mapping[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        self.addParameter(model_parameter(self.tr("Model")))
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "OUTPUT", self.tr("Page"), self.tr("Web page (*.html)")
            )
        )
        self.addOutput(QgsProcessingOutputString("CARD", self.tr("Model card as JSON")))

    def processAlgorithm(
        self,
        parameters: Mapping[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Ask for the card and write the page."""
        self.refuse_impossible(parameters)
        model = self.parameterAsString(parameters, "MODEL", context).strip()
        card = self.ask_engine(brief(model), feedback)
        feedback.setProgress(50)
        stac = self.ask_engine(commands.ModelInfo(model).arguments(), feedback)
        path = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        try:
            path.write_text(self._page(card, stac["properties"]), encoding="utf-8")
        except OSError as error:
            raise QgsProcessingException(
                self.tr("{} cannot be written ({}); choose another file").format(
                    path, error.strerror
                )
            ) from error
        return {"OUTPUT": str(path), "CARD": json.dumps(card, ensure_ascii=False)}

    def _page(self, card: Mapping[str, Any], stac: Mapping[str, Any]) -> str:
        name = escape(card["name"])
        parts = [
            f"<h1>{name}</h1><p>{escape(card['description'])}</p>",
            f"<h2>{self.tr('Takes')}</h2>{_table(self._takes(card))}",
            f"<h2>{self.tr('Gives')}</h2>{_table(_classes(card['classes']))}",
            self._section(self.tr("Scores"), card.get("metrics")),
            self._section(self.tr("Training"), stac.get("geoseg:training")),
            f"<h2>{self.tr('Licence')}</h2><p>{escape(str(card['licence']))}</p>",
        ]
        return (
            f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{name}</title>'
            f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
        )

    def _takes(self, card: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = [(self.tr("Bands"), escape(", ".join(card["bands"])))]
        if card["gsd"]:
            size = self.tr("{:g} m").format(card["gsd"])
            if card["gsd_range"]:
                size += self.tr("; takes {:g} to {:g} m, resamples others").format(
                    *card["gsd_range"]
                )
            rows.append((self.tr("Pixels"), size))
        for band, span in zip(card["bands"], card["value_range"] or ()):
            values = self.tr("mostly {:g} to {:g}").format(*span)
            rows.append((self.tr("Values of {}").format(escape(band)), values))
        rows.append((self.tr("Windows"), self.tr("{} pixels").format(escape(str(card["window"])))))
        return rows

    def _section(self, title: str, content: Mapping[str, Any] | None) -> str:
        return f"<h2>{escape(title)}</h2>{_nested(content)}" if content else ""


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{left}</th><td>{right}</td></tr>" for left, right in rows)
    return f"<table>{cells}</table>"


def _classes(classes: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [
        (
            f'<span class="swatch" style="background:{escape(each["color"])}"></span>',
            f"{escape(str(each['value']))}&ensp;{escape(each['name'])}",
        )
        for each in classes
    ]


def _nested(content: Any) -> str:
    """Fields with values, fields of fields below them."""
    if isinstance(content, Mapping):
        return _table([(escape(str(key)), _nested(value)) for key, value in content.items()])
    if isinstance(content, float):
        return f"{content:.6g}"
    return escape(str(content))
