-- Policies that people make on the page, where the configuration says policies_from = "file+page".  A policy has
-- versions.  An operator saves one, the daemon counts what it would reach, and an approver validates that count.  From
-- then on the version is in force, until another one replaces it or somebody retires it.
--
-- What could go wrong, and what is done about it:
--
--   an operator who means harm   saves what does not run.  A version never changes, and only the newest can be validated,
--                                by its number and its count.  The configuration bounds depth, actions, archives and
--                                how many there are.  A name that differs from another by capitals only is refused.
--   an approver alone            finds nothing to validate, because only operators save.  Where a role may do both, four
--                                eyes keep them apart.  An approver can retire a policy, which erases nothing.
--   a restored backup            brings a retired policy back.  The daemon keeps a file beside the ledger, finds it there,
--                                and retires it again (journal/page_policies.c).  A policy that is lost is told.
--   a configuration that changes is stored here before it is in force.  What is outside of it does not begin: the functions
--                                below, the trigger on actions, and the daemon each compare, so that a daemon with an
--                                older configuration begins nothing that the newest one forbids.
--   a policy of another name     is another policy.  One with the name of a policy of the file does not run.
--   an occurrence of the past    is not made up for: none begins that is earlier than the validation, or than the day on
--                                which the configuration let the page make policies.

-- Bounds: what the configuration lets the page do; NULL: nothing.  {shortest, actions, archives, most, file, since}: file
-- has the names of the file's policies, since is the time from which policies of the page may run.
CREATE FUNCTION retention.page_bounds() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(s.value, '')::jsonb FROM retention.setting AS s WHERE s.name = 'page_policies'
$$;

-- Stores them; NULL: policies_from = "file".
CREATE FUNCTION retention.configure_page(bounds jsonb) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
	INSERT INTO retention.setting AS s (name, value)
	SELECT 'page_policies', coalesce((bounds || jsonb_build_object('since',
		coalesce(retention.page_bounds()->>'since', now()::text)))::text, '')
	 WHERE bounds IS NOT NULL OR retention.page_bounds() IS NOT NULL
	ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value <> excluded.value
$$;

CREATE TABLE retention.page_policy (
	name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
	version int NOT NULL CHECK (version > 0),
	action text NOT NULL CHECK (action IN
		('export', 'delete_contacts', 'anonymize_contacts', 'anonymize_requests')),
	depth interval NOT NULL,
	schedule text NOT NULL,
	archive text NOT NULL CHECK (archive IN ('none', 'listed', 'full')),
	note text CHECK (length(note) <= 200),
	saved_by text NOT NULL DEFAULT session_user,
	saved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	-- What it would reach at its next occurrence, as the daemon has counted it while it was saved.
	counted bigint,
	held bigint,
	cutoff timestamptz,
	counted_at timestamptz,
	remark text,
	validated_by text,
	validated_at timestamptz,
	retired_by text,
	retired_at timestamptz,
	retired_as text CHECK (retired_as IN ('replaced', 'withdrawn', 'retired', 'restored')),
	PRIMARY KEY (name, version),
	CHECK (num_nulls(validated_by, validated_at) IN (0, 2)),
	CHECK (num_nulls(retired_by, retired_at, retired_as) IN (0, 3))
);
CREATE UNIQUE INDEX page_policy_saved ON retention.page_policy (lower(name))
 WHERE validated_at IS NULL AND retired_at IS NULL;
CREATE UNIQUE INDEX page_policy_in_force ON retention.page_policy (lower(name))
 WHERE validated_at IS NOT NULL AND retired_at IS NULL;
COMMENT ON COLUMN retention.page_policy.remark IS 'why it could not be counted';
COMMENT ON COLUMN retention.page_policy.retired_by IS
	'a role; of the daemon where retired_as is "restored": a restored backup had brought the policy back';

-- What the journal keeps of a version: all of it but the counts, which change each day until it is validated.
CREATE FUNCTION retention.page_policy_content(p retention.page_policy) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET IntervalStyle = 'postgres'
AS $$
	SELECT jsonb_strip_nulls(to_jsonb(p) - ARRAY['held', 'cutoff', 'counted_at', 'remark'] -
				 CASE WHEN p.validated_at IS NULL THEN 'counted' ELSE '' END)
