# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithms that the toolbox lists, one module each."""
