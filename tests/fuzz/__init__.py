"""Fuzz targets, each a function of bytes with an oracle, and the engines that feed them. See docs/fuzzing.md."""