$$;

CREATE FUNCTION retention.journal_page_policy() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' OR retention.page_policy_content(NEW) <> retention.page_policy_content(OLD) THEN
		INSERT INTO retention.journal_event (kind, details)
		VALUES (CASE WHEN TG_OP = 'INSERT' THEN 'policy_saved'
			     WHEN OLD.retired_at IS NULL AND NEW.retired_at IS NOT NULL THEN 'policy_retired'
			     ELSE 'policy_validated' END, retention.page_policy_content(NEW));
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER journal AFTER INSERT OR UPDATE ON retention.page_policy
	FOR EACH ROW EXECUTE FUNCTION retention.journal_page_policy();
CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON retention.page_policy
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE ON retention.page_policy
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- Allows legal changes only, whichever way they are made: saved, counted, validated, retired.  The daemon's role counts
-- what is saved, and retires what a restored backup has brought back.
CREATE FUNCTION retention.check_page_policy() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	counts constant text[] := ARRAY['counted', 'held', 'cutoff', 'counted_at', 'remark'];
	validation constant text[] := ARRAY['validated_by', 'validated_at'];
	retirement constant text[] := ARRAY['retired_by', 'retired_at', 'retired_as'];
	legal boolean := CASE
		WHEN OLD.retired_at IS NOT NULL THEN false
		WHEN NEW.retired_at IS NOT NULL
		THEN to_jsonb(OLD) - retirement = to_jsonb(NEW) - retirement AND
		     (retention.is_owner() OR (NEW.retired_as = 'restored' AND OLD.validated_at IS NOT NULL))
		WHEN OLD.validated_at IS NOT NULL THEN false
		WHEN NEW.validated_at IS NOT NULL
		THEN retention.is_owner() AND NEW.counted IS NOT NULL AND
		     to_jsonb(OLD) - validation = to_jsonb(NEW) - validation
		ELSE to_jsonb(OLD) - counts = to_jsonb(NEW) - counts
		END;
BEGIN
	IF NOT legal THEN
		RAISE EXCEPTION 'version % of policy "%": the role % may not make this change', OLD.version, OLD.name,
				current_user
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.policy_change_forbidden',
			      DETAIL = concat_ws(E'\n', OLD.version, OLD.name, current_user),
			      HINT = 'People make it by the functions of the schema retention.';
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER legal BEFORE UPDATE ON retention.page_policy
	FOR EACH ROW EXECUTE FUNCTION retention.check_page_policy();

-- A period in whole months; NULL: it is not one, or not from 1 month to 100 years.
CREATE FUNCTION retention.whole_months(depth interval) RETURNS int
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.months FROM (SELECT (extract(year FROM depth) * 12 + extract(month FROM depth))::int AS months) AS x
	 WHERE x.months BETWEEN 1 AND 1200 AND extract(day FROM depth) = 0 AND extract(hour FROM depth) = 0 AND
	       extract(minute FROM depth) = 0 AND extract(second FROM depth) = 0
$$;

-- Refuses what the configuration does not let the page do.
CREATE FUNCTION retention.check_page_bounds(p retention.page_policy) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	bounds jsonb := retention.page_bounds();
	months int := retention.whole_months(p.depth);
	listed text;
