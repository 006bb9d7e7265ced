"""Runs a network on arrays; everything else between files and tiles is NumPy."""
