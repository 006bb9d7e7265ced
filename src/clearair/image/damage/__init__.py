"""Damage to pixels that libvips does not report: one module per format."""
