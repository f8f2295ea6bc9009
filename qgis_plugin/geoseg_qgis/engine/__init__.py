# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine as another process, and the environment it lives in; nothing here knows QGIS."""
