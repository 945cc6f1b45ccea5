import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mmf.errors import CallError
from mmf.features.registry import FeatureSet, UserFeatures, feature_set, known_features
from mmf.features.user_file import load_features

ROOT = Path(__file__).parents[2]
HEAD = "import polars as pl\nfrom mmf.features.user import feature\n\n"
ONE = HEAD + "@feature(lookback=1)\ndef one():\n    return pl.col('close').shift(1) + pl.col('close')\n"


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str = ONE) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return path

    return write


def test_features_come_in_the_order_of_the_file(written):
    text = ONE + (
        "@feature(windows=(5, 3), lookback=lambda window: window)\n"
        "def two(*, window):\n    return pl.col('close').shift(window)\n"
        "from mmf.features.record import Computation, Feature\n"
        "def pair(close):\n    return {'three': close, 'four': -close}\n"
        "PAIR = Computation.kernel(pair, 'close')\n"
        "FEATURES = tuple(Feature(n, 'user', '-', '', '', '', PAIR, lookback=0) for n in ('three', 'four'))\n"
    )
    assert [one.name for one in load_features(written(text))] == ["one", "two_5", "two_3", "three", "four"]


def test_a_file_is_run_once_until_it_changes(written):
    first = load_features(written())
    assert load_features(written()) is first
    assert load_features(written(ONE.replace("lookback=1", "lookback=2")))[0].lookback == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"mine.py, line 1: invalid syntax"),
        ("x = 1\n\ny = x / 0\n", r"mine.py, line 3: ZeroDivisionError: division by zero"),
        (
            "import nowhere_to_be_found\n",
            r"mine.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        ),
        ("x = 1\n", r"mine.py declares no feature. Put `@feature"),
        ("FEATURES = [1]\n", r"mine.py: FEATURES holds something else"),
        (ONE.replace("'close'", "'clsoe'"), r"mine.py: feature one reads 'clsoe'; bars have open high low close"),
        (ONE.replace("lookback=1", "memory=6000"), r"mine.py, line 4: feature one needs 6000 earlier bars"),
        (ONE.replace("def one", "def volume"), r"mine.py, line 4: feature name 'volume' is a column that every table"),
        (ONE.replace("def one", "def one_lag_3"), r"mine.py, line 4: feature name 'one_lag_3' is not usable"),
        (ONE + ONE.replace("def one", "def one_5") + "two = one_5\n", None),
        (
            ONE + "@feature(windows=(5, 5), lookback=5)\ndef two(*, window):\n    return pl.col('close')\n",
            r"mine.py declares two features named 'two_5'",
        ),
        ("\x00", "mine.py"),
    ],
)
def test_a_faulty_file_is_explained_with_its_line(written, text: str, message: str | None):
    if message is None:  # a second name of a function is no second feature
        assert len(load_features(written(text))) == 2
        return
    with pytest.raises(CallError, match=message):
        load_features(written(text))


def test_an_absent_file_is_named(tmp_path: Path):
    with pytest.raises(CallError, match=r"there is no feature file .*mine.py. Mend `file` under \[features\]"):
        load_features(tmp_path / "mine.py")


def test_a_name_of_mmf_is_taken(written):
    user = UserFeatures(written(ONE.replace("def one", "def rsi_14")))
    with pytest.raises(CallError, match=r"mine\.py: MMF has a feature 'rsi_14' already"):
        known_features(user)


def test_sets_select_from_mmf_and_the_file(written):
    sets = (("mine", ("chaos", "!*_100", "user")), ("both", ("mine", "rsi_1?")))
    user = UserFeatures(written(), sets)

    assert feature_set("user", user).columns == ("one",)
    assert feature_set("mine", user).columns == ("hurst_200", "entropy_200", "fdi_200", "one")
    assert feature_set("both", user).columns == ("rsi_13", "rsi_14", "hurst_200", "entropy_200", "fdi_200", "one")
    assert feature_set("core", user).definition_hash == feature_set("core").definition_hash


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (
            (("mine", ("rsi_15",)),),
            r"feature set 'mine': 'rsi_15' is no column, glob, family or set. Did you mean rsi_",
        ),
        ((("core", ("user",)),), "feature set 'core': choose a name"),
        ((("user", ("one",)),), "feature set 'user': choose a name"),
        ((("Mine", ("one",)),), "feature set 'Mine': choose a name"),
        ((("mine_lagged", ("one",)),), "feature set 'mine_lagged': choose a name"),
        ((("mine", ("one", "!one")),), "feature set 'mine' is empty"),
    ],
)
def test_a_set_that_cannot_be_is_refused(written, sets, message: str):
    with pytest.raises(CallError, match=message):
        feature_set("mine", UserFeatures(written(), sets))


def test_a_set_is_found_again_in_another_process(written, tmp_path: Path):
    features = feature_set("mine", UserFeatures(written(), (("mine", ("user", "hurst_200")),)))
    part = FeatureSet("part", features.features[1:], features.user)
    (tmp_path / "sets").write_bytes(pickle.dumps((features, part)))
    code = (
        "import pickle, sys; from pathlib import Path\n"
        f"for one in pickle.loads(Path({str(tmp_path / 'sets')!r}).read_bytes()):\n"
        "    print(one.name, *one.columns, one.definition_hash)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert run.stdout.splitlines() == [
        f"mine hurst_200 one {features.definition_hash}",
        f"part one {part.definition_hash}",
    ]


def test_a_file_that_has_changed_meanwhile_is_noticed(written):
    sent = pickle.dumps(feature_set("user", UserFeatures(written())))
    written(ONE.replace("shift(1)", "shift(1) * 2"))
    with pytest.raises(CallError, match="the features of set 'user' have changed since the work began"):
        pickle.loads(sent)


def test_core_pickles_as_a_name():
    core = feature_set("core")
    assert pickle.loads(pickle.dumps(core)) is core