BEGIN
	IF bounds IS NULL THEN
		RAISE EXCEPTION 'the configuration takes its policies from its file alone'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.policies_of_file',
			      HINT = 'policies_from = "file+page" and page_policies in retentiond.conf let people make policies here.';
	END IF;
	IF NOT bounds->'actions' ? p.action THEN
		SELECT string_agg(a, ', ') INTO listed FROM jsonb_array_elements_text(bounds->'actions') AS a;
		RAISE EXCEPTION 'the configuration allows no policy of the page to %', p.action
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.policy_action_forbidden',
			      COLUMN = 'action',
			      DETAIL = concat_ws(E'\n', p.action, listed),
			      HINT = format('Allowed: %s.', listed);
	END IF;
	IF p.action NOT LIKE 'anonymize%' AND NOT bounds->'archives' ? p.archive THEN
		SELECT string_agg(a, ', ') INTO listed FROM jsonb_array_elements_text(bounds->'archives') AS a;
		RAISE EXCEPTION 'the configuration allows no policy of the page with archive "%"', p.archive
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.policy_archive_forbidden',
			      COLUMN = 'archive',
			      DETAIL = concat_ws(E'\n', p.archive, listed),
			      HINT = format('Allowed: %s.', listed);
	END IF;
	IF months IS NULL THEN
		RAISE EXCEPTION 'the depth is not a whole number of months, from 1 to 1200'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.policy_depth_invalid',
			      COLUMN = 'depth';
	END IF;
	IF months < retention.whole_months((bounds->>'shortest')::interval) THEN
		RAISE EXCEPTION 'a depth of % months is shorter than the configuration allows: % months', months,
				retention.whole_months((bounds->>'shortest')::interval)
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.policy_depth_short',
			      COLUMN = 'depth',
			      DETAIL = concat_ws(E'\n', months,
						 retention.whole_months((bounds->>'shortest')::interval));
	END IF;
	IF EXISTS (SELECT FROM jsonb_array_elements_text(bounds->'file') AS f WHERE lower(f) = lower(p.name)) THEN
		RAISE EXCEPTION 'the configuration''s file has a policy "%"', p.name
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.policy_name_of_file',
			      COLUMN = 'name',
			      DETAIL = p.name,
			      HINT = 'Choose another name: a policy of the file is changed on the server only.';
	END IF;
END
$$;

