"""Checks of a leak audit on what was fitted: selection, target proxies and the model of a finished run."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mmf.evaluation.leaks import Check, chance_interval, judged_check
from mmf.evaluation.replays import named, table_difference
from mmf.evaluation.scores import evaluate
from mmf.evaluation.suspicion import suspicious_columns, suspicious_scores
from mmf.pipeline.hashes import predictions_hash
from mmf.pipeline.leak_case import DO_NOT_BELIEVE, Case, OtherFuture
from mmf.pipeline.refine import refine
from mmf.pipeline.train import OnProgress, fit, select
from mmf.scheduler import Effort, Recommendation

_WIDEST = 0.8  # of a ROC-AUC by chance; beyond it a check could hardly fail
_CLASSIC = Recommendation(Effort(20, 10), ("a sanity check asks for little",))


def single_columns(case: Case, /) -> Iterator[Check]:
    """Check that no single column tells the target better than an honest one can."""
    found = suspicious_columns(case.prepared.training)
    n_columns = len(case.prepared.training.columns)
    finding = f"none of {n_columns:,} columns tells the label, or the next bar, better than an honest one can."
    step = "Look at how that column is computed: mmf features audit. Leave it out, and train again."
    yield judged_check(
        "Target proxies", "no column tells the target", [one.reason for one in found], finding, next_step=step
    )


def scores(case: Case, /) -> Iterator[Check]:
    """Check that no score is better than an honest model's."""
    predictions, horizon = case.run.predictions(), case.run.config.label.horizon
    label = predictions["label"].fill_null(float("nan")).to_numpy()
    scores = {
        name.removesuffix("_probability").replace("probability", "mixture"): evaluate(
            predictions[name].to_numpy(), label, threshold=0.5, horizon=horizon
        )
        for name in predictions.columns
        if name.endswith("probability")
    }
    best = max((score.roc_auc or 0.5, name) for name, score in scores.items())
    told = f"the best ROC-AUC of {len(scores)} models is {best[0]:.3f} ({best[1]})"
    finding = f"{told}; less three standard errors none is above what an honest one has."
    faults = [one.reason for one in suspicious_scores(scores)]
    faults += [one["reason"] for one in case.run.card.get("suspicious") or [] if one["subject"] in scores]
    yield judged_check("Target proxies", "no score is too good", faults, finding, next_step=DO_NOT_BELIEVE)


def shuffled_labels(case: Case, /, *, n_shifts: int, on_progress: OnProgress) -> Iterator[Check]:
    """Check that selection, refinery and the experts without networks learn nothing from labels of other times."""
    name = "labels of other times teach nothing"
    if n_shifts < 1:
        yield Check("Target proxies", name, "skipped", "not asked for.", "mmf audit RUN --shifts 2")
        return
    training, judged = case.prepared.training, case.prepared.judged
    config = replace(case.run.config, experts=("range", "stress"))
    low, high = chance_interval(judged.label, horizon=config.label.horizon)
    if high > _WIDEST:
        why = f"on so few independent judged rows chance alone reaches a ROC-AUC of {high:.2f}."
        yield Check("Target proxies", name, "skipped", why, "Train on more days.")
        return
    told = []
    for number in range(n_shifts):
        on_progress("labels of other times", 0.65 + 0.3 * number / n_shifts)
        shift = len(training) * (number + 1) // (n_shifts + 1)
        other = replace(case.prepared, training=replace(training, label=np.roll(training.label, shift)))
        refined = refine(other.training, select(other.training, config).columns, other.state, config)
        trader = fit(other, refined, config, _CLASSIC).trader
        said = trader.predict(refined.apply(judged), history=refined.apply(case.prepared.dataset.rows))
        auc = evaluate(
            said["probability"].to_numpy(), judged.label, threshold=0.5, horizon=config.label.horizon
        ).roc_auc
        told.append(0.5 if auc is None else auc)
    text = ", ".join(f"{auc:.3f}" for auc in told)
    beyond = [auc for auc in told if not low <= auc <= high]
    faults = [f"ROC-AUC {text}, beyond {low:.2f} to {high:.2f}: the scoring itself knows the answer."] if beyond else []
    finding = (
        f"trained {n_shifts} times on labels shifted in time: ROC-AUC {text}; chance stays in {low:.2f} to {high:.2f}."
    )
    yield judged_check("Target proxies", name, faults, finding, next_step=DO_NOT_BELIEVE)


