"""Additions around the paper's network: tone, caution, lattice removal, keep-tone."""

from clearair.finishing.network import FinishedJudgement, FinishedNetwork

__all__ = ["FinishedJudgement", "FinishedNetwork"]
