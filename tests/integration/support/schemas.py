"""
Schemas of public projects, each with the model that is shipped for it: tests/schemas/NAME/schema.sql
and data.sql, conf/models/NAME.conf.

data.sql is given `contacts` and fills the schema so that half of them are due at 18 months, counted
from now().  Every personal value holds a token: canary-c<contact>-<what>, or from the request down
canary-c<contact>-r<request>-<what>.  A value that several contacts use has the highest of them, c0
where somebody uses it who is none; the highest is never due alone.

Where a request's texts call the contact by name, redacted.sql selects them: (contact, request, text).
The contact's tokens go from such a text with the request, though the contact may stay.
"""

import re
from collections import Counter, namedtuple

from support.harness import REPO
from support.modelfile import read_model

DIRECTORY = REPO / "tests" / "schemas"
MODELS = REPO / "conf" / "models"
NAMES = sorted(path.parent.name for path in DIRECTORY.glob("*/schema.sql"))
DEPTH = "18 months"

# request is 0 for a value of the contact itself.
Canary = namedtuple("Canary", "contact request what")

CANARY = re.compile(rb"canary-c(\d+)(?:-r(\d+))?-([a-z_]+)")
# COPY writes bytea as \\x and hexadecimal digits.
BYTEA = re.compile(rb"\\x((?:[0-9a-f]{2})+)")


def canaries(data):
    """A Counter of the tokens in some bytes, in plain or hexadecimal (bytea) form."""
    texts = [data, *(bytes.fromhex(h.decode()) for h in BYTEA.findall(data))]
    return Counter(Canary(int(c), int(r or 0), what.decode()) for text in texts for c, r, what in CANARY.findall(text))


def model_text(name):
    return (MODELS / f"{name}.conf").read_text()


def tables_of(name):
    return read_model(model_text(name))


def template(pg, name, contacts=40):
    """The name of a database with the schema, made at most once a server."""
    key = ("schema", name, contacts)
    if key not in pg.templates:
        db = pg.create_database(f"schema_{name}_{contacts}")
        pg.psql(db, "-v", f"contacts={contacts}", "-f", DIRECTORY / name / "schema.sql", "-f", DIRECTORY / name / "data.sql")
        pg.templates[key] = db
    return pg.templates[key]


def dumped(pg, db):
    """The tokens of the whole database except the journal's own schema."""
    return canaries(pg.dump(db, "-N", "retention"))


def redacted(pg, db, name):
    """[(contact, request, Counter of the tokens of its texts)], as redacted.sql finds them."""
    query = DIRECTORY / name / "redacted.sql"
    if not query.exists():
        return []
    return [(c, r, canaries(text.encode())) for c, r, text in pg.sql(db, query.read_text()) if text]


def treated(pg, db, job):
    """The keys that this job erased, as the ledger has them."""
    return {int(k) for (k,) in pg.sql(db, "SELECT key FROM retention.ledger WHERE job = %s", (job,))}


def left_over(before, action, keys, texts):
    """The tokens that must be there after an action on these keys, with their counts."""
    if action == "export":
        return before
    if action == "anonymize_requests":
        left = Counter({t: n for t, n in before.items() if t.request not in keys})
        for _, request, tokens in texts:
            if request in keys:
                left -= Counter({t: n for t, n in tokens.items() if t in left})
        return left
    return Counter({t: n for t, n in before.items() if t.contact not in keys})


def difference(found, wanted):
    """The tokens that are too many and those that are missing, for a failure's message."""
    return {"left behind": sorted((found - wanted).items())[:20], "lost": sorted((wanted - found).items())[:20]}
