-- A hold comes before a batch or after it, never between its re-check and its end: batches share this
-- lock, who places a hold takes it alone, and so waits for those that run, a quarter of a second.
CREATE FUNCTION retention.wait_for_batches() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(1380275200, 2);
	RETURN NULL;
END
$$;
CREATE TRIGGER before_or_after_batches BEFORE INSERT OR UPDATE ON retention.hold
	FOR EACH STATEMENT EXECUTE FUNCTION retention.wait_for_batches();
REVOKE ALL ON FUNCTION retention.wait_for_batches() FROM PUBLIC;
