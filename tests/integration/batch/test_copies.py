"""Triggers that copy what an action erases into a table outside the model: model check and the event "copied" name them."""

import json

import pytest

from support.small import SCHEMA, contacts, model, policy

MODEL = model(contact={"set": {"name": "L_{key}"}, "keep": ["brand", "created"]}, request={"clear": ["subject"], "keep": ["at", "status"]})
AUDIT = """;
    CREATE SCHEMA audit; CREATE TABLE audit.log (at timestamptz DEFAULT now(), what text, old jsonb);
    CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0); CREATE TABLE login (name text); CREATE TABLE lo (x int)"""
FUNCTION = """;
    CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN OLD; END $$;
    CREATE TRIGGER spy AFTER {} ON contact FOR EACH {} EXECUTE FUNCTION spy()"""
INTO_LOG = "INSERT INTO audit.log (what, old) VALUES (TG_OP, to_jsonb(OLD));"
HISTORY = "; CREATE TABLE contact_history AS SELECT *, now() AS gone FROM contact WITH NO DATA"


def hints(d):
    return [h for h in json.loads(d.ctl("model", "check", "--json").stdout)["hints"] if h.startswith("trigger")]


def copied(d):
    return [e for (e,) in d.pg.sql(d.db, "SELECT details FROM retention.journal_event WHERE kind = 'copied'")]


@pytest.mark.parametrize("action, body, event, tables", [
    ("delete_contacts", INTO_LOG, "DELETE OR UPDATE", ["audit.log"]),
    ("anonymize_contacts", INTO_LOG, "DELETE OR UPDATE", ["audit.log"]),
    ("delete_contacts", 'insert  INTO "audit" . "log"\n(what) VALUES (OLD.name);', "DELETE", ["audit.log"]),
    ("delete_contacts", "EXECUTE format('INSERT INTO %I SELECT ($1).*, now()', TG_TABLE_NAME || '_history') USING OLD;", "DELETE",
     ["public.contact_history"]),
    # A counter is no copy; a name within another name is no name.
    ("delete_contacts", "UPDATE counter SET n = n + 1;", "DELETE", []),
    ("delete_contacts", "PERFORM 1 FROM login; UPDATE counter SET n = 1;", "DELETE", []),
])
def test_a_trigger_that_copies(make, action, body, event, tables):
    d = make(SCHEMA + contacts([1, 2, 3], [4]) + AUDIT + HISTORY + FUNCTION.format(body, event, "ROW"), MODEL, policy(action),
             limits={"integrity": "triggers"})
    told = [*tables, *(["public.counter"] if "counter" in body else [])]
    assert hints(d) == [f'trigger "spy" of public.contact runs public.spy(), which may copy what is erased into a table outside the model: {t}'
                        for t in told]
    done = d.once()
    assert d.jobs()[0]["counters"]["treated"] == 3 and d.jobs()[0]["error"] is None
    assert copied(d) == ([{"tables": tables}] if tables else [])
    said = f"; triggers have inserted rows into tables outside the model, which may be copies of what was erased: {', '.join(tables)}"
    assert (said in done.stderr) == bool(tables)
    assert ("copied" in d.ctl("show", 1).stdout) == bool(tables) and d.ctl("verify").returncode == 0


def test_a_mapped_history(make):
    """A table of the model is no secret: it is erased."""
    d = make(SCHEMA + contacts([1], [2]) + "; CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY, contact_id bigint, body text); "
             "CREATE INDEX ON note (contact_id)" + FUNCTION.format("INSERT INTO note (contact_id, body) VALUES (-1, OLD.name);", "DELETE", "ROW"),
             model(note={"table": "note", "of": "contact", "by": "contact_id"}), limits={"integrity": "triggers"})
    assert hints(d) == []
    d.once()
    assert copied(d) == [] and d.pg.value(d.db, "SELECT count(*) FROM note") == 1


def test_partitions(make):
    """A trigger of a partition; a partition that is written to is its table."""
    d = make(SCHEMA + contacts([1], [2]) + AUDIT + """;
        CREATE TABLE note (id bigint, contact_id bigint, body text) PARTITION BY LIST (id); CREATE INDEX ON note (contact_id);
        CREATE TABLE note1 PARTITION OF note FOR VALUES IN (1); INSERT INTO note VALUES (1, 1, 'secret');
        CREATE TABLE kept (id bigint, body text) PARTITION BY LIST (id); CREATE TABLE kept1 PARTITION OF kept FOR VALUES IN (1);
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO kept VALUES (OLD.id, OLD.body); RETURN NULL; END $$;
        CREATE TRIGGER keep AFTER DELETE ON note1 FOR EACH ROW EXECUTE FUNCTION keep()""",
             model(note={"table": "note", "of": "contact", "by": "contact_id"}), limits={"integrity": "triggers"})
    assert hints(d) == ['trigger "keep" of public.note runs public.keep(), which may copy what is erased into a table outside the model: '
                        "public.kept"]
    d.once()
    assert copied(d) == [{"tables": ["public.kept"]}]
