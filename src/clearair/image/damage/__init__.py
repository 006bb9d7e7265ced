"""Damage to pixels that libvips does not report: a file a format."""
