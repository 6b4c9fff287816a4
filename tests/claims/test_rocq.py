"""Machine-checked proofs: coqc accepts proofs/rocq, and no theorem there rests on more than is said here.

What coqc does is slow. It needs Coq (8.16 was tried) and, but for the files on the standard library's real numbers, MathComp 1
with its ring and field tactics; where they are not there the tests are skipped and say "not machine-checked".
"""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from ledger import NOT_CHECKED, PROOFS, claims

import linvar as lv

ROCQ = PROOFS / "rocq"
NOTHING: frozenset[str] = frozenset()
#: what the real numbers of the standard library are made of, and what its mean value theorem adds
REALS = frozenset({"ClassicalDedekindReals.sig_forall_dec", "FunctionalExtensionality.functional_extensionality_dep"})
ANALYSIS = REALS | {"ClassicalDedekindReals.sig_not_dec", "Classical_Prop.classic"}
#: in the order of compilation: file -> theorem -> what it assumes
STANDARD_LIBRARY = {
    "moments": {},
    "two_layers_slope": {
        "dV0_is_the_derivative": REALS,
        "dV1_is_the_derivative": REALS,
        "dV0_positive": REALS,
        "dV1_positive": REALS,
        "increases": ANALYSIS,
    },
    "two_layers": {"reduction": REALS, "two_layers_one_step": ANALYSIS},
    "draws": {"moments_of_the_mean_of_squares": REALS, "variance_of_a_product": REALS},
    "two_layers_run": {
        "gradient_is_the_derivative": REALS,
        "variance_of_runE": REALS,
        "two_layers_one_step_of_a_run": ANALYSIS,
    },
    "one_input": {"variance_of_degree_seven": ANALYSIS},
    "layers_run": {"gradient_is_the_derivative": REALS, "up_to_four_layers": ANALYSIS},
}
MATHCOMP = {
    "sampling": {
        "mean_of_batch_mean": NOTHING,
        "sampling_factor": NOTHING,
        "variance_of_independent_draws": NOTHING,
        "variance_of_subsets": NOTHING,
    },
    "psd": {},
    "regression": {
        "variance_of_state": NOTHING,
        "variance_of_gradient": NOTHING,
        "second_moment_of_gradient": NOTHING,
    },
    "falls": {
        "state_falls": NOTHING,
        "gradient_falls": NOTHING,
        "second_moment_falls": NOTHING,
        "falls_with_independent_draws": NOTHING,
        "falls_without_replacement": NOTHING,
        "sgd_is_a_step": NOTHING,
        "momentum_is_a_step": NOTHING,
        "nesterov_is_a_step": NOTHING,
        "gradient_of_the_weights": NOTHING,
    },
    "polynomial": {"moment_of_batch_means": NOTHING},
    "subsets": {"moment_of_subset_means": NOTHING},
    "eventually": {"eventually_decreasing": NOTHING},
}
PARTS: dict[str, dict[str, dict[str, frozenset[str]]]] = {"standard library": STANDARD_LIBRARY, "MathComp": MATHCOMP}
#: compiled where MathComp is there, in version 1, with its tactics; the line that is refused says what is missing
NEEDED = {
    "From mathcomp Require Import all_ssreflect all_algebra fingroup perm.": "MathComp's algebra is not there",
    "Check GRing.Ring.class_of.": "MathComp 2 is there, the files are written for MathComp 1",
    "From mathcomp Require Import ring.": "MathComp's algebra-tactics are not there",
}


