-- A forge for source code.  Its habits: foreign keys nearly everywhere, many with ON DELETE SET NULL or CASCADE; a namespace over
-- all; one table of memberships for two kinds by a type; notes and labels hang off anything by a type and an id; states are smallints
-- with a comment; rendered copies beside each text; columns that end in _ciphertext.
CREATE TABLE plans (id bigserial PRIMARY KEY, name varchar, title varchar, created_at timestamptz);
CREATE TABLE namespaces (id bigserial PRIMARY KEY, name varchar NOT NULL, path varchar NOT NULL, owner_id bigint, type varchar NOT NULL DEFAULT 'User',
	description varchar NOT NULL DEFAULT '', avatar varchar, visibility_level int NOT NULL, parent_id bigint, runners_token varchar, plan_id bigint REFERENCES plans ON DELETE SET NULL,
	created_at timestamptz);
CREATE TABLE projects (id bigserial PRIMARY KEY, name varchar, path varchar, description text, namespace_id bigint NOT NULL REFERENCES namespaces,
	creator_id bigint, import_url varchar, visibility_level int NOT NULL, archived boolean NOT NULL DEFAULT false, avatar varchar, star_count int, ci_config_path varchar,
	runners_token varchar, created_at timestamptz, last_activity_at timestamptz);
CREATE TABLE accounts (id bigserial PRIMARY KEY, email varchar NOT NULL UNIQUE, encrypted_password varchar NOT NULL, reset_password_token varchar UNIQUE,
	reset_password_sent_at timestamptz, sign_in_count int DEFAULT 0, current_sign_in_at timestamptz, last_sign_in_at timestamptz, current_sign_in_ip varchar,
	last_sign_in_ip varchar, name varchar, admin boolean NOT NULL DEFAULT false, projects_limit int NOT NULL, failed_attempts int, username varchar UNIQUE,
	can_create_group boolean, state varchar NOT NULL DEFAULT 'active', color_scheme_id int, created_by_id bigint, avatar varchar, unconfirmed_email varchar,
	confirmation_token varchar, public_email varchar, commit_email varchar, notification_email varchar, dashboard int, hide_no_ssh_key boolean,
	encrypted_otp_secret varchar, otp_backup_codes text, otp_grace_period_started_at timestamptz, feed_token varchar, incoming_email_token varchar,
	static_object_token_encrypted text, user_type smallint DEFAULT 0, external boolean DEFAULT false, preferred_language varchar, note text, last_activity_on date,
	first_name varchar(255), last_name varchar(255), created_at timestamptz, updated_at timestamptz);
CREATE TABLE account_details (account_id bigint PRIMARY KEY REFERENCES accounts ON DELETE CASCADE, job_title varchar(200) NOT NULL DEFAULT '', bio varchar(255) NOT NULL DEFAULT '',
	webauthn_xid text, pronouns text, pronunciation text, phone text, linkedin text NOT NULL DEFAULT '', twitter text NOT NULL DEFAULT '', discord text NOT NULL DEFAULT '', website_url text NOT NULL DEFAULT '',
	location text NOT NULL DEFAULT '', organization text NOT NULL DEFAULT '', registration_objective smallint, password_last_changed_at timestamptz);
CREATE TABLE account_preferences (id bigserial PRIMARY KEY, account_id bigint NOT NULL UNIQUE REFERENCES accounts ON DELETE CASCADE, issue_notes_filter smallint, timezone text, sourcegraph_enabled boolean,
	tab_width smallint, issues_sort varchar, diffs_deletion_color text, keyboard_shortcuts_enabled boolean);
CREATE TABLE account_statuses (account_id bigint PRIMARY KEY REFERENCES accounts ON DELETE CASCADE, cached_markdown_version int, emoji varchar NOT NULL, message varchar(100), message_html varchar, clear_status_at timestamptz);
CREATE TABLE account_custom_attributes (id bigserial PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE, key varchar NOT NULL, value varchar NOT NULL);
CREATE TABLE emails (id bigserial PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE, email varchar NOT NULL UNIQUE, confirmation_token varchar, confirmed_at timestamptz, created_at timestamptz);
CREATE TABLE identities (id bigserial PRIMARY KEY, extern_uid varchar, provider varchar, account_id bigint REFERENCES accounts, secondary_extern_uid varchar, created_at timestamptz);
CREATE TABLE keys (id bigserial PRIMARY KEY, account_id bigint, key text, title varchar, type varchar, fingerprint varchar, fingerprint_sha256 bytea, public boolean, expires_at timestamptz, last_used_at timestamptz);
CREATE TABLE gpg_keys (id bigserial PRIMARY KEY, account_id bigint REFERENCES accounts ON DELETE CASCADE, primary_keyid bytea, fingerprint bytea, key text, created_at timestamptz);
CREATE TABLE personal_tokens (id bigserial PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts, name varchar NOT NULL, revoked boolean, expires_at date, scopes varchar NOT NULL DEFAULT '[]', token_digest varchar, last_used_at timestamptz);
CREATE TABLE devices_u2f (id bigserial PRIMARY KEY, account_id bigint REFERENCES accounts ON DELETE CASCADE, certificate text, key_handle varchar, public_key varchar, counter int, name varchar);
CREATE TABLE issues (id bigserial PRIMARY KEY, title varchar, author_id bigint REFERENCES accounts ON DELETE SET NULL, project_id bigint REFERENCES projects ON DELETE CASCADE, iid int, description text,
	milestone_id bigint, state_id smallint NOT NULL DEFAULT 1, updated_by_id bigint REFERENCES accounts ON DELETE SET NULL, weight int, confidential boolean NOT NULL DEFAULT false, due_date date, moved_to_id bigint,
	closed_at timestamptz, closed_by_id bigint REFERENCES accounts ON DELETE SET NULL, title_html text, description_html text, time_estimate int, lock_version int, external_author text, created_at timestamptz, updated_at timestamptz);
