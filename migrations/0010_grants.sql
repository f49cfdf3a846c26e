-- The rights: one matrix of objects and roles.  The letters are those of \dp in psql: r SELECT, a INSERT,
-- w UPDATE, d DELETE, U USAGE, X EXECUTE.  Everything that is not granted here is forbidden.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA retention FROM PUBLIC;

DO $$
DECLARE
	role text;
	rights text;
	one record;
BEGIN
	FOR one IN SELECT * FROM (VALUES
	-- kind      object                                                auditor operator approver daemon
	('SCHEMA',   'retention',                                          'U',    'U',    'U',    'U'),
	('TABLE',    'schema_version',                                     'r',    'r',    'r',    'r'),
	('TABLE',    'setting',                                            'r',    'r',    'r',    'ra'),
	('TABLE',    'erasing',                                            '',     '',     '',     'r'),
	('TABLE',    'batch_lock',                                         '',     '',     '',     'rawd'),
	('TABLE',    'hold_lock',                                          '',     '',     '',     'w'),
	('TABLE',    'ledger_lock',                                        '',     '',     '',     'w'),
	('TABLE',    'configuration',                                      'r',    'r',    'r',    'r'),
	('TABLE',    'archive_journal',                                    'r',    'r',    'r',    'r'),
	('TABLE',    'journal_event',                                      'r',    'r',    'r',    'ra'),
	-- The keys that are about to be erased: only for the approver, who validates them.
	('TABLE',    'candidate',                                          '',     '',     'r',    'rad'),
	('TABLE',    'selection',                                          '',     '',     'r',    'rd'),
	('TABLE',    'archive_file',                                       'r',    'r',    'r',    'ra'),
	-- A path may hold a name: not for the auditor and the operator.
	('TABLE',    'file_outbox',                                        '',     '',     'r',    'rad'),
	('TABLE',    'files_left',                                         'r',    'r',    'r',    'r'),
	('TABLE',    'pause',                                              'r',    'r',    'r',    'r'),
	('TABLE',    'paused_action',                                      'r',    'r',    'r',    'r'),
	('TABLE',    'policy_state',                                       'r',    'r',    'r',    'raw'),
	('TABLE',    'policy',                                             'r',    'r',    'r',    'rawd'),
	('TABLE',    'policies',                                           'r',    'r',    'r',    'r'),
	('TABLE',    'page_policy',                                        'r',    'r',    'r',    'r'),
	('TABLE',    'page_policies',                                      'r',    'r',    'r',    'r'),
	('TABLE',    'ledger',                                             'r',    'r',    'r',    'ra'),
	('TABLE',    'identity',                                           'r',    'r',    'r',    'r'),
	('TABLE',    'ledger_secret',                                      '',     '',     '',     'r'),
	('TABLE',    'replay',                                             'r',    'r',    'r',    'rad'),
	('TABLE',    'replay_due',                                         'r',    'r',    'r',    'r'),
	('TABLE',    'hold',                                               'r',    'r',    'r',    'r'),
	('TABLE',    'holds_in_force',                                     'r',    'r',    'r',    'r'),
	('TABLE',    'archives',                                           'r',    'r',    'r',    'r'),
	('TABLE',    'unknown_archive',                                    'r',    'r',    'r',    'rad'),
	('TABLE',    'all_archives',                                       'r',    'r',    'r',    'r'),
	('TABLE',    'residue_report',                                     'r',    'r',    'r',    'r'),
	('TABLE',    'last_verified',                                      'r',    'r',    'r',    'r'),
	('TABLE',    'me',                                                 'r',    'r',    'r',    'r'),
	('TABLE',    'request',                                            'r',    'r',    'r',    'r'),
	('TABLE',    'download',                                           'r',    '',     'r',    'r'),
	('TABLE',    'told',                                               'r',    'r',    'r',    'ra'),
	('TABLE',    'progress',                                           'r',    'r',    'r',    'r'),
	('TABLE',    'daemons',                                            'r',    'r',    'r',    'r'),
	('SEQUENCE', 'number',                                             '',     '',     '',     'U'),
	('FUNCTION', 'session_start()',                                    'X',    'X',    'X',    'X'),
	('FUNCTION', 'lock_holders(text)',                                 '',     '',     '',     'X'),
	('FUNCTION', 'claim_action(int, timestamptz)',                     '',     '',     'X',    'X'),
	('FUNCTION', 'erasing_job()',                                      '',     '',     '',     'X'),
	('FUNCTION', 'is_owner()',                                         'X',    'X',    'X',    'X'),
	('FUNCTION', 'check_change_of_daemon(retention.archive_journal, retention.archive_journal)',
									   '',     '',     '',     'X'),
	('FUNCTION', 'skip_numbers(int)',                                  '',     '',     '',     'X'),
	('FUNCTION', 'event_hash(bytea, retention.journal_event)',         'X',    'X',    'X',    'X'),
	('FUNCTION', 'check_identity(text, boolean)',                      'X',    'X',    'X',    'X'),
	('FUNCTION', 'refuse_copy()',                                      'X',    'X',    'X',    'X'),
	('FUNCTION', 'bind_directory(text)',                               '',     '',     '',     'X'),
	('FUNCTION', 'adopt_directory(boolean, text)',                     '',     '',     'X',    ''),
	('FUNCTION', 'ledger_digest(int, timestamptz)',                    'X',    'X',    'X',    'X'),
	('FUNCTION', 'settle_replay(int)',                                 '',     '',     '',     'X'),
	('FUNCTION', 'mark_restored(int)',                                 '',     '',     '',     'X'),
	('FUNCTION', 'replay_ledger(text)',                                '',     '',     'X',    'X'),
	('FUNCTION', 'hold_content(retention.hold)',                       'X',    'X',    'X',    'X'),
	('FUNCTION', 'canonical_key(text, text)',                          'X',    'X',    'X',    'X'),
	('FUNCTION', 'trimmed_key(text)',                                  'X',    'X',    'X',    'X'),
	('FUNCTION', 'trimmed_fields(text)',                               'X',    'X',    'X',    'X'),
	('FUNCTION', 'held_key(text, text)',                               'X',    'X',    'X',    'X'),
	('FUNCTION', 'key_fields(text)',                                   'X',    'X',    'X',    'X'),
	('FUNCTION', 'quoted_fields(text)',                                'X',    'X',    'X',    'X'),
	('FUNCTION', 'row_key(text[])',                                    'X',    'X',    'X',    'X'),
	('FUNCTION', 'key_type(text)',                                     'X',    'X',    'X',    'X'),
	('FUNCTION', 'place_hold(text, text, timestamptz, date)',          '',     'X',    'X',    ''),
	('FUNCTION', 'release_hold(text)',                                 '',     'X',    'X',    ''),
	('FUNCTION', 'time_zone()',                                        'X',    'X',    'X',    'X'),
	('FUNCTION', 'cutoff(interval, text, timestamptz)',                'X',    'X',    'X',    'X'),
	('FUNCTION', 'kept_until(timestamptz, interval, text)',            'X',    'X',    'X',    'X'),
	('FUNCTION', 'today()',                                            'X',    'X',    'X',    'X'),
	('FUNCTION', 'save_action(text, date, date, text, text)',          '',     'X',    '',     ''),
	('FUNCTION', 'save_subject(text, text, text)',                     '',     'X',    '',     ''),
	('FUNCTION', 'cancel_action(int)',                                 '',     'X',    'X',    ''),
	('FUNCTION', 'abandon_action(int, text)',                          '',     '',     'X',    ''),
	('FUNCTION', 'waive_replay(text)',                                 '',     '',     'X',    ''),
	('FUNCTION', 'pause_action(int)',                                  '',     'X',    'X',    ''),
	('FUNCTION', 'resume_action(int)',                                 '',     'X',    'X',    ''),
	('FUNCTION', 'record_subject_export(text)',                        '',     'X',    '',     ''),
	('FUNCTION', 'ask(text, int, text)',                               'X',    'X',    'X',    ''),
	('FUNCTION', 'ask_download(int, text, bytea)',                     '',     '',     'X',    ''),
	('FUNCTION', 'ask_document(int, bytea)',                           '',     'X',    '',     ''),
	('FUNCTION', 'end_download(int, bigint)',                          '',     'X',    'X',    ''),
	('FUNCTION', 'take_request(text, timestamptz)',                    '',     '',     '',     'X'),
	('FUNCTION', 'end_request(int, text, jsonb)',                      '',     '',     '',     'X'),
	('FUNCTION', 'documents(text)',                                    '',     '',     '',     'X'),
	('FUNCTION', 'take_download(bytea, text)',                         '',     '',     '',     'X'),
	('FUNCTION', 'validate_action(int)',                               '',     '',     'X',    ''),
	('FUNCTION', 'validate_action(int, bigint, text)',                 '',     '',     'X',    ''),
	('FUNCTION', 'first_keys(int)',                                    '',     '',     'X',    ''),
	('FUNCTION', 'delete_archive(int, text)',                          '',     '',     'X',    ''),
	('FUNCTION', 'delete_unknown_archive(text)',                       '',     '',     'X',    ''),
	('FUNCTION', 'check_restore(int)',                                 'X',    'X',    'X',    'X'),
	-- Not for the daemon: it never restores, and must not be able to make the ledger forget.
	('FUNCTION', 'record_restore(int, jsonb)',                         '',     '',     'X',    ''),
	('FUNCTION', 'configure(text, boolean, text)',                     '',     '',     '',     'X'),
	('FUNCTION', 'keep_configuration(bytea)',                          '',     '',     '',     'X'),
	('FUNCTION', 'accept_configuration(bytea, text, text, text, boolean)',
									   '',     '',     '',     'X'),
	('FUNCTION', 'horizon(int)',                                       'X',    'X',    'X',    'X'),
	-- What the daemon records for it at the end of a job.
	('FUNCTION', 'full_xid(bigint)',                                   '',     '',     '',     'X'),
	('FUNCTION', 'ask_nodes(text, boolean)',                           '',     '',     '',     'X'),
	('FUNCTION', 'shards_of(oid[])',                                   '',     '',     '',     'X'),
	('FUNCTION', 'node_facts(jsonb)',                                  '',     '',     '',     'X'),
	('FUNCTION', 'record_nodes(oid[])',                                '',     '',     '',     'X'),
	('FUNCTION', 'snapshot_holders()',                                 '',     '',     '',     'X'),
	('FUNCTION', 'vacuum_count(oid)',                                  '',     '',     '',     'X'),
	('FUNCTION', 'analyze_count(oid)',                                 '',     '',     '',     'X'),
	('FUNCTION', 'configure_backups(interval)',                        '',     '',     '',     'X'),
	('FUNCTION', 'configure_keep(interval)',                           '',     '',     '',     'X'),
	('FUNCTION', 'begin_occurrence(text, text, timestamptz, timestamptz, text, interval, text, int)',
									   '',     '',     '',     'X'),
	('FUNCTION', 'watch_policy(text, text, timestamptz)',              '',     '',     '',     'X'),
	('FUNCTION', 'configure_policy(text, int, text, interval, text, text, text, boolean, boolean, text)',
									   '',     '',     '',     'X'),
	('FUNCTION', 'keep_policies(text[])',                              '',     '',     '',     'X'),
	('FUNCTION', 'measure_policy(text, timestamptz, bigint, bigint, bigint, timestamptz, text)',
									   '',     '',     '',     'X'),
	('FUNCTION', 'page_bounds()',                                      'X',    'X',    'X',    'X'),
	('FUNCTION', 'whole_months(interval)',                             'X',    'X',    'X',    'X'),
	('FUNCTION', 'check_page_bounds(retention.page_policy)',           'X',    'X',    'X',    'X'),
	('FUNCTION', 'page_refusal(retention.page_policy)',                'X',    'X',    'X',    'X'),
	('FUNCTION', 'page_policy_content(retention.page_policy)',         'X',    'X',    'X',    'X'),
	('FUNCTION', 'page_policy_since(retention.page_policy)',           '',     '',     '',     'X'),
	('FUNCTION', 'save_policy(text, text, interval, text, text, text)', '',    'X',    '',     ''),
	('FUNCTION', 'validate_policy(text, int, bigint)',                 '',     '',     'X',    ''),
	('FUNCTION', 'retire_policy(text, int)',                           '',     'X',    'X',    ''),
	('FUNCTION', 'run_policy(text)',                                   '',     '',     'X',    ''),
	('FUNCTION', 'configure_page(jsonb)',                              '',     '',     '',     'X'),
	('FUNCTION', 'watch_page_policy(text, int, text, timestamptz)',    '',     '',     '',     'X'),
	('FUNCTION', 'page_policies_forgotten(jsonb)',                     '',     '',     '',     'X'),
	('FUNCTION', 'page_policies_known(jsonb)',                         '',     '',     '',     'X'),
	('FUNCTION', 'runnable(text)',                                     '',     '',     '',     'X'),
	('FUNCTION', 'archives_to_remove(text, text, interval, text)',     '',     '',     '',     'X'),
	('FUNCTION', 'archive_name_parts(text)',                           '',     '',     '',     'X'),
	('FUNCTION', 'unknown_archives(text[])',                           '',     '',     '',     'X'),
	('FUNCTION', 'manifest_time(text)',                                '',     '',     '',     'X'),
	('FUNCTION', 'record_unknown_archive(text, text, text, bigint, bigint, text, text, text)',
									   '',     '',     '',     'X'),
	('FUNCTION', 'notice_of(retention.journal_event)',                 '',     '',     '',     'X'),
	('FUNCTION', 'notice_content(retention.journal_event)',            '',     '',     '',     'X'),
	('FUNCTION', 'next_notice(bigint, text[], int)',                   '',     '',     '',     'X'),
	('FUNCTION', 'record_trouble(text, int)',                          '',     '',     '',     'X'),
	('FUNCTION', 'event_was(retention.journal_event, bigint)',         'X',    'X',    'X',    'X'),
	('FUNCTION', 'finding(text[])',                                    'X',    'X',    'X',    'X'),
	('FUNCTION', 'verify_chain(bytea, bigint)',                        'X',    'X',    'X',    'X'),
	('FUNCTION', 'verify_rows()',                                      'X',    'X',    'X',    'X'),
	('FUNCTION', 'verify_policy_acts()',                               'X',    'X',    'X',    'X'),
	('FUNCTION', 'verify_ledger()',                                    'X',    'X',    'X',    'X'),
	('FUNCTION', 'verify_acts()',                                      'X',    'X',    'X',    'X'),
	('FUNCTION', 'look_at_journal(bytea, bigint)',                     'X',    'X',    'X',    'X'),
	-- Not for the daemon: a person has looked, or a program in the name of one.
	('FUNCTION', 'verify_journal(bytea, bigint)',                      'X',    'X',    'X',    ''),
	-- Whoever may read the contacts' tables can search them, and that is the daemon's role more often than a person's.
	('FUNCTION', 'record_residue(jsonb)',                              'X',    'X',    'X',    'X')
	) AS matrix(kind, object, retention_auditor, retention_operator, retention_approver, retention_daemon)
	LOOP
		FOR role, rights IN SELECT key, value FROM jsonb_each_text(to_jsonb(one) - 'kind' - 'object')
		LOOP
			CONTINUE WHEN rights = '';
			SELECT string_agg(word, ', ') INTO rights
			  FROM (VALUES ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE'),
				       ('U', 'USAGE'), ('X', 'EXECUTE')) AS meaning(letter, word)
			 WHERE strpos(rights, letter) > 0;
			EXECUTE format('GRANT %s ON %s %s TO %I', rights, one.kind,
				CASE one.kind WHEN 'SCHEMA' THEN one.object ELSE 'retention.' || one.object END,
				role);
		END LOOP;
	END LOOP;
