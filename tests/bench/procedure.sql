-- What the scheduler in the database (pg_cron) starts each night: a procedure that deletes in batches of 100
-- contacts and commits each.  It archives nothing: a procedure has no client to copy to.
CREATE OR REPLACE PROCEDURE public.delete_old() LANGUAGE plpgsql AS $$
DECLARE
	due bigint[];
	requests bigint[];
	last bigint := 0;
BEGIN
	LOOP
		SELECT array_agg(d.id ORDER BY d.id) INTO due FROM (
			SELECT c.id FROM crm.contact AS c
			 WHERE c.id > last
			   AND EXISTS (SELECT FROM crm.request AS r WHERE r.contact_id = c.id)
			   AND NOT EXISTS (SELECT FROM crm.request AS r WHERE r.contact_id = c.id
			                      AND r.created_at >= date_trunc('day', now()) - interval '18 months')
			 ORDER BY c.id LIMIT 100) AS d;
		EXIT WHEN due IS NULL;
		last := due[array_length(due, 1)];
		SELECT array_agg(id) INTO requests FROM crm.request WHERE contact_id = ANY (due);
		DELETE FROM crm.attachment WHERE message_id IN (SELECT id FROM crm.message WHERE request_id = ANY (requests));
		DELETE FROM crm.message WHERE request_id = ANY (requests);
		DELETE FROM crm.request_history WHERE request_id = ANY (requests);
		DELETE FROM crm.request WHERE id = ANY (requests);
		DELETE FROM crm.contact_social WHERE contact_id = ANY (due);
		DELETE FROM crm.contact_document WHERE contact_id = ANY (due);
		DELETE FROM crm.contact WHERE id = ANY (due);
		COMMIT;
	END LOOP;
END
$$;
