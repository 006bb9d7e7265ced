"""Ablations: all variants of one choice, trained with one budget and compared in one table."""
