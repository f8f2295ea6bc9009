# SPDX-License-Identifier: GPL-2.0-or-later
"""The parameter that names a model: one that comes with the engine, or a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qgis.core import QgsProcessingException, QgsProcessingParameterString

from ..engine import commands
from ..fitting import Band, bands_argument, suggested_bands
from ..words import translated as _tr

__all__ = ["bands_for", "brief", "model_parameter"]


def model_parameter(description: str, *, is_optional: bool = False) -> QgsProcessingParameterString:
    """The parameter MODEL, which the toolbox shows as a list of names with a button for files."""
    parameter = QgsProcessingParameterString("MODEL", description, optional=is_optional)
    # Named, not imported: where QGIS has no window its GUI library must not be needed.
    widget = f"{__package__}.model_widget.ModelWidget"
    parameter.setMetadata({"widget_wrapper": {"class": widget}})
    return parameter


def brief(model: str) -> list[str]:
    """Arguments that ask the engine what a model takes and gives."""
    return commands.ModelInfo(model, brief=True).arguments()


def bands_for(card: Mapping[str, Any], layer: str, bands: Sequence[Band], stated: str) -> str:
    """The bands to tell the engine: by number, for files that are exported name none.

    Parameters
    ----------
    card : mapping
        What the model takes.
    layer : str
        What the image is called, for messages.
    bands : sequence of Band
        Those that it has.
    stated : str
        What the user says, as in ``4,3,2``.

    Raises
    ------
    QgsProcessingException
        When bands are missing, or nobody can tell which they are.
    """
    wanted = [str(each) for each in card["bands"]]
    chosen = tuple(each.strip() for each in stated.split(",") if each.strip())
    if chosen:
        known = {_name_of(band).casefold(): str(band.number) for band in reversed(bands)}
        known.update((str(band.number), str(band.number)) for band in bands)
        told = [known.get(each.casefold(), each) for each in chosen]
        _refuse_wrong(card["name"], wanted, layer, len(bands), told)
        return ",".join(told)
    found = suggested_bands(bands, wanted)
    if None in found:
        raise QgsProcessingException(_unclear(card["name"], wanted, layer, bands))
    return bands_argument(found)


def _name_of(band: Band) -> str:
    return band.name or band.colour or (_tr("transparency") if band.is_alpha else "")


def _refuse_wrong(
    model: str, wanted: Sequence[str], layer: str, there: int, chosen: Sequence[str]
) -> None:
    if len(chosen) != len(wanted):
        raise QgsProcessingException(
            _tr("Bands (BANDS) has {} entries ({}), but {} takes {}: {}; give one for each").format(
                len(chosen), ",".join(chosen), model, len(wanted), ", ".join(wanted)
            )
        )
    for each in chosen:
        if each.isdecimal() and not 1 <= int(each) <= there:
            raise QgsProcessingException(
                _tr("Bands (BANDS) names band {}, but layer “{}” has {}; give 1 to {}").format(
                    each, layer, there, there
                )
            )


def _unclear(model: str, wanted: Sequence[str], layer: str, bands: Sequence[Band]) -> str:
    listed = ", ".join(f"{band.number} {_name_of(band)}".strip() for band in bands)
    if len(bands) < len(wanted):
        remedy = _tr("choose an image that has them, or another model")
    else:
        example = ",".join(str(number) for number in range(1, len(wanted) + 1))
        remedy = _tr("say under Bands (BANDS) which they are, in the model's order, as in {}")
        remedy = remedy.format(example)
    return _tr("{} takes {} bands ({}), but layer “{}” has {} ({}); {}").format(
        model, len(wanted), ", ".join(wanted), layer, len(bands), listed, remedy
    )
