\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- Chatwoot as of August 2025 (schema version 2025_08_08_123008): the tables that the model touches or that
-- point at one of them, with their columns, types, defaults, keys, unique indexes and the indexes that
-- a link uses, and the triggers that number conversations.  Rails declares hardly any foreign key: none onto
-- contacts, conversations or messages; those of Active Storage are here.  Left out: what needs an extension
-- (trigram indexes, the embedding of captain_assistant_responses), and of accounts, users and inboxes, which
-- are the company's own, most of the settings.

CREATE TABLE accounts (
	id serial PRIMARY KEY,
	name varchar NOT NULL,
	created_at timestamp NOT NULL,
	updated_at timestamp NOT NULL,
	locale integer DEFAULT 0,
	domain varchar(100),
	support_email varchar(100),
	status integer DEFAULT 0,
	settings jsonb DEFAULT '{}'
);

CREATE TABLE users (
	id serial PRIMARY KEY,
	provider varchar NOT NULL DEFAULT 'email',
	uid varchar NOT NULL DEFAULT '',
	name varchar NOT NULL,
	display_name varchar,
	email varchar,
	created_at timestamp NOT NULL,
	updated_at timestamp NOT NULL,
	type varchar
);
CREATE UNIQUE INDEX index_users_on_uid_and_provider ON users (uid, provider);

CREATE TABLE inboxes (
	id serial PRIMARY KEY,
	channel_id integer NOT NULL,
	account_id integer NOT NULL,
	name varchar NOT NULL,
	created_at timestamp NOT NULL,
	updated_at timestamp NOT NULL,
	channel_type varchar
);

CREATE TABLE contacts (
	id serial PRIMARY KEY,
	name varchar DEFAULT '',
	email varchar,
	phone_number varchar,
	account_id integer NOT NULL,
	created_at timestamp NOT NULL,
	updated_at timestamp NOT NULL,
	additional_attributes jsonb DEFAULT '{}',
	identifier varchar,
	custom_attributes jsonb DEFAULT '{}',
	last_activity_at timestamp,
	contact_type integer DEFAULT 0,
	middle_name varchar DEFAULT '',
	last_name varchar DEFAULT '',
	location varchar DEFAULT '',
	country_code varchar DEFAULT '',
	blocked boolean NOT NULL DEFAULT false
);
CREATE INDEX index_contacts_on_lower_email_account_id ON contacts (lower(email::text), account_id);
CREATE INDEX index_contacts_on_account_id ON contacts (account_id);
CREATE UNIQUE INDEX uniq_email_per_account_contact ON contacts (email, account_id);
CREATE UNIQUE INDEX uniq_identifier_per_account_contact ON contacts (identifier, account_id);
CREATE INDEX index_contacts_on_phone_number_and_account_id ON contacts (phone_number, account_id);

CREATE TABLE contact_inboxes (
	id bigserial PRIMARY KEY,
	contact_id bigint,
	inbox_id bigint,
	source_id varchar NOT NULL,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL,
	hmac_verified boolean DEFAULT false,
	pubsub_token varchar
);
CREATE INDEX index_contact_inboxes_on_contact_id ON contact_inboxes (contact_id);
CREATE UNIQUE INDEX index_contact_inboxes_on_inbox_id_and_source_id ON contact_inboxes (inbox_id, source_id);
CREATE UNIQUE INDEX index_contact_inboxes_on_pubsub_token ON contact_inboxes (pubsub_token);
CREATE INDEX index_contact_inboxes_on_source_id ON contact_inboxes (source_id);

CREATE TABLE conversations (
	id serial PRIMARY KEY,
	account_id integer NOT NULL,
	inbox_id integer NOT NULL,
	status integer NOT NULL DEFAULT 0,
	assignee_id integer,
	created_at timestamp NOT NULL,
	updated_at timestamp NOT NULL,
	contact_id bigint,
	display_id integer NOT NULL,
	contact_last_seen_at timestamp,
	agent_last_seen_at timestamp,
	additional_attributes jsonb DEFAULT '{}',
	contact_inbox_id bigint,
	uuid uuid NOT NULL DEFAULT gen_random_uuid(),
	identifier varchar,
	last_activity_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
	team_id bigint,
	campaign_id bigint,
	snoozed_until timestamp,
	custom_attributes jsonb DEFAULT '{}',
	assignee_last_seen_at timestamp,
	first_reply_created_at timestamp,
	priority integer,
	sla_policy_id bigint,
	waiting_since timestamp(6),
	cached_label_list text
);
CREATE UNIQUE INDEX index_conversations_on_account_id_and_display_id ON conversations (account_id, display_id);
CREATE INDEX index_conversations_on_contact_id ON conversations (contact_id);
CREATE INDEX index_conversations_on_contact_inbox_id ON conversations (contact_inbox_id);
CREATE UNIQUE INDEX index_conversations_on_uuid ON conversations (uuid);