COMMENT ON COLUMN issues.state_id IS '1 opened, 2 closed, 3 merged, 4 locked';
CREATE INDEX ON issues (author_id);
CREATE TABLE issue_assignees (account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE, issue_id bigint NOT NULL REFERENCES issues ON DELETE CASCADE, PRIMARY KEY (issue_id, account_id));
CREATE TABLE issue_email_participants (id bigserial PRIMARY KEY, issue_id bigint NOT NULL REFERENCES issues ON DELETE CASCADE, email text NOT NULL, created_at timestamptz);
CREATE TABLE issue_metrics (id bigserial PRIMARY KEY, issue_id bigint NOT NULL REFERENCES issues ON DELETE CASCADE, first_mentioned_at timestamptz, first_added_to_board_at timestamptz);
CREATE TABLE merge_requests (id bigserial PRIMARY KEY, target_branch varchar NOT NULL, source_branch varchar NOT NULL, author_id bigint REFERENCES accounts ON DELETE SET NULL, assignee_id bigint REFERENCES accounts ON DELETE SET NULL,
	title varchar, milestone_id bigint, target_project_id bigint NOT NULL REFERENCES projects ON DELETE CASCADE, iid int, description text, merge_error text, merge_user_id bigint REFERENCES accounts ON DELETE SET NULL,
	merge_commit_sha varchar, state_id smallint NOT NULL DEFAULT 1, title_html text, description_html text, created_at timestamptz, updated_at timestamptz);
CREATE TABLE merge_request_reviewers (id bigserial PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE, merge_request_id bigint NOT NULL REFERENCES merge_requests ON DELETE CASCADE, state smallint, created_at timestamptz);
CREATE TABLE notes (id bigserial PRIMARY KEY, note text, noteable_type varchar, noteable_id bigint, author_id bigint, project_id bigint REFERENCES projects ON DELETE CASCADE, attachment varchar, line_code varchar, commit_id varchar,
	system boolean NOT NULL DEFAULT false, st_diff text, updated_by_id bigint, type varchar, position text, original_position text, resolved_at timestamptz, resolved_by_id bigint, discussion_id varchar, note_html text, confidential boolean, created_at timestamptz);
CREATE INDEX ON notes (noteable_id);
CREATE TABLE note_metadata (note_id bigint PRIMARY KEY REFERENCES notes ON DELETE CASCADE, email_participant text, created_at timestamptz);
CREATE TABLE system_note_metadata (id bigserial PRIMARY KEY, note_id bigint NOT NULL REFERENCES notes ON DELETE CASCADE, commit_count int, action varchar, created_at timestamptz);
CREATE TABLE label_events (id bigserial PRIMARY KEY, action int NOT NULL, issue_id bigint REFERENCES issues ON DELETE CASCADE, merge_request_id bigint REFERENCES merge_requests ON DELETE CASCADE, label_id bigint, account_id bigint REFERENCES accounts ON DELETE SET NULL, reference text, created_at timestamptz);
CREATE TABLE labels (id bigserial PRIMARY KEY, title varchar, color varchar, project_id bigint REFERENCES projects ON DELETE CASCADE, description varchar, type varchar, description_html text);
CREATE TABLE label_links (id bigserial PRIMARY KEY, label_id bigint REFERENCES labels ON DELETE CASCADE, target_id bigint, target_type varchar, created_at timestamptz);
CREATE TABLE milestones (id bigserial PRIMARY KEY, title varchar NOT NULL, project_id bigint REFERENCES projects ON DELETE CASCADE, description text, due_date date, state varchar, iid int);
CREATE TABLE award_emoji (id bigserial PRIMARY KEY, name varchar, account_id bigint, awardable_type varchar, awardable_id bigint, created_at timestamptz);
CREATE TABLE todos (id bigserial PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE, project_id bigint REFERENCES projects ON DELETE CASCADE, target_id bigint, target_type varchar NOT NULL, author_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
	action int NOT NULL, state varchar NOT NULL, note_id bigint REFERENCES notes ON DELETE CASCADE, commit_id varchar, created_at timestamptz);
