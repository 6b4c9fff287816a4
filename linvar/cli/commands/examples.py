"""``linvar demo`` and ``linvar example``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linvar.cli.arguments import Json, Runs, Seed, check_seed
from linvar.cli.terminal import print_json, print_lines, print_prose, print_section, print_text, report_object
from linvar.errors import InputError
from linvar.progress import waiting

if TYPE_CHECKING:
    from linvar.cli.demo import Section


def demo(
    directory: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Where the picture goes.")] = ".",
    seed: Seed = 0,
    as_json: Json = False,
    runs: Runs = None,
) -> None:
    """Derive and verify a two-layer network on Gaussian data and a linear network on real data; draw a picture."""
    from linvar.cli import demo as content

    check_seed(seed)
    if not os.path.isdir(directory):
        raise InputError("-o", directory, "create it or give another one", fault="is not a directory")
    from linvar.atomic import check_writable, write_atomically

    target = Path(directory) / content.PICTURE
    check_writable(target)
    remarks: list[str] = []

    def say(remark: str) -> None:
        remarks.append(remark)
        if not as_json:
            print_prose(f"\n{remark}")

    def show(section: Section) -> None:
        if not as_json:
            print_section(section)

    with waiting("deriving and simulating"):
        sections = content.run_demo(seed, show, say, runs)
        picture = content.draw([(one.title.partition(", ")[0], one.report) for one in sections], target.suffix)
    write_atomically(target, picture)
    if as_json:
        objects = [{"title": one.title, "remark": one.remark, **report_object(one.report)} for one in sections]
        print_json({"sections": objects, "remarks": remarks, "picture": str(target), "seed": seed})
    else:
        print_text(f"\nPicture: {target}")


def example(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of linvar example --list.")] = None,
    list_examples: Annotated[
        bool, typer.Option("--list", help="List the shipped problem files, a line each, and exit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a shipped problem file, to start from: linvar example two-layer > mine.json."""
    from linvar.cli.shipped import LINES, example_text, load_example

    if name is None:
        print_lines(LINES, as_json)
    elif list_examples:
        raise InputError("NAME", name, "leave one of the two out", fault="is given with --list")
    elif as_json:
        print_json(load_example(name).to_dict())
    else:
        print_text(example_text(name).rstrip("\n"))