-- Each account counts its conversations from 1, whatever an INSERT says.
CREATE FUNCTION accounts_after_insert_row_tr() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE SEQUENCE IF NOT EXISTS conv_dpid_seq_%s', NEW.id);
	RETURN NULL;
END $$;
CREATE TRIGGER accounts_after_insert_row_tr AFTER INSERT ON accounts
	FOR EACH ROW EXECUTE FUNCTION accounts_after_insert_row_tr();
CREATE FUNCTION conversations_before_insert_row_tr() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.display_id := nextval('conv_dpid_seq_' || NEW.account_id);
	RETURN NEW;
END $$;
CREATE TRIGGER conversations_before_insert_row_tr BEFORE INSERT ON conversations
	FOR EACH ROW EXECUTE FUNCTION conversations_before_insert_row_tr();

CREATE TABLE messages (
	id serial PRIMARY KEY,
	content text,
	account_id integer NOT NULL,
	inbox_id integer NOT NULL,
	conversation_id integer NOT NULL,
	message_type integer NOT NULL,
	created_at timestamp NOT NULL,
	updated_at timestamp NOT NULL,
	private boolean NOT NULL DEFAULT false,
	status integer DEFAULT 0,
	source_id varchar,
	content_type integer NOT NULL DEFAULT 0,
	content_attributes json DEFAULT '{}',
	sender_type varchar,
	sender_id bigint,
	external_source_ids jsonb DEFAULT '{}',
	additional_attributes jsonb DEFAULT '{}',
	processed_message_content text,
	sentiment jsonb DEFAULT '{}'
);
CREATE INDEX index_messages_on_conversation_id ON messages (conversation_id);
CREATE INDEX index_messages_on_sender_type_and_sender_id ON messages (sender_type, sender_id);
CREATE INDEX index_messages_on_source_id ON messages (source_id);

CREATE TABLE attachments (
	id serial PRIMARY KEY,
	file_type integer DEFAULT 0,
	external_url varchar,
	coordinates_lat double precision DEFAULT 0.0,
	coordinates_long double precision DEFAULT 0.0,
	message_id integer NOT NULL,
	account_id integer NOT NULL,
	created_at timestamp NOT NULL,
	updated_at timestamp NOT NULL,
	fallback_title varchar,
	extension varchar,
	meta jsonb DEFAULT '{}'
);
CREATE INDEX index_attachments_on_message_id ON attachments (message_id);

CREATE TABLE notes (
	id bigserial PRIMARY KEY,
	content text NOT NULL,
	account_id bigint NOT NULL,
	contact_id bigint NOT NULL,
	user_id bigint,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL
);
CREATE INDEX index_notes_on_contact_id ON notes (contact_id);

CREATE TABLE csat_survey_responses (
	id bigserial PRIMARY KEY,
	account_id bigint NOT NULL,
	conversation_id bigint NOT NULL,
	message_id bigint NOT NULL,
	rating integer NOT NULL,
	feedback_message text,
	contact_id bigint NOT NULL,
	assigned_agent_id bigint,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL
);
CREATE INDEX index_csat_survey_responses_on_contact_id ON csat_survey_responses (contact_id);
CREATE INDEX index_csat_survey_responses_on_conversation_id ON csat_survey_responses (conversation_id);
CREATE UNIQUE INDEX index_csat_survey_responses_on_message_id ON csat_survey_responses (message_id);

CREATE TABLE mentions (
	id bigserial PRIMARY KEY,
	user_id bigint NOT NULL,
	conversation_id bigint NOT NULL,
	account_id bigint NOT NULL,
	mentioned_at timestamp NOT NULL,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL
);
CREATE INDEX index_mentions_on_conversation_id ON mentions (conversation_id);
CREATE UNIQUE INDEX index_mentions_on_user_id_and_conversation_id ON mentions (user_id, conversation_id);

CREATE TABLE conversation_participants (
	id bigserial PRIMARY KEY,
	account_id bigint NOT NULL,
	user_id bigint NOT NULL,
	conversation_id bigint NOT NULL,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL
);
CREATE INDEX index_conversation_participants_on_conversation_id ON conversation_participants (conversation_id);
CREATE UNIQUE INDEX index_conversation_participants_on_user_id_and_conversation_id
	ON conversation_participants (user_id, conversation_id);

CREATE TABLE reporting_events (
	id bigserial PRIMARY KEY,
	name varchar,
	value double precision,
	account_id integer,
	inbox_id integer,
	user_id integer,
	conversation_id integer,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL,
	value_in_business_hours double precision,
	event_start_time timestamp,
	event_end_time timestamp
);
CREATE INDEX index_reporting_events_on_conversation_id ON reporting_events (conversation_id);

