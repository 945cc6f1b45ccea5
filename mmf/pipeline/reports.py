"""A run's folder read back for its report; whatever an older run lacks is left out."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl

from mmf.errors import CallError, DataError
from mmf.model_files import read_files
from mmf.pipeline.refine import FOLDER
from mmf.pipeline.run_names import LATEST, run_folder
from mmf.report.comparison import comparison_page
from mmf.report.run import REFINERY, RunRecord, run_page

__all__ = ["LATEST", "read_run", "run_folder", "write_comparison", "write_report"]


def read_card(folder: Path, /) -> dict[str, Any]:
    """Read a run's card.

    Raises
    ------
    DataError
        It is absent or no run card.
    """
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no run card: {error}. Train again: mmf train") from error
    if not isinstance(card, dict) or not {"run_id", "scores", "config"} <= card.keys():
        raise DataError(f"{path} is no run card: run_id, scores or config is absent. Train again: mmf train")
    return card


def read_run(folder: Path, /) -> RunRecord:
    """Read a run's card and tables.

    Raises
    ------
    DataError
        The card is absent or no run card. Tables that cannot be read are named in the record instead.
    """
    card = read_card(folder)
    tables: dict[str, pl.DataFrame] = {}
    unreadable: dict[str, str] = {}
    for path in [folder / "predictions.parquet", *sorted((folder / "tables").glob("*.parquet"))]:
        try:
            tables[path.stem] = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            unreadable[path.stem] = f"{path}: {error}"
    try:
        stored = read_files(folder / FOLDER)
        tables |= {name: pl.read_parquet(io.BytesIO(stored[f"{name}.parquet"])) for name in REFINERY}
    except (DataError, KeyError, OSError, pl.exceptions.PolarsError) as error:
        if (folder / FOLDER).is_dir():
            unreadable |= dict.fromkeys(REFINERY, f"{folder / FOLDER}: {error}")
    if "epochs" not in tables and card.get("epochs"):
        tables["epochs"] = pl.DataFrame(card["epochs"])
    return RunRecord(card, tables, unreadable)


def write_report(folder: Path, output: Path | None = None, /) -> tuple[Path, RunRecord]:
    """Write the page of a run, by default into its folder, and return where it lies and what it shows."""
    run = read_run(folder)
    path = output or folder / "report.html"
    write_text(path, run_page(run))
    return path, run


def write_comparison(first: Path, second: Path, output: Path, /) -> tuple[Path, tuple[RunRecord, RunRecord]]:
    """Write the page of two runs beside each other."""
    runs = read_run(first), read_run(second)
    write_text(output, comparison_page(*runs))
    return output, runs


# ------------------------------------------------------------------------------------


def write_text(path: Path, text: str, /) -> None:
    """Write beside the target, then rename: whoever has the page open never sees half of it."""
    if not path.absolute().parent.is_dir():
        raise CallError(f"--output {path}: there is no folder {path.absolute().parent}. Make it first.")
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
