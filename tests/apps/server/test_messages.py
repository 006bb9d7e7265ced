"""Messages between the server and its workers."""

import os
import socket
import tempfile

import pytest

from clearair.apps.server.messages import LONGEST, BrokenMessageError, Channel, Lines, encode
from clearair.apps.server.problems import KINDS, ProblemError


def test_messages_come_out_of_pieces_of_any_size():
    data = encode({"a": 1}) + encode({"b": "two\nlines"})
    lines, found = Lines(), []
    for at in range(len(data)):
        lines.feed(data[at : at + 1])
        while (message := lines.take()) is not None:
            found.append(message)
    assert found == [{"a": 1}, {"b": "two\nlines"}]


@pytest.mark.parametrize("data", [b"no json\n", b"[1]\n", b"\xff\n", b"x" * (LONGEST + 1)])
def test_what_is_no_message_is_refused(data):
    with pytest.raises(BrokenMessageError):
        Lines().feed(data)


def test_files_travel_beside_their_message():
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as file:
        file.write(b"content")
        file.flush()
        socket.send_fds(ours, [encode({"task": 1})], [file.fileno()])
        ours.send(encode({"cancel": 1}))
        channel = Channel(theirs)
        message, files = channel.receive()
        assert message == {"task": 1}
        assert os.pread(files[0], 100, 0) == b"content"
        os.close(files[0])
        assert channel.pending() == {"cancel": 1}
        assert channel.pending() is None
        ours.close()
        with pytest.raises(EOFError):
            channel.receive()


def test_of_what_a_worker_refuses_only_kind_and_sentence_are_believed():
    problem = ProblemError.from_worker({"kind": "ImageError", "message": "x" * 10_000, "status": 200})
    assert (problem.status, len(problem.detail)) == (422, 500)
    assert ProblemError.from_worker({"kind": "SystemExit", "message": "secret"}).to_dict() == {
        "type": "urn:clearair:bug",
        "title": "Unexpected error",
        "status": 500,
        "detail": "Something unexpected went wrong; the server has noted it.",
        "schema_version": 1,
    }
    assert ProblemError.from_worker({"kind": "OSError", "errno": 28}).name == "no-space"
    assert ProblemError.from_worker({}).name == "bug"


def test_every_problem_has_a_status_and_a_sentence():
    for name, kind in KINDS.items():
        assert 400 <= kind.status < 600, name
        assert kind.detail.endswith((".", "...")), name