def coqc(folder: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Compile a file of a folder, as a module of linvar."""
    command = ["coqc", "-Q", ".", "linvar", "-w", "-all", *options, f"{name}.v"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


@cache
def missing(part: str, folder: Path) -> str:
    """What a part would need and is not there, or nothing."""
    if shutil.which("coqc") is None:
        return "there is no coqc"
    lines = list(NEEDED) if part == "MathComp" else []
    (folder / "needed.v").write_text("\n".join(lines))
    for line in re.findall(r"line (\d+)", coqc(folder, "needed").stderr)[-1:]:
        return NEEDED[lines[int(line) - 1]]
    return ""


@pytest.fixture(params=PARTS)
def part(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A part that can be checked here."""
    lacking = missing(request.param, tmp_path_factory.getbasetemp())
    if lacking:
        pytest.skip(f"{NOT_CHECKED}: {lacking} ({', '.join(f'{name}.v' for name in PARTS[request.param])})")
    return str(request.param)


def sentences(text: str) -> str:
    """A file without its comments, which are not nested."""
    return re.sub(r"\(\*.*?\*\)", "", text, flags=re.S)


def unproved(text: str) -> list[str]:
    """Words by which a file would take something for true, or make Coq lenient."""
    words = r"Admitted|admit|give_up|Axioms?|Parameters?|Conjecture|Declare|bypass_check|Unset \w+ Checking"
    return re.findall(rf"\b(?:{words})\b", sentences(text))


def theorems(text: str) -> list[str]:
    """The theorems of a file, in their order."""
    return re.findall(r"^(?:Theorem|Corollary|Proposition) (\w+)", sentences(text), re.M)


def assumptions(output: str) -> list[frozenset[str]]:
    """What Print Assumptions said, one answer after the other."""
    answers = re.split(r"^(?=Closed under the global context|Axioms:)", output, flags=re.M)
    return [frozenset(re.findall(r"^(\S+)(?=$| :)", one.partition("Axioms:")[2], re.M)) for one in answers[1:]]


def test_every_theorem_is_listed_and_nothing_is_left_unproved() -> None:
    listed = {name: list(found) for files in PARTS.values() for name, found in files.items()}
    texts = {path.stem: path.read_text(encoding="utf-8") for path in ROCQ.glob("*.v")}
    assert {name: theorems(text) for name, text in texts.items()} == listed
    assert {name: unproved(text) for name, text in texts.items()} == dict.fromkeys(listed, [])
    readme = (ROCQ / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.v`" in readme and all(f"`{one}`" in readme for one in found) for name, found in listed.items())


def test_the_ledger_names_theorems() -> None:
    listed = {(f"{name}.v", theorem) for files in PARTS.values() for name, found in files.items() for theorem in found}
    checked = [claim for claim in claims() if "machine-checked" in claim.status]
    assert checked and all(claim.theorems and set(claim.theorems) <= listed for claim in checked)
    run = ("test_rocq.py", "test_coqc_accepts_every_file_and_no_theorem_assumes_more")
    assert [claim.name for claim in checked] == [claim.name for claim in claims() if run in claim.coqc]


def test_what_is_read_of_a_file_and_of_an_answer() -> None:
    text = "(* Axiom of choice: Admitted *) Theorem a : b.\nAdmitted.\nParameter c : R.\nLemma d : e. admit. Qed."
    assert unproved(text) == ["Admitted", "Parameter", "admit"] and theorems(text) == []
    assert theorems("Theorem a : b.\n(* Theorem c : d *)\nCorollary e x :\n") == ["a", "e"]
    said = "Axioms:\nA.b\n  : forall P : nat,\n    P = 1\nc : d\nClosed under the global context\nAxioms:\ne.f : g\n"
    assert assumptions(said) == [{"A.b", "c"}, set(), {"e.f"}]


@pytest.mark.parametrize("refused", range(4))
def test_what_is_not_there_is_said(refused: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coqc that refuses a line of what is needed, or none; and no coqc."""
    (tmp_path / "coqc").write_text(
        f"#!/bin/sh\n[ {refused} = 0 ] || echo 'File \"needed.v\", line {refused}, Error:' >&2\n"
    )
    (tmp_path / "coqc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing("MathComp", tmp_path) == ["", *NEEDED.values()][refused]
    (tmp_path / "coqc").unlink()
    assert missing("standard library", tmp_path) == "there is no coqc"


@pytest.mark.slow
def test_coqc_accepts_every_file_and_no_theorem_assumes_more(part: str, tmp_path: Path) -> None:
    """Every file compiles from nothing, and Print Assumptions of every theorem, printed here, is what is listed above."""
    for name in PARTS[part]:
        shutil.copy(ROCQ / f"{name}.v", tmp_path)
        done = coqc(tmp_path, name)
        assert done.returncode == 0, done.stderr
    listed = {f"linvar.{name}.{one}": what for name, found in PARTS[part].items() for one, what in found.items()}
    listed["planted"] = frozenset({"planted"})
    lines = [f"Require linvar.{name}." for name in PARTS[part]] + ["Axiom planted : 1 = 2."]
    lines += [f"Print Assumptions {name}." for name in listed]
    (tmp_path / "assumptions.v").write_text("\n".join(lines))
    done = coqc(tmp_path, "assumptions")
    found = assumptions(done.stdout)
    for name, what in zip(listed, found):
        print(f"{name}: {', '.join(sorted(what)) or 'nothing'}")
    assert done.returncode == 0 and len(found) == len(listed), done.stdout + done.stderr
    assert dict(zip(listed, found)) == listed


#: part -> files, what stands there and what is written in its place; those on real numbers need moments.v
CHANGES = {
    "standard library": [
        ("two_layers_slope", "1447/720", "1448/720"),
        ("one_input", "Definition largest := 8%nat.", "Definition largest := 9%nat."),
    ],
    "MathComp": [("sampling", "(n%:R - b%:R) / (b%:R * (n%:R - 1)).", "(n%:R - b%:R) / (b%:R * n%:R).")],
}


@pytest.mark.slow
def test_a_changed_constant_is_refused(part: str, tmp_path: Path) -> None:
    """A coefficient of a sum of squares; a polynomial of degree 8; the factor of subsets."""
    if part == "standard library":
        shutil.copy(ROCQ / "moments.v", tmp_path)
        assert coqc(tmp_path, "moments").returncode == 0
    for name, right, wrong in CHANGES[part]:
        text = (ROCQ / f"{name}.v").read_text(encoding="utf-8")
        assert text.count(right) == 1
        (tmp_path / f"{name}.v").write_text(text.replace(right, wrong))
        done = coqc(tmp_path, name)
        assert done.returncode == 1 and "Error" in done.stderr, done.stderr


INSTANCE = """
From Coq Require Import Reals List Field.
From linvar Require Import moments two_layers.
Import ListNotations. Open Scope R_scope.
Goal forall u, variance (2/3) (3/4) (1/5) [(1/2, 2); (- (1/3), 1)] u = {right}.
Proof. intros u. cbv [variance variance_of_entry total fold_right error_after stepped kappa error end_to_end var E shifted moment
  product plus times map fst snd INR]. field. Qed.
"""


@pytest.mark.slow
def test_the_variance_that_coq_defines_is_the_one_of_linvar(tmp_path: Path) -> None:
    """Two hidden units, in fractions: equal to the polynomial derived here, and not to it plus u."""
    if shutil.which("coqc") is None:
        pytest.skip(f"{NOT_CHECKED}: there is no coqc")
    weights = [[["1/2"], ["-1/3"]], [[2, 1]]]
    problem = lv.Problem(weights, lv.Gaussian([["3/4"]], [["2/3"]]), learning_rate="1/5", step=1)
    terms = [f"({c}) * u ^ {k}" for k, c in enumerate(lv.gradient_variance(problem).coefficients)]
    for name in ("moments", "two_layers_slope", "two_layers"):
        shutil.copy(ROCQ / f"{name}.v", tmp_path)
        assert coqc(tmp_path, name, "-vos").returncode == 0  # definitions and statements alone
    for change in (0, 1):
        (tmp_path / "instance.v").write_text(INSTANCE.format(right=" + ".join([*terms, f"{change} * u"])))
        assert coqc(tmp_path, "instance", "-vok").returncode == change