-- The same as an answer, for views: a sentence, its id and its values; NULL: the policy is within the bounds.
CREATE FUNCTION retention.page_refusal(p retention.page_policy, OUT refused text, OUT message text, OUT details text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM retention.check_page_bounds(p);
EXCEPTION WHEN invalid_parameter_value OR object_not_in_prerequisite_state THEN
	GET STACKED DIAGNOSTICS refused = MESSAGE_TEXT, message = CONSTRAINT_NAME, details = PG_EXCEPTION_DETAIL;
END
$$;

-- All versions, with what stands in the way of those that have not ended.
CREATE VIEW retention.page_policies AS
SELECT p.name, p.version,
       CASE WHEN p.retired_at IS NOT NULL THEN 'retired' WHEN p.validated_at IS NOT NULL THEN 'in force'
	    ELSE 'saved' END AS status,
       p.action, p.depth, retention.whole_months(p.depth) AS months, p.schedule, p.archive, p.note,
       p.saved_by, p.saved_at, p.counted, p.held, p.cutoff, p.counted_at, p.remark,
       p.validated_by, p.validated_at, p.retired_by, p.retired_at, p.retired_as,
       r.refused, r.message AS refused_message, r.details AS refused_details
  FROM retention.page_policy AS p
  LEFT JOIN LATERAL retention.page_refusal(p) AS r ON p.retired_at IS NULL;

-- Refuses one more policy than the configuration allows.  in_force: counts those in force only.
CREATE FUNCTION retention.check_policy_number(name text, in_force boolean) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most int := (retention.page_bounds()->>'most')::int;
BEGIN
	IF (SELECT count(DISTINCT p.name) FROM retention.page_policy AS p
	     WHERE p.retired_at IS NULL AND p.name <> check_policy_number.name AND
		   (p.validated_at IS NOT NULL OR NOT in_force)) >= most THEN
		RAISE EXCEPTION 'there are % policies of the page already: the configuration allows no more', most
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.policies_too_many',
			      DETAIL = most,
			      HINT = 'Retire one that is no longer needed.';
	END IF;
END
$$;

-- Saves a policy, or a new version of one; returns the version.  note: why, for who validates it.
CREATE FUNCTION retention.save_policy(name text, action text, depth interval, schedule text DEFAULT 'monthly',
				      archive text DEFAULT NULL, note text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new retention.page_policy;
	alike text;
BEGIN
	PERFORM retention.check_person();
	IF (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$') IS NOT TRUE OR lower(name) IN ('manual', 'replay') THEN
		RAISE EXCEPTION 'the name of a policy is not 1 to 63 letters, digits, dots, - and _'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.policy_name_invalid',
			      COLUMN = 'name',
			      HINT = 'It begins with a letter or a digit, and is neither "manual" nor "replay".';
	END IF;
	IF (length(schedule) <= 200 AND
	    schedule ~* '^(hourly|daily|weekly|monthly|yearly|([0-9*,/-]+ +){3}[0-9a-z*,/-]+ +[0-9a-z*,/-]+)$') IS NOT TRUE THEN
		RAISE EXCEPTION 'the schedule is not hourly, daily, weekly, monthly, yearly, or five fields of cron'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.policy_schedule_invalid',
			      COLUMN = 'schedule';
	END IF;
	new.name := save_policy.name;
	new.action := save_policy.action;
	new.depth := save_policy.depth;
	new.schedule := save_policy.schedule;
	new.archive := retention.checked_archive(action, archive);
	new.note := retention.checked_note(note);
	PERFORM retention.check_page_bounds(new);
	PERFORM retention.take_lock('chain_lock');	-- two that save wait for each other
	SELECT p.name INTO alike FROM retention.page_policy AS p
	 WHERE lower(p.name) = lower(new.name) AND p.name <> new.name LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'there is a policy "%", which differs by capitals only', alike
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.policy_name_alike',
			      COLUMN = 'name',
			      DETAIL = alike;
	END IF;
	PERFORM retention.check_policy_number(new.name, false);
	UPDATE retention.page_policy AS p
	   SET retired_by = session_user, retired_at = clock_timestamp(), retired_as = 'replaced'
	 WHERE p.name = new.name AND p.validated_at IS NULL AND p.retired_at IS NULL;
	INSERT INTO retention.page_policy AS p (name, version, action, depth, schedule, archive, note)
	SELECT new.name, coalesce(max(o.version), 0) + 1, new.action,
	       make_interval(months => retention.whole_months(new.depth)), new.schedule, new.archive, new.note
	  FROM retention.page_policy AS o WHERE o.name = new.name
	RETURNING p.version INTO new.version;
	PERFORM pg_notify('retention', 'policy_saved ' || new.name);
	RETURN new.version;
END
$$;

-- Returns the version of a policy and locks it.
CREATE FUNCTION retention.lock_policy(name text, version int) RETURNS retention.page_policy
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p retention.page_policy;
BEGIN
	PERFORM retention.take_lock('chain_lock');	-- first, as in check_page_action()
	SELECT * INTO p FROM retention.page_policy AS o
	 WHERE o.name = lock_policy.name AND o.version = lock_policy.version FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no version % of a policy "%" of the page', coalesce(version::text, 'NULL'),
				coalesce(name, 'NULL')
			USING ERRCODE = 'no_data_found', CONSTRAINT = 'retention.policy_unknown',
			      COLUMN = 'name',
			      DETAIL = concat_ws(E'\n', coalesce(version::text, 'NULL'), coalesce(name, 'NULL')),
			      HINT = 'See retention.page_policies; a policy of the file is changed in the file.';
	END IF;
	RETURN p;
END
$$;

-- Cancels the actions of a policy of the page that have not begun, so that nothing runs by a version that is no longer
-- in force.  One that a job works on at this moment is refused when it wants to begin: check_page_action().
CREATE FUNCTION retention.cancel_policy_actions(policy text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	one int;
BEGIN
	FOR one IN SELECT j.id FROM retention.archive_journal AS j
		    WHERE j.policy = cancel_policy_actions.policy AND j.policy_version IS NOT NULL
		      AND j.status IN ('saved', 'validated')
		    ORDER BY j.id FOR UPDATE SKIP LOCKED
	LOOP
		CONTINUE WHEN NOT retention.claim_to_end(one);
		UPDATE retention.archive_journal AS j SET status = 'cancelled', finished_at = clock_timestamp()
		 WHERE j.id = one;
		DELETE FROM retention.candidate AS c WHERE c.job = one;
		PERFORM pg_notify('retention', 'cancelled ' || one);
	END LOOP;
END
$$;

-- Puts a version in force, which replaces the one before it.  seen: the count that the person was shown.
CREATE FUNCTION retention.validate_policy(name text, version int, seen bigint) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p retention.page_policy := retention.lock_policy(name, version);
BEGIN
	PERFORM retention.check_person();
	IF p.retired_at IS NOT NULL OR p.validated_at IS NOT NULL THEN
		RAISE EXCEPTION 'version % of policy "%" is %: only the version that was saved last can be validated',
				p.version, p.name, CASE WHEN p.retired_at IS NULL THEN 'in force' ELSE 'retired' END
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.policy_not_saved',
			      DETAIL = concat_ws(E'\n', p.version, p.name,
						 CASE WHEN p.retired_at IS NULL THEN 'in force' ELSE 'retired' END);
	END IF;
	PERFORM retention.check_page_bounds(p);
	PERFORM retention.check_policy_number(p.name, true);	-- the configuration may allow fewer since
	IF p.counted IS NULL OR p.counted_at < clock_timestamp() - interval '2 days' THEN
		RAISE EXCEPTION 'policy "%" is not counted yet: nobody knows what it would reach', p.name
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.policy_not_counted',
			      DETAIL = p.name,
			      HINT = 'The daemon counts it when it is saved, and each day: is retentiond running?  Try again in a moment.';
	END IF;
	IF p.counted IS DISTINCT FROM seen THEN
		RAISE EXCEPTION 'policy "%" would reach %, and not the number that was seen, %', p.name, p.counted,
				coalesce(seen::text, 'NULL')
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.policy_count_differs',
			      COLUMN = 'seen',
			      DETAIL = concat_ws(E'\n', p.name, p.counted, coalesce(seen::text, 'NULL')),
			      HINT = 'Look at the policy again: it was counted anew, or is another one.';
	END IF;
	IF p.saved_by = session_user AND
	   (SELECT s.value FROM retention.setting AS s WHERE s.name = 'four_eyes') = 'true' THEN
		RAISE EXCEPTION 'policy "%" was saved by you: somebody else has to validate it', p.name
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.policy_four_eyes',
			      DETAIL = p.name,
			      HINT = 'The configuration asks for four eyes.';
	END IF;
	UPDATE retention.page_policy AS o
	   SET retired_by = session_user, retired_at = clock_timestamp(), retired_as = 'replaced'
	 WHERE o.name = p.name AND o.validated_at IS NOT NULL AND o.retired_at IS NULL;
	UPDATE retention.page_policy AS o SET validated_by = session_user, validated_at = clock_timestamp()
	 WHERE o.name = p.name AND o.version = p.version;
	PERFORM retention.cancel_policy_actions(p.name);
	PERFORM pg_notify('retention', 'policy_validated ' || p.name);
END
$$;

-- Retires a policy of the page: what is in force, and what is saved.  With a version, that one alone.  An operator
-- withdraws what is saved; what is in force is an approver's.  An action that runs goes on: it can be paused or abandoned.
CREATE FUNCTION retention.retire_policy(name text, version int DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	approves constant boolean := pg_has_role(session_user, 'retention_approver', 'MEMBER');
	p retention.page_policy := retention.lock_policy(name, coalesce(version,
		(SELECT max(o.version) FROM retention.page_policy AS o WHERE o.name = retire_policy.name)));
	was_in_force boolean;
BEGIN
	PERFORM retention.check_person();
	SELECT bool_or(o.validated_at IS NOT NULL) INTO was_in_force FROM retention.page_policy AS o
	 WHERE o.name = p.name AND o.version = coalesce(retire_policy.version, o.version) AND o.retired_at IS NULL;
	IF was_in_force IS NULL THEN
		RAISE EXCEPTION 'policy "%" is retired already', p.name
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.policy_retired',
			      DETAIL = p.name;
	END IF;
	IF was_in_force AND NOT approves THEN
		RAISE EXCEPTION 'policy "%" is in force: only an approver can retire it', p.name
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.policy_in_force',
			      DETAIL = p.name;
	END IF;
	UPDATE retention.page_policy AS o
	   SET retired_by = session_user, retired_at = clock_timestamp(),
	       retired_as = CASE WHEN o.validated_at IS NULL THEN 'withdrawn' ELSE 'retired' END
	 WHERE o.name = p.name AND o.version = coalesce(retire_policy.version, o.version) AND o.retired_at IS NULL;
	IF was_in_force THEN
		PERFORM retention.cancel_policy_actions(p.name);
	END IF;
	PERFORM pg_notify('retention', 'policy_retired ' || p.name);
END
$$;

-- Lets an action of a policy of the page begin, be validated and run only while its version is in force, is within the
-- bounds, and says the same as the action.  The rest of an action that has run (part 2 and more) is entered in any case,
-- and checked when it begins.  It comes after the event of the change, so that it waits for a person who retires the
-- policy at this moment: both take chain_lock first.
CREATE FUNCTION retention.check_page_action() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p retention.page_policy;
	why text;
BEGIN
	SELECT * INTO p FROM retention.page_policy AS o
	 WHERE o.name = NEW.policy AND o.version = NEW.policy_version FOR SHARE;
	why := CASE
		WHEN (p.action, p.depth, p.archive) IS DISTINCT FROM (NEW.action, NEW.depth, NEW.archive)
		THEN 'it says something else'
		WHEN TG_OP = 'INSERT' AND NEW.part > 1 THEN NULL
		WHEN p.validated_at IS NULL THEN 'it was not validated'
		WHEN p.retired_at IS NOT NULL THEN 'it is retired'
		WHEN TG_OP = 'INSERT' AND (NEW.occurrence > retention.page_policy_since(p)) IS NOT TRUE
		THEN 'the occurrence is earlier'
		ELSE (SELECT r.refused FROM retention.page_refusal(p) AS r) END;
	IF why IS NOT NULL THEN
		RAISE EXCEPTION 'action % may not begin by version % of policy "%" of the page: %', NEW.id,
				NEW.policy_version, NEW.policy, why
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.policy_not_in_force',
			      DETAIL = concat_ws(E'\n', NEW.id, NEW.policy_version, NEW.policy, why),
			      HINT = 'Cancel the action, if it is there.';
	END IF;
	RETURN NULL;
END
$$;
-- By its name it fires after "journal".
CREATE TRIGGER page_policy_begins AFTER INSERT ON retention.archive_journal
	FOR EACH ROW WHEN (NEW.policy_version IS NOT NULL) EXECUTE FUNCTION retention.check_page_action();
CREATE TRIGGER page_policy_goes_on AFTER UPDATE OF status ON retention.archive_journal
	FOR EACH ROW WHEN (NEW.policy_version IS NOT NULL AND NEW.status <> OLD.status AND
			   NEW.status IN ('validated', 'running'))
	EXECUTE FUNCTION retention.check_page_action();

-- The time from which a version's occurrences count.
CREATE FUNCTION retention.page_policy_since(p retention.page_policy) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT greatest(p.validated_at, (retention.page_bounds()->>'since')::timestamptz)
$$;

-- The same as watch_policy(), for a policy of the page: it waits for the first occurrence after it was validated.
CREATE FUNCTION retention.watch_page_policy(policy text, version int, schedule text, next timestamptz)
RETURNS timestamptz
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.policy_state AS s (policy, schedule, last_occurrence, next_occurrence)
	SELECT p.name, watch_page_policy.schedule, retention.page_policy_since(p), watch_page_policy.next
	  FROM retention.page_policy AS p
	 WHERE p.name = watch_page_policy.policy AND p.version = watch_page_policy.version
	ON CONFLICT ON CONSTRAINT policy_state_pkey DO UPDATE
	SET schedule = excluded.schedule, next_occurrence = excluded.next_occurrence,
	    last_occurrence = greatest(s.last_occurrence, excluded.last_occurrence), updated_at = now()
	RETURNING last_occurrence
$$;

-- The policies of the page that the daemon's file (known) and the database do not agree about, because the database was
-- restored from a backup.  stale: the database has it in force, and the file knows that it was retired or replaced.
-- lost: the file has it in force, and the database does not know it.
CREATE FUNCTION retention.page_policies_forgotten(known jsonb)
RETURNS TABLE (name text, version int, fault text, content jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH k AS (
		SELECT e.key AS name, (e.value->>'version')::int AS version, e.value AS content,
		       (e.value->>'validated_at')::timestamptz AS validated_at, e.value ? 'retired_at' AS retired,
		       e.value ? 'told' AS told
		  FROM jsonb_each(known) AS e)
	SELECT p.name, p.version, 'stale', retention.page_policy_content(p)
	  FROM k JOIN retention.page_policy AS p ON p.name = k.name
	 WHERE p.validated_at IS NOT NULL AND p.retired_at IS NULL AND
	       (p.validated_at < k.validated_at OR (p.validated_at = k.validated_at AND k.retired))
	UNION ALL
	SELECT k.name, k.version, 'lost', k.content
	  FROM k
	 WHERE NOT k.retired AND NOT k.told AND NOT EXISTS (
		SELECT FROM retention.page_policy AS p WHERE p.name = k.name AND p.validated_at >= k.validated_at)
	 ORDER BY 1, 2
$$;

-- What the daemon's file has to know next: of each policy the version that was validated last.
CREATE FUNCTION retention.page_policies_known(known jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_pretty(coalesce(jsonb_object_agg(coalesce(d.name, k.name), CASE
		WHEN d.name IS NULL OR d.validated_at < k.validated_at OR
		     (d.validated_at = k.validated_at AND k.value ? 'retired_at')
		THEN k.value || CASE WHEN k.value ? 'retired_at' THEN '{}' ELSE '{"told": true}' END::jsonb
		ELSE retention.page_policy_content(d.p) END), '{}'))
	  FROM (SELECT DISTINCT ON (p.name) p.name, p.validated_at, p FROM retention.page_policy AS p
		 WHERE p.validated_at IS NOT NULL ORDER BY p.name, p.validated_at DESC, p.version DESC) AS d
	  FULL JOIN (SELECT e.key AS name, e.value, (e.value->>'validated_at')::timestamptz AS validated_at
		       FROM jsonb_each(known) AS e) AS k ON k.name = d.name
$$;

-- Begins the pass of a policy now, besides its schedule, and returns the action's number.  The pass is the daemon's like any
-- other: it is listed, validates itself or waits for a person, and keeps to the window, to max_share and to all limits.  Of a
-- policy whose last pass has not ended none is begun, nor while a replay comes first.  An occurrence that the daemon begins
-- at the same moment comes behind it, and finds nobody due.  The schedule stays as it is.
CREATE FUNCTION retention.run_policy(name text) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p retention.policy;
	other int;
	new_id int;
BEGIN
	PERFORM retention.check_person();
	PERFORM retention.refuse_copy();
	PERFORM retention.take_lock('chain_lock');	-- two that run it wait for each other
	SELECT * INTO p FROM retention.policy AS o WHERE o.name = run_policy.name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no policy "%" is in force', coalesce(name, 'NULL')
			USING ERRCODE = 'no_data_found', CONSTRAINT = 'retention.run_unknown',
			      COLUMN = 'name', DETAIL = coalesce(name, 'NULL'),
			      HINT = 'See retention.policies.  The daemon stores them when it starts, reloads or connects.';
	END IF;
	IF NOT p.enabled THEN
		RAISE EXCEPTION 'policy "%" is disabled', p.name
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.run_disabled',
			      COLUMN = 'name', DETAIL = p.name,
			      HINT = 'The configuration says enabled = false.';
	END IF;
	IF EXISTS (SELECT FROM retention.replay) THEN
		RAISE EXCEPTION 'the database was restored from a backup: a replay comes first'
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.run_replay',
			      HINT = 'See retentionctl replay.';
	END IF;
	SELECT j.id INTO other FROM retention.archive_journal AS j
	 WHERE j.policy = p.name AND j.status IN ('saved', 'validated', 'running') ORDER BY j.id LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'action % of policy "%" has not ended', other, p.name
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.run_under_way',
			      DETAIL = concat_ws(E'\n', other, p.name),
			      HINT = 'Wait until it has ended; or cancel it, or abandon it where it has begun.';
	END IF;
	INSERT INTO retention.archive_journal AS j (action, mode, status, policy, policy_version, occurrence, depth, archive)
	SELECT p.action, 'automatic', 'saved', p.name, v.version, clock_timestamp(), p.depth, p.archive
	  FROM (SELECT) AS one
	  LEFT JOIN retention.page_policy AS v ON p.source = 'page' AND v.name = p.name AND v.validated_at IS NOT NULL AND
						  v.retired_at IS NULL
	RETURNING j.id INTO new_id;
	PERFORM pg_notify('retention', 'saved ' || new_id);
	RETURN new_id;
END
$$;
