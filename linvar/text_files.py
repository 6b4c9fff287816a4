"""Reading small text files from strangers: regular files only, of bounded size, in UTF-8; what is wrong is said by name."""

from __future__ import annotations

import os
import stat
import sys

from linvar.errors import InputError, InputTypeError, Words, shown


class FileError(InputError, OSError):
    """A file that cannot be read, or is not what it should be; also an ``OSError``, as what ``open`` raises is."""


class MissingFileError(FileError, FileNotFoundError):
    """There is no such file."""


def read_text(
    path: str | os.PathLike[str],
    what: str,
    largest: int,
    *,
    error: type[InputError] = FileError,
    stdin: bool = False,
) -> str:
    """The text of a regular file, or of standard input.

    A pipe, a socket or a device is refused without being waited for, a file that is too long without being read; a byte
    order mark is left out. Line ends stay as they are.

    Args:
        path: the file; ``-`` is standard input where ``stdin`` allows it, and a file of that name otherwise.
        what: what the file is, in words for the message: "problem file".
        largest: the most bytes it may have.
        error: the class of what is raised; the messages are the same.
        stdin: whether ``-`` means standard input.

    Raises:
        FileError: (or ``error``) it cannot be read, is no regular file, too long, or not UTF-8. By default a
            ``MissingFileError`` where there is no such file.
        InputTypeError: ``path`` is no path.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = open(f"{folder}/note.txt", "w").write("kept")
    ...     read_text(f"{folder}/note.txt", "note", largest=100)
    'kept'
    >>> read_text(".", "note", largest=100)
    Traceback (most recent call last):
    linvar.text_files.FileError: note '.' is a directory: give the path of a file
    """
    name = checked_path(path, what, error)
    if stdin and name == "-":
        name, data = "standard input", _standard_input(what, largest, error)
    else:
        name, data = shown(name), read_regular_file(name, what, largest, error)
    if len(data) > largest:
        raise _too_long(f"{what} {name}", largest, error)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        fault = Words(f"is not UTF-8 text (byte {cause.start})")
        raise error(f"{what} {name}", fault, "save it as text in UTF-8") from None


def checked_path(path: str | os.PathLike[str], what: str, error: type[InputError] = FileError) -> str:
    """A path as a string; a null byte, which no file system takes, and half a character are refused by name.

    >>> checked_path("a" + chr(0) + "b", "note")
    Traceback (most recent call last):
    linvar.text_files.FileError: note 'a\\x00b' has a null byte in its name: give the path of a file
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise InputTypeError(what, path, "give the path of a file, a string or a pathlib.Path") from None
    if "\0" in name:
        raise error(f"{what} {shown(name)}", Words("has a null byte in its name"), "give the path of a file")
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        fault = Words("has a character in its name that no file name can have")
        raise error(f"{what} {shown(name)}", fault, "give the path of a file") from None
    return name


def read_regular_file(name: str, what: str, largest: int, error: type[InputError]) -> bytes:
    """The bytes of a file, one more than ``largest`` at most."""
    subject = f"{what} {shown(name)}"

    def without_waiting(path: str, flags: int) -> int:
        # a pipe without a writer would wait for one
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))

    try:
        with open(name, "rb", opener=without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                fault = Words("is a pipe, a socket or a device, not a file")
                raise error(subject, fault, "write its content to a file and give the path of that")
            if status.st_size > largest:
                raise _too_long(subject, largest, error)
            return file.read(largest + 1)
    except InputError:
        raise
    except FileNotFoundError:
        fault = Words("does not exist")
        raise (MissingFileError if error is FileError else error)(subject, fault, "give the path of a file") from None
    except IsADirectoryError:
        raise error(subject, Words("is a directory"), "give the path of a file") from None
    except OSError as cause:
        fault = Words(f"cannot be read ({cause.strerror or type(cause).__name__})")
        raise error(subject, fault, "give the path of a file that can") from None


def _standard_input(what: str, largest: int, error: type[InputError]) -> bytes:
    """The bytes of standard input, one more than ``largest`` at most."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise error(f"{what} standard input", Words("is closed"), "give the path of a file")
    data: bytes = stream.read(largest + 1)
    return data


def _too_long(subject: str, largest: int, error: type[InputError]) -> InputError:
    """The refusal of a long file."""
    size = f"{largest / 2**20:.4g} MiB" if largest >= 2**20 else f"{largest:,} bytes"
    return error(subject, Words(f"is longer than the {size} such a file may have"), "give a smaller file")
