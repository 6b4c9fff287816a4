"""``linvar compare``: the lowest expected loss, on the command line."""

from __future__ import annotations

import json

from command_line import bad, good, no_lines_of_progress  # noqa: F401

import linvar as lv
from linvar.cli.shipped import load_example


def test_compare_json_has_the_exact_losses(capsys):
    rate = ["--learning-rate", "1/10"]
    data = json.loads(good(capsys, "compare", "noisy-regression", "--examples", "8", "--step", "2", *rate, "--json"))
    problem = load_example("noisy-regression").replace(step=2, learning_rate="1/10")
    found = lv.compare_batch_sizes(problem, examples=8)
    assert data["equal_examples"]["losses"] == [str(loss) for loss in found.equal_examples.losses]
    assert data["equal_steps"]["losses"] == [str(found.loss(b)) for b in (1, 2, 4, 8)]
    assert data["equal_examples"]["steps"] == [8, 4, 2, 1] and data["examples"] == 8
    assert data["best_batch_size"] is None and data["equal_steps"]["smaller_batches_help"] is False


def test_compare_prints_the_table(capsys):
    found = lv.compare_batch_sizes(load_example("two-layer"), [1, 8])
    assert good(capsys, "compare", "two-layer", "--batch-sizes", "1,8") == f"{found.to_table()}\n"


def test_compare_refuses_in_one_line(capsys):
    assert "--examples 0: give the number of examples" in bad(capsys, "compare", "two-layer", "--examples", "0")
    message = bad(capsys, "compare", "two-layer", "--examples", "8", "--batch-sizes", "1,3")
    assert "--batch-sizes 3 makes no whole number of steps of --examples 8: give divisors of it" in message
    assert "larger --batch-sizes, or one --learning-rate" in bad(
        capsys, "compare", "noisy-regression", "--examples", "8"
    )
    assert "has the symbols" in bad(capsys, "compare", "symbols")
    assert "fewer examples" in bad(capsys, "compare", "two-layer", "--examples", "64")
    cure = "use batch sizes from 2 on (--batch-sizes 2,4) or fewer examples"  # as the option takes them
    assert cure in bad(capsys, "compare", "two-layer", "--examples", "4")
