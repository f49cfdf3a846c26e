-- Legal holds (GDPR art. 17(3)(e), art. 18).  A contact on hold is not due.

CREATE TABLE retention.hold (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	contact_key text NOT NULL,
	reason text NOT NULL CHECK (btrim(reason) <> ''),
	placed_by text NOT NULL DEFAULT session_user,
	placed_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	review_date date,
	released_by text,
	released_at timestamptz,
	-- An operator does not release it then.  Kept because the role may lose that right later.
	by_approver boolean NOT NULL DEFAULT pg_has_role(session_user, 'retention_approver', 'MEMBER')
);
CREATE UNIQUE INDEX hold_active ON retention.hold (contact_key) WHERE released_at IS NULL;

-- The holds that are in force now.  Nothing else decides it.  A view and not a function, so that a query joins
-- it as a set, by the index above.
CREATE VIEW retention.holds_in_force AS
SELECT h.id, h.contact_key, h.reason, h.placed_by, h.placed_at, h.expires_at, h.review_date
  FROM retention.hold AS h
 WHERE h.released_at IS NULL AND (h.expires_at IS NULL OR h.expires_at > now());

-- Places a hold before a batch or after it, never between the re-check of a batch and its end.  Batches share
-- this table and a hold takes it alone, so that it waits for running batches: a quarter of a second.
CREATE FUNCTION retention.wait_for_batches() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM retention.take_lock('hold_lock');
	RETURN NULL;
END
$$;
CREATE TRIGGER before_or_after_batches BEFORE INSERT OR UPDATE ON retention.hold
	FOR EACH STATEMENT EXECUTE FUNCTION retention.wait_for_batches();

-- Returns what the journal keeps of a hold.  It keeps a hash of the reason and not its text, because the text may
-- say too much for a table from which nothing can be removed.
CREATE FUNCTION retention.hold_content(h retention.hold) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
	SELECT jsonb_strip_nulls(to_jsonb(h) - ARRAY['id', 'contact_key', 'reason'] ||
		jsonb_build_object('hold', h.id, 'contact', h.contact_key,
			'reason_sha256', encode(sha256(textsend(h.reason)), 'hex')))
$$;

-- Writes an event for every change of a hold, whichever way it was made.
CREATE FUNCTION retention.journal_hold() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO retention.journal_event (kind, details)
	VALUES (CASE WHEN TG_OP = 'INSERT' THEN 'hold_placed'
		     WHEN OLD.released_at IS NOT NULL OR NEW.released_at IS NULL THEN 'hold_noted'
		     WHEN NEW.released_by = 'expiry' THEN 'hold_expired'
		     ELSE 'hold_released' END, retention.hold_content(NEW));
	RETURN NULL;
END
$$;
CREATE TRIGGER journal AFTER INSERT OR UPDATE ON retention.hold
	FOR EACH ROW EXECUTE FUNCTION retention.journal_hold();
CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON retention.hold
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

-- The fields of a row's literal where one is in double quotes.  NULL: it is no literal of a row without NULL.
CREATE FUNCTION retention.quoted_fields(key text) RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN key ~ '^\(("([^"\\]|""|\\.)*"|[^",()\\]+)(,("([^"\\]|""|\\.)*"|[^",()\\]+))*\)$'
		    THEN ARRAY(SELECT coalesce(regexp_replace(m.part[1], '(")"|\\(.)', '\1\2', 'g'), m.part[2])
				 FROM regexp_matches(substr(key, 2, length(key) - 2),
					'(?:^|,)(?:"((?:[^"\\]|""|\\.)*)"|([^",]+))', 'g') WITH ORDINALITY AS m(part, n)
				ORDER BY m.n) END
$$;

-- The fields of a key of several columns, which is written as PostgreSQL writes a row: (7,42).  Without SET, so that it
-- becomes a part of the statement that calls it: a literal without quotes, as numbers have it, is taken apart there.
CREATE FUNCTION retention.key_fields(key text) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
	SELECT CASE WHEN pg_catalog.strpos(key, '"') OPERATOR(pg_catalog.=) 0
		    THEN pg_catalog.string_to_array(pg_catalog.substr(key, 2, pg_catalog.length(key) OPERATOR(pg_catalog.-) 2), ',')
		    ELSE retention.quoted_fields(key) END
