"""Atomic writing: a reader sees the old file or the new one, never half of either.

The bytes go to a temporary file beside the target, which then takes its place (``os.replace``). On any failure,
Ctrl-C included, the temporary file goes and the old file stays.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from linvar.errors import InputTypeError, shown

#: Paths of what is open already, with the descriptors.
_STREAMS = {"/dev/stdout": 1, "/dev/fd/1": 1, "/dev/stderr": 2, "/dev/fd/2": 2, "/dev/null": -1}


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write text (as UTF-8) or bytes to ``path``, all or nothing.

    A symbolic link stays a link: the file it points to is replaced. An existing file keeps its permissions. The standard
    streams (``/dev/stdout``, ``/dev/stderr``) and ``/dev/null`` are written to; other devices, pipes and sockets are refused,
    as opening one may wait for ever.

    Args:
        path: the file to write; its directory must exist.
        content: text or bytes: all the file will hold.

    Raises:
        OSError: the file cannot be written; the message names the path, the reason and the cure.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", "kept")
    ...     (Path(folder) / "note.txt").read_text()
    'kept'
    >>> write_atomically("no/such/folder/picture.png", b"")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: cannot write 'no/such/folder/picture.png': there is no directory ...
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    check_writable(path)
    try:
        if (stream := _STREAMS.get(os.fspath(path))) is not None:
            _write_to(stream, data)
            return
        target = Path(os.path.realpath(path))
        _replace(target, data, target.stat().st_mode if target.exists() else None)
    except OSError as error:
        raise _clear(error, path, f"{error.strerror or error}: the file was left as it was") from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that clearly cannot be written, before any work is spent on what would go there.

    Raises:
        InputTypeError: it is no path.
        OSError: the path is a directory, a pipe, a socket or a device, its directory does not exist, or one of them may not be
            written.

    >>> check_writable(".")
    Traceback (most recent call last):
    IsADirectoryError: cannot write '.': it is a directory: give the path of a file
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError("path", path, "give the path of a file, a string or a pathlib.Path")
    name = os.fspath(path)
    if name in _STREAMS:
        return
    try:
        if "\0" in name:
            raise OSError("there is a null byte in its name: give the path of a file")
        target = Path(os.path.realpath(name))
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError("it is a directory: give the path of a file")
        if mode is not None and not stat.S_ISREG(mode):
            raise OSError("it is a pipe, a socket or a device: give the path of a file")
        if not target.parent.is_dir():
            raise FileNotFoundError(
                f"there is no directory {shown(str(target.parent))}: create it or give another path"
            )
        if mode is not None and not os.access(target, os.W_OK):
            raise PermissionError("the file may not be written: give another path or change its permissions")
        if not os.access(target.parent, os.W_OK):
            raise PermissionError(f"the directory {shown(str(target.parent))} may not be written: give another path")
    except UnicodeEncodeError as error:
        raise _clear(OSError(), name, "it has a character that no file name can have: give another path") from error
    except OSError as error:
        raise _clear(error, name, error.strerror or str(error)) from error


def _write_to(stream: int, data: bytes) -> None:
    """All bytes to a stream that is open, after what has been printed; -1 is nowhere."""
    for printed in (sys.stdout, sys.stderr):
        if printed is not None:
            printed.flush()
    while data and stream >= 0:
        data = data[os.write(stream, data) :]


def _replace(target: Path, data: bytes, mode: int | None) -> None:
    """Write beside the target, then put it in its place."""
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".linvar-", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    """The process's umask (it can only be read by setting it)."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _clear(error: OSError, path: str | os.PathLike[str], reason: str) -> OSError:
    """The same kind of error, with a message that names the path."""
    clear = type(error)(f"cannot write {shown(os.fspath(path))}: {reason}")
    clear.errno = error.errno
    return clear
