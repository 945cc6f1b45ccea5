import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import skops.io
import torch
from sklearn.preprocessing import FunctionTransformer

from mmf import model_store
from mmf.errors import CallError, DataError
from mmf.experts.registry import build_experts
from mmf.gate import GatingNetwork
from mmf.model_files import read_files, write_files
from mmf.rows import TrainingRows
from mmf.scheduler import Effort
from mmf.trader import MoneyMachineTrader
from tests.experts.synthetic import market_rows, training

EXTRA = {"threshold": 0.1 + 0.2, "definition_hash": "ab" * 32, "labels": {"horizon": 36}}


@pytest.fixture(scope="module")
def rows() -> TrainingRows:
    rows = training(market_rows(1_300))
    rows.x[::9, 4] = np.nan
    rows.x[:, 6] = np.nan  # a column without any number
    return rows


@pytest.fixture(scope="module")
def trader(rows):
    experts = build_experts()
    experts["trend"].set_params(min_samples_leaf=20, graph__hidden=4)
    experts["cnn"].set_params(channels=8)
    return fit(MoneyMachineTrader(experts=experts, gate=GatingNetwork(), seed=4), rows)


def fit(trader, rows):
    views = {"selected": rows.columns, "latents": rows.columns[3:]}
    return trader.fit(rows, effort=Effort(10, 3), history=rows, views=views)


@pytest.fixture
def folder(trader, tmp_path):
    model_store.save(trader, tmp_path / "model", extra=EXTRA)
    return tmp_path / "model"


def test_round_trip_predicts_the_same_bits(trader, folder, rows):
    stored = model_store.load(folder)
    assert stored.extra == EXTRA
    assert stored.trader.predict(rows).equals(trader.predict(rows))
    assert stored.trader.oof_.equals(trader.oof_)
    assert stored.trader.vital_signs() == trader.vital_signs()
    assert stored.trader.epochs_.equals(trader.epochs_)
    assert (stored.trader.views_, stored.trader.absent_) == (trader.views_, trader.absent_)
    assert (stored.trader.columns_, stored.trader.seed) == (trader.columns_, 4)
    assert stored.trader.collapsed_on_ == trader.collapsed_on_
    assert stored.trader.imputer_.empty_columns_ == trader.imputer_.empty_columns_ == ("f3",)


def test_another_process_predicts_the_same_bits(trader, folder, rows, tmp_path):
    expected = tmp_path / "expected.parquet"
    trader.predict(rows).write_parquet(expected)
    np.savez(tmp_path / "rows.npz", x=rows.x, t=rows.open_time_ms, y=rows.label, e=rows.label_end_ms)
    code = f"""
import numpy as np, polars as pl, pathlib
from mmf import model_store
from mmf.rows import Rows
a = np.load({str(tmp_path / "rows.npz")!r})
rows = Rows(a["t"], a["x"], {rows.columns!r}, a["y"], a["e"])
trader = model_store.load(pathlib.Path({str(folder)!r})).trader
print(trader.predict(rows).equals(pl.read_parquet({str(expected)!r})))
"""
    answer = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"


def test_a_loaded_trader_saves_as_the_same_files(folder, tmp_path):
    stored = model_store.load(folder)
    model_store.save(stored.trader, tmp_path / "again", extra=stored.extra)
    one, other = read_files(folder), read_files(tmp_path / "again")
    for name in ("trader.json", "gate.safetensors"):
        assert one[name] == other[name]


def test_a_loaded_trader_can_be_fitted_anew(trader, folder, rows):
    again = fit(model_store.load(folder).trader, rows)
    assert again.predict(rows).equals(trader.predict(rows))


def test_a_new_model_replaces_the_old_one(trader, folder, rows):
    later = replace(rows, label=1 - rows.label)
    other = fit(MoneyMachineTrader(experts=trader.experts, gate=GatingNetwork()), later)
    model_store.save(other, folder)
    assert model_store.load(folder).trader.predict(rows).equals(other.predict(rows))
    assert model_store.load(folder).extra == {}


def test_files_hold_no_pickle(folder):
    assert sorted(name for name in read_files(folder)) == [
        "boosting_trend.skops",
        "epochs.parquet",
        "expert_range.skops",
        "expert_stress.skops",
        "gate.safetensors",
        "graph_trend.safetensors",
        "network_cnn.safetensors",
        "out_of_fold.parquet",
        "settings_cnn.json",
        "settings_trend.json",
        "trader.json",
    ]
    for data in read_files(folder).values():
        assert not data.startswith(b"\x80")
        assert b"sklearn" not in data or data.startswith(b"PK")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("expert_range.skops", pickle.dumps([1]), "a stored range expert is not readable"),
        ("expert_range.skops", skops.io.dumps(FunctionTransformer(np.exp)), "FunctionTransformer, which no model"),
        ("boosting_trend.skops", skops.io.dumps(FunctionTransformer(np.exp)), "FunctionTransformer, which no model"),
        ("network_cnn.safetensors", pickle.dumps([1]), "a stored cnn expert is not readable"),
        ("graph_trend.safetensors", pickle.dumps([1]), "a stored trend expert is not readable"),
        ("settings_cnn.json", b"{}", "a stored cnn expert is not readable"),
        ("epochs.parquet", b"", "is not readable"),
        ("gate.safetensors", pickle.dumps([1]), "is not readable"),
        ("gate.safetensors", safetensors.torch.save({"scale": torch.zeros(3)}), "does not fit a 3-8-n gate"),
        ("out_of_fold.parquet", pickle.dumps([1]), "is not readable"),
        ("trader.json", b"{}", "is not readable: KeyError"),
        ("trader.json", b"\x80\x04", "is not readable"),
    ],
)
def test_a_foreign_file_with_a_fitting_checksum_is_refused(folder, name, data, message):
    write_files(folder, read_files(folder) | {name: data})
    with pytest.raises(DataError, match=message):
        model_store.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"experts": [["range", "oracle"]]},
        {"experts": [["../../etc", "range"]]},
        {"experts": ["range"]},
        {"experts": []},
        {"views": ["selected"]},
        {"columns": ["hurst_200"]},
        {"gate": {"hidden": 8, "unknown": 1}},
        {"calibration": {"slope": 1.0}},
        {"medians": None},
    ],
)
def test_settings_that_do_not_fit_are_refused(folder, change):
    files = read_files(folder)
    settings = json.loads(files["trader.json"]) | change
    write_files(folder, files | {"trader.json": json.dumps(settings).encode()})
    with pytest.raises(DataError):
        model_store.load(folder)


def test_a_flipped_byte_is_found(folder):
    (path,) = folder.glob("boosting_trend.*.skops")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="was altered"):
        model_store.load(folder)


@pytest.mark.parametrize("extra", [{"when": object()}, {"score": float("nan")}])
def test_extra_must_be_json(trader, tmp_path, extra):
    with pytest.raises(CallError, match="extra holds something that JSON does not"):
        model_store.save(trader, tmp_path / "model", extra=extra)
    assert not (tmp_path / "model").exists()
