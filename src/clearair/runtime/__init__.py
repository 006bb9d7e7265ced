"""Runs a network on arrays: from files to tiles and back everything else is NumPy."""
