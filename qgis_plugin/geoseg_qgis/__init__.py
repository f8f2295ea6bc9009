# SPDX-License-Identifier: GPL-2.0-or-later
"""The QGIS door of geoseg: from a layer to styled polygons without a terminal."""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:  # noqa: N802  (the name QGIS calls)
    """Make the plugin; QGIS calls this when it loads the folder.

    Parameters
    ----------
    iface : QgisInterface or None
        None where QGIS has no window.
    """
    from .plugin import GeosegPlugin

    return GeosegPlugin(iface)
