"""
Contacts whose rows refer to one another: those that go together, those that have to wait, and those that stay because
a contact that stays refers to them.
"""

import pytest

from support.jobs import DONE, INCOMPLETE, KILLED, LIMITS

pytestmark = pytest.mark.safety


def everywhere(j, statement, *values):
    """In the database and in its copy from before, by which the archive is checked."""
    for schema in ("crm", "before"):
        j.sql(statement.format(schema=schema), values)


def listed(j):
    """A list of those due, as a job that was killed has left it."""
    assert j.run("job-before-start") == KILLED, j.last.text()
    return [int(k) for (k,) in j.sql("SELECT key FROM retention.candidate ORDER BY n")]


def with_partners(j):
    """Contacts may have a partner: who is due, in the order of the list, and one who is not."""
    everywhere(j, "ALTER TABLE {schema}.contact ADD partner bigint")
    j.sql("ALTER TABLE crm.contact ADD FOREIGN KEY (partner) REFERENCES crm.contact; CREATE INDEX ON crm.contact (partner)")
    text = (j.daemon.dir / "model.conf").read_text()
    j.daemon.configure(model=text.replace('keep = [ "id", "full_name"', 'keep = [ "partner", "id", "full_name"'))
    keys = listed(j)
    return keys, j.value("SELECT min(id) FROM crm.contact WHERE id <> ALL (%s)", (keys,))


def refers(j, who, whom):
    everywhere(j, "UPDATE {schema}.contact SET partner = %s WHERE id = %s", whom, who)


def refer_in_a_ring(j, *ids):
    for who, whom in zip(ids, ids[1:] + ids[:1]):
        refers(j, who, whom)


def failed(j):
    return {int(e["keys"][0]) for e in j.events("failed_key")}


def check_all_but(j, stay):
    """Who stays has failed, is whole, and nobody else is left or was taken for gone."""
    assert j.run() == (INCOMPLETE if stay else DONE), j.last.text()
    assert failed(j) == set(stay)
    for event in j.events("failed_key"):
        assert "_fkey" in event["message"] and 'delete = "detach"' in event["message"]
    assert not j.events("dropped")
    assert {k for (k,) in j.sql("SELECT id FROM crm.contact")} == {
        k for (k,) in j.sql("SELECT id FROM before.contact")
    } - set(j.keys) | set(stay)
    for table in ("request", "contact_social"):
        assert j.value(f"SELECT count(*) FROM crm.{table} WHERE contact_id = ANY (%s)", (list(stay),)) == j.value(
            f"SELECT count(*) FROM before.{table} WHERE contact_id = ANY (%s)", (list(stay),)
        )


def test_partners_and_one_between_them_who_stays(job):
    """He fails by himself, and those who refer to each other go, however far apart they stand in the list."""
    j = job(limits=LIMITS)
    j.keys, stays = with_partners(j)
    refer_in_a_ring(j, j.keys[1], j.keys[-1])
    refer_in_a_ring(j, j.keys[4], j.keys[6])
    refer_in_a_ring(j, j.keys[2], j.keys[40], j.keys[-3])
    refers(j, stays, j.keys[5])
    check_all_but(j, [j.keys[5]])


def test_more_partners_than_a_batch_holds(job):
    """The first half of the list refers to the second, and is referred to by it."""
    j = job(limits=LIMITS)
    j.keys, _ = with_partners(j)
    half = len(j.keys) // 2
    for one, other in zip(j.keys[:half], j.keys[half:]):
        refer_in_a_ring(j, one, other)
    check_all_but(j, [])


def test_who_is_kept_keeps_others(job):
    """Whom those who stay refer to stays, and so on; who refers to them goes."""
    j = job(limits=LIMITS)
    j.keys, stays = with_partners(j)
    first, second, third, goes = j.keys[7], j.keys[70], j.keys[3], j.keys[30]
    refers(j, stays, first)
    refer_in_a_ring(j, first, second)
    refers(j, goes, third)
    check_all_but(j, [first, second])