CREATE TABLE applied_slas (
	id bigserial PRIMARY KEY,
	account_id bigint NOT NULL,
	sla_policy_id bigint NOT NULL,
	conversation_id bigint NOT NULL,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL,
	sla_status integer DEFAULT 0
);
CREATE INDEX index_applied_slas_on_conversation_id ON applied_slas (conversation_id);
CREATE UNIQUE INDEX index_applied_slas_on_account_sla_policy_conversation
	ON applied_slas (account_id, sla_policy_id, conversation_id);

CREATE TABLE sla_events (
	id bigserial PRIMARY KEY,
	applied_sla_id bigint NOT NULL,
	conversation_id bigint NOT NULL,
	account_id bigint NOT NULL,
	sla_policy_id bigint NOT NULL,
	inbox_id bigint NOT NULL,
	event_type integer,
	meta jsonb DEFAULT '{}',
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL
);
CREATE INDEX index_sla_events_on_conversation_id ON sla_events (conversation_id);
CREATE INDEX index_sla_events_on_applied_sla_id ON sla_events (applied_sla_id);

CREATE TABLE notifications (
	id bigserial PRIMARY KEY,
	account_id bigint NOT NULL,
	user_id bigint NOT NULL,
	notification_type integer NOT NULL,
	primary_actor_type varchar NOT NULL,
	primary_actor_id bigint NOT NULL,
	secondary_actor_type varchar,
	secondary_actor_id bigint,
	read_at timestamp,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL,
	snoozed_until timestamp(6),
	last_activity_at timestamp(6) DEFAULT CURRENT_TIMESTAMP,
	meta jsonb DEFAULT '{}'
);
CREATE INDEX uniq_primary_actor_per_account_notifications ON notifications (primary_actor_type, primary_actor_id);
CREATE INDEX uniq_secondary_actor_per_account_notifications ON notifications (secondary_actor_type, secondary_actor_id);

CREATE TABLE tags (
	id serial PRIMARY KEY,
	name varchar,
	taggings_count integer DEFAULT 0
);
CREATE UNIQUE INDEX index_tags_on_name ON tags (name);

CREATE TABLE taggings (
	id serial PRIMARY KEY,
	tag_id integer,
	taggable_type varchar,
	taggable_id integer,
	tagger_type varchar,
	tagger_id integer,
	context varchar(128),
	created_at timestamp
);
CREATE INDEX index_taggings_on_tag_id ON taggings (tag_id);
CREATE INDEX index_taggings_on_taggable_id ON taggings (taggable_id);
CREATE UNIQUE INDEX taggings_idx
	ON taggings (tag_id, taggable_id, taggable_type, context, tagger_id, tagger_type);

CREATE TABLE audits (
	id bigserial PRIMARY KEY,
	auditable_id bigint,
	auditable_type varchar,
	associated_id bigint,
	associated_type varchar,
	user_id bigint,
	user_type varchar,
	username varchar,
	action varchar,
	audited_changes jsonb,
	version integer DEFAULT 0,
	comment varchar,
	remote_address varchar,
	request_uuid varchar,
	created_at timestamp
);
CREATE INDEX auditable_index ON audits (auditable_type, auditable_id, version);

CREATE TABLE captain_assistant_responses (
	id bigserial PRIMARY KEY,
	question varchar NOT NULL,
	answer text NOT NULL,
	assistant_id bigint NOT NULL,
	documentable_id bigint,
	account_id bigint NOT NULL,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL,
	status integer NOT NULL DEFAULT 1,
	documentable_type varchar
);
CREATE INDEX idx_cap_asst_resp_on_documentable ON captain_assistant_responses (documentable_id, documentable_type);

CREATE TABLE active_storage_blobs (
	id bigserial PRIMARY KEY,
	key varchar NOT NULL,
	filename varchar NOT NULL,
	content_type varchar,
	metadata text,
	byte_size bigint NOT NULL,
	checksum varchar,
	created_at timestamp NOT NULL,
	service_name varchar NOT NULL
);
CREATE UNIQUE INDEX index_active_storage_blobs_on_key ON active_storage_blobs (key);

CREATE TABLE active_storage_attachments (
	id bigserial PRIMARY KEY,
	name varchar NOT NULL,
	record_type varchar NOT NULL,
	record_id bigint NOT NULL,
	blob_id bigint NOT NULL REFERENCES active_storage_blobs,
	created_at timestamp NOT NULL
);
CREATE INDEX index_active_storage_attachments_on_blob_id ON active_storage_attachments (blob_id);
CREATE UNIQUE INDEX index_active_storage_attachments_uniqueness
	ON active_storage_attachments (record_type, record_id, name, blob_id);

CREATE TABLE active_storage_variant_records (
	id bigserial PRIMARY KEY,
	blob_id bigint NOT NULL REFERENCES active_storage_blobs,
	variation_digest varchar NOT NULL
);
CREATE UNIQUE INDEX index_active_storage_variant_records_uniqueness
	ON active_storage_variant_records (blob_id, variation_digest);
