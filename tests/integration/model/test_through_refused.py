"""What `through` of a request is refused for: one message each, with the place and what to do."""

import re

import pytest

from support.small import SCHEMA, TWO, model, policy
from support.through import ACCOUNTS, PLAIN, SHAPES, deletes

plain = SHAPES[0]
MODEL = plain.model()
FILLED = """; INSERT INTO contact (id) SELECT n FROM generate_series(1, 20000) AS n; INSERT INTO ticket (id) SELECT n FROM generate_series(1, 20000) AS n;
    INSERT INTO ticket_contact SELECT n, n FROM generate_series(1, 20000) AS n; ANALYZE"""
NO_KEYS = PLAIN.replace("bigint NOT NULL REFERENCES ticket,", "bigint NOT NULL,", 1).replace("bigint NOT NULL REFERENCES contact,", "bigint NOT NULL,")


def refusals(d):
    """The messages of -t, each with its line of the model, but not the file's name."""
    done = d.check_config()
    assert done.returncode == 1, done.stdout + done.stderr
    return [m for m in re.findall(r"model\.conf:(\d+: .*)", done.stderr + done.stdout)]


REFUSED = {
    "no such table": (PLAIN, MODEL.replace('"ticket_contact"', '"ticket_people"'), ['3: table "request_contact": there is no table public.ticket_people']),
    "no such column of the request": (PLAIN, MODEL.replace('request = "ticket_id"', 'request = "ticket"'), [
        '3: table "request_contact": from: public.ticket_contact has no column "ticket"']),
    "no such column of the contact": (PLAIN, MODEL.replace('contact = "contact_id"', 'contact = "person"'), [
        '3: table "request_contact": by: public.ticket_contact has no column "person"']),
    "no key onto the request": (PLAIN.replace("bigint NOT NULL REFERENCES ticket,", "bigint NOT NULL,", 1), MODEL, [
        '3: table "request": through: no foreign key of public.ticket_contact says that "ticket_id" is the "id" of public.ticket: a client '
        'could change whose a request is while it is erased; ALTER TABLE "public"."ticket_contact" ADD FOREIGN KEY ("ticket_id") '
        'REFERENCES "public"."ticket" ("id")']),
    "no key onto the contact": (PLAIN.replace("bigint NOT NULL REFERENCES contact,", "bigint NOT NULL,"), MODEL, [
        '3: table "request": through: no foreign key of public.ticket_contact says that "contact_id" is the "id" of public.contact: a '
        'client could change whose a request is while it is erased; ALTER TABLE "public"."ticket_contact" ADD FOREIGN KEY ("contact_id") '
        'REFERENCES "public"."contact" ("id")']),
    "the columns the wrong way round": (PLAIN, MODEL.replace('request = "ticket_id"; contact = "contact_id"', 'request = "contact_id"; contact = "ticket_id"'), [
        '3: table "request": through: no foreign key of public.ticket_contact says that "ticket_id" is the "id" of public.contact: ',
        '3: table "request": through: no foreign key of public.ticket_contact says that "contact_id" is the "id" of public.ticket: ']),
    "nothing unique": (PLAIN.replace("PRIMARY KEY (ticket_id, contact_id)", "CHECK (true)"), MODEL, [
        '3: table "request_contact": no unique index on public.ticket_contact says that "ticket_id, contact_id" is its key: ']),
    "half a pair": (PLAIN.replace("PRIMARY KEY (ticket_id, contact_id)", "UNIQUE (ticket_id, contact_id)").replace(
        "contact_id bigint NOT NULL REFERENCES contact", "contact_id bigint REFERENCES contact"), MODEL, [
        '3: table "request": through: "contact_id" of public.ticket_contact may be NULL: a row with half a pair would keep its request for '
        'ever; ALTER TABLE public.ticket_contact ALTER COLUMN "contact_id" SET NOT NULL']),
    "no index for the contact": (PLAIN.replace("CREATE INDEX ON ticket_contact (contact_id);", "") + FILLED, MODEL, [
        '3: table "request_contact": foreign key "ticket_contact_contact_id_fkey" of public.ticket_contact has no index behind it, and ']),
    "no index for the request": (PLAIN.replace("PRIMARY KEY (ticket_id, contact_id)", "PRIMARY KEY (contact_id, ticket_id)") + FILLED, MODEL, [
        '3: table "request_contact": foreign key "ticket_contact_ticket_id_fkey" of public.ticket_contact has no index behind it, and ']),
    "a column that nobody classified": (PLAIN.replace("note text", "note text, said text"), MODEL, [
        '3: table "request_contact": column "said" (text) of public.ticket_contact is under no rule: ']),
    "mapped twice": (PLAIN, MODEL.replace("};\n};", '};\n people: { table = "ticket_contact"; of = "contact"; by = "contact_id"; anonymize = "keep"; };\n};'), [
        '5: table "people": public.ticket_contact is mapped by through of "request" already, which takes archive, anonymize and rules: '
        'remove this one']),
    "a column beside it": (PLAIN + "; ALTER TABLE ticket ADD owner bigint REFERENCES contact; CREATE INDEX ON ticket (owner)",
                           MODEL.replace('keep = ( "at", "status" )', 'keep = ( "at", "status", "owner" )'), [
        '3: table "request": through says which contacts a request has, and its column "owner" (foreign key "ticket_owner_fkey") points at '
        'one too, which that row alone would not keep: if it is one of the request\'s contacts, add also = "owner" to through, and give '
        'each such contact its row (INSERT INTO "public"."ticket_contact" ("ticket_id", "contact_id") SELECT "id", "owner" FROM '
        '"public"."ticket" WHERE ("owner") IS NOT NULL ON CONFLICT DO NOTHING); in any case map public.ticket once more with of = '
        '"contact", by = "owner", delete = "detach" and anonymize = "keep"']),
    "also without a second name": (PLAIN + "; ALTER TABLE ticket ADD owner bigint", MODEL.replace('keep = ( "at", "status" )', 'keep = ( "at", "status", "owner" )')
                                   .replace("through = {", 'through = { also = "owner";'), [
        '3: table "request": through: also names "owner", and no other name of public.ticket says what becomes of it where the request stays: '
        'map the table once more with of = "contact", by = "owner", delete = "detach" and anonymize = "keep"']),
    "also of no column": (PLAIN, MODEL.replace("through = {", 'through = { also = "owner";'), [
        '3: table "request": through: also: public.ticket has no column "owner"']),
    "also of another width": (PLAIN, MODEL.replace("through = {", 'through = { also = [ "a", "b" ];'), [
        '3: model: table "request": through: also has 2 columns (a, b), and contact has 1 (contact_id): name them in pairs']),
    "an unmapped table of the request's": (PLAIN + "; CREATE TABLE bill (id bigint, ticket_id bigint REFERENCES ticket); CREATE INDEX ON bill (ticket_id)", MODEL, [
        '3: table "request": delete_contacts deletes rows of public.ticket, and foreign key "bill_ticket_id_fkey" of public.bill (ticket_id) '
        'points there with no action: the rows it points at could not be deleted; map public.bill in the model, with of = "request", by = '
        '"ticket_id"']),
    "a width": (ACCOUNTS, SHAPES[3].model().replace('request = ( "account_id", "ticket_id" )', 'request = "ticket_id"'), [
        '3: model: table "request": by has 2 columns (account_id, id), and from, of "request_contact" has 1 (ticket_id): name them in pairs']),
    "no group": (PLAIN, MODEL.replace("through = {", 'through = "x"; ignored = {'), [
        '3: unknown key "ignored" in model: table "request"',
        '3: model: table "request": through: must be a group: { table = "..."; request = "..."; contact = "..."; }']),
    "a half": (PLAIN, MODEL.replace('contact = "contact_id";', ""), ['3: model: table "request": through: contact is missing']),
    "a parent beside it": (PLAIN, MODEL.replace("through = {", 'of = "contact"; by = "owner"; through = {'), [
        '3: model: table "request": through: through alone says which contacts a request has: leave of out, ',
        '3: model: table "request": through: through alone says which contacts a request has: leave by out, ']),
    "shared beside it": (PLAIN, MODEL.replace("through = {", 'shared = true; through = {'), [
        '3: model: table "request": shared is for rows that a column of "..." references: from is missing',
        '3: model: table "request": a request belongs to one contact, or to several with through: leave shared and match out']),
    "of another table": (PLAIN, MODEL.replace('of = "request"; by', 'through = { table = "x"; request = "a"; contact = "b"; }; of = "request"; by'), [
        '4: model: table "message": through is for table "request" only']),
    "rows that are deleted by an anonymization": (PLAIN, MODEL.replace('clear = ( "note" );', 'anonymize = "delete";', 1), [
        '3: model: table "request": through: anonymize "delete" is not "keep"',
        '3: model: table "request_contact": policy "p" anonymizes "contact" and all tables below it: add anonymize = "keep", or rules']),
    "the request under a rule": (PLAIN, MODEL.replace('clear = ( "note" );', 'clear = ( "note", "ticket_id" ); key = "note";', 1), [
        '3: model: table "request": through: column "note" is its key and cannot be under clear: put it under keep',
        '3: model: table "request": through: column "ticket_id" says which request it is and cannot be under clear: put it under keep']),
    "redact": (PLAIN, MODEL.replace('clear = ( "name" );', 'clear = ( "name" ); identity = ( "name" );').replace('clear = ( "subject" );', 'redact = ( "subject" );'), [
        '3: model: table "request": redact is not for what hangs off a request with through: ']),
    "a shard": (ACCOUNTS, SHAPES[3].model().replace('created = "created";', 'created = "created"; shard = "account_id";'), [
        '3: model: table "request": through does not go with shard: the contacts of one request can be in several shards; leave shard out']),
    "a name that is taken": (PLAIN, MODEL.replace("message:", "request_contact:"), [
        '3: model: table "request": through maps its table under the name "request_contact", which another table of the model has: rename '
        'that one']),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(make, name):
    schema, text, messages = REFUSED[name]
    d = make(schema, MODEL, policy("anonymize_contacts"))
    d.configure(model=text)
    said = refusals(d)
    assert len(said) == len(messages) and all(any(s.startswith(m) for s in said) for m in messages), said


def test_accepted(make):
    d = make(PLAIN, MODEL, deletes(), policy("anonymize_contacts", "c"), policy("anonymize_requests", "r"), policy("export", "e", archive="full"))
    done = d.check_config()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_printed_as_it_can_be_read(make, shape):
    """-t -v prints the configuration that is in force; read again it prints the same."""
    d = make(shape.schema, shape.model(), policy("anonymize_contacts"))
    first = d.check_config("-v").stdout
    assert "through = {" in first
    (d.dir / "retentiond.conf").write_text(first)
    again = d.check_config("-v")
    assert again.returncode == 0 and again.stdout == first


def test_a_request_with_one_contact_is_as_before(make):
    d = make(SCHEMA + TWO, model(), policy())
    assert d.check_config().returncode == 0
