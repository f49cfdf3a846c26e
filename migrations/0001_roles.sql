-- Group roles: nobody logs in as them, they are granted to those who do.  Roles belong to the whole
-- cluster, so another database may have made them already.
DO $$
DECLARE
	role text;
BEGIN
	FOREACH role IN ARRAY ARRAY['retention_auditor', 'retention_operator',
				    'retention_approver', 'retention_daemon']
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
			EXECUTE format('CREATE ROLE %I NOLOGIN', role);
		END IF;
	END LOOP;
EXCEPTION
	-- Two databases of one cluster migrated at the same moment: the role is there, which is all
	-- that was wanted.
	WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

COMMENT ON SCHEMA retention IS 'retentiond: retention periods, their journal and proofs';
GRANT USAGE ON SCHEMA retention
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
GRANT SELECT ON retention.schema_version
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
