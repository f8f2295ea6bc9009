"""``python -m geoseg`` is the command ``geoseg``."""

from __future__ import annotations

from geoseg.cli import main

main(prog_name="geoseg")
