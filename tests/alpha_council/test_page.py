import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "selection.md"


def test_the_python_of_the_page_runs_as_a_reader_pastes_it(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    alone, plugged_in = ({}, {})
    for block, names in zip(blocks, (alone, plugged_in), strict=True):
        exec(compile(block, str(PAGE), "exec"), names)

    assert alone["latents"].shape == (10, len(alone["flex"].get_feature_names_out()))
    assert alone["latents"].shape[1] >= 1
    assert plugged_in["votes"].row(0, named=True)["steady_rank"] == 1
    assert "steady_rank" in capsys.readouterr().out
