"""Values that a function carries and that its source does not show are part of a definition."""

from pathlib import Path

import pytest

from mmf.features.hashing import feature_hash
from mmf.features.user_file import load_features

HEAD = "import numpy as np\nfrom mmf.features.user import feature\n"
SUBJECT = "@feature(lookback=0)\ndef subject(close):\n    return helper(close)\n"


@pytest.mark.parametrize(
    "body",
    [
        "K = {}\ndef helper(x, k=K):\n    return x * k\nK = 0\n",
        "def make(k):\n    def inner(x, *, k=k):\n        return x * k\n    return inner\nhelper = make({})\n",
        "helper = [lambda x, k=k: x * k for k in ({}, 9)][0]\n",
        "def helper(x):\n    return x * helper.k\nhelper.k = {}\n",
        "class P:\n    k = 1\nP.k = {}\ndef helper(x):\n    return x * P.k\n",
        "helper = np.vectorize(lambda x: x * {})\n",
        "@np.vectorize\ndef helper(x):\n    return x * {}\n",
    ],
    ids=["default", "keyword default", "lambda", "function attribute", "class attribute", "vectorize", "decorated"],
)
def test_another_value_is_another_definition(tmp_path: Path, body: str) -> None:
    hashes = []
    for value in (2, 3, 2):
        file = tmp_path / f"mine_{len(hashes)}.py"
        file.write_text(HEAD + body.format(value) + SUBJECT)
        hashes.append(feature_hash(load_features(file)[0]))
    assert hashes[0] != hashes[1]
    assert hashes[0] == hashes[2]
