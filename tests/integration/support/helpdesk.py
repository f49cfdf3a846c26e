"""
A helpdesk of several accounts, each of which numbers its rows from 1: account_id and id name a row only together.
Contact 1 of account 1 and contact 1 of account 2 are two people.
"""

ACCOUNTS = (1, 2)
CONTACTS = range(1, 7)

SCHEMA = """
    CREATE TABLE accounts (id bigint PRIMARY KEY, name text, support_email text);
    CREATE TABLE agents (account_id bigint REFERENCES accounts, id bigint, name text, email text, PRIMARY KEY (account_id, id));
    CREATE TABLE contacts (account_id bigint REFERENCES accounts, id bigint, name text, email text, phone text,
        created_at timestamptz NOT NULL DEFAULT '2000-01-01', PRIMARY KEY (account_id, id), UNIQUE (account_id, email));
    CREATE TABLE contact_emails (account_id bigint, id bigint, contact_id bigint NOT NULL, email text NOT NULL,
        PRIMARY KEY (account_id, id), FOREIGN KEY (account_id, contact_id) REFERENCES contacts ON DELETE CASCADE);
    CREATE TABLE conversations (account_id bigint REFERENCES accounts, id bigint, contact_id bigint NOT NULL, assignee_id bigint,
        status text, subject text, created_at timestamptz, closed_at timestamptz, PRIMARY KEY (id, account_id),
        FOREIGN KEY (account_id, contact_id) REFERENCES contacts, FOREIGN KEY (account_id, assignee_id) REFERENCES agents);
    CREATE TABLE messages (account_id bigint, id bigint, conversation_id bigint NOT NULL, sender_id bigint, agent_id bigint,
        body text, created_at timestamptz, PRIMARY KEY (account_id, id),
        FOREIGN KEY (conversation_id, account_id) REFERENCES conversations (id, account_id),
        FOREIGN KEY (account_id, sender_id) REFERENCES contacts, FOREIGN KEY (account_id, agent_id) REFERENCES agents);
    CREATE TABLE attachments (account_id bigint, id bigint, message_id bigint NOT NULL, file_name text, content bytea,
        PRIMARY KEY (account_id, id), FOREIGN KEY (account_id, message_id) REFERENCES messages);
    CREATE TABLE notes (account_id bigint, id bigint, contact_id bigint, agent_id bigint, body text, PRIMARY KEY (account_id, id),
        FOREIGN KEY (account_id, agent_id) REFERENCES agents);
    CREATE TABLE tags (account_id bigint, id bigint, name text, PRIMARY KEY (account_id, id));
    CREATE TABLE taggings (account_id bigint, conversation_id bigint, tag_id bigint,
        PRIMARY KEY (account_id, conversation_id, tag_id), FOREIGN KEY (account_id, tag_id) REFERENCES tags,
        FOREIGN KEY (account_id, conversation_id) REFERENCES conversations (account_id, id));
    CREATE TABLE custom_values (account_id bigint, id bigint, owner_type text, owner_id bigint, label text, content text,
        PRIMARY KEY (account_id, id));
    CREATE TABLE audit_log (account_id bigint, at timestamptz, contact_id bigint, action_code text, ip inet);
    CREATE TABLE csat_responses (account_id bigint, id bigint, conversation_id bigint NOT NULL, contact_id bigint, score int, comment text,
        PRIMARY KEY (account_id, id), FOREIGN KEY (account_id, conversation_id) REFERENCES conversations (account_id, id),
        FOREIGN KEY (account_id, contact_id) REFERENCES contacts);
    CREATE INDEX ON contact_emails (account_id, contact_id); CREATE INDEX ON conversations (contact_id);
    CREATE INDEX ON messages (account_id, conversation_id); CREATE INDEX ON messages (account_id, sender_id);
    CREATE INDEX ON attachments (account_id, message_id); CREATE INDEX ON custom_values (owner_type, account_id, owner_id)"""

# Contact n has conversation n, which has message n of the contact itself, and message n + 100 of the account's contact 1.
FILL = """
    INSERT INTO accounts SELECT a, 'a', 'help@a' FROM generate_series(1, 2) AS a;
    INSERT INTO agents SELECT id, 1, 'agent', 'agent@a' FROM accounts;
    INSERT INTO tags SELECT id, 1, 'vip' FROM accounts;
    INSERT INTO contacts SELECT a.id, n, 'n' || n, n || '@c', '555' FROM accounts AS a, generate_series(1, 6) AS n;
    INSERT INTO contact_emails SELECT account_id, id, id, email FROM contacts;
    INSERT INTO conversations SELECT account_id, id, id, 1, 'closed', 's', '2000-01-01',
        CASE WHEN (account_id + id) % 2 = 0 THEN timestamptz '2001-01-01' ELSE now() END FROM contacts;
    INSERT INTO messages SELECT account_id, id, id, id, NULL::bigint, 'b' FROM conversations
        UNION ALL SELECT account_id, id + 100, id, 1, NULL, 'b' FROM conversations;
    INSERT INTO attachments SELECT account_id, id, id, 'f', 'f' FROM messages;
    INSERT INTO notes SELECT account_id, id, id, 1, 'b' FROM contacts;
    INSERT INTO taggings SELECT account_id, id, 1 FROM conversations;
    INSERT INTO custom_values SELECT account_id, id, 'Contact', id, 'l', 'c' FROM contacts
        UNION ALL SELECT account_id, id + 100, 'Conversation', id, 'l', 'c' FROM conversations
        UNION ALL SELECT account_id, id + 200, 'Agent', 1, 'l', 'c' FROM contacts;
    INSERT INTO audit_log SELECT account_id, now(), id, 'in', '10.0.0.1' FROM contacts;
    INSERT INTO csat_responses SELECT account_id, id, id, id, 1, 'c' FROM conversations;
    ANALYZE"""


def due():
    """Pairs (account, number): the conversation of these contacts is long closed."""
    return {(a, n) for a in ACCOUNTS for n in CONTACTS if (a + n) % 2 == 0}


def everybody():
    return {(a, n) for a in ACCOUNTS for n in CONTACTS}
