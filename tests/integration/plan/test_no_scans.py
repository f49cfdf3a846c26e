"""
What the server does for a batch, by auto_explain: no statement of it reads a table of the CRM from end to
end, whatever the number of keys, with statistics and without.
"""

import json
import re

import pytest

from support.small import SCHEMA, keys, model, policy

pytestmark = pytest.mark.unsanitized("what is looked at is the server's")

CHILDREN = """;
    CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint REFERENCES request, body text);
    CREATE TABLE attachment (id bigint PRIMARY KEY, message_id bigint REFERENCES message, body text);
    CREATE TABLE card (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, body text);
    CREATE INDEX ON message (request_id); CREATE INDEX ON attachment (message_id); CREATE INDEX ON card (contact_id);
    INSERT INTO contact (id, name) SELECT n, 'n' FROM generate_series(1, 6000) n;
    INSERT INTO request (contact_id, at, subject) SELECT n, '2015-01-01', 's' FROM generate_series(1, 6000) n, generate_series(1, 2);
    INSERT INTO message SELECT id, id, 'm' FROM request; INSERT INTO attachment SELECT id, id, 'a' FROM message WHERE id % 5 = 0;
    INSERT INTO card SELECT id, id, 'c' FROM contact"""
MODEL = model(contact={"clear": ["name"], "keep": ["id", "brand", "created"]},
              request={"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]},
              message={"table": "message", "key": "id", "of": "request", "by": "request_id", "anonymize": "delete"},
              attachment={"table": "attachment", "key": "id", "of": "message", "by": "message_id", "anonymize": "delete"},
              card={"table": "card", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "delete"})
# Once a job, and not in a batch: the listing, and what max_share is a share of.
WHOLE = re.compile(r"^(INSERT INTO retention\.candidate|SELECT count\(\*\) AS n FROM \S+ AS t$)")


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def explained(log):
    """(query, plan) of each statement in the server's log."""
    for at in re.finditer(r"plan:\n", log):
        document = "".join(line[1:] + "\n" for line in log[at.end():].split("\n\t}", 1)[0].split("\n")) + "}"
        document = json.loads(document)
        yield document["Query Text"], document["Plan"]


def compares_again(node):
    """Is an array looked through, or are all rows of the other side, for each of many rows?  Then it takes their square."""
    loops, compared = node["Actual Loops"], sum(n for name, n in node.items() if name.startswith("Rows Removed by"))
    return loops > 100 and "ANY" in node.get("Index Cond", "") or loops * compared > 100000 or compared > 100000


@pytest.mark.parametrize("statistics", ["fresh", "none"])
@pytest.mark.parametrize("batch_rows", [1, 300, 1000000])
@pytest.mark.parametrize("action, integrity", [("delete_contacts", "triggers"), ("delete_contacts", "set"),
                                               ("anonymize_contacts", "triggers"), ("anonymize_requests", "triggers")])
def test_no_table_is_scanned(make, pg, action, integrity, batch_rows, statistics):
    few = batch_rows == 1
    schema = SCHEMA + CHILDREN + ("; ANALYZE" if statistics == "fresh" else "")
    if few:  # the tables stay as large, few of them are due
        schema += "; UPDATE request SET at = now() WHERE contact_id > 30" + ("; ANALYZE" if statistics == "fresh" else "")
    d = make(schema.replace("; ANALYZE", "; ANALYZE contact; ANALYZE request; ANALYZE message; ANALYZE attachment; ANALYZE card"),
             MODEL, policy(action), limits={"workers": 2, "batch_rows": batch_rows, "batch_time": "1min", "integrity": integrity})
    pg.log_plans(d.db, "auto_explain.log_format = json", "auto_explain.log_verbose = on", "auto_explain.log_analyze = on",
                 "auto_explain.log_timing = off")
    begin = pg.log_position()
    d.once()
    log = pg.log_text(begin)
    seen = [(query, plan) for query, plan in explained(log)
            if "Actual Loops" in plan and not WHOLE.match(query)]  # else it was only EXPLAINed
    assert len(seen) > 20 and any("DELETE FROM" in query for query, _ in seen)
    scans = {(node["Relation Name"], query[:150]) for query, plan in seen for node in nodes(plan)
             if node["Node Type"] == "Seq Scan" and node.get("Schema") == "public"}
    assert scans == set()
    again = {(node["Node Type"], query[:150]) for query, plan in seen for node in nodes(plan) if compares_again(node)}
    assert again == set()
    if action == "delete_contacts":
        assert len(keys(d.pg, d.db)) == (5970 if few else 0)
