"""The metric that the HPA scales by, computed by Prometheus itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart import ADAPTER, CHART, ROOT


def test_the_metric_is_what_a_question_waits(tmp_path: Path) -> None:
    """Prometheus computes it from series of two pods: one that answers a question a second, one that nobody asks."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not there: apt-get install prometheus")
    (rule,) = yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]["custom"]
    query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", 'namespace="serving"')
    assert "<<" not in query
    rules = {"groups": [{"name": "pixelis", "rules": [{"record": rule["name"]["as"], "expr": query}]}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    at = 'namespace="serving",pod='
    series = {
        # Every 15 s: 15 questions; 3 s in Triton's queues over two models, 4.5 s in the policy's.
        f'nv_inference_request_success{{{at}"busy",model="pixelis"}}': "0+12x40",
        f'nv_inference_request_success{{{at}"busy",model="agent"}}': "0+3x40",
        f'nv_inference_request_success{{{at}"busy",model="reason"}}': "0+15x40",
        f'nv_inference_queue_duration_us{{{at}"busy",model="reason"}}': "0+2000000x40",
        f'nv_inference_queue_duration_us{{{at}"busy",model="finish"}}': "0+1000000x40",
        f'pixelis_policy_queue_seconds_sum{{{at}"busy",model="policy",priority="ordinary"}}': "0+4.5x40",
        f'nv_inference_request_success{{{at}"idle",model="pixelis"}}': "0+0x40",
        f'nv_inference_queue_duration_us{{{at}"idle",model="reason"}}': "0+0x40",
        'nv_inference_queue_duration_us{namespace="other",pod="busy",model="reason"}': "0+9000000x40",
    }
    expected = [
        {"labels": f'{{__name__="pixelis_queue_seconds",pod="{name}"}}', "value": value}
        for name, value in (("busy", 0.5), ("idle", 0))
    ]
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [{"expr": "pixelis_queue_seconds", "eval_time": "8m", "exp_samples": expected}],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_says_the_same_rule() -> None:
    (snippet,) = re.findall(r"```yaml\n(.*?)```", (CHART / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert yaml.safe_load(snippet)["rules"] == yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]


def test_what_the_metric_is_made_of_is_what_the_models_say() -> None:
    policy = (ROOT / "python_backends" / "serving" / "policy.py").read_text(encoding="utf-8")
    assert '"pixelis_policy_queue_seconds"' in policy
    assert "pixelis_policy_queue_seconds_sum" in ADAPTER.read_text(encoding="utf-8")
