"""The shared training loop, independent of the restorer and the perceivers."""
