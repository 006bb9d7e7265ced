"""Counts and times for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from clearair.apps.server.jobs import Job
    from clearair.apps.server.service import Service

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_FAST = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10, 60)


class Metrics:
    """The metrics of one server."""

    def __init__(self, service: Service) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "clearair_requests",
            "Requests by route and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._answers = Histogram(
            "clearair_request_seconds", "From request to answer.", ["route"], buckets=_FAST, registry=registry
        )
        self._jobs = Counter(
            "clearair_pictures",
            "Pictures by result.",
            ["operation", "status"],
            registry=registry,
        )
        self._work = Histogram(
            "clearair_picture_seconds",
            "Work on a picture.",
            ["operation"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._pixels = Counter("clearair_pixels", "Pixels of pictures that were done.", registry=registry)
        gauges = {
            "clearair_queue": ("Pictures that wait.", lambda: service.line.waiting),
            "clearair_uploads": ("Uploads in progress.", lambda: service.line.uploading),
            "clearair_running": ("Pictures in progress.", lambda: len(service.running)),
            "clearair_jobs_kept": ("Jobs in the table.", lambda: len(service.table)),
            "clearair_workers_ready": (
                "Worker processes that run.",
                lambda: sum(worker.ready for worker in service.workers),
            ),
            "clearair_worker_restarts": (
                "Worker processes that were started again.",
                lambda: sum(worker.restarts for worker in service.workers),
            ),
        }
        for name, (words, value) in gauges.items():
            Gauge(name, words, registry=registry).set_function(value)

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is the path pattern."""
        self._requests.labels(method, route, str(status)).inc()
        self._answers.labels(route).observe(seconds)

    def note_job(self, job: Job) -> None:
        """Count a finished job."""
        self._jobs.labels(job.operation, job.status.value).inc()
        if job.result is not None:
            self._work.labels(job.operation).observe(job.result["seconds"])
            self._pixels.inc(job.picture["width"] * job.picture["height"])

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