$$;

-- Writes the fields as PostgreSQL writes a row of them.
CREATE FUNCTION retention.row_key(fields text[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '(' || string_agg(CASE WHEN f.field = '' OR f.field ~ '["\\(),[:space:]]'
		THEN '"' || replace(replace(f.field, '\', '\\'), '"', '""') || '"' ELSE f.field END, ',' ORDER BY f.n) || ')'
	  FROM unnest(fields) WITH ORDINALITY AS f(field, n)
$$;

-- Takes the blanks off both ends of a key.  A hold and the contacts are compared so, because a hold that covers " A7"
-- as well as "A7" loses nothing, and a hold that misses its contact does.  Without SET, so that it becomes a part of
-- the statement that calls it.  Of a key of several columns each field loses them (trimmed_fields).
CREATE FUNCTION retention.trimmed_key(key text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
	SELECT pg_catalog.btrim(key, E' \t\n\v\f\r')
$$;

-- The same of a key of several columns.
CREATE FUNCTION retention.trimmed_fields(key text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT retention.row_key(ARRAY(SELECT retention.trimmed_key(f.field)
		  FROM unnest(retention.key_fields(key)) WITH ORDINALITY AS f(field, n) ORDER BY f.n))
$$;

-- Writes a key, which is written as the contact's table writes it, as a hold has it.
CREATE FUNCTION retention.held_key(key text, key_type text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN key_type LIKE '(%' THEN retention.trimmed_fields(key) ELSE retention.trimmed_key(key) END
$$;

-- Names the type of a key as canonical_key() takes it: as format_type() does, because a domain's own name would not say
-- how a key is written.  "(int4,uuid)" names those of several columns.
CREATE FUNCTION retention.key_type(types text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN types LIKE '(%'
		    THEN '(' || (SELECT string_agg(u.name::regtype::text, ',' ORDER BY u.n)
				   FROM unnest(string_to_array(btrim(types, '()'), ',')) WITH ORDINALITY AS u(name, n)) || ')'
		    ELSE types::regtype::text END
$$;

-- Writes a key as a column of this type writes it as text; NULL: it is no value of the type.  A number is written in
-- decimal digits: PostgreSQL 16 and later read 0x7, 0o7, 0b111 and 1_000, too, and no contact is meant by such a slip, on
-- any version.  An unknown type leaves the key as it is.  "(integer,uuid)" are the types of several columns.
CREATE FUNCTION retention.canonical_key(key text, key_type text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	types text[] := string_to_array(btrim(key_type, '()'), ',');
	fields text[];
BEGIN
	IF key_type LIKE '(%' THEN
		key := retention.trimmed_key(key);
		-- A field without quotes may have blanks around it: (7, 42).
		fields := CASE WHEN key ~ '^\([^"()]+\)$' THEN string_to_array(btrim(key, '()'), ',')
			       WHEN key LIKE '%"%' THEN retention.quoted_fields(key) END;
		-- An empty field without quotes is NULL.
		IF cardinality(fields) IS DISTINCT FROM cardinality(types) OR (key NOT LIKE '%"%' AND '' = ANY (fields)) THEN
			RETURN NULL;
		END IF;
		FOR i IN 1 .. cardinality(types) LOOP
			fields[i] := retention.canonical_key(fields[i], types[i]);
			IF fields[i] IS NULL THEN
				RETURN NULL;
			END IF;
		END LOOP;
		RETURN retention.row_key(fields);
	END IF;
	RETURN CASE WHEN key_type IN ('smallint', 'integer', 'bigint')
		    THEN CASE WHEN retention.trimmed_key(key) ~ '^[+-]?[0-9]+$' THEN retention.trimmed_key(key)::bigint::text END
		    WHEN key_type IN ('numeric', 'real', 'double precision')
		    THEN CASE WHEN retention.trimmed_key(key) ~ '^[+-]?[0-9]+([.][0-9]+)?$' THEN retention.trimmed_key(key) END
		    WHEN key_type = 'uuid' THEN btrim(key)::uuid::text
		    WHEN key_type = 'character' THEN rtrim(key)
		    ELSE key END;
EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
	RETURN NULL;
END
$$;

-- Writes a key as the contact's table writes it.
CREATE FUNCTION retention.contact_key(key text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key_type text := (SELECT value FROM retention.setting WHERE name = 'contact_key_type');
	canonical text := retention.canonical_key(key, key_type);
	example text;
BEGIN
	IF coalesce(retention.trimmed_key(key), '') = '' THEN
		RAISE EXCEPTION 'the contact''s key is missing'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.key_missing',
			      COLUMN = 'contact_key';
	ELSIF canonical IS NULL AND key_type LIKE '(%' THEN
		example := '(' || repeat('1,', cardinality(string_to_array(key_type, ',')) - 1) || '42)';
		RAISE EXCEPTION '"%" is not a valid contact key: write it like ''%'', with a value for each of %', key, example, key_type
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.key_fields',
			      COLUMN = 'contact_key',
			      DETAIL = concat_ws(E'\n', replace(key, E'\n', ' '), example, key_type);
	ELSIF canonical IS NULL THEN
		RAISE EXCEPTION '"%" is not a valid contact key: it should be a %', key, key_type
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.key_invalid',
			      COLUMN = 'contact_key',
			      DETAIL = concat_ws(E'\n', replace(key, E'\n', ' '), key_type);
	END IF;
	RETURN canonical;
END
$$;

-- Writes a key as a hold has it, so that a hold on " 7F3A-...", "007" or "A7 " covers its contact.
CREATE FUNCTION retention.hold_key(key text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT retention.held_key(retention.contact_key(key), (SELECT value FROM retention.setting WHERE name = 'contact_key_type'))
$$;

CREATE FUNCTION retention.place_hold(contact_key text, reason text,
				     expires_at timestamptz DEFAULT NULL,
				     review_date date DEFAULT NULL) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new_id int;
BEGIN
	PERFORM retention.check_person();
	IF coalesce(btrim(reason), '') = '' THEN
		RAISE EXCEPTION 'a hold needs a reason'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.reason_missing',
			      COLUMN = 'reason',
			      HINT = 'An auditor will ask for it: name the case, not the person.';
	END IF;
	IF expires_at <= now() THEN
		RAISE EXCEPTION 'the hold would have expired already (%)', expires_at
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.hold_expired',
			      COLUMN = 'expires_at',
			      DETAIL = expires_at;
	END IF;
	-- Closes a hold that has expired: it does not stand in the way of the new one.
	UPDATE retention.hold h SET released_at = h.expires_at, released_by = 'expiry'
	 WHERE h.contact_key = retention.hold_key(place_hold.contact_key)
	   AND h.released_at IS NULL
	   AND NOT EXISTS (SELECT FROM retention.holds_in_force f WHERE f.id = h.id);
	INSERT INTO retention.hold AS h (contact_key, reason, expires_at, review_date)
	VALUES (retention.hold_key(place_hold.contact_key), place_hold.reason,
		place_hold.expires_at, place_hold.review_date)
	RETURNING h.id INTO new_id;
	RETURN new_id;
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'contact % is on hold already', contact_key
		USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.hold_exists',
		      COLUMN = 'contact_key',
		      DETAIL = contact_key,
		      HINT = 'Release that hold first, or leave it.';
END
$$;

-- Releases a hold.  Only an approver releases the hold that an approver placed.
CREATE FUNCTION retention.release_hold(contact_key text) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h retention.hold;
BEGIN
	PERFORM retention.check_person();
	UPDATE retention.hold AS r SET released_at = now(), released_by = session_user
	 WHERE r.contact_key = retention.hold_key(release_hold.contact_key)
	   AND r.released_at IS NULL
	RETURNING * INTO h;
	IF h.by_approver AND NOT pg_has_role(session_user, 'retention_approver', 'MEMBER') THEN
		RAISE EXCEPTION 'the hold of contact % was placed by %, an approver: only an approver can release it',
				contact_key, h.placed_by
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.hold_of_approver',
			      COLUMN = 'contact_key',
			      DETAIL = concat_ws(E'\n', contact_key, h.placed_by);
	END IF;
	IF h.id IS NULL THEN
		RAISE EXCEPTION 'contact % is not on hold', contact_key
			USING ERRCODE = 'no_data_found', CONSTRAINT = 'retention.hold_unknown',
			      COLUMN = 'contact_key',
			      DETAIL = contact_key;
	END IF;
END
$$;
