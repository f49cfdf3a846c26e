"""The alert rules and the dashboard that are shipped, by promtool and against the figures that the daemon has."""

import json
import re
import shutil
import subprocess

import pytest

from support.figures import free_port, get, parse
from support.harness import REPO, wait_until

RULES, BOARD = REPO / "conf/retentiond.rules.yml", REPO / "conf/grafana-retentiond.json"
POLICY = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly"}

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is missing (Debian package prometheus)")


def promtool(*args):
    done = subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names():
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def up(metric, value, labels="", n="x10000"):
    """A figure that has this value from the beginning on."""
    return {"series": f'{metric}{{instance="h"{labels}}}', "values": f"{value}+0{n}"}


def step(metric, labels=""):
    """A figure that goes from 2 to 3 after an hour."""
    return {"series": f'{metric}{{instance="h"{labels}}}', "values": "2+0x60 3+0x10000"}


UP = up("retentiond_up", 1)

# Of each alert: figures, minutes, and the labels with which it fires then; None: it does not.  UP is always there.
CASES = {
    "RetentiondAbsent": [([up("retentiond_up", 0)], "16m", {"instance": "h"}), ([up("retentiond_up", 0)], "10m", None),
                         ([up("other", 1)], "16m", {}), ([UP], "5h", None)],
    "RetentiondDatabaseAway": [([up("retentiond_database_up", 0)], "16m", {"instance": "h"}),
                               ([up("retentiond_database_up", 1)], "16m", None)],
    "RetentiondModelRefused": [
        ([up("retentiond_model_good", 0), up("retentiond_database_up", 1)], "16m", {"instance": "h"}),
        ([up("retentiond_model_good", 0, ',daemon="a"'), up("retentiond_database_up", 1, ',daemon="a"')], "16m",
         {"instance": "h", "daemon": "a"}),
        ([up("retentiond_model_good", 0), up("retentiond_database_up", 0)], "16m", None),
        ([up("retentiond_model_good", 1), up("retentiond_database_up", 1)], "16m", None)],
    "RetentiondJobRefused": [([up("retentiond_jobs_refused", 2)], "6m", {"instance": "h"}),
                             ([up("retentiond_jobs_refused", 0)], "6m", None)],
    "RetentiondActionFailed": [([step("retentiond_jobs", ',status="failed"')], "90m", {"instance": "h", "status": "failed"}),
                               ([up("retentiond_jobs", 4, ',status="failed"')], "90m", None),
                               ([step("retentiond_jobs", ',status="failed"')], "8h", None)],
    "RetentiondContactsFailed": [
        ([step("retentiond_keys_failed_total", ',action="delete_contacts"')], "90m", {"instance": "h", "action": "delete_contacts"}),
        ([up("retentiond_keys_failed_total", 2, ',action="delete_contacts"')], "90m", None)],
    "RetentiondOverdue": [([up("retentiond_policy_overdue", 7, ',policy="old"')], "73h", {"instance": "h", "policy": "old"}),
                          ([up("retentiond_policy_overdue", 7, ',policy="old"')], "2d", None),
                          ([up("retentiond_policy_overdue", 0, ',policy="old"')], "73h", None)],
    "RetentiondOccurrenceMissed": [
        ([up("retentiond_policy_next_timestamp_seconds", 600, ',policy="old"')], "90m", {"instance": "h", "policy": "old"}),
        ([up("retentiond_policy_next_timestamp_seconds", 9000, ',policy="old"')], "90m", None)],
    "RetentiondWaitsForValidation": [
        ([up("retentiond_jobs", 1, ',status="saved"')], "73h", {"instance": "h", "status": "saved"}),
        ([up("retentiond_jobs", 0, ',status="saved"'), up("retentiond_jobs", 9, ',status="done"')], "73h", None)],
    "RetentiondJobStuck": [([up("retentiond_job_waiting", 1, ',for="other"')], "31m", {"instance": "h", "for": "other"}),
                           ([up("retentiond_job_waiting", 1, ',for="window"')], "31m", None)],
    "RetentiondPaused": [([up("retentiond_paused", 1)], "25h", {"instance": "h"}),
                         ([up("retentiond_paused", 0), up("retentiond_jobs_paused", 1)], "25h", {"instance": "h"}),
                         ([up("retentiond_paused", 0), up("retentiond_jobs_paused", 0)], "25h", None)],
    "RetentiondErasuresForgotten": [([up("retentiond_ledger_forgotten", 3)], "1m", {"instance": "h"}),
                                    ([up("retentiond_ledger_forgotten", 0)], "1m", None)],
    "RetentiondFilesLeft": [([up("retentiond_files_left", 3)], "25h", {"instance": "h"}),
                            ([up("retentiond_files_left", 3)], "5h", None)],
    "RetentiondNotMeasured": [([up("retentiond_survey_timestamp_seconds", 0)], "7h", {"instance": "h"}),
                              ([up("retentiond_survey_timestamp_seconds", 18000)], "7h", None)],
    "RetentiondNobodyTold": [([up("retentiond_notify_failures", 6)], "16m", {"instance": "h"}),
                             ([up("retentiond_notify_failures", 1)], "16m", None)],
}


