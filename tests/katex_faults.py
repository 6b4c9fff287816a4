"""What KaTeX says of LaTeX: with node and its package katex (NODE_PATH says where)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "katex" / "render.js"


def katex_faults(texts: list[str]) -> list[str]:
    """The messages of those that KaTeX refuses; without KaTeX the test is skipped, and says so."""
    node = shutil.which("node")
    known = [str(node), "-e", "require('katex')"]
    if not node or subprocess.run(known, cwd=SCRIPT.parent, capture_output=True).returncode:
        assert not os.environ.get("NODE_PATH"), "NODE_PATH is set, and node finds no katex there"
        pytest.skip("NOT RENDERED: needs node and its package katex (npm install katex; NODE_PATH=.../node_modules)")
    done = subprocess.run(
        [node, str(SCRIPT)], input=json.dumps(texts), capture_output=True, text=True, cwd=SCRIPT.parent
    )
    return list(json.loads(done.stdout))
