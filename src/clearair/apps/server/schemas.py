"""The values of the API, as they stand in its OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from clearair.apps.server.jobs import Job
from clearair.apps.server.problems import SCHEMA_VERSION
from clearair.kinds import listed

Formats = Literal["jpeg", "png", "tiff", "webp", "avif"]


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Such as urn:clearair:queue-full; about:blank when the status says it all.")
    title: str
    status: int
    detail: str = Field(description="A sentence for people.")
    schema_version: int = SCHEMA_VERSION


class InspectOptions(BaseModel):
    """The query of `POST /v1/inspect`."""

    model_config = ConfigDict(extra="forbid")

    timeout: Annotated[
        float | None,
        Field(ge=0.1, le=86400, description="Seconds after which the answer is no longer needed."),
    ] = None


class RestoreOptions(InspectOptions):
    """The query of `POST /v1/restore`, as the options of `clearair restore`."""

    damage: Annotated[
        list[str],
        Field(
            min_length=1,
            max_length=16,
            description=f"What is wrong: {listed()}, repeated or with commas; none leaves the picture as it "
            "is, auto finds out.",
            examples=[["auto"], ["haze", "rain"]],
        ),
    ] = ["auto"]
    strength: Annotated[
        float, Field(ge=0, le=1, description="Blend with the input: 0 is the input, 1 the restoration.")
    ] = 1.0
    keep_tone: Annotated[bool, Field(description="Leave exposure and colour as they are.")] = False
    skip_tiles: Annotated[
        bool, Field(description="Leave tiles bit for bit in which no visible change is expected.")
    ] = True
    format: Annotated[Formats | None, Field(description="Instead of the format of the input.")] = None
    quality: Annotated[
        int | None, Field(ge=1, le=100, description="Of a JPEG, WebP or AVIF that is written.")
    ] = None
    metadata: Annotated[
        Literal["strip", "keep"],
        Field(description="strip drops EXIF with its GPS position, XMP and more; the colour profile stays."),
    ] = "strip"
    salvage: Annotated[bool, Field(description="Use what can be decoded of a damaged file.")] = False


class JobOptions(RestoreOptions):
    """The query of `POST /v1/jobs`."""

    previews: Annotated[
        bool,
        Field(description="Also make PNG previews of what browsers cannot show, and of the regions."),
    ] = False


class Picture(BaseModel):
    """What the header of a file says."""

    format: str = Field(examples=["jpeg"])
    width: int
    height: int


class Region(BaseModel):
    """A region of the picture."""

    label: int = Field(description="0 is what no region claims.")
    area: float = Field(description="Share of the picture, in [0, 1].")
    degradations: dict[str, float] = Field(description="Probability of each kind of damage.")


class Percepts(BaseModel):
    """What the perceivers see in a picture, regardless of the request."""

    score: float = Field(description="Quality from 1, bad, to 5, excellent.")
    levels: dict[str, float] = Field(description="Probability of each level of quality.")
    change: float = Field(description="How far the picture may be changed, in [0, 1].")
    tone: float = Field(description="How far exposure and colour may be corrected, in [0, 1].")
    degradations: dict[str, float] = Field(description="Probability of each kind of damage.")
    regions: list[Region]


class Outcome(BaseModel):
    """What was found and what was done."""

    damage: str | list[str] = Field(description="What was asked for: auto, none or kinds.")
    found: dict[str, float] = Field(description="Kinds that speak for a change, surest first.")
    share: float = Field(description="How much of the change was made, in [0, 1].")
    changed: bool | None = Field(description="Whether any pixel differs; null when nothing was done yet.")
    tiles: int
    tiles_left: int = Field(description="Tiles that stayed bit for bit.")
    text: str = Field(description="The same in words.", examples=["rain 92 %: restored"])


class Inspected(BaseModel):
    """The answer of `POST /v1/inspect`."""

    schema_version: int = SCHEMA_VERSION
    picture: Picture
    percepts: Percepts
    outcome: Outcome
    notes: list[str] = Field(description="What was converted or left out while reading.")


class Restored(BaseModel):
    """What a job has made."""

    format: str
    media_type: str
    suffix: str = Field(examples=[".jpg"])
    bytes: int
    width: int
    height: int
    seconds: float = Field(description="Work, without waiting.")
    percepts: Percepts
    outcome: Outcome
    notes: list[str]
    left_out: list[str] = Field(
        description="Data of the input that no result can hold. What `metadata=strip` removes is not listed."
    )


class Progress(BaseModel):
    """Progress of a job."""

    done: int
    total: int


class Links(BaseModel):
    """Where things are, relative to the root of the server; null for what there is not."""

    self: str
    events: str
    result: str | None
    before: str | None = Field(description="A PNG preview of the input.")
    after: str | None = Field(description="A PNG preview of the result.")
    regions: str | None = Field(description="A transparent PNG to lay over the picture.")


class JobState(BaseModel):
    """A job."""

    schema_version: int = SCHEMA_VERSION
    id: str
    status: Literal["queued", "running", "done", "failed", "cancelled", "deleted", "expired"]
    position: int | None = Field(description="Pictures before it in the queue; null when it does not wait.")
    progress: Progress | None
    picture: Picture
    options: dict[str, Any]
    created: datetime
    finished: datetime | None
    expires: datetime | None = Field(description="When the result will be deleted.")
    error: Problem | None
    result: Restored | None
    links: Links


class Model(BaseModel):
    """A model that this server runs."""

    name: str
    description: str
    kinds: list[str] = Field(description="Kinds of damage that it knows.")
    default: bool


class Limits(BaseModel):
    """What requests may take."""

    bytes: int
    pixels: int
    seconds: float
    queue: int
    keep_seconds: float


class Readable(BaseModel):
    """Formats by name."""

    read: list[str]
    write: list[str]


class Models(BaseModel):
    """The answer of `GET /v1/models`."""

    schema_version: int = SCHEMA_VERSION
    version: str
    models: list[Model]
    limits: Limits
    formats: Readable


class Health(BaseModel):
    """The answer of `/healthz` and `/readyz`."""

    schema_version: int = SCHEMA_VERSION
    status: str


MEDIA_TYPES = {name: f"image/{name}" for name in get_args(Formats)}
"""Of results, by format."""


def job_state(job: Job, position: int | None) -> JobState:
    """A job as clients see it."""
    here = f"v1/jobs/{job.id}"
    result = job.result
    return JobState(
        id=job.id,
        status=job.status.value,
        position=position,
        progress=None if job.progress is None else Progress(done=job.progress[0], total=job.progress[1]),
        picture=Picture(**job.picture),
        options=job.shown,
        created=job.created,
        finished=job.finished,
        expires=job.expires,
        error=None if job.error is None else Problem(**job.error.to_dict()),
        result=None if result is None else Restored(media_type=MEDIA_TYPES[result["format"]], **result),
        links=Links(
            self=here,
            events=f"{here}/events",
            result=f"{here}/result" if "result" in job.files and result is not None else None,
            **{
                name: f"{here}/previews/{name}" if name in job.files and result is not None else None
                for name in ("before", "after", "regions")
            },
        ),
    )