def test_each_alert_fires_and_does_not(tmp_path):
    assert sorted(CASES) == sorted(names())
    for name, cases in CASES.items():
        assert {labels is None for _, _, labels in cases} == {True, False}, name
    promtool("check", "rules", RULES)
    severities = dict(re.findall(r"- alert: (\w+)\n(?:.*\n)*?\s+labels: {severity: (\w+)}", RULES.read_text()))
    tests = []
    for name, cases in CASES.items():
        for figures, at, labels in cases:
            seen = any(f["series"].startswith(("retentiond_up", "other")) for f in figures)
            expected = [] if labels is None else [{"exp_labels": {"severity": severities[name], **labels}}]
            tests.append({"interval": "1m", "input_series": figures if seen else [*figures, UP],
                          "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": expected}]})
    # Texts are filled in by promtool only where they are expected, so they are left out of the copy.
    bare = re.sub(r"\n        annotations:\n(          .*\n)+", "\n", RULES.read_text())
    (tmp_path / "rules.yml").write_text(bare)
    (tmp_path / "test.json").write_text(json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", tmp_path / "test.json")


def queries():
    board = json.loads(BOARD.read_text())
    found = [t["expr"] for p in board["panels"] for t in p.get("targets", [])]
    assert len(found) > 25 and len({p["id"] for p in board["panels"]}) == len(board["panels"])
    return found + [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]


def test_the_dashboard_can_be_asked(tmp_path):
    """Each of its queries is one of Prometheus."""
    rules = [{"record": f"x{n}", "expr": query.replace("$__rate_interval", "5m").replace("$instance", ".*")}
             for n, query in enumerate(queries()) if not query.startswith("label_values(")]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "rules.json")


def test_each_figure_exists(daemon):
    """Whatever the rules and the dashboard name is in what the daemon says: of a pass, of one that is paused, at rest."""
    named = set(re.findall(r"retentiond_[a-z_]+", RULES.read_text() + "\n".join(queries())))
    port = free_port()
    d = daemon(extra=f'metrics: {{ listen = "127.0.0.1:{port}"; }};', limits={"workers": 1, "batch_rows": 1, "rows_per_second": 20},
               policies=[{**POLICY, "approval": True}])
    d.once()
    d.ctl("validate", "1")
    d.start()
    wait_until(lambda: d.pg.value(d.db, "SELECT count(*) FROM retention.ledger"))
    d.ctl("pause", "1")
    d.wait_for_log(r"waits: a pause by ")
    there = set(parse(wait_until(lambda: get(port)[1])))
    d.ctl("resume", "1")
    d.ctl("abandon", "1", "--reason", "enough")
    d.wait_for_job("status IN ('failed', 'done')")
    there |= set(wait_until(lambda: (f := parse(get(port)[1])) and "retentiond_job_last_seconds" in f and f))
    assert d.stop() == 0
    assert {re.sub("_bucket$", "", name) for name in named} - there == set()
