"""What a server refuses, stops and survives, with limits small enough to reach."""

import json
import os
import resource
import signal
import socket
import struct
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from fuzz import samples

from tests.apps.server.serving import Running, noisy, serving
from tests.apps.server.test_api import problem

QUEUE = 2
IMPATIENT = """
import sys
from clearair.apps.server.run import run
from clearair.apps.server.settings import Limits, Settings
tell = lambda address: print(f"page at {address},", file=sys.stderr, flush=True)
run(Settings(port=0, limits=Limits(stall_seconds=0.3)), tell)
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two may wait, files have 1 MiB at most, pictures 4 megapixels."""
    folder = tmp_path_factory.mktemp("small")
    options = ("--queue", str(QUEUE), "--max-mb", "2", "--max-pixels", "4000000", "--keep-minutes", "0.05")
    with serving(folder, *options, "--max-seconds", "60") as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def slow() -> bytes:
    """A picture that takes a while."""
    return noisy(640, 900, "jpeg")


@pytest.fixture(scope="module")
def large() -> bytes:
    """A picture that takes a long while."""
    return noisy(2000, 3000, "jpeg")


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header announces so much, and which holds little."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(1 << 20), 9))
    return b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")


def resident(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def wait_until(true, seconds: float = 30) -> None:
    late = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < late
        time.sleep(0.02)


def is_idle(server: Running) -> bool:
    return server.metric("clearair_running") == server.metric("clearair_queue") == 0


def test_too_many_bytes_are_refused_by_the_header_and_by_counting(small):
    body = bytes(5 << 20)
    for _ in range(10):  # a client that would use the same connection again must be told not to
        answer = small.post("/v1/restore", body)
        assert "2,097,152" in problem(answer, 413, "too-many-bytes")
        assert answer.headers["Connection"] == "close"
        pieces = (
            body[at : at + 65536] for at in range(0, len(body), 65536)
        )  # chunked: no length is announced
        answer = small.post("/v1/restore", pieces)
        problem(answer, 413, "too-many-bytes")
        assert answer.headers["Connection"] == "close"
    assert "Connection" not in small.get("/v1/models").headers


@pytest.mark.parametrize(
    ("target", "status"), [("http://localhost/healthz", 200), ("http://evil.example/healthz", 421)]
)
def test_a_target_may_be_a_whole_address(small, target, status):
    with socket.create_connection(small.host) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert client.makefile("rb").readline().split()[1] == str(status).encode()


def announcing(name: str, width: int, height: int) -> bytes:
    """A small file of a format whose header announces a large picture."""
    data = samples()[name][0]
    big, little = struct.pack(">II", width, height), struct.pack("<II", width, height)
    if name == "png":
        return bomb(width, height)
    if name == "jpeg":
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]
    if name in ("avif", "heic"):
        at = data.index(b"ispe") + 8
        return data[:at] + big + data[at + 8 :]
    if name == "bmp":
        return data[:18] + little + data[26:]
    if name == "gif":
        sides = struct.pack("<HH", width, height)
        at = data.index(b"\x2c\0\0\0\0") + 5
        return data[:6] + sides + data[10:at] + sides + data[at + 4 :]
    assert name in ("tiff", "raw")
    changed = bytearray(data)
    for tag, side in ((256, width), (257, height)):
        at = next(
            at
            for at in range(8, len(data))
            if data[at : at + 3] in (struct.pack("<HB", tag, kind) for kind in (3, 4))
        )
        changed[at : at + 12] = struct.pack("<HHII", tag, 4, 1, side)
    return bytes(changed)


SIDES = {"jpeg": 65_000, "gif": 65_000}
BOMBS = ["png", "jpeg", "avif", "heic", "bmp", "gif", "tiff", "raw"]


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_are_decoded(small, name):
    side = SIDES.get(name, 40_000)
    data = announcing(name, side, side)
    small.post("/v1/inspect", samples()[name][0])  # loads what it reads the format with
    peaks = {pid: resident(pid) for pid in small.children()}
    took = []
    for _ in range(3):
        began = time.monotonic()
        answer = small.post("/v1/jobs", data)
        took.append(time.monotonic() - began)
    assert f"{side:,} x {side:,}" in problem(answer, 413, "too-many-pixels")
    assert min(took) < 1  # the others may have waited for what else the machine does
    for pid, before in peaks.items():
        assert resident(pid) - before < 200e6


@pytest.mark.parametrize("size", [(900_000, 10_000), (3000, 2000)])
def test_sides_of_any_length_are_refused(small, size):
    assert f"{size[0]:,}" in problem(small.post("/v1/inspect", bomb(*size)), 413, "too-many-pixels")


