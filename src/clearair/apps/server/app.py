"""The routes: which request gets which answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

import clearair
from clearair.apps.server import documents
from clearair.apps.server.answers import answer_file, answer_problem
from clearair.apps.server.guard import Guard
from clearair.apps.server.jobs import PREVIEWS, Job, Status
from clearair.apps.server.problems import SCHEMA_VERSION, ProblemError
from clearair.apps.server.schemas import (
    MEDIA_TYPES,
    Health,
    Inspected,
    InspectOptions,
    JobOptions,
    JobState,
    Limits,
    Model,
    Models,
    Readable,
    RestoreOptions,
    job_state,
)
from clearair.apps.server.service import Service
from clearair.image.formats import FORMATS, is_installed
from clearair.models.catalogue import CATALOGUE

STATIC = Path(__file__).parent / "static"
_NOTES, _NOTE = 10, 200
"""Most remarks in `Clearair-Notes`, and most letters of each; clients and proxies refuse long headers."""
_CALM = 0.2
"""Seconds between two events of a job, however fast its tiles are."""


def build_app(service: Service) -> FastAPI:
    """The application around a service."""
    app = FastAPI(
        title="clearair",
        version=clearair.__version__,
        description=documents.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_tags=documents.TAGS,
    )
    app.state.service = service
    app.openapi = partial(documents.document, app)  # type: ignore[method-assign]
    _add_handlers(app)
    _add_pictures(app)
    _add_jobs(app)
    _add_states(app)
    _add_pages(app)
    app.add_middleware(Guard, settings=service.settings, metrics=service.metrics)
    if service.settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type"],
            expose_headers=["Clearair-Notes", "Clearair-Outcome", "Location", "Retry-After"],
        )
    return app


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _job(job_id: str, request: Request) -> Job:
    job = _service(request).table.find(job_id)
    if job is None:
        raise ProblemError.of("unknown-job")
    return job


TheService = Annotated[Service, Depends(_service)]
TheJob = Annotated[Job, Depends(_job)]


def _add_handlers(app: FastAPI) -> None:
    """Turn every error into a problem document."""

    @app.exception_handler(ProblemError)
    async def problem(request: Request, error: ProblemError) -> Response:
        return answer_problem(error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods_at(request))
        return answer_problem(ProblemError.of_status(error.status_code, str(error.detail), headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return answer_problem(ProblemError.of("bad-option", f"{where}: {first['msg']}."))

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return answer_problem(ProblemError.of("bug"))


def _methods_at(request: Request) -> list[str]:
    """The methods of all routes that have the path of a request; each names only its own."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    here = [route for route in routes if route.path_regex.match(request.scope["path"])]
    methods = {method for route in here for method in route.methods or ()} or {"GET"}  # of static files
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _add_pictures(app: FastAPI) -> None:
    """One request, one answer."""

    @app.post("/v1/restore", tags=["pictures"], **documents.RESTORE)
    async def restore(
        request: Request, service: TheService, options: Annotated[RestoreOptions, Query()]
    ) -> Response:
        """Restore a picture and wait for it.

        The body is the file, the answer the restored file. The header `Clearair-Outcome` says in JSON what
        was found and done, `Clearair-Notes` what else is to be known, such as left-out frames and metadata.
        When the client goes away, or the deadline passes, the work is stopped.
        """
        job = await _done(service, request, "restore", options)
        job.fetched = True
        try:
            result = job.result or {}
            told = json.dumps({**result["outcome"], "schema_version": SCHEMA_VERSION})
            headers = {"Clearair-Outcome": told, **_notes_header(result), **_name_header(result)}
            return answer_file(job.files["result"], MEDIA_TYPES[result["format"]], headers)
        finally:
            job.forget()

    @app.post("/v1/inspect", tags=["pictures"], **documents.INSPECT)
    async def inspect(
        request: Request, service: TheService, options: Annotated[InspectOptions, Query()]
    ) -> Inspected:
        """Report quality, damage and regions of a picture; change nothing."""
        job = await _done(service, request, "inspect", options)
        return Inspected(**(job.result or {}))


def _notes_header(result: dict[str, Any]) -> dict[str, str]:
    """Remarks as a list in JSON, shortened to what fits into a header; no header without any."""
    notes = [note[:_NOTE] for note in result["notes"][:_NOTES]]
    return {"Clearair-Notes": json.dumps(notes)} if notes else {}


def _name_header(result: dict[str, Any]) -> dict[str, str]:
    """A name for those who save a result without giving it one."""
    return {"Content-Disposition": f'inline; filename="restored{result["suffix"]}"'}


async def _done(service: Service, request: Request, operation: str, options: InspectOptions) -> Job:
    """The job of this request once it is done. Raises ProblemError when it failed, ClientDisconnect."""
    job = await service.accept(request, operation, options.model_dump())
    end = asyncio.create_task(job.end())
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((end, gone), return_when=asyncio.FIRST_COMPLETED)
        if not job.over:
            raise ClientDisconnect
    finally:
        if not job.over:
            service.cancel(job)
        end.cancel()
        gone.cancel()
    if job.status is not Status.DONE:
        raise job.error or ProblemError.of("cancelled")
    return job


