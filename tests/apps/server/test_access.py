"""Who may use a server: hosts, origins, API keys, and what is refused at the start."""

import subprocess
import sys
from pathlib import Path

import pytest

from clearair.apps.server.guard import check
from clearair.apps.server.problems import ProblemError
from clearair.apps.server.settings import Limits, Settings
from clearair.errors import UsageError
from tests.apps.server.serving import serving
from tests.apps.server.test_api import problem

KEY = "correct-horse-battery"


def scope(method: str = "GET", path: str = "/v1/models", **headers: str) -> dict:
    """A request as ASGI describes it; `host` is localhost unless said otherwise."""
    given = {"host": "localhost:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


def refused(request: dict, settings: Settings) -> str:
    with pytest.raises(ProblemError) as caught:
        check(request, settings)
    return caught.value.name


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.1.7"]
)
def test_localhost_and_addresses_are_known_hosts(host):
    check(scope(host=host), Settings())


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a:b"]
)
def test_a_name_that_leads_here_by_rebinding_is_refused(host):
    assert refused(scope(host=host), Settings()) == "wrong-host"


def test_a_host_name_can_be_allowed():
    check(scope(host="photos.example"), Settings(allowed_hosts=("photos.example",)))
    check(scope(host="any.example"), Settings(allowed_hosts=("*",)))


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": ""},
        {"origin": "http://localhost:3000"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_pages_of_other_sites_change_nothing(method, headers):
    assert refused(scope(method, **headers), Settings()) == "wrong-origin"


def test_the_own_page_and_programs_may_post():
    check(scope("POST"), Settings())
    check(scope("POST", origin="http://localhost:8000", sec_fetch_site="same-origin"), Settings())
    check(scope("POST", sec_fetch_site="none"), Settings())
    allowed = Settings(allowed_origins=("https://photos.example",))
    check(scope("POST", origin="https://photos.example", sec_fetch_site="cross-site"), allowed)


def test_a_length_that_is_told_twice_is_refused():
    assert (
        refused(scope("POST", transfer_encoding="chunked", content_length="3"), Settings()) == "two-lengths"
    )
    check(scope("POST", transfer_encoding="chunked"), Settings())


def test_an_api_key_is_asked_for_where_there_is_one():
    settings = Settings(api_key=KEY)
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {KEY}"},
        {"x_api_key": ""},
    ):
        assert refused(scope(**headers), settings) == "unauthorized"
    assert refused(scope(authorization="Bearer \xff"), settings) == "unauthorized"
    check(scope(authorization=f"Bearer {KEY}"), settings)
    check(scope(authorization=f"bearer {KEY}"), settings)
    check(scope(x_api_key=KEY), settings)
    for path in ("/healthz", "/readyz", "/", "/static/app.js"):
        check(scope(path=path), settings)
    assert refused(scope(path="/metrics"), settings) == "unauthorized"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "photos.example"])
def test_other_machines_need_a_key_or_a_word(host):
    with pytest.raises(UsageError, match="--allow-anyone"):
        Settings(host=host)
    assert not Settings(host=host, allow_anyone=True).is_local
    Settings(host=host, api_key=KEY)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_this_machine_needs_none(host):
    assert Settings(host=host).is_local


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"api_key": "short"}, "at least 16"),
        ({"api_key": "seventeen bytes\n!!"}, "letters and digits"),
        ({"allowed_origins": ("photos.example",)}, "an origin is such as"),
        ({"allowed_origins": ("https://photos.example/",)}, "an origin is such as"),
        ({"allowed_origins": ("https://",)}, "an origin is such as"),
        ({"trusted_proxies": ("bogus",)}, "is no address"),
        ({"allowed_hosts": ("a b",)}, "is no name"),
        ({"limits": Limits(keep_seconds=float("inf"))}, "nan and inf"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, words):
    with pytest.raises(UsageError, match=words):
        Settings(**values)


def test_origins_are_compared_as_browsers_send_them():
    said = ("https://Photos.Example", "https://a.example:443", "http://b.example:80", "http://c.example:8080")
    sent = {"https://photos.example", "https://a.example", "http://b.example", "http://c.example:8080"}
    assert Settings(allowed_origins=said).origins == sent


def test_an_upload_may_stall_for_less_than_a_minute():
    assert Limits().stall_seconds < 60


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--host", "0.0.0.0"], 2, "CLEARAIR_API_KEY"),
        (["--api-key-file", "none.txt"], 2, "cannot be read"),
        (["--model", "nothing"], 3, "no model 'nothing'"),
        (["--memory-budget", "10MB"], 2, "too small"),
        (["--temp", "none"], 2, "no such folder"),
        (["--temp", "/proc"], 1, "takes no temporary files"),
        (["--max-mb", "nan"], 2, "nan and inf"),
        (["--max-seconds", "nan"], 2, "nan and inf"),
        (["--keep-minutes", "1e10"], 2, "keep-minutes"),
        (["--host", "no.such.host.invalid", "--allow-anyone"], 2, "no such address"),
        (["--port", "70000"], 2, "70000"),
    ],
)
def test_a_server_that_cannot_be_says_why_in_a_line(options, code, words):
    done = subprocess.run(
        [sys.executable, "-m", "clearair", "serve", "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said(server):
    port = str(server.host[1])
    done = subprocess.run(
        [sys.executable, "-m", "clearair", "serve", "--port", port],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "--port" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_server_with_a_key(tmp_path, picture):
    with serving(
        tmp_path, "--allow-origin", "https://Photos.example", environment={"CLEARAIR_API_KEY": f" {KEY}\n"}
    ) as it:
        problem(it.post("/v1/inspect", picture), 401, "unauthorized")
        refused = it.post("/v1/inspect", picture, headers={"Origin": "https://photos.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://photos.example"
        headers = {"Authorization": f"Bearer {KEY}"}
        assert it.post("/v1/inspect", picture, headers=headers).status_code == 200
        assert it.get("/healthz").status_code == 200
        page = {"Origin": "https://photos.example", **headers}
        answer = it.post("/v1/inspect", picture, headers=page)
        assert answer.headers["access-control-allow-origin"] == "https://photos.example"
        for pid in it.children():  # the workers never see the key
            assert KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
