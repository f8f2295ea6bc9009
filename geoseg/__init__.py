"""geoseg: georeferenced imagery in, class maps and polygons out."""

__version__ = "0.1.0"