END
$$;

-- The columns that the daemon may write.  It makes automatic actions only: the others are made by save_action(),
-- save_subject() and replay_ledger().
GRANT INSERT (action, mode, status, policy, policy_version, occurrence, part, depth, cutoff, archive)
	ON retention.archive_journal TO retention_daemon;
GRANT INSERT (job, worker) ON retention.erasing TO retention_daemon;
GRANT INSERT (job) ON retention.erasing TO retention_approver;	-- for a restore
GRANT UPDATE (value) ON retention.setting TO retention_daemon;
GRANT UPDATE (bytes, rows, relation, header, columns, types, bom, place)
	ON retention.archive_file TO retention_daemon;
GRANT UPDATE (status, cutoff, candidates, candidates_sha256, frozen_at, preview, validated_by, validated_at,
	      started_at, finished_at, counters, archive_path, archive_bytes, error, waiting, waiting_for,
	      archive_deleted_at, archive_deleted_by, archive_removed_at, archive_remark, host,
	      system_identifier, claim, configuration)
	ON retention.archive_journal TO retention_daemon;
GRANT UPDATE (host, directory, sealed, date, bytes, sums_sha256, manifest_sha256, seen_at, deleted_at, deleted_by, remark)
	ON retention.unknown_archive TO retention_daemon;
GRANT UPDATE (document_removed_at) ON retention.request TO retention_daemon;
GRANT UPDATE (counted, held, cutoff, counted_at, remark, retired_by, retired_at, retired_as)
	ON retention.page_policy TO retention_daemon;
GRANT UPDATE (event, at) ON retention.told TO retention_daemon;
GRANT UPDATE (tried_at, attempts, error) ON retention.file_outbox TO retention_daemon;

-- With limits.integrity = "set" the daemon's role may set session_replication_role, and an ordinary trigger does not
-- fire for a replica.  Every trigger of this schema fires always, so that no session can write past it.  The
-- foreign keys of this schema do not fire for a replica.  Nothing rests on them, because no action is ever removed.
DO $$
DECLARE
	one record;
BEGIN
	FOR one IN SELECT t.tgname, t.tgrelid::regclass AS relation
		     FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
		    WHERE c.relnamespace = 'retention'::regnamespace AND NOT t.tgisinternal
	LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', one.relation, one.tgname);
	END LOOP;
END
$$;
