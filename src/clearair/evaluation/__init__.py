"""Metrics, benchmark sets and the table of what a restorer reaches on them."""

from clearair.evaluation.benchmarks import BENCHMARKS, Benchmark, Result, evaluate, markdown_table
from clearair.evaluation.metrics import psnr, ssim
from clearair.evaluation.protocol import Protocol

__all__ = ["BENCHMARKS", "Benchmark", "Protocol", "Result", "evaluate", "markdown_table", "psnr", "ssim"]
