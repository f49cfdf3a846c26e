-- The group roles.  Nobody logs in as one of them: they are granted to login roles.  What each may do
-- stands in 0010_grants.  Roles belong to the whole cluster, so another database may already have them.  A role that
-- was made for another purpose is refused.
DO $$
DECLARE
	role text;
BEGIN
	FOREACH role IN ARRAY ARRAY['retention_auditor', 'retention_operator',
				    'retention_approver', 'retention_daemon']
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
			BEGIN
				EXECUTE format('CREATE ROLE %I NOLOGIN', role);
			EXCEPTION
				-- Another database of the cluster is migrated at the same moment.
				WHEN duplicate_object OR unique_violation THEN NULL;
			END;
		END IF;
		IF EXISTS (SELECT FROM pg_catalog.pg_roles
			    WHERE rolname = role AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR
						      rolreplication OR rolbypassrls)) THEN
			RAISE EXCEPTION 'the role % exists already, and is not a mere group', role
				USING ERRCODE = 'duplicate_object', CONSTRAINT = 'retention.role_no_group',
				      DETAIL = role,
				      HINT = 'A group cannot log in and has no attributes (NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS): alter or rename it.';
		END IF;
	END LOOP;
END
$$;

COMMENT ON SCHEMA retention IS 'retentiond: retention periods, their journal and proofs';
