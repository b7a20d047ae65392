"""A wrong configuration stops in one line before any job."""

import re
from pathlib import Path

import pytest
from small_project import CONFIG, snakemake, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dataset": {"source": "folder", "path": "nowhere"}}, "nowhere"),
        ({"backbone": {"name": "resnet81"}}, "backbone.name is 'resnet81'"),
        ({"dataset": {**CONFIG["dataset"], "split": {"test": 1.2}}}, "dataset.split.test is 1.2"),
    ],
    ids=["folder", "backbone", "share"],
)
def test_a_wrong_config_stops_in_one_line_before_any_job(
    changed: Path, change: dict, told: str
) -> None:
    write_config(changed, CONFIG | change)
    done = snakemake(changed)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert re.match(r"error: experiment\.yaml:\d+: ", lines[-1]) and told in lines[-1]
    assert "Traceback" not in done.stderr and "Execute" not in done.stderr
