"""The file of coefficients: read once, refused by name, and what is predicted follows it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from importlib import resources
from pathlib import Path

import pytest

import linvar as lv
from linvar.errors import InputError
from linvar.symbolic import cost
from linvar.symbolic.cost import VARIABLE, costs, parse, total

TEXT = resources.files("linvar.symbolic").joinpath("cost.toml").read_text("utf-8")
DEEP = lv.Problem([[[1, 2], [0, 1]], [[1, -1]]], lv.Gaussian([[1, 0]]), "1/10", 1)
PROBLEMS = {
    "expansion": (DEEP, None),
    "regression": (lv.Problem([[[1, 2]]], lv.Gaussian([[1, 0]]), "1/10", 3), None),
    "lattice": (DEEP, None),
    "large_batch": (DEEP, lv.LargeBatch(1)),
}


def scaled(section: str, kind: str, factor: float) -> str:
    """The file with the coefficients of a section times a factor: those of seconds, or of bytes."""
    lines, inside = [], ""
    for line in TEXT.splitlines():
        inside = line.strip("[]") if line.startswith("[") else inside
        if inside == section and line.startswith(kind):
            name, value = line.split(" = ")
            line = f"{name} = {float(value) * factor!r}"
        lines.append(line)
    return "\n".join(lines)


@pytest.mark.parametrize("road", PROBLEMS)
def test_every_prediction_is_by_the_file(road: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All seconds, and all bytes, of a road are coefficients of its section; the other roads do not change."""
    problem, how = PROBLEMS[road]
    before = {other: lv.plan(p, h)[other] for other, (p, h) in PROBLEMS.items()}
    for kind in ("seconds", "bytes"):
        file = tmp_path / f"{kind}.toml"
        file.write_text(scaled(road, kind, 2.0))
        monkeypatch.setenv(VARIABLE, str(file))
        after = lv.plan(problem, how)[road]
        doubled = (after.seconds, after.bytes) if kind == "seconds" else (after.bytes, after.seconds)
        known = (
            (before[road].seconds, before[road].bytes)
            if kind == "seconds"
            else (before[road].bytes, before[road].seconds)
        )
        near = {"rel": 1e-5, "abs": 2 if kind == "bytes" else 0}  # bytes are whole ones
        assert doubled[0] == pytest.approx(2 * known[0], **near) and doubled[1] == pytest.approx(known[1], rel=1e-5)
        for other, (p, h) in PROBLEMS.items():
            assert other == road or lv.plan(p, h)[other] == before[other]


def test_the_file_has_every_coefficient_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    found = parse(TEXT, "cost.toml")
    assert found == costs() and costs() is costs()
    for section in (found.expansion, found.regression, found.lattice, found.large_batch):
        names = [field.name for field in fields(section)]
        assert len(names) > 8 and {name.partition("_")[0] for name in names} == {"bytes", "seconds"}
        assert total(section, dict.fromkeys(names, 2)) == pytest.approx(2 * sum(getattr(section, n) for n in names))
    assert 0 < found.symbols.wide_fraction <= 1 and found.machine.date.year >= 2026
    monkeypatch.setenv(VARIABLE, "")
    assert costs() is costs() and costs() == found, "an empty variable is none"


def test_numbers_beyond_all_use_cost_no_more_than_infinity() -> None:
    assert total(costs().expansion, {"bytes_monomial": 10**5000}) > 1e290


def test_importing_linvar_and_planning_nothing_reads_no_file() -> None:
    code = (
        "import linvar, linvar.symbolic.plan, linvar.symbolic.cost as c\n"
        "assert c._read.cache_info().misses == 0\n"
        "linvar.plan(linvar.Problem([[[1]]], linvar.Gaussian([[2]]), '1/3', 1))\n"
        "linvar.plan(linvar.Problem([[[1]]], linvar.Gaussian([[2]]), '1/3', 2))\n"
        "assert c._read.cache_info().misses == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has no expansion"),
        ("a = [", r"is no TOML \("),
        ("expansion = 3", "has no large_batch"),
        (TEXT + "\n[speed]\n", "has speed, which is unknown"),
        ("lattice = 7\n" + TEXT.replace("[lattice]", "[speed]"), "has speed, which is unknown"),
        (TEXT.replace("seconds_call = ", "seconds_cal = "), "has no expansion.seconds_call"),
        (TEXT + "\nnarrow = 1\n", "has symbols.narrow, which is unknown"),
        (TEXT.replace("wide_fraction = ", "wide_fraction = -"), "has symbols.wide_fraction = -.* no positive number"),
        (
            TEXT.replace("wide_fraction = ", "wide_fraction = 'x' #"),
            "has symbols.wide_fraction = 'x', which is no positive",
        ),
        (
            TEXT.replace("wide_fraction = ", "wide_fraction = true #"),
            "has symbols.wide_fraction = True, which is no positive",
        ),
        (
            TEXT.replace("wide_fraction = ", "wide_fraction = nan #"),
            "has symbols.wide_fraction = nan, which is no positive",
        ),
        (
            TEXT.replace("wide_fraction = ", "wide_fraction = inf #"),
            "has symbols.wide_fraction = inf, which is no positive",
        ),
        (TEXT.replace("date = ", "date = 3 #"), "has machine.date = 3, which is no date"),
        (TEXT.replace('name = "', 'nam = "'), "has no machine.name"),
    ],
)
def test_a_damaged_file_is_refused_by_what_is_wrong(
    text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    monkeypatch.setenv(VARIABLE, str(file))
    with pytest.raises(
        InputError, match=rf"LINVAR_COST: cost file '.*mine.toml' {fault}.*: write it anew by"
    ) as caught:
        lv.plan(DEEP)
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match=r"LINVAR_COST: cost file '.*none.toml' does not exist"):
        lv.gradient_variance(DEEP)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match="is a directory"):
        lv.plan(DEEP)
    assert 10 * len(TEXT) < cost._LARGEST
    long = tmp_path / "long.toml"
    long.write_text("#" * (cost._LARGEST + 1))
    monkeypatch.setenv(VARIABLE, str(long))
    with pytest.raises(InputError, match="is longer than the"):
        lv.plan(DEEP)
