"""A trigger that keeps an updated_at: what the daemon writes would make the request look used, and somebody has to know."""

import pytest

from support.small import model, policy

SCHEMA = """CREATE TABLE contact (id bigint PRIMARY KEY, name text, created timestamptz);
    CREATE TABLE request (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact, at timestamptz, "Last Use" timestamptz, body text,
        helper bigint REFERENCES contact){partitions};
    CREATE INDEX ON request (contact_id); CREATE INDEX ON request (helper);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN NEW; END $$;
    CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := upper(NEW.body); RETURN NEW; END $$;
    CREATE FUNCTION named() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RETURN jsonb_populate_record(NEW, jsonb_build_object(TG_ARGV[0], now())); END $$;
    CREATE FUNCTION used() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW."Last Use" := now(); RETURN NEW; END $$;"""
WORDS = 'trigger x of public.request can set "{date}" when the daemon writes a request that stays: '
DETACHED = {"helped": {"table": "request", "key": "id", "of": "contact", "by": "helper", "delete": "detach", "anonymize": "keep"}}


def table(**more):
    return {"clear": ["body"], "keep": ["at", "Last Use", "helper"], **more}


@pytest.mark.parametrize("trigger, date, said", [
    ("BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION stamp()", "at", True),
    ("BEFORE INSERT OR UPDATE ON request FOR EACH ROW EXECUTE FUNCTION stamp()", "at", True),
    ("BEFORE UPDATE OF helper ON request FOR EACH ROW EXECUTE FUNCTION stamp()", "at", True),
    ("BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION named('at')", "at", True),
    ("BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION used()", "Last Use", True),
    ("BEFORE UPDATE OF id ON request FOR EACH ROW EXECUTE FUNCTION stamp()", "at", False),
    ("BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION other()", "at", False),
    ("BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION used()", "at", False),
    ("BEFORE INSERT ON request FOR EACH ROW EXECUTE FUNCTION stamp()", "at", False),
    ("AFTER UPDATE ON request FOR EACH ROW EXECUTE FUNCTION stamp()", "at", False),
    ("BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION stamp(); ALTER TABLE request DISABLE TRIGGER x", "at", False),
])
def test_it_is_told(make, trigger, date, said):
    d = make(SCHEMA.format(partitions="") + f"CREATE TRIGGER x {trigger}", model(request=table(date=date), **DETACHED))
    for done in (d.check_config(), d.ctl("model", "check", check=False)):
        assert done.returncode == 0, done.stderr
        assert (WORDS.format(date=date) in done.stdout + done.stderr) == said, done.stdout + done.stderr


def test_of_a_partitioned_table(make):
    schema = SCHEMA.format(partitions=" PARTITION BY HASH (id)") + """
        CREATE TABLE request_0 PARTITION OF request FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE request_1 PARTITION OF request FOR VALUES WITH (MODULUS 2, REMAINDER 1);"""
    d = make(schema + "CREATE TRIGGER x BEFORE UPDATE ON request_1 FOR EACH ROW EXECUTE FUNCTION stamp()", model(request=table(), **DETACHED))
    assert WORDS.format(date="at") in d.check_config().stderr


@pytest.mark.parametrize("rules", [{"clear": ["body"], "keep": ["at", "Last Use", "helper"]}, {}])
def test_what_writes_nothing_is_not_told(make, rules):
    """Rules are for an anonymization, after which a deletion would count from its day; without any the daemon only deletes."""
    d = make(SCHEMA.format(partitions="").replace("helper bigint REFERENCES contact", "helper bigint")
             + "CREATE TRIGGER x BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION stamp()",
             """model: {
               contact: { table = "contact"; key = "id"; };
               request: { table = "request"; key = "id"; of = "contact"; by = "contact_id"; date = "at"; %s };
             };""" % ('clear = [ "body" ]; keep = [ "at", "Last Use", "helper" ];' if rules else ""), policy())
    done = d.check_config()
    assert done.returncode == 0 and (WORDS.format(date="at") in done.stderr) == bool(rules), done.stderr
