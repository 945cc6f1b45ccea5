"""Checks of a leak audit on rows: whether features, labels and split of a finished run knew the future."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from mmf.errors import DataError, MMFError
from mmf.evaluation.leaks import Check, expected_labels, expected_split, judged_check, label_faults
from mmf.evaluation.replays import named
from mmf.features.audit import causality
from mmf.features.awkward import plant_awkward
from mmf.features.registry import FeatureSet
from mmf.pipeline.hashes import rows_hash
from mmf.pipeline.leak_case import DO_NOT_BELIEVE, Case
from mmf.pipeline.rebuild import altered_files, differing_columns, rebuilt
from mmf.pipeline.tables import stored_bars
from mmf.rows import TrainingRows
from mmf.splits import out_of_fold_cut
from warehouse import SeriesKey

CUTS = 12
BARS = 6_000  # newest of the run, on which each column is audited by itself


def closed_bars(case: Case, /) -> Iterator[Check]:
    """Check that every bar was fetched after it had closed, lies on its grid, and is what was committed."""
    faults, n_bars = [], 0
    for one in case.run.tables:
        bars = stored_bars(case.snapshot, one)
        n_bars += bars.height
        closes = bars["open_time"].to_physical() + one.grid.ms
        if n_forming := int((bars["fetched_at"].to_physical() < closes).sum()):
            faults.append(f"{n_forming:,} bars of {one} were fetched before they closed, by the clock of the machine.")
        if n_off := int(((closes - one.grid.anchor_ms) % one.grid.ms != 0).sum()):
            faults.append(f"{n_off:,} bars of {one} do not lie on its grid.")
        if altered := altered_files(case.snapshot, "bars", one):
            faults.append(f"files of bars were altered since they were committed: {named(altered)}.")
    step = "See mmf data check and the clock of the machine that fetched. " + DO_NOT_BELIEVE
    yield judged_check(
        "Features", "no bar was forming", faults, f"{n_bars:,} bars, all fetched after they closed.", next_step=step
    )


def stored_rows(case: Case, /) -> Iterator[Check]:
    """Check that the features that the model reads equal a full recomputation."""
    if case.features is None:
        raise MMFError(case.lost)
    faults, columns = [], case.base_columns
    with (
        rebuilt(case.snapshot, case.run.series, case.features, context=case.run.config.context) as (fresh, state),
        fresh.pin(state.snapshot) as snapshot,
    ):
        for one in case.run.tables:
            stored, other = (
                where.scan("features", SeriesKey(*one.key), version=version)
                for where, version in ((case.snapshot, case.state.version), (snapshot, state.version))
            )
            try:
                differing = differing_columns(stored, other, columns)
            except DataError as error:
                faults.append(f"{one}: {error}")
                continue
            if differing:
                what = f"{len(differing)} stored columns of {one} are not what its bars give"
                faults.append(f"{what}: {named(list(differing))}.")
    finding = f"{len(columns)} features that the model reads equal a full recomputation, bit for bit."
    step = "Build the features in a new warehouse and train there; if they differ again, run mmf features audit."
    yield judged_check("Features", "stored rows are what the bars give", faults, finding, next_step=step)


def each_column(case: Case, /) -> Iterator[Check]:
    """Check each feature by itself on the run's own bars, awkward ones planted among them, cut at many rows."""
    if case.features is None:
        raise MMFError(case.lost)
    chosen = tuple(one for one in case.features.features if one.name in case.base_columns)
    features = FeatureSet(case.features.name, chosen, case.features.user)
    bars = stored_bars(case.snapshot, case.run.series).tail(BARS).select("open_time", *features.inputs)
    first = min(features.memory, bars.height // 2)
    rows = np.linspace(first, bars.height - 2, CUTS).astype(int).tolist()
    plain = causality(features, bars, interval=case.interval, rows=rows)
    planted, places = plant_awkward(bars, seed=case.run.config.seed)
    awkward = causality(features, planted, interval=case.interval, rows=places[::2])
    leaky = (plain["leak_rows"] + awkward["leak_rows"] > 0) & plain["column"].is_in(features.columns)
    names = plain.filter(leaky)["column"].to_list()
    deaf = plain.filter(~pl.col("answers") & pl.col("column").is_in(features.columns))["column"].to_list()
    faults = [f"{len(names)} features move when only later bars change or go: {named(names)}."] if names else []
    n_cuts = len(rows) + len(places[::2])
    finding = f"{len(features.columns)} features on {bars.height:,} bars of the run, cut at {n_cuts} rows: all stayed."
    if deaf:
        finding += f" {named(deaf)} did not answer to their own bar at these rows."
    step = "mmf features audit names the cause for each column. Leave them out or mend them, and train again."
    yield judged_check("Features", "each feature is blind to later bars", faults, finding, next_step=step)


def labels(case: Case, /) -> Iterator[Check]:
    """Check that labels are what the bars give, and that the run used these."""
    rows, label, horizon = case.prepared.dataset.rows, case.run.config.label, case.run.config.label.horizon
    bars = stored_bars(case.snapshot, case.run.series)
    times = bars["open_time"].to_physical().to_numpy()
    expected = expected_labels(bars, case.interval, label)[np.searchsorted(times, rows.open_time_ms)]
    faults = label_faults(rows, expected, interval=case.interval, horizon=horizon, last_ms=int(times[-1]))
    n_labels = int((~np.isnan(rows.label)).sum())
    finding = (
        f"{n_labels:,} labels counted again from the bars, each known {horizon + 1} intervals after its bar opens."
    )
    step = "Look at the bars there: mmf data check. " + DO_NOT_BELIEVE
    yield judged_check("Labels", "labels are what the bars give, and none is early", faults, finding, next_step=step)
    used = pl.concat(
        [
            case.run.predictions().select("open_time", "label"),
            *([case.loaded.trader.oof_.select("open_time", "label")] if case.loaded else []),
        ]
    )
    truth = pl.DataFrame({"open_time": rows.open_time_ms, "truth": expected}).with_columns(
        pl.col("open_time").cast(used.schema["open_time"]), pl.col("truth").fill_nan(None)
    )
    joined = used.join(truth, on="open_time", how="left", maintain_order="left")
    n_wrong = int(joined["label"].fill_nan(None).ne_missing(joined["truth"]).sum())
    faults = [f"{n_wrong:,} of {used.height:,} labels that the run fitted or scored on are others."] if n_wrong else []
    finding = f"{used.height:,} labels that the run scored on, and fitted its gate on, are the same."
    yield judged_check("Labels", "the run used these labels", faults, finding, next_step=DO_NOT_BELIEVE)


def split(case: Case, /) -> Iterator[Check]:
    """Check the cut in time, its purge, and that of the out-of-fold scheme, against the card and the model."""
    rows, card, config = case.prepared.dataset.rows, case.run.card, case.run.config
    kept, start_ms, n_purged = expected_split(rows, test_share=config.test_share)
    told, faults = card["rows"], []
    last = _ms(told["training"]["last"])
    known = last + (config.label.horizon + 1) * case.interval.ms
    if known > _ms(told["judged"]["first"]):
        faults.append(
            f"the last training row, {told['training']['last']}, has a label that is known {_text(known)}, after the "
            f"judged rows begin at {told['judged']['first']}."
        )
    if _ms(told["judged"]["first"]) <= last:
        faults.append("training and judged rows overlap.")
    finding = f"the last training label is known {_text(known)}, the judged rows begin {told['judged']['first']} UTC."
    yield judged_check("Split", "training ends before judging begins", faults, finding, next_step=DO_NOT_BELIEVE)
    faults = [
        f"{what} is {told_n:,} in the card, and {n:,} by counting."
        for what, told_n, n in (
            ("the count of training rows", told["training"]["count"], len(kept)),
            ("the count of purged rows", told["purged"], n_purged),
            ("the count of judged rows", told["judged"]["count"], int((rows.open_time_ms >= start_ms).sum())),
        )
        if told_n != n
    ]
    training = TrainingRows.of(rows.take(kept), known_before_ms=start_ms)
    if rows_hash(training) != card["hashes"]["training_rows"]:
        faults.append("the rows that a purged split gives are not those that the run trained on, by their hash.")
    finding = f"{len(kept):,} training rows, {n_purged} purged; their hash is the card's."
    yield judged_check("Split", "purged as the horizon asks", faults, finding, next_step=DO_NOT_BELIEVE)
    yield _judged_rows(case, start_ms)
    yield from _out_of_fold(case, training)


# ------------------------------------------------------------------------------------


def _judged_rows(case: Case, start_ms: int) -> Check:
    times = case.run.predictions()["open_time"].to_physical().to_numpy()
    expected = case.prepared.judged.open_time_ms
    is_same = np.array_equal(times, expected) and int(expected[0]) >= start_ms
    faults = [] if is_same else [f"{len(times):,} rows were predicted, {len(expected):,} are to be judged."]
    finding = f"all {len(times):,} rows from then on were predicted, none of them twice or from before."
    return judged_check("Split", "the judged rows are the later ones", faults, finding, next_step=DO_NOT_BELIEVE)


def _out_of_fold(case: Case, training: TrainingRows) -> Iterator[Check]:
    name = "the out-of-fold cut is purged too"
    if case.loaded is None:
        yield Check("Split", name, "skipped", case.broken, "Restore the model's files, and audit again.")
        return
    early, late = out_of_fold_cut(training)
    times = case.loaded.trader.oof_["open_time"].to_physical().to_numpy()
    faults = []
    if not np.array_equal(times, late.open_time_ms):
        faults.append(f"{len(times):,} rows were predicted out of fold, {len(late):,} are expected.")
    elif early.label_end_ms.max() > times[0]:
        faults.append("a label of the earlier part is known only after the later part begins.")
    n_between = len(training) - len(early) - len(late)
    finding = f"{len(early):,} rows fitted on, {n_between} purged, {len(late):,} predicted."
    yield judged_check("Split", name, faults, finding, next_step=DO_NOT_BELIEVE)


def _ms(text: str) -> int:
    """Return the instant that a card tells to the minute."""
    return int(np.datetime64(text.replace(" ", "T"), "ms").astype(np.int64))


def _text(ms: int) -> str:
    return f"{pl.from_epoch(pl.Series([ms]), 'ms')[0]:%Y-%m-%d %H:%M}"
