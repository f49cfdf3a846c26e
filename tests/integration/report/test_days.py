"""The report of all actions of some days, and the questions of an authority, as the manual answers them."""

import json
import re
import shlex
from pathlib import Path

from support.ctl import action, ctl
from support.small import SCHEMA, TWO, model, policy

MODEL = model({"set": {"name": "L_{key}"}, "clear": ["brand"], "keep": ["id", "created"]},
              {"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]})
MANUAL = Path(__file__).resolve().parents[3] / "daemon" / "retentionctl.1"


def questions():
    """The manual's questions, each with its commands."""
    section = MANUAL.read_text().split(".Sh QUESTIONS OF AN AUTHORITY")[1].split(".Sh ")[0]
    asked = [item.partition("\n") for item in section.split(".It ")[1:]]
    return {question: re.findall(r"^\.Ql (retentionctl .*?)(?: [;,])?$", answer, re.M) for question, _, answer in asked}


def test_days_have_every_action(pg, db):
    """Of people and of policies, of contacts and of requests; what has not begun counts on the day of the wish."""
    pg.sql(db, "SELECT retention.configure('Europe/Paris', false, 'bigint')")
    for status, kind in (("done", "export"), ("done", "anonymize_requests"), ("cancelled", "export"), ("saved", "delete_contacts")):
        action(pg, db, status, kind=kind)
    pg.tamper(db, """UPDATE retention.archive_journal SET requested_at = '2024-01-05 12:00+01';
        UPDATE retention.archive_journal SET started_at = '2024-02-09 23:30+01', finished_at = '2024-02-10 00:30+01' WHERE id IN (1, 2)""")
    pg.sql(db, "INSERT INTO retention.archive_journal (action, mode, status, policy, occurrence, depth, archive) "
               "VALUES ('delete_contacts', 'automatic', 'saved', 'old', '2024-02-10 03:00+01', '18 months', 'none')")

    def days(*args):
        return json.loads(ctl(pg, db, "report", *args, "--format", "json").stdout)

    def ids(*args):
        return [a["id"] for a in days(*args)["actions"]]
    assert ids("--from", "2024-01-05", "--to", "2024-01-05") == [3, 4]
    assert ids("--from", "2024-02-09", "--to", "2024-02-09") == [1, 2] and ids("--from", "2024-02-10") == [1, 2, 5]
    assert ids("--to", "2024-02-08") == [3, 4] and ids("--from", "2024-02-11") == []
    document = days("--to", "2024-12-31")
    assert document["report"]["kind"] == "days" and document["report"]["policy"] is None and document["events"] == []
    # Contacts and requests are not added up.
    assert [(t["action"], t["passes"], t["listed"]) for t in document["totals"]] == [
        ("anonymize_requests", 1, 4), ("delete_contacts", 2, 4), ("export", 2, 8)]
    text = ctl(pg, db, "report", "--to", "2024-12-31").stdout
    assert text.startswith("Report on all actions of these days\n") and "All actions together" in text
    assert "There is no action in this period." in ctl(pg, db, "report", "--from", "2030-01-01").stdout
    for wrong in ([], ["--as-of", "2024-01-01"], ["--format", "json"]):
        done = ctl(pg, db, "report", *wrong)
        assert (done.returncode, done.stdout) == (2, "") and "the name of one policy, or --from and --to" in done.stderr


def test_days_name_the_rules_of_each_action(make):
    d = make(SCHEMA + TWO, MODEL, policy(), policy("anonymize_requests", name="requests"))
    d.once()
    document = json.loads(d.ctl("report", "--from", "2000-01-01", "--format", "json").stdout)
    assert {(s["policy"], s["action"]) for s in document["selection"]} == {("p", "delete_contacts"), ("requests", "anonymize_requests")}
    assert {r["action"] for r in document["rules"]} == {"delete_contacts", "anonymize_requests"}
    rules = d.ctl("report", "--from", "2000-01-01").stdout.split("What becomes of which tables and columns\n")[1].splitlines()
    assert rules[0].split()[:2] == ["action", "table"]


def test_each_question_has_its_answer(make):
    """The commands of the manual, for an action, a contact and a policy that are there."""
    d = make(SCHEMA + TWO + "; UPDATE contact SET name = 'somebody ' || id", MODEL, policy(name="contacts-36m"))
    d.ctl("hold", "add", "1", "--reason", "case 7")
    d.once()
    asked = questions()
    assert len(asked) == 13 and all(asked.values()), asked
    for question, commands in asked.items():
        for command in commands:
            args = shlex.split(re.sub(r"\b12\b(?!-)", "1", command).replace("4711", "1"))[1:]
            done = d.ctl(*args, check=False)
            assert done.returncode == 0 and done.stdout.strip() and not done.stderr, (question, args, done.stderr)
