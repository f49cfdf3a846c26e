"""The loop that an application's "delete old data" button runs: object by object, children first.

rows.py CONNINFO N: the first N contacts that are due, a commit each; prints their number."""

import sys

import psycopg2

conn = psycopg2.connect(sys.argv[1])
cur = conn.cursor()


def ids(query, key):
    cur.execute(query, (key,))
    return [row[0] for row in cur.fetchall()]


cur.execute("""SELECT contact_id FROM crm.request GROUP BY 1
    HAVING max(created_at) < date_trunc('day', now()) - interval '18 months' ORDER BY 1 LIMIT %s""", (sys.argv[2],))
due = [row[0] for row in cur.fetchall()]
for contact in due:
    for request in ids("SELECT id FROM crm.request WHERE contact_id = %s", contact):
        for message in ids("SELECT id FROM crm.message WHERE request_id = %s", request):
            for attachment in ids("SELECT id FROM crm.attachment WHERE message_id = %s", message):
                cur.execute("DELETE FROM crm.attachment WHERE id = %s", (attachment,))
            cur.execute("DELETE FROM crm.message WHERE id = %s", (message,))
        for entry in ids("SELECT id FROM crm.request_history WHERE request_id = %s", request):
            cur.execute("DELETE FROM crm.request_history WHERE id = %s", (entry,))
        cur.execute("DELETE FROM crm.request WHERE id = %s", (request,))
    for table in ("contact_social", "contact_document"):
        for row in ids(f"SELECT id FROM crm.{table} WHERE contact_id = %s", contact):
            cur.execute(f"DELETE FROM crm.{table} WHERE id = %s", (row,))
    cur.execute("DELETE FROM crm.contact WHERE id = %s", (contact,))
    conn.commit()
print(len(due))
