"""The API of a real server, as clients use it."""

import io
import json
import threading
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image

from clearair import Restorer
from clearair.image import Metadata, Photo, encode_photo, read_photo
from tests.apps.server.serving import EXAMPLE, noisy


def problem(answer, status: int, name: str) -> str:
    """Check that an answer is a problem document of this kind; its sentence."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == (f"urn:clearair:{name}" if name else "about:blank")
    assert document["status"] == status
    assert document["schema_version"] == 1
    assert "Traceback" not in answer.text
    return document["detail"]


def test_a_picture_comes_back_as_the_library_restores_it(server):
    data = EXAMPLE.read_bytes()
    answer = server.post("/v1/restore?metadata=keep", data)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"] == 'inline; filename="restored.jpg"'
    outcome = json.loads(answer.headers["clearair-outcome"])
    result = Restorer.from_pretrained()(data)
    assert outcome == {**result.outcome.to_dict(), "schema_version": 1}
    expected = io.BytesIO()
    result.save(expected)
    assert answer.content == expected.getvalue()


def animation() -> bytes:
    """A GIF of three frames."""
    frames = [Image.fromarray(np.full((48, 64, 3), 60 * shade, np.uint8)) for shade in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def test_an_animation_has_a_preview_of_the_frame_that_is_restored(server, picture):
    moving, still = (
        server.end_of(server.post("/v1/jobs?previews=true", data).json()) for data in (animation(), picture)
    )
    assert still["links"]["before"] is None
    before = read_photo(server.get(f"/{moving['links']['before']}").content)
    assert (before.format, before.frames) == ("png", 1)
    assert (before.pixels == 0).all()  # the first of the three


def test_what_is_left_out_is_in_a_header(server, picture):
    answer = server.post("/v1/restore", animation())
    assert answer.status_code == 200
    notes = json.loads(answer.headers["clearair-notes"])
    (note,) = [note for note in notes if "frame" in note]
    assert "only the first of 3 frames is restored" in note
    assert "clearair-notes" not in server.post("/v1/restore", picture).headers


def test_inspect_says_what_is_wrong_and_changes_nothing(server, picture):
    answer = server.post("/v1/inspect", picture).json()
    assert answer["picture"] == {"format": "png", "width": 128, "height": 96}
    assert "noise" in answer["outcome"]["found"]
    assert answer["outcome"]["changed"] is None
    assert 1 <= answer["percepts"]["score"] <= 5
    assert answer["schema_version"] == 1


def test_damage_strength_and_format_are_those_of_the_command(server, picture):
    same = read_photo(picture).pixels
    left = server.post("/v1/restore?damage=none", picture)
    assert (read_photo(left.content).pixels == same).all()
    weak = server.post("/v1/restore?strength=0", picture)
    assert (read_photo(weak.content).pixels == same).all()
    told = server.post("/v1/restore?damage=haze&damage=rain&format=webp&quality=80", picture)
    assert told.headers["content-type"] == "image/webp"
    assert json.loads(told.headers["clearair-outcome"])["damage"] == ["haze", "rain"]
    commas = server.post("/v1/restore?damage=haze,rain&format=webp&quality=80", picture)
    assert commas.content == told.content


def test_private_metadata_is_stripped_unless_it_is_kept_on_purpose(server):
    exif = Image.Exif()
    exif[0x0110] = "Secret camera"
    exif.get_ifd(0x8825)[1] = "N"
    photo = read_photo(noisy(format="jpeg"))
    tagged = Photo(photo.pixels, format="jpeg", metadata=Metadata(exif=exif.tobytes()[6:]))
    data = encode_photo(tagged, "jpeg")
    assert b"Secret camera" in data
    assert b"Secret camera" not in server.post("/v1/restore", data).content
    assert b"Secret camera" in server.post("/v1/restore?metadata=keep", data).content
    job = server.end_of(server.post("/v1/jobs?damage=none", data).json())
    assert b"Secret camera" not in server.get("/" + job["links"]["result"]).content


def test_a_job_is_created_asked_for_and_fetched(server, picture):
    created = server.post("/v1/jobs?damage=noise", picture)
    assert created.status_code == 202
    job = created.json()
    place = urljoin(f"{server.address}/below/a/proxy/v1/jobs", created.headers["location"])
    assert place == f"{server.address}/below/a/proxy/{job['links']['self']}"
    assert job["picture"] == {"format": "png", "width": 128, "height": 96}
    job = server.end_of(job)
    assert job["status"] == "done"
    assert job["progress"] == {"done": 1, "total": 1}
    assert job["result"]["outcome"]["damage"] == ["noise"]
    assert job["result"]["suffix"] == ".png"
    answer = server.get("/" + job["links"]["result"])
    assert answer.headers["content-type"] == job["result"]["media_type"] == "image/png"
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.content) == job["result"]["bytes"]
    assert answer.content == server.post("/v1/restore?damage=noise", picture).content
    assert job["links"]["regions"] is None  # no previews were asked for
    problem(server.get("/" + job["links"]["self"] + "/previews/regions"), 404, "no-preview")
    problem(server.get("/" + job["links"]["self"] + "/previews/secret"), 404, "no-preview")


def test_previews_are_made_of_what_browsers_cannot_show(server, picture):
    job = server.end_of(server.post("/v1/jobs?previews=true", picture).json())
    assert (job["links"]["before"], job["links"]["after"]) == (None, None)
    regions = read_photo(server.get("/" + job["links"]["regions"]).content)
    assert regions.size == (128, 96)
    assert regions.alpha is not None
    data = noisy(format="tiff")
    job = server.end_of(server.post("/v1/jobs?previews=true&damage=none", data).json())
    for name in ("before", "after"):
        preview = read_photo(server.get("/" + job["links"][name]).content)
        assert preview.format == "png"
        assert (preview.pixels == read_photo(data).pixels).all()


def test_events_tell_the_states_until_the_end(server, picture):
    job = server.post("/v1/jobs", picture).json()
    with server.get("/" + job["links"]["events"], stream=True) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line.decode() for line in answer.iter_lines() if line]
    states = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert states[-1]["status"] == "done"
    assert states[-1] == server.get("/" + job["links"]["self"]).json()
    assert [line for line in lines if line.startswith("event: ")] == ["event: job"] * len(states)


def test_a_job_is_cancelled_twice_and_its_result_deleted(server):
    large = noisy(1500, 2000, "jpeg")
    running = server.post("/v1/jobs", large).json()
    waiting = server.post("/v1/jobs", large).json()
    assert waiting["position"] == 0 or running["position"] is None
    for job in (waiting, running):
        path = "/" + job["links"]["self"]
        assert server.delete(path).json()["status"] == "cancelled"
        assert server.delete(path).json()["status"] == "cancelled"
        problem(server.get(path + "/result"), 409, "cancelled")
    done = server.end_of(server.post("/v1/jobs", noisy()).json())  # the worker is free again
    assert done["status"] == "done"
    path = "/" + done["links"]["self"]
    assert server.delete(path).json()["status"] == "deleted"
    assert server.delete(path).json()["status"] == "deleted"
    problem(server.get(path + "/result"), 410, "deleted")


@pytest.mark.parametrize(
    ("body", "status", "name", "words"),
    [
        (b"", 422, "empty", "no body"),
        (b"hello", 422, "bad-picture", "Not a picture"),
        (b"%PDF-1.7 ...", 422, "bad-picture", "PDF"),
        (EXAMPLE.read_bytes()[:9000], 422, "damaged", "salvage=true"),
        (b"\xff\xd8\xff\xe0", 422, "bad-picture", "Nothing of it can be decoded"),
    ],
    ids=["empty", "text", "pdf", "half", "head"],
)
@pytest.mark.parametrize("path", ["/v1/restore", "/v1/inspect", "/v1/jobs"])
def test_what_is_no_picture_is_refused_in_a_sentence(server, path, body, status, name, words):
    answer = server.post(path, body)
    if path == "/v1/jobs" and answer.status_code == 202:  # the header was fine
        job = server.end_of(answer.json())
        assert job["status"] == "failed"
        assert words in job["error"]["detail"]
        assert job["error"]["type"] == f"urn:clearair:{name}"
        return
    assert words in problem(answer, status, name)


def test_what_is_left_of_a_damaged_file_can_be_asked_for(server):
    half = EXAMPLE.read_bytes()[:20000]
    problem(server.post("/v1/restore", half), 422, "damaged")
    answer = server.post("/v1/restore?salvage=true", half)
    assert read_photo(answer.content).size == read_photo(EXAMPLE).size


def test_options_are_checked_before_the_picture(server):
    assert "did you mean 'haze'" in problem(server.post("/v1/restore?damage=hase", b"x"), 422, "bad-option")
    assert "strength" in problem(server.post("/v1/restore?strength=2", b"x"), 422, "bad-option")
    assert "strenght" in problem(server.post("/v1/restore?strenght=1", b"x"), 422, "bad-option")
    problem(server.post("/v1/restore?format=gif", b"x"), 422, "bad-option")


def test_forms_and_compressed_bodies_are_refused(server, picture):
    form = server.client.post(server.address + "/v1/restore", files={"photo": picture}, timeout=60)
    assert "--data-binary" in problem(form, 415, "wrong-type")
    packed = server.post("/v1/restore", picture, headers={"Content-Encoding": "gzip"})
    problem(packed, 415, "encoded")


def test_unknown_paths_methods_and_jobs_are_problems_too(server):
    problem(server.get("/nothing"), 404, "")
    problem(server.get("/static/nothing.js"), 404, "")
    problem(server.get("/static/../app.py"), 404, "")
    answer = server.client.put(server.address + "/v1/restore", timeout=60)
    problem(answer, 405, "")
    assert answer.headers["allow"] == "POST"
    assert server.post("/v1/jobs/none", b"").headers["allow"] == "DELETE, GET, HEAD"
    for path in ("/healthz", "/", "/static/app.js"):
        assert server.post(path, b"").headers["allow"] == "GET, HEAD"
    problem(server.get("/v1/jobs/none"), 404, "unknown-job")
    problem(server.get("/v1/jobs/none/events"), 404, "unknown-job")
    problem(server.get("/v1/jobs/..%2f..%2fetc%2fpasswd"), 404, "")


def test_a_head_has_no_body(server):
    for path in ("/", "/healthz", "/v1/models"):
        answer = server.client.head(server.address + path, timeout=60)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 10


def test_a_path_with_one_slash_too_many_is_no_redirection(server):
    problem(server.get("/healthz/", allow_redirects=False), 404, "")


def test_the_client_names_no_file(server, picture):
    for name in ("../../etc/passwd", "x" * 300 + ".jpg", "\N{GRINNING FACE}.jpg"):
        headers = {"Content-Disposition": f'attachment; filename="{name}"'.encode()}
        assert server.post("/v1/restore", picture, headers=headers).status_code == 200


def test_models_limits_and_formats_are_told(server):
    told = server.get("/v1/models").json()
    assert told["models"][0]["name"] == "compact"
    assert "haze" in told["models"][0]["kinds"]
    assert told["limits"]["pixels"] == 100_000_000
    assert set(told["formats"]["write"]) == {"jpeg", "png", "tiff", "webp", "avif"}


def test_health_and_metrics(server, picture):
    assert server.get("/healthz").json()["status"] == "ok"
    assert server.get("/readyz").json()["status"] == "ready"
    before = server.metric("clearair_pictures_total", operation="inspect", status="done")
    server.post("/v1/inspect", picture)
    assert server.metric("clearair_pictures_total", operation="inspect", status="done") == before + 1
    assert server.metric("clearair_workers_ready") == 1


def test_every_answer_confines_browsers(server):
    for path in ("/", "/docs", "/v1/models", "/nothing"):
        headers = server.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_the_documentation_page_needs_no_other_host(server):
    page = server.get("/docs").text
    assert "http" not in page.replace("http-equiv", "").replace("HTTP", "")
    script = server.get("/static/vendor/swagger-ui/swagger-ui-bundle.js")
    assert script.status_code == 200
    assert server.get("/openapi.json").json()["openapi"].startswith("3.1")


def test_twenty_clients_at_once_are_all_answered(server, picture):
    answers = []

    def ask() -> None:
        answers.append(server.client.post(server.address + "/v1/restore", data=picture, timeout=60))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert sum(answer.status_code == 200 for answer in answers) >= 16
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