def test_requests_that_refer_to_other_contacts(job):
    """Not the contacts' own rows: a request of each is about the other."""
    j = job(limits=LIMITS)
    everywhere(j, "ALTER TABLE {schema}.request ADD about bigint")
    j.sql("ALTER TABLE crm.request ADD FOREIGN KEY (about) REFERENCES crm.contact; CREATE INDEX ON crm.request (about)")
    text = (j.daemon.dir / "model.conf").read_text()
    j.daemon.configure(model=text.replace('"agent_id", "reason",', '"about", "agent_id", "reason",'))
    j.keys = listed(j)
    stays = j.value("SELECT min(id) FROM crm.contact WHERE id <> ALL (%s)", (j.keys,))
    for who, whom in ((1, -1), (-1, 1), (7, 30), (30, 7)):
        everywhere(j, """UPDATE {schema}.request SET about = %s
            WHERE id = (SELECT min(id) FROM before.request WHERE contact_id = %s)""", j.keys[whom], j.keys[who])
    everywhere(j, """UPDATE {schema}.request SET about = %s
        WHERE id = (SELECT min(id) FROM before.request WHERE contact_id = %s)""", j.keys[5], stays)
    check_all_but(j, [j.keys[5]])


def add_accounts(j, contact, n):
    j.sql("INSERT INTO crm.contact_social (contact_id, network, account) SELECT %s, 'n', n FROM generate_series(1, %s) AS n",
          (contact, n))
    j.sql("TRUNCATE before.contact_social; INSERT INTO before.contact_social SELECT * FROM crm.contact_social")


@pytest.mark.parametrize("n", [600, 2500])
def test_partners_with_more_rows_than_a_batch(job, n):
    """Together too many for a transaction of the usual size; or one of them is by himself, and is cut first."""
    j = job(limits=LIMITS)
    j.keys, _ = with_partners(j)
    refer_in_a_ring(j, j.keys[1], j.keys[-1])
    add_accounts(j, j.keys[1], n)
    add_accounts(j, j.keys[-1], 600)
    check_all_but(j, [])


def test_a_giant_who_is_kept_loses_nothing(job):
    """He would go in slices, and be refused when all but his own row is gone."""
    j = job(limits=LIMITS)
    j.keys, stays = with_partners(j)
    giant, partner = j.keys[5], j.keys[50]
    refers(j, stays, partner)
    refers(j, partner, giant)
    add_accounts(j, giant, 2500)
    check_all_but(j, [giant, partner])
    assert not j.events("sliced")


def test_what_the_model_leaves_in_place(job):
    """A picture of an agent, filed under the number of a contact, is not his: who stays may point at it."""
    j = job(limits=LIMITS)
    j.keys, _ = with_partners(j)
    everywhere(j, "ALTER TABLE {schema}.attachment ADD badge bigint")
    j.sql("ALTER TABLE crm.attachment ADD FOREIGN KEY (badge) REFERENCES crm.files; CREATE INDEX ON crm.attachment (badge)")
    attached = j.sql("""SELECT r.contact_id, min(a.id) FROM crm.attachment a JOIN crm.message m ON m.id = a.message_id
        JOIN crm.request r ON r.id = m.request_id GROUP BY 1 ORDER BY 1""")
    other, due = next(of for of in attached if of[0] in j.keys[6:])
    stays, left = next(of for of in attached if of[0] not in j.keys)
    one = j.keys[1]
    everywhere(j, """INSERT INTO {schema}.files (id, record_type, record_id, file_name)
        VALUES (1000001, 'Agent', %s, 'a'), (1000002, 'Contact', %s, 'a')""", one, one)
    everywhere(j, "UPDATE {schema}.attachment SET badge = CASE id WHEN %s THEN 1000001 ELSE 1000002 END WHERE id IN (%s, %s)",
               left, left, due)
    refer_in_a_ring(j, one, other)
    refers(j, stays, j.keys[5])
    check_all_but(j, [j.keys[5]])
