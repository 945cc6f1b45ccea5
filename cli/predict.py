"""`mmf predict`: what a saved run says of the newest bars, or of a range."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, print_table, say
from cli.feature_build import build_shown
from cli.feature_sets import code_hash, user_features
from cli.options import ArtifactsOption, ConfigOption, JsonOption, WarehouseOption, artifacts_path, open_warehouse
from cli.settings import Settings, read_settings
from mmf.errors import CallError, DataError

if TYPE_CHECKING:
    import polars as pl

    from mmf.pipeline.predict import LoadedRun
    from warehouse import Warehouse

_WRITERS = {".csv": "write_csv", ".parquet": "write_parquet", ".json": "write_json"}


def predict(
    run_id: Annotated[str, typer.Argument(metavar="[RUN]", help="As `mmf runs list` names it.")] = "latest",
    *,
    last: Annotated[int | None, typer.Option(min=1, help="So many of the newest bars (default: 1).")] = None,
    start: Annotated[datetime | None, typer.Option(help="First open_time of a range, UTC.")] = None,
    end: Annotated[datetime | None, typer.Option(help="End of the range, UTC, itself left out.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write to a .csv, .json or .parquet file instead.")] = None,
    warehouse: WarehouseOption = None,
    artifacts: ArtifactsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Predict with the model of a run: the newest bar of each of its series, the newest N, or a range.

    Features are brought up to the stored bars first, so that only what is new is computed. No exchange is asked: to
    have newer bars, run `mmf ingest` before.

    Example: mmf predict latest --last 24
    """
    from mmf.pipeline.predict import LoadedRun
    from mmf.pipeline.predict import predict as predict_bars
    from mmf.pipeline.run_names import run_folder

    if output is not None and output.suffix not in _WRITERS:
        raise CallError(f"--output {output} ends in none of {', '.join(_WRITERS)}. Name the file so.")
    if last is not None and (start or end):
        raise CallError(f"--last {last} and a range: name the newest bars, or --start and --end.")
    settings = read_settings(config)
    run = LoadedRun.load(run_folder(artifacts_path(artifacts, settings), run_id))
    with open_warehouse(warehouse, settings) as opened:
        run = _brought_up_to_date(opened, run, settings)
        with opened.pin() as snapshot:
            told = predict_bars(snapshot, run, last=last or 1, start=_utc(start), stop=_utc(end))
            state = f"{run.version}@S{snapshot.id}"
    if output is not None:
        getattr(told, _WRITERS[output.suffix])(output)
        say(f"wrote {told.height:,} predictions to {output}")
    elif json:
        names = {one.symbol: str(one) for one in run.all_series}
        head = {"run_id": run.card["run_id"], "table_state": state}
        print_json([head | {"series": names[row["symbol"]]} | row for row in told.to_dicts()])
    else:
        _show(told, run, state)


# ------------------------------------------------------------------------------------


def _brought_up_to_date(warehouse: "Warehouse", run: "LoadedRun", settings: Settings) -> "LoadedRun":
    """Build what is due with the definitions that the model was trained on, or say which code has them."""
    from mmf.features.registry import feature_set
    from mmf.pipeline.lineage import needed_code

    set_name = run.version.partition("@")[0]
    if code_hash(settings, set_name) == run.card["definition_hash"]:
        if not warehouse.is_read_only:
            features = feature_set(set_name, user_features(settings))
            for one in run.all_series:
                build_shown(warehouse, one, features, context=run.card["config"].get("context", ()))
        return run.named_by(warehouse)
    version = next(
        (known for known in warehouse.versions(set_name) if known.definition_hash == run.card["definition_hash"]), None
    )
    needed = needed_code(version, user_features(settings)) if version else "This warehouse has no such version."
    raise DataError(
        f"run {run.card['run_id']} reads {run.version}, which the code at hand does not compute. {needed} Predict with "
        f"that code, or train anew: mmf train {_asked(run)}"
    )


def _show(told: "pl.DataFrame", run: "LoadedRun", state: str) -> None:
    series = ", ".join(map(str, run.all_series))
    say(f"run {run.card['run_id']} on {series}, {state}; long above {run.threshold:.3f}")
    experts = list(run.trader.experts_)
    columns = ("open_time", "symbol", "close", "probability", "long", *experts)
    rows = [
        (
            f"{row['open_time']:%Y-%m-%d %H:%M}",
            row["symbol"],
            row["close"],
            f"{row['probability']:.3f}",
            "yes" if row["is_long"] else "no",
            *(f"{row[f'{name}_probability']:.3f} x {row[f'{name}_weight']:.2f}" for name in experts),
        )
        for row in told.iter_rows(named=True)
    ]
    print_table(rows, columns, right=columns[2:])
    if n_cold := int((~told["is_warm"]).sum()):
        say(f"{n_cold} of these bars lack the full memory of some feature: too few bars before them.")
    if n_padded := int(told["is_padded"].sum()):
        say(f"{n_padded} of them lie so early that networks read zeros in place of bars.")


def _asked(run: "LoadedRun") -> str:
    """Its series, and how one model of several is asked for."""
    return " ".join(map(str, run.all_series)) + (" --together" if len(run.all_series) > 1 else "")


def _utc(time: datetime | None) -> datetime | None:
    from datetime import UTC

    return None if time is None else time.replace(tzinfo=time.tzinfo or UTC)
