"""The one reader of small text files: what is no small regular file of UTF-8 is refused by name, and never waited for."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest

from linvar.errors import InputError, InputTypeError, LinvarError
from linvar.text_files import FileError, MissingFileError, checked_path, read_text


class NoteError(InputError):
    """A subclass that a caller passes in."""


def test_text_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes("\ufeffé\r\nb".encode())
    assert read_text(path, "note", 100) == read_text(str(path), "note", 100) == "é\r\nb"
    assert read_text(path, "note", path.stat().st_size) == "é\r\nb"
    path.write_bytes(b"")
    assert read_text(path, "note", 0) == ""


@pytest.mark.parametrize("error", [FileError, NoteError])
def test_everything_else_is_refused_by_name(error: type[InputError], tmp_path: Path) -> None:
    long, latin, pipe, name = (tmp_path / part for part in ("long", "latin", "pipe", "socket"))
    long.write_bytes(b"12345678901")
    latin.write_bytes(b"caf\xe9")
    os.mkfifo(pipe)
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(tmp_path)  # a socket's path is short
    try:
        server.bind("socket")
    finally:
        os.chdir(here)
    for path, fault in (
        (long, "is longer than the 10 bytes such a file may have: give a smaller file"),
        (latin, "is not UTF-8 text (byte 3): save it as text in UTF-8"),
        (pipe, "is a pipe, a socket or a device, not a file: write its content to a file and give the path of that"),
        (Path("/dev/null"), "is a pipe, a socket or a device, not a file"),
        (Path("/dev/zero"), "is a pipe, a socket or a device, not a file"),
        (name, "cannot be read ("),
        (tmp_path, "is a directory: give the path of a file"),
        (tmp_path / "none", "does not exist: give the path of a file"),
        (long / "below", "cannot be read (Not a directory)"),
        ("x" * 5000, "cannot be read (File name too long)"),
        ("a\0b", "has a null byte in its name: give the path of a file"),
        ("a\ud800b", "has a character in its name that no file name can have"),
        ("", "does not exist"),
    ):
        with pytest.raises(error) as caught:
            read_text(path, "note", 10, error=error)
        message = str(caught.value)
        assert message.startswith("note '") and fault in message and len(message) < 300 and message.isprintable()
        assert isinstance(caught.value, OSError) == (error is FileError) and isinstance(caught.value, LinvarError)
    server.close()


def test_a_missing_file_is_caught_as_before(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_text(tmp_path / "none", "note", 10)
    assert isinstance(caught.value, MissingFileError) and isinstance(caught.value, ValueError)


def test_a_file_that_grows_is_not_read_beyond_the_limit() -> None:
    """What lies in /proc says it is of no size."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs /proc")
    assert os.stat("/proc/self/status").st_size == 0
    with pytest.raises(FileError, match="is longer than the 10 bytes"):
        read_text("/proc/self/status", "note", 10)


@pytest.mark.parametrize("path", [3, None, 1.5, ["a"]])
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(InputTypeError, match="note=.* is of type .*: give the path of a file"):
        read_text(path, "note", 10)  # type: ignore[arg-type]


def test_standard_input_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("é".encode())))
    assert read_text("-", "note", 10, stdin=True) == "é"
    with pytest.raises(FileNotFoundError, match="note '-' does not exist"):
        read_text("-", "note", 10)
    (tmp_path / "-").write_text("a file")
    assert read_text("-", "note", 10) == "a file"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"12345678901")))
    with pytest.raises(FileError, match="note standard input is longer than the 10 bytes"):
        read_text("-", "note", 10, stdin=True)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(FileError, match="note standard input is closed"):
        read_text("-", "note", 10, stdin=True)


def test_paths_are_strings() -> None:
    assert checked_path(b"a", "note") == checked_path(Path("a"), "note") == "a"  # type: ignore[arg-type]
