-- The group roles.  Nobody logs in as one of them: they are granted to login roles.  What each may do
-- stands in 0009_grants.  Roles belong to the whole cluster, so another database may already have them.
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
	-- Another database of the cluster is migrated at the same moment, and has made the role.
	WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

COMMENT ON SCHEMA retention IS 'retentiond: retention periods, their journal and proofs';