def test_a_full_queue_says_when_to_come_again_and_health_does_not_wait(small, slow):
    jobs = []
    while (answer := small.post("/v1/jobs", slow)).status_code == 202:
        jobs.append(answer.json())
        assert len(jobs) <= QUEUE + 1
    assert "try again" in problem(answer, 429, "queue-full")
    assert int(answer.headers["retry-after"]) >= 1
    assert len(jobs) >= QUEUE
    took = []
    for _ in range(50):
        began = time.monotonic()
        assert small.get("/healthz").status_code == 200
        took.append(time.monotonic() - began)
    assert sorted(took)[len(took) // 2] < 0.1
    for job in jobs:
        small.delete("/" + job["links"]["self"])
    wait_until(lambda: is_idle(small))


def test_a_deadline_stops_the_work(small, slow):
    began = time.monotonic()
    late = problem(small.post("/v1/restore?timeout=0.7", slow), 504, "too-slow")
    assert late == "The picture took longer than 0.7 s and was stopped."
    assert time.monotonic() - began < 30
    wait_until(lambda: is_idle(small))
    assert small.post("/v1/restore", noisy()).status_code == 200


def test_a_deadline_counts_in_the_queue(small, slow):
    first = small.post("/v1/jobs", slow).json()
    waiting = small.post("/v1/jobs?timeout=0.2", noisy()).json()
    assert small.end_of(waiting)["error"]["type"] == "urn:clearair:too-slow"
    assert small.get("/" + first["links"]["self"]).json()["status"] == "running"
    small.delete("/" + first["links"]["self"])
    wait_until(lambda: is_idle(small))


def test_a_client_that_goes_away_stops_its_work(small, slow):
    before = small.metric("clearair_pictures_total", operation="restore", status="cancelled")
    head = f"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(slow)}\r\n\r\n"
    with socket.create_connection(small.host) as client:
        client.sendall(head.encode() + slow)
        wait_until(lambda: small.metric("clearair_running") == 1)
    wait_until(lambda: is_idle(small))
    after = small.metric("clearair_pictures_total", operation="restore", status="cancelled")
    assert after == before + 1


def test_an_upload_that_breaks_off_leaves_its_place(small):
    with socket.create_connection(small.host) as client:
        client.sendall(b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n\x89PNG")
        wait_until(lambda: small.metric("clearair_uploads") == 1)
    wait_until(lambda: is_idle(small))


def test_clients_that_send_slowly_hold_no_place_in_the_queue(small):
    clients = []
    try:
        for _ in range(2 * QUEUE):
            client = socket.create_connection(small.host)
            client.sendall(
                b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n\x89PNG"
            )
            clients.append(client)
        wait_until(lambda: small.metric("clearair_uploads") == 2 * QUEUE)
        assert small.post("/v1/inspect", noisy()).status_code == 200
        for _ in range(2 * QUEUE):  # as many again are one too many
            client = socket.create_connection(small.host)
            client.sendall(
                b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n\x89PNG"
            )
            clients.append(client)
        wait_until(lambda: small.metric("clearair_uploads") == 4 * QUEUE)
        problem(small.post("/v1/inspect", noisy()), 429, "queue-full")
    finally:
        for client in clients:
            client.close()
    wait_until(lambda: is_idle(small))


def test_a_body_that_outlasts_the_answer_ends_the_connection(small):
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(small.host) as client:
        client.settimeout(30)
        client.sendall(head + b"4\r\nbody\r\n")
        answer = b""
        while piece := client.recv(4096):
            answer += piece  # until the server closes
        assert answer.startswith(b"HTTP/1.1 200")
        late, refused = time.monotonic() + 20, False
        while not refused and time.monotonic() < late:
            try:
                client.sendall(b"4\r\nbody\r\n")
            except (BrokenPipeError, ConnectionResetError):
                refused = True
            time.sleep(0.1)
        assert refused


def test_more_connections_than_descriptors_are_turned_away(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = IMPATIENT.replace("import sys", "import resource, sys\nresource.setrlimit(7, (120, 120))", 1)
    assert resource.RLIMIT_NOFILE == 7
    with serving(tmp_path, program=program) as running:
        clients = []
        for _ in range(60):
            clients.append(socket.create_connection(running.host))
        time.sleep(0.2)
        for client in clients:
            client.close()
        wait_until(lambda: running.get("/healthz").status_code == 200)
        jobs = [running.post("/v1/jobs?damage=none", noisy()) for _ in range(60)]
        assert {job.status_code for job in jobs} <= {202, 429}  # old results make room for new ones
        assert "Traceback" not in running.log.read_text()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limit


def test_a_worker_that_dies_while_idle_is_replaced_at_once(small):
    pids = small.children()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: small.get("/readyz").status_code == 200 and not set(pids) & set(small.children()))


def test_a_result_expires(small, picture):
    job = small.end_of(small.post("/v1/jobs", picture).json())
    path = "/" + job["links"]["self"]
    assert small.get(path + "/result").status_code == 200
    wait_until(lambda: small.get(path + "/result").status_code == 410)
    problem(small.get(path + "/result"), 410, "expired")
    state = small.get(path).json()
    assert (state["status"], state["result"], state["links"]["result"]) == ("expired", None, None)


def test_a_worker_that_dies_is_replaced(small, slow):
    job = small.post("/v1/jobs", slow).json()
    wait_until(lambda: small.metric("clearair_running") == 1)
    for pid in small.children():
        os.kill(pid, signal.SIGKILL)
    job = small.end_of(job)
    assert job["error"]["type"] == "urn:clearair:crashed"
    assert small.post("/v1/restore", noisy()).status_code == 200
    assert small.metric("clearair_worker_restarts") >= 1


def test_a_picture_beyond_the_memory_budget_is_too_large(tmp_path):
    with serving(tmp_path, "--memory-budget", "520MB") as running:
        said = problem(running.post("/v1/restore", bomb(7000, 7000)), 413, "too-many-pixels")
    assert "the memory budget is 520MB" in said
    assert "memory_budget" not in said


def test_what_is_not_http_is_a_problem_too(small):
    with socket.create_connection(small.host) as client:
        client.settimeout(20)
        client.sendall(b"\x16\x03\x01\x02\x00\x01 as TLS begins\r\n\r\n")
        head, _, body = b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head.lower()
    assert json.loads(body)["status"] == 400


def test_an_upgrade_is_passed_over_without_advice(small):
    before = small.log.read_text()
    answer = small.get("/healthz", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert answer.status_code == 200
    assert small.log.read_text() == before


def test_an_upload_that_stalls_is_given_up(tmp_path):
    with serving(tmp_path, program=IMPATIENT) as running:
        head = b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n\x89PNG"
        with socket.create_connection(running.host) as client:
            client.settimeout(40)
            client.sendall(head)
            answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert running.post("/v1/inspect", noisy()).status_code == 200


def test_an_upload_may_take_as_long_as_its_bytes_need(tmp_path, picture):
    limits = f"Limits(upload_seconds=2, upload_rate={len(picture) / 20})"
    program = IMPATIENT.replace("Limits(stall_seconds=0.3)", limits)
    head = f"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    with serving(tmp_path, program=program) as running:
        # Of 20 pieces one comes at once, or ten; the others one by one.
        for first, seconds, status in ((1, 5, b"200"), (1, 60, b"408"), (10, 60, b"408")):
            size = -(-len(picture) // 20)
            with socket.create_connection(running.host) as client:
                client.settimeout(40)
                client.sendall(head)
                with suppress(OSError):  # the server has given up
                    client.sendall(picture[: first * size])
                    for at in range(first * size, len(picture), size):
                        time.sleep(seconds / 20)
                        client.sendall(picture[at : at + size])
                assert client.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_an_answer_that_nobody_reads_is_given_up(tmp_path):
    program = IMPATIENT.replace(
        "tell =", "import clearair.apps.server.protocol as r; r.SEND_SECONDS = 2; tell ="
    )
    with serving(tmp_path, program=program) as running:
        pixels = noisy(1500, 2000)  # more than the kernel buffers
        job = running.end_of(running.post("/v1/jobs?damage=none", pixels).json())
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(running.host)
            client.sendall(f"GET /{job['links']['result']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            time.sleep(5)
            received = 0
            with suppress(ConnectionError):
                while piece := client.recv(1 << 20):
                    received += len(piece)
        assert received < len(pixels)
        whole = running.get(f"/{job['links']['result']}")  # a client that reads gets everything
        assert len(whole.content) == job["result"]["bytes"]


def test_a_head_that_stays_incomplete_ends_the_connection(tmp_path):
    program = IMPATIENT.replace(
        "tell =", "import clearair.apps.server.protocol as r; r.HEAD_SECONDS = 0.3; tell ="
    )
    with serving(tmp_path, program=program) as running:
        for start in (b"", b"POST /v1/restore HTTP/1.1\r\nHost: loc"):
            with socket.create_connection(running.host) as client:
                client.settimeout(20)
                client.sendall(start)
                assert client.recv(4096) == b""
        time.sleep(0.5)
        assert running.get("/healthz").status_code == 200  # the same connection is used again
        time.sleep(0.5)
        assert running.post("/v1/inspect", noisy()).status_code == 200


def test_a_client_that_asks_first_is_refused_before_it_sends(small):
    head = b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n"
    with socket.create_connection(small.host) as client:
        client.settimeout(20)
        client.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_full_disk_is_said_and_survived(tmp_path, picture):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))  # for the server, which inherits it
    try:
        with serving(tmp_path) as running:
            problem(running.post("/v1/restore", os.urandom(1 << 20)), 507, "no-space")
            growing = noisy(300, 400, "webp")
            problem(running.post("/v1/restore?format=tiff", growing), 507, "no-space")
            assert running.post("/v1/restore", picture).status_code == 200
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_sigterm_finishes_what_runs_and_refuses_the_rest(tmp_path, slow):
    with serving(tmp_path) as running:
        answers = {}

        def ask(name: str) -> None:
            answers[name] = running.client.post(running.address + "/v1/restore", data=slow, timeout=60)

        first = threading.Thread(target=ask, args=["first"])
        first.start()
        wait_until(lambda: running.metric("clearair_running") == 1)
        second = threading.Thread(target=ask, args=["second"])
        second.start()
        wait_until(lambda: running.metric("clearair_queue") == 1)
        running.process.send_signal(signal.SIGTERM)
        second.join()
        problem(answers["second"], 503, "not-ready")
        problem(running.get("/readyz"), 503, "not-ready")
        problem(running.post("/v1/restore", noisy()), 503, "not-ready")
        first.join()
        assert answers["first"].status_code == 200
        assert running.process.wait(30) == 0
        assert "Traceback" not in running.log.read_text()


def test_a_second_signal_ends_at_once(tmp_path, large):
    with serving(tmp_path) as running:
        running.post("/v1/jobs", large)
        wait_until(lambda: running.metric("clearair_running") == 1)
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        began = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) == 130
        assert time.monotonic() - began < 10
        assert "Traceback" not in running.log.read_text()


def test_what_takes_too_long_at_the_end_is_stopped(tmp_path, large):
    program = IMPATIENT.replace("Settings(port=0,", "Settings(port=0, shutdown_seconds=1,")
    with serving(tmp_path, program=program) as running:
        answers = []

        def ask() -> None:
            answers.append(running.client.post(running.address + "/v1/restore", data=large, timeout=60))

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: running.metric("clearair_running") == 1)
        running.process.send_signal(signal.SIGTERM)
        thread.join()
        problem(answers[0], 503, "not-ready")
        assert running.process.wait(30) == 0
        assert "Traceback" not in running.log.read_text()


def test_a_result_from_just_before_the_end_can_be_fetched(tmp_path):
    with serving(tmp_path) as running:
        job = running.end_of(running.post("/v1/jobs", noisy()).json())
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert running.get("/" + job["links"]["result"]).status_code == 200
        assert running.process.wait(30) == 0


def test_an_end_while_something_is_uploaded(tmp_path):
    with serving(tmp_path) as running, socket.create_connection(running.host) as client:
        client.settimeout(30)
        client.sendall(b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n\x89PNG")
        wait_until(lambda: running.metric("clearair_uploads") == 1)
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert client.recv(4096).startswith(b"HTTP/1.1 503")
        assert running.process.wait(30) == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in running.log.read_text()


def test_an_end_while_a_job_is_cancelled(tmp_path, slow):
    with serving(tmp_path) as running:
        job = running.post("/v1/jobs", slow).json()
        wait_until(lambda: running.metric("clearair_running") == 1)
        for pid in running.children():
            os.kill(pid, signal.SIGSTOP)  # so that the cancelled task does not end
        running.delete("/" + job["links"]["self"])
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(20)
        assert "Traceback" not in running.log.read_text()


def test_a_job_that_runs_at_the_end_can_still_be_fetched(tmp_path, slow):
    with serving(tmp_path) as running:
        job = running.post("/v1/jobs", slow).json()
        wait_until(lambda: running.metric("clearair_running") == 1)
        running.process.send_signal(signal.SIGTERM)
        job = running.end_of(job)
        assert job["status"] == "done"
        assert running.get("/" + job["links"]["result"]).status_code == 200
        assert running.process.wait(30) == 0


def test_nothing_is_left_after_a_crash(tmp_path, slow):
    spool = tmp_path / "spool"
    spool.mkdir()
    with serving(tmp_path, "--temp", str(spool)) as running:
        running.post("/v1/jobs", slow)
        wait_until(lambda: running.metric("clearair_running") == 1)
        workers = running.children()
        assert len(workers) == 3  # one restores, two read headers
        assert list(spool.iterdir()) == []  # no file has a name
        running.process.kill()
        running.process.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers))


def test_states_of_jobs_are_plain_json(small, picture):
    job = small.post("/v1/jobs", picture).json()
    assert json.loads(json.dumps(job)) == job
    assert small.end_of(job)["error"] is None
