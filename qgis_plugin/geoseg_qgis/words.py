# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts of the window, in the language of QGIS: one context, whichever class shows them."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication

from .fitting import Finding


def translated(text: str) -> str:
    """A text in the language of QGIS."""
    return QCoreApplication.translate("geoseg", text)


def finding_in_words(finding: Finding) -> str:
    """What was found, in the language of QGIS."""
    return translated(finding.template).format(**finding.values)
