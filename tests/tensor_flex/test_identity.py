import json
from dataclasses import replace

import numpy as np
import pytest

from mmf.errors import DataError
from mmf.tensor_flex import ArtifactIdentity, TensorFlex, why_not_reusable
from tests.tensor_flex.planted import HOUR_MS, market

ORIGIN = {"series": "bybit:linear:BTCUSDT:60", "table_state": "core@v1@S2", "definition_hash": "ab" * 32}


def identity(rows=None, *, origin=None, **options):
    return ArtifactIdentity.of(TensorFlex(**options), rows or market(200), **(ORIGIN | (origin or {})))


def test_says_what_it_was_fitted_on():
    known = identity()

    assert (known.first_open_ms, known.last_open_ms, known.known_before_ms) == (0, 199 * HOUR_MS, 203 * HOUR_MS)
    assert (known.n_rows, known.n_columns) == (200, 21)
    assert known.settings["max_clusters"] == 64


def test_the_same_fit_may_be_reused():
    rows = market(200)
    shuffled = rows.select(rows.columns[::-1])

    assert why_not_reusable(identity(rows), identity(shuffled, mode="full_latents", n_jobs=2)) == []


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ({"series": "bybit:linear:ETHUSDT:60"}, "it was fitted on bybit:linear:BTCUSDT:60, this run reads bybit:lin"),
        ({"table_state": "core@v1@S3"}, "it was fitted on table state core@v1@S2, this run reads core@v1@S3"),
        ({"definition_hash": "cd" * 32}, "its features have hash abababababab, those of this run cdcdcdcdcdcd"),
    ],
)
def test_another_origin_is_a_reason(origin, reason):
    (why,) = why_not_reusable(identity(), identity(origin=origin))

    assert reason in why


def test_another_window_labels_columns_or_settings_are_reasons():
    rows = market(200)
    later = replace(rows, open_time_ms=rows.open_time_ms + HOUR_MS)
    known_later = replace(rows, known_before_ms=rows.known_before_ms + HOUR_MS)
    fewer = rows.take(np.arange(200) != 50)
    cases = {
        "its training window is 1970-01-01 00:00 to 1970-01-09 07:00, purged by 1970-01-09 11:00 (200 rows), that of "
        "this run 1970-01-01 01:00 to 1970-01-09 08:00, purged by 1970-01-09 11:00 (200 rows)": identity(later),
        "purged by 1970-01-09 12:00 (200 rows)": identity(known_later),
        "(199 rows)": identity(fewer),
        "the labels of its training rows are not those of this run": identity(replace(rows, label=1 - rows.label)),
        "its 21 columns (hash": identity(rows.select(rows.columns[:20])),
        "its max_clusters is 64, that of this run 32": identity(rows, max_clusters=32),
    }

    for reason, wanted in cases.items():
        (why,) = why_not_reusable(identity(rows), wanted)
        assert reason in why


def test_other_values_are_a_reason_though_the_table_state_is_called_the_same():
    rows = market(200)
    x = rows.x.copy()
    x[50, 7] += 1

    (why,) = why_not_reusable(identity(rows), identity(replace(rows, x=x)))

    assert "the values of its columns are not those of this run" in why


def test_every_reason_is_given():
    wanted = identity(market(150), origin={"table_state": "core@v2@S9"}, n_folds=8, max_components=1)

    assert len(why_not_reusable(identity(), wanted)) == 4


def test_json_and_back():
    known = identity()
    content = json.loads(json.dumps(known.as_dict()))

    assert ArtifactIdentity.from_dict(content) == known
    assert why_not_reusable(ArtifactIdentity.from_dict(content), known) == []


@pytest.mark.parametrize("change", [{"n_rows": "200"}, {"settings": 1}, {"more": 1}, {"series": None}])
def test_what_is_no_identity_is_refused(change):
    with pytest.raises(DataError, match="identity of the stored refinery is not readable"):
        ArtifactIdentity.from_dict(identity().as_dict() | change)


@pytest.mark.parametrize("content", [None, [], {}])
def test_nothing_is_no_identity(content):
    with pytest.raises(DataError, match="identity of the stored refinery is not readable"):
        ArtifactIdentity.from_dict(content)
