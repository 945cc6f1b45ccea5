import io
import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import safetensors.numpy
from polars.testing import assert_frame_equal
from sklearn.exceptions import NotFittedError

from mmf.errors import DataError
from mmf.model_files import read_files, write_files
from mmf.tensor_flex import ArtifactIdentity, TensorFlex, load, save
from mmf.tensor_flex.tables import TABLES
from tests.tensor_flex.planted import market

ORIGIN = {"series": "bybit:linear:BTCUSDT:60", "table_state": "core@v1@S2", "definition_hash": "ab" * 32}


@pytest.fixture(scope="module")
def rows():
    rows = market(800)
    rows.x[::9, 4] = np.nan
    rows.x[:, 6] = np.nan  # a column without any number
    return rows


@pytest.fixture(scope="module")
def flex(rows):
    return TensorFlex(max_clusters=5, n_shifts=4).fit_rows(rows)


@pytest.fixture(scope="module")
def identity(flex, rows):
    return ArtifactIdentity.of(flex, rows, **ORIGIN)


@pytest.fixture
def folder(flex, identity, tmp_path):
    save(flex, tmp_path / "flex", identity=identity)
    return tmp_path / "flex"


def altered(folder, name, content):
    """The refinery with one file exchanged, and checksums that fit."""
    write_files(folder, read_files(folder) | {name: content})
    return folder


def arrays(folder):
    return safetensors.numpy.load(read_files(folder)["tensor_flex.safetensors"])


def test_round_trip_refines_to_the_same_bits(flex, identity, folder, rows):
    stored = load(folder)

    assert stored.identity == identity
    assert stored.flex.get_params() == flex.get_params()
    for mode in ("selected", "full_latents"):
        one, other = (f.transform_rows(rows, mode=mode) for f in (stored.flex, flex))
        assert one.columns == other.columns
        np.testing.assert_array_equal(one.x, other.x)
    for name in TABLES:
        assert_frame_equal(getattr(stored.flex, f"{name}_"), getattr(flex, f"{name}_"), check_exact=True)
    assert stored.flex.report() == flex.report()
    np.testing.assert_array_equal(stored.flex.transform(rows.x), flex.transform(rows.x))


def test_another_process_refines_to_the_same_bits(flex, folder, rows, tmp_path):
    np.savez(tmp_path / "rows.npz", x=rows.x, expected=flex.transform(rows.x))
    code = f"""
import numpy as np, pathlib
from mmf.tensor_flex import load
a = np.load({str(tmp_path / "rows.npz")!r})
print(np.array_equal(load(pathlib.Path({str(folder)!r})).flex.transform(a["x"]), a["expected"], equal_nan=True))
"""
    answer = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"


def test_a_loaded_refinery_saves_as_the_same_files(folder, tmp_path):
    stored = load(folder)
    save(stored.flex, tmp_path / "again", identity=stored.identity)

    one, other = read_files(folder), read_files(tmp_path / "again")
    for name in ("tensor_flex.json", "tensor_flex.safetensors"):
        assert one[name] == other[name]


def test_nothing_fitted_is_nothing_to_save(identity, tmp_path):
    with pytest.raises(NotFittedError):
        save(TensorFlex(), tmp_path / "flex", identity=identity)
    assert not (tmp_path / "flex").exists()


def test_an_empty_folder_holds_no_refinery(tmp_path):
    with pytest.raises(DataError, match="there is no model"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["tensor_flex.json", "tensor_flex.safetensors", "latents.parquet"])
def test_an_altered_file_is_refused(folder, name):
    stem, suffix = name.split(".")
    (path,) = folder.glob(f"{stem}.*.{suffix}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(DataError, match="was altered"):
        load(folder)


@pytest.mark.parametrize("name", ["tensor_flex.json", "tensor_flex.safetensors", "latents.parquet"])
def test_what_cannot_be_read_is_refused_though_its_checksum_fits(folder, name):
    with pytest.raises(DataError, match="is not readable"):
        load(altered(folder, name, b"{}"))


def test_an_absent_file_is_refused(folder):
    files = read_files(folder)
    del files["loadings.parquet"]
    write_files(folder, files)

    with pytest.raises(DataError, match="is not readable"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "alter"),
    [
        ("weights_", lambda a: a[:-1]),
        ("weights_", lambda a: a[:, :-1]),
        ("weights_", lambda a: a.astype(np.float32)),
        ("weights_", lambda a: a * np.inf),
        ("mean_", lambda a: np.append(a, 0.0)),
        ("scale_", lambda a: a * 0),
        ("median_", lambda a: a * np.float32("nan")),
        ("weights_", lambda a: a[0]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(folder, name, alter):
    content = arrays(folder)
    with np.errstate(invalid="ignore"):
        content[name] = np.ascontiguousarray(alter(content[name]))

    with pytest.raises(DataError, match=r"stored refinery|is not readable"):
        load(altered(folder, "tensor_flex.safetensors", safetensors.numpy.save(content)))


@pytest.mark.parametrize(
    "change",
    [
        {"columns_": ["a"]},
        {"refined_columns_": ["a"]},
        {"parameters": {"max_clusters": 3, "bypass": [], "unknown": 1}},
        {"parameters": {"mode": "all", "bypass": []}},
        {"parameters": []},
        {"identity": {}},
    ],
)
def test_settings_that_do_not_fit_are_refused(folder, change):
    settings = json.loads(read_files(folder)["tensor_flex.json"]) | change

    with pytest.raises(DataError, match=r"stored refinery|is not readable"):
        load(altered(folder, "tensor_flex.json", json.dumps(settings).encode()))


def test_tables_that_do_not_fit_are_refused(folder):
    latents = pl.read_parquet(io.BytesIO(read_files(folder)["latents.parquet"]))
    for table in (latents.head(2), latents.drop("is_stable")):
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        with pytest.raises(DataError, match=r"stored refinery|is not readable"):
            load(altered(folder, "latents.parquet", buffer.getvalue()))