CREATE TABLE events (id bigserial PRIMARY KEY, project_id bigint REFERENCES projects ON DELETE CASCADE, author_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE, target_id bigint, action smallint NOT NULL, target_type varchar, fingerprint bytea, created_at timestamptz);
CREATE TABLE push_event_payloads (commit_count bigint NOT NULL, event_id bigint PRIMARY KEY REFERENCES events ON DELETE CASCADE, ref_type smallint NOT NULL, commit_title varchar(70), ref text);
CREATE TABLE members (id bigserial PRIMARY KEY, access_level int NOT NULL, source_id bigint NOT NULL, source_type varchar NOT NULL, account_id bigint, notification_level int NOT NULL, type varchar, created_by_id bigint, invite_email varchar, invite_token varchar, invite_accepted_at timestamptz, requested_at timestamptz, expires_at date, created_at timestamptz);
CREATE TABLE abuse_reports (id bigserial PRIMARY KEY, reporter_id bigint, account_id bigint, message text, message_html text, reported_from_url text, links_to_spam text[], category smallint, status smallint, created_at timestamptz);
CREATE TABLE spam_logs (id bigserial PRIMARY KEY, account_id bigint, source_ip varchar, user_agent varchar, via_api boolean, noteable_type varchar, title varchar, description text, recaptcha_verified boolean, created_at timestamptz);
CREATE TABLE audit_events (id bigserial PRIMARY KEY, author_id bigint NOT NULL, entity_id bigint NOT NULL, entity_type varchar NOT NULL, details text, ip_address inet, author_name text, entity_path text, target_details text, target_type text, target_id bigint, created_at timestamptz);
CREATE TABLE authentication_events (id bigserial PRIMARY KEY, account_id bigint REFERENCES accounts ON DELETE SET NULL, result smallint NOT NULL, ip_address inet, provider text NOT NULL, user_name text NOT NULL, created_at timestamptz);
CREATE TABLE client_details (id bigserial PRIMARY KEY, user_agent varchar NOT NULL, ip_address varchar NOT NULL, subject_id bigint NOT NULL, subject_type varchar NOT NULL, submitted boolean, created_at timestamptz);
CREATE TABLE sent_notifications (id bigserial PRIMARY KEY, project_id bigint, noteable_id bigint, noteable_type varchar, recipient_id bigint, commit_id varchar, reply_key varchar NOT NULL UNIQUE, in_reply_to_discussion_id varchar);
CREATE TABLE subscriptions (id bigserial PRIMARY KEY, account_id bigint, subscribable_id bigint, subscribable_type varchar, subscribed boolean, project_id bigint, created_at timestamptz);
CREATE TABLE timelogs (id bigserial PRIMARY KEY, time_spent int NOT NULL, account_id bigint, issue_id bigint REFERENCES issues ON DELETE CASCADE, merge_request_id bigint REFERENCES merge_requests ON DELETE CASCADE, note_id bigint REFERENCES notes ON DELETE SET NULL, summary text, spent_at timestamptz);
CREATE TABLE uploads (id bigserial PRIMARY KEY, size bigint NOT NULL, path varchar(511) NOT NULL, checksum varchar(64), model_type varchar, model_id bigint, uploader varchar NOT NULL, mount_point varchar, secret varchar, uploaded_by_id bigint, created_at timestamptz);
CREATE TABLE snippets (id bigserial PRIMARY KEY, title varchar, content text, author_id bigint NOT NULL, project_id bigint REFERENCES projects ON DELETE CASCADE, file_name varchar, type varchar, visibility_level int, title_html text, content_html text, description text, created_at timestamptz);
CREATE TABLE pipelines (id bigserial PRIMARY KEY, ref varchar, sha varchar, project_id bigint, account_id bigint, status varchar, duration int, yaml_errors text, source int, created_at timestamptz);
CREATE TABLE builds (id bigserial PRIMARY KEY, pipeline_id bigint REFERENCES pipelines ON DELETE CASCADE, status varchar, name varchar, options text, stage varchar, account_id bigint, runner_id bigint, token_encrypted varchar, finished_at timestamptz);
CREATE TABLE runners (id bigserial PRIMARY KEY, token varchar, description varchar, ip_address varchar, active boolean, contacted_at timestamptz);
CREATE TABLE web_hooks (id bigserial PRIMARY KEY, project_id bigint, type varchar, url varchar, token varchar, push_events boolean, created_at timestamptz);
CREATE TABLE application_settings (id bigserial PRIMARY KEY, home_page_url varchar, sign_in_text text, after_sign_out_path varchar, help_page_text text, abuse_notification_email varchar, runners_registration_token varchar, default_branch_name text);
CREATE TABLE feature_gates (id bigserial PRIMARY KEY, feature_key varchar NOT NULL, key varchar NOT NULL, value varchar, created_at timestamptz);
CREATE TABLE appearances (id bigserial PRIMARY KEY, title varchar NOT NULL, description text NOT NULL, logo varchar, header_logo varchar, favicon varchar);
CREATE TABLE broadcast_messages (id bigserial PRIMARY KEY, message text NOT NULL, starts_at timestamptz, ends_at timestamptz, color varchar, message_html text);
CREATE TABLE licenses (id bigserial PRIMARY KEY, data text NOT NULL, created_at timestamptz);