def stored_predictions(case: Case, /) -> Iterator[Check]:
    """Check that the predictions are the run's, and that its model says the same."""
    stored = case.run.predictions()
    is_same = predictions_hash(stored) == case.run.card["hashes"]["predictions"]
    faults = [] if is_same else ["predictions.parquet is not what the run predicted, by the hash in its card."]
    step = "The warehouse has the recorded ones: mmf sql predictions"
    finding = f"{stored.height:,} rows, and the hash of the card."
    yield judged_check("Model", "the stored predictions are the run's", faults, finding, next_step=step)
    name = "the stored model says the same"
    if case.loaded is None:
        yield Check("Model", name, "fail", case.broken, "Do not use this model. Train again: mmf train")
        return
    said = case.opinions
    columns = [one for one in said.columns if one in stored.columns]
    before, now = stored.select(columns), said.select(columns)
    absent = [one for one in said.columns if one not in stored.columns]
    faults = [f"the predictions lack {named(absent)}."] if absent else []
    if not before.equals(now):
        faults.append(f"it predicts otherwise: {table_difference(before, now)}")
    finding = f"{len(columns) - 1} columns of {said.height:,} judged rows, bit for bit."
    yield judged_check("Model", name, faults, finding, next_step="Do not use this model. Train again: mmf train")


def features_of_another_future(future: OtherFuture | str, /) -> Iterator[Check]:
    """Say whether the feature table stayed where only later bars were others."""
    name = "the whole table is blind to later bars"
    if isinstance(future, str):
        yield Check("Features", name, "skipped", future, "Audit with the code that built the features.")
        return
    finding = (
        f"built again with other bars, or none, after {future.n_cuts} times: all earlier rows stayed, bit for bit."
    )
    step = "mmf features audit names the cause for each column. Leave them out or mend them, and train again."
    yield judged_check("Features", name, future.feature_faults, finding, next_step=step)


def selection_of_another_future(future: OtherFuture | str, /) -> Iterator[Check]:
    """Say whether council and refinery stayed where only the judged rows were others."""
    names = ("the council never saw a judged row", "the refinery never saw a judged row")
    if isinstance(future, str):
        for name in names:
            yield Check("Selection", name, "skipped", future, "Audit with the code that built the features.")
        return
    what = "fitted again with other features and labels of every judged row:"
    found = (
        (future.selection_faults, f"{what} the same columns, and the hash of the card."),
        (future.refinery_faults, f"{what} the same training rows come out, and the hash of the card."),
    )
    for name, (faults, finding) in zip(names, found, strict=True):
        yield judged_check("Selection", name, faults, finding, next_step=DO_NOT_BELIEVE)


def model_of_another_future(case: Case, future: OtherFuture | str, /) -> Iterator[Check]:
    """Say whether predictions stayed where only later bars were others."""
    name = "predictions are blind to later bars"
    why = future if isinstance(future, str) else case.broken if case.loaded is None else ""
    if not why and isinstance(future, OtherFuture) and not future.has_answered:
        why = "no prediction after the changed bars moved, so nothing is known of those before."
    if why or isinstance(future, str):
        yield Check("Model", name, "skipped", why, "Mend what it says, and audit again.")
        return
    finding = f"{future.n_predictions:,} predictions before changed bars stayed, those after them moved."
    yield judged_check("Model", name, future.model_faults, finding, next_step=DO_NOT_BELIEVE)
