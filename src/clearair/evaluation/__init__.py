"""Metrics, benchmark sets, and the evaluator that measures a model with them."""

from clearair.evaluation.benchmarks import BENCHMARKS, Benchmark
from clearair.evaluation.evaluator import Evaluation, Evaluator
from clearair.evaluation.metrics import psnr, ssim
from clearair.evaluation.protocol import Protocol
from clearair.evaluation.results import Result, markdown_table

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Evaluation",
    "Evaluator",
    "Protocol",
    "Result",
    "markdown_table",
    "psnr",
    "ssim",
]
