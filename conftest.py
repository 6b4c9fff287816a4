"""Shared by all tests: checked annotations, Hypothesis' profiles, one key a test; claims whose tests did not run;
how many random problems each road was taken on."""

from __future__ import annotations

import os
import zlib
from collections import Counter

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# must come before the first import of linvar.numeric; tests/numeric/test_numeric_shapes.py is its canary
install_import_hook("linvar.numeric", "beartype.beartype")

# the same examples on every machine; derivations and compilations take as long as they take
settings.register_profile("linvar", deadline=None, derandomize=True, print_blob=True)
# others every night, and ten times as many: HYPOTHESIS_PROFILE=nightly, or --hypothesis-profile nightly
settings.register_profile("nightly", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "linvar"))


#: Files and tests of the quick tier, ``-m quick``: what depends on the versions of Python, JAX and the other libraries.
QUICK = {
    "test_errors", "test_exact", "test_expressions", "test_arrays", "test_text_files", "test_problem",
    "test_problem_file", "test_tables", "test_import", "test_names", "test_polynomial", "test_jax_function",
    "test_batch_size", "test_two_steps_equal_the_expansion", "test_numeric_jaxprs", "test_numeric_errors",
    "test_numeric_progress", "test_numeric_moments", "test_recurrent_network", "test_scan_over_stacked_layers",
    "test_flax_nnx", "test_losses_that_couple_examples_are_refused_with_the_operation",
    "test_losses_that_are_sums_over_examples", "test_derive_json_is_one_object_with_the_exact_polynomial",
    "test_verify_a_small_problem", "test_a_mistake_is_one_line",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    """Mark the quick tier, from which slow cases stay out."""
    for item in items:
        names = {item.path.stem, item.name.partition("[")[0]}
        if names & QUICK and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.quick)


@pytest.fixture
def key(request):
    """A typed key of this test's own, the same on every machine; printed when the test fails."""
    import jax

    seed = zlib.crc32(request.node.nodeid.encode()) % 2**31
    print(f"key = jax.random.key({seed})")
    return jax.random.key(seed)


_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report):
    """Remember what became of each test (under xdist: in the main process, which hears of every test)."""
    from ledger import record

    if report.when == "call" or not report.passed:
        record(_outcomes, report.nodeid, report.outcome)


def pytest_deselected(items):
    """Remember what was left out of this run."""
    _outcomes.update({item.nodeid: "left out" for item in items})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Under xdist the workers know what was left out."""
    _outcomes.update(getattr(node, "workeroutput", {}).get("left out", {}))


def pytest_sessionfinish(session, exitstatus):
    """A run of the whole suite fails if a test of a claim in proofs/README.md did not run, or one of its instances."""
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["left out"] = {n: o for n, o in _outcomes.items() if o == "left out"}
        return
    options = session.config.option
    selections = ("keyword", "collectonly", "deselect", "ignore", "ignore_glob", "lf", "stepwise")
    selected = options.markexpr not in ("", "not slow") or any(getattr(options, name, None) for name in selections)
    if session.config.args_source.name in ("TESTPATHS", "INVOCATION_DIR") and not selected and exitstatus == 0:
        from ledger import claims, not_run

        silent = not_run(claims(), _outcomes, slow=not options.markexpr)
        if silent:
            print(f"\nproofs/README.md: tests of these claims did not run: {'; '.join(silent)}")
            session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    """Add up what tests recorded as ``record_property("roads", counts)``, under xdist too."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    counts: Counter[str] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name == "roads":
                counts.update(value)
    if counts:
        problems = counts.pop("problems")
        roads = ", ".join(f"{road} {count}" for road, count in counts.most_common())
        terminalreporter.write_line(f"Roads that gave identical fractions on {problems} random problems: {roads}")