async def _gone(request: Request) -> None:
    """Wait until the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_jobs(app: FastAPI) -> None:
    """Work that outlasts a request."""

    @app.post("/v1/jobs", status_code=202, tags=["jobs"], **documents.CREATE)
    async def create(
        request: Request, response: Response, service: TheService, options: Annotated[JobOptions, Query()]
    ) -> JobState:
        """Start restoring a picture without waiting for it.

        The body is the file. Ask for the state of the job at `links.self`, once a second or so; its result
        is at `links.result` when it is done, for as long as `expires` says.
        """
        job = await service.accept(request, "restore", options.model_dump(exclude_none=True))
        service.table.add(job)
        response.headers["Location"] = f"jobs/{job.id}"  # relative to /v1/jobs, which a proxy may have moved
        return job_state(job, service.line.position(job))

    @app.get("/v1/jobs/{job_id}", tags=["jobs"], **documents.STATE)
    async def state(job: TheJob, service: TheService) -> JobState:
        """The state of a job."""
        return job_state(job, service.line.position(job))

    @app.delete("/v1/jobs/{job_id}", tags=["jobs"], **documents.DELETE)
    async def delete(job: TheJob, service: TheService) -> JobState:
        """Stop a job that is not finished; delete the result of one that is. Twice does no harm."""
        service.cancel(job)
        return job_state(job, None)

    @app.get(
        "/v1/jobs/{job_id}/events", tags=["jobs"], response_class=EventSourceResponse, **documents.EVENTS
    )
    async def events(job: TheJob, service: TheService) -> AsyncIterator[ServerSentEvent]:
        """The state of a job after each change, as server-sent events, until the job ends."""
        ending = asyncio.create_task(service.ending.wait())
        try:
            while True:
                changed = asyncio.create_task(job.change())
                current = job_state(job, service.line.position(job))
                yield ServerSentEvent(raw_data=current.model_dump_json(), event="job")
                if job.over or ending.done():
                    changed.cancel()
                    return
                await asyncio.wait((changed, ending), timeout=1, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()  # the place in the queue changes without an event of the job
                await asyncio.sleep(_CALM)
        finally:
            ending.cancel()

    @app.get("/v1/jobs/{job_id}/result", tags=["jobs"], **documents.RESULT)
    async def result(job: TheJob, service: TheService) -> Response:
        """The restored file."""
        return _file_of(job, service, "result")

    @app.get("/v1/jobs/{job_id}/previews/{name}", tags=["jobs"], **documents.PREVIEW)
    async def preview(job: TheJob, service: TheService, name: str) -> Response:
        """A PNG for browsers: `before`, `after` or `regions`."""
        return _file_of(job, service, name if name in PREVIEWS else "")


def _file_of(job: Job, service: Service, name: str) -> Response:
    if job.status is not Status.DONE or job.result is None:
        raise job.describe_absence(service.settings.limits.keep_seconds)
    if name not in job.files:
        raise ProblemError.of("no-preview")
    kind = MEDIA_TYPES[job.result["format"]] if name == "result" else "image/png"
    job.fetched = job.fetched or name == "result"
    return answer_file(job.files[name], kind, _name_header(job.result) if name == "result" else None)


def _add_states(app: FastAPI) -> None:
    """Routes for operators and their programs."""

    @app.get("/v1/models", tags=["server"], **documents.PLAIN)
    async def models(service: TheService) -> Models:
        """The model that this server runs, its limits and formats."""
        name = service.settings.model
        entry = CATALOGUE.get(name)
        model = Model(
            name=Path(name).name,
            description=entry.description if entry else "a model of the operator",
            kinds=list(service.kinds),
            default=True,
        )
        read = [each.name for each in FORMATS.values() if is_installed(each.extra)]
        write = [each.name for each in FORMATS.values() if each.writable]
        return Models(
            version=clearair.__version__,
            models=[model],
            limits=Limits(**service.describe()),
            formats=Readable(read=read, write=write),
        )

    @app.get("/healthz", tags=["server"], **documents.HEALTH)
    async def healthz() -> Health:
        """Whether the process answers."""
        return Health(status="ok")

    @app.get("/readyz", tags=["server"], **documents.READY)
    async def readyz(service: TheService) -> Health:
        """Whether a new picture would be accepted."""
        if not service.ready:
            raise ProblemError.of("not-ready")
        return Health(status="ready")

    @app.get("/metrics", tags=["server"], **documents.METRICS)
    async def metrics(service: TheService) -> Response:
        """Counts and times for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_pages(app: FastAPI) -> None:
    """The page for people, and the one for programmers."""

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return FileResponse(STATIC / "docs.html", headers={"Cache-Control": "no-cache"})

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
