-- Odoo 16 Community with Contacts, Discuss, CRM and ratings, as far as its partners reach.  Tables,
-- columns, types, keys, actions and indexes are named as Odoo's registry makes them.
--
--     psql -f schema.sql; psql -v contacts=40 -f data.sql
--
-- Columns that point at tables which are not here (campaigns, currencies, languages) have no foreign
-- key, nor have create_uid and write_uid; wizards (transient models) are left out.  An installation
-- with more applications has more tables that point at res_partner: retentiond -t names each.

\set ON_ERROR_STOP on
SET client_min_messages = warning;

BEGIN;

CREATE TABLE ir_model (id serial PRIMARY KEY, model varchar NOT NULL UNIQUE, name jsonb NOT NULL);
CREATE TABLE ir_model_fields (
	id       serial PRIMARY KEY,
	model_id integer NOT NULL REFERENCES ir_model ON DELETE CASCADE,
	name     varchar NOT NULL
);
CREATE TABLE res_country (id serial PRIMARY KEY, name jsonb NOT NULL, code varchar(2));
CREATE TABLE mail_message_subtype (id serial PRIMARY KEY, name jsonb NOT NULL);
CREATE TABLE mail_activity_type (id serial PRIMARY KEY, name jsonb NOT NULL);
CREATE TABLE mail_guest (id serial PRIMARY KEY, name varchar NOT NULL);
CREATE TABLE crm_stage (id serial PRIMARY KEY, name jsonb NOT NULL, is_won boolean);
CREATE TABLE crm_lost_reason (id serial PRIMARY KEY, name jsonb NOT NULL, active boolean);
CREATE TABLE crm_tag (id serial PRIMARY KEY, color integer, name jsonb NOT NULL);

CREATE TABLE res_partner (
	id                         serial PRIMARY KEY,
	company_id                 integer,
	create_date                timestamp,
	name                       varchar,
	title                      integer,
	parent_id                  integer REFERENCES res_partner ON DELETE SET NULL,
	user_id                    integer,
	state_id                   integer,
	country_id                 integer REFERENCES res_country ON DELETE RESTRICT,
	industry_id                integer,
	color                      integer,
	commercial_partner_id      integer REFERENCES res_partner ON DELETE SET NULL,
	create_uid                 integer,
	write_uid                  integer,
	display_name               varchar,
	ref                        varchar,
	lang                       varchar,
	tz                         varchar,
	vat                        varchar,
	company_registry           varchar,
	website                    varchar,
	"function"                 varchar,
	type                       varchar,
	street                     varchar,
	street2                    varchar,
	zip                        varchar,
	city                       varchar,
	email                      varchar,
	phone                      varchar,
	mobile                     varchar,
	commercial_company_name    varchar,
	company_name               varchar,
	date                       date,
	comment                    text,
	partner_latitude           numeric,
	partner_longitude          numeric,
	active                     boolean,
	employee                   boolean,
	is_company                 boolean,
	partner_share              boolean,
	write_date                 timestamp,
	message_main_attachment_id integer,
	message_bounce             integer,
	email_normalized           varchar,
	signup_token               varchar,
	signup_type                varchar,
	signup_expiration          timestamp,
	phone_sanitized            varchar,
	team_id                    integer,
	CONSTRAINT res_partner_check_name CHECK (type = 'contact' AND name IS NOT NULL OR type <> 'contact')
);
CREATE INDEX res_partner_commercial_partner_id_index ON res_partner (commercial_partner_id);
CREATE INDEX res_partner_date_index ON res_partner (date);
CREATE INDEX res_partner_display_name_index ON res_partner (display_name);
CREATE INDEX res_partner_name_index ON res_partner (name);
CREATE INDEX res_partner_parent_id_index ON res_partner (parent_id);
CREATE INDEX res_partner_ref_index ON res_partner (ref);
CREATE INDEX res_partner_vat_index ON res_partner (vat);
CREATE INDEX res_partner_message_main_attachment_id_index ON res_partner (message_main_attachment_id);

CREATE TABLE res_company (
	id         serial PRIMARY KEY,
	name       varchar NOT NULL UNIQUE,
	partner_id integer NOT NULL REFERENCES res_partner ON DELETE RESTRICT,
	email      varchar
);
CREATE TABLE res_users (
	id         serial PRIMARY KEY,
	company_id integer NOT NULL REFERENCES res_company ON DELETE RESTRICT,
	partner_id integer NOT NULL REFERENCES res_partner ON DELETE RESTRICT,
	active     boolean DEFAULT true,
	login      varchar NOT NULL UNIQUE,
	password   varchar,
	signature  text,
	share      boolean
);
ALTER TABLE res_partner
	ADD FOREIGN KEY (user_id) REFERENCES res_users ON DELETE SET NULL,
	ADD FOREIGN KEY (company_id) REFERENCES res_company ON DELETE SET NULL;

CREATE TABLE res_partner_bank (
	id              serial PRIMARY KEY,
	partner_id      integer NOT NULL REFERENCES res_partner ON DELETE CASCADE,
	bank_id         integer,
	sequence        integer,
	currency_id     integer,
	company_id      integer REFERENCES res_company ON DELETE SET NULL,
	acc_number      varchar NOT NULL,
	sanitized_acc_number varchar,
	acc_holder_name varchar,
	active          boolean,
	allow_out_payment boolean,
	create_uid integer, write_uid integer, create_date timestamp, write_date timestamp
);
CREATE INDEX res_partner_bank_partner_id_index ON res_partner_bank (partner_id);

CREATE TABLE res_partner_category (
	id          serial PRIMARY KEY,
	color       integer,
	parent_id   integer REFERENCES res_partner_category ON DELETE CASCADE,
	parent_path varchar,
	name        jsonb NOT NULL,
	active      boolean
);
CREATE TABLE res_partner_res_partner_category_rel (
	category_id integer NOT NULL REFERENCES res_partner_category ON DELETE CASCADE,
	partner_id  integer NOT NULL REFERENCES res_partner ON DELETE CASCADE,
	PRIMARY KEY (category_id, partner_id)
);
CREATE INDEX ON res_partner_res_partner_category_rel (partner_id, category_id);

CREATE TABLE ir_attachment (
	id            serial PRIMARY KEY,
	res_id        integer,
	company_id    integer REFERENCES res_company ON DELETE SET NULL,
	file_size     integer,
	create_uid    integer,
	write_uid     integer,
	name          varchar NOT NULL,
	res_model     varchar,
	res_field     varchar,
	type          varchar NOT NULL,
	url           varchar(1024),
	access_token  varchar,
	store_fname   varchar,
	checksum      varchar(40),
	mimetype      varchar,
	description   text,
	index_content text,
	public        boolean,
	create_date   timestamp,
	write_date    timestamp,
	db_datas      bytea
);
CREATE INDEX ir_attachment_res_idx ON ir_attachment (res_model, res_id);
CREATE INDEX ir_attachment_store_fname_index ON ir_attachment (store_fname);
ALTER TABLE res_partner ADD FOREIGN KEY (message_main_attachment_id) REFERENCES ir_attachment ON DELETE SET NULL;

CREATE TABLE mail_message (
	id                     serial PRIMARY KEY,
	parent_id              integer REFERENCES mail_message ON DELETE SET NULL,
	res_id                 integer,
	subtype_id             integer REFERENCES mail_message_subtype ON DELETE SET NULL,
	mail_activity_type_id  integer REFERENCES mail_activity_type ON DELETE SET NULL,
	author_id              integer REFERENCES res_partner ON DELETE SET NULL,
	author_guest_id        integer REFERENCES mail_guest ON DELETE SET NULL,
	mail_server_id         integer,
	create_uid             integer,
	write_uid              integer,
	subject                varchar,
	model                  varchar,
	record_name            varchar,
	message_type           varchar NOT NULL,
	email_from             varchar,
	message_id             varchar,
	reply_to               varchar,
	email_layout_xmlid     varchar,
	body                   text,
	is_internal            boolean,
	reply_to_force_new     boolean,
	email_add_signature    boolean,
	date                   timestamp,
	create_date            timestamp,
	write_date             timestamp
);
CREATE INDEX mail_message_author_id_index ON mail_message (author_id);
CREATE INDEX mail_message_message_id_index ON mail_message (message_id);
CREATE INDEX mail_message_model_res_id_idx ON mail_message (model, res_id);
CREATE INDEX mail_message_parent_id_index ON mail_message (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX mail_message_subtype_id_index ON mail_message (subtype_id);

CREATE TABLE mail_mail (
	id                 serial PRIMARY KEY,
	mail_message_id    integer NOT NULL REFERENCES mail_message ON DELETE CASCADE,
	fetchmail_server_id integer,
	create_uid         integer,
	write_uid          integer,
	email_cc           varchar,
	state              varchar,
	failure_type       varchar,
	body_html          text,
	"references"       text,
	headers            text,
	email_to           text,
	failure_reason     text,
	is_notification    boolean,
	auto_delete        boolean,
	to_delete          boolean,
	scheduled_date     timestamp,
	create_date        timestamp,
	write_date         timestamp
);
CREATE INDEX mail_mail_mail_message_id_index ON mail_mail (mail_message_id);
CREATE TABLE mail_mail_res_partner_rel (
	mail_mail_id   integer NOT NULL REFERENCES mail_mail ON DELETE CASCADE,
	res_partner_id integer NOT NULL REFERENCES res_partner ON DELETE CASCADE,
	PRIMARY KEY (mail_mail_id, res_partner_id)
);
CREATE INDEX ON mail_mail_res_partner_rel (res_partner_id, mail_mail_id);

CREATE TABLE mail_notification (
	id                  serial PRIMARY KEY,
	author_id           integer REFERENCES res_partner ON DELETE SET NULL,
	mail_message_id     integer NOT NULL REFERENCES mail_message ON DELETE CASCADE,
	mail_mail_id        integer REFERENCES mail_mail ON DELETE SET NULL,
	res_partner_id      integer REFERENCES res_partner ON DELETE CASCADE,
	notification_type   varchar NOT NULL,
	notification_status varchar,
	failure_type        varchar,
	failure_reason      text,
	is_read             boolean,
	read_date           timestamp,
	CONSTRAINT mail_notification_notification_partner_required
		CHECK (notification_type NOT IN ('email', 'inbox') OR res_partner_id IS NOT NULL)
);
CREATE INDEX mail_notification_author_id_notification_status_failure
	ON mail_notification (author_id, notification_status) WHERE notification_status IN ('bounce', 'exception');
CREATE INDEX mail_notification_mail_mail_id_index ON mail_notification (mail_mail_id);
CREATE INDEX mail_notification_mail_message_id_index ON mail_notification (mail_message_id);
CREATE INDEX mail_notification_res_partner_id_index ON mail_notification (res_partner_id);
CREATE UNIQUE INDEX unique_mail_message_id_res_partner_id_if_set
	ON mail_notification (mail_message_id, res_partner_id) WHERE res_partner_id IS NOT NULL;

CREATE TABLE mail_message_res_partner_rel (
	mail_message_id integer NOT NULL REFERENCES mail_message ON DELETE CASCADE,
	res_partner_id  integer NOT NULL REFERENCES res_partner ON DELETE CASCADE,
	PRIMARY KEY (mail_message_id, res_partner_id)
);
CREATE INDEX ON mail_message_res_partner_rel (res_partner_id, mail_message_id);
CREATE TABLE mail_message_res_partner_starred_rel (
	mail_message_id integer NOT NULL REFERENCES mail_message ON DELETE CASCADE,
	res_partner_id  integer NOT NULL REFERENCES res_partner ON DELETE CASCADE,
	PRIMARY KEY (mail_message_id, res_partner_id)
);
CREATE INDEX ON mail_message_res_partner_starred_rel (res_partner_id, mail_message_id);
CREATE TABLE message_attachment_rel (
	message_id    integer NOT NULL REFERENCES mail_message ON DELETE CASCADE,
	attachment_id integer NOT NULL REFERENCES ir_attachment ON DELETE CASCADE,
	PRIMARY KEY (message_id, attachment_id)
);
CREATE INDEX ON message_attachment_rel (attachment_id, message_id);

CREATE TABLE mail_message_reaction (
	id         serial PRIMARY KEY,
	message_id integer NOT NULL REFERENCES mail_message ON DELETE CASCADE,
	partner_id integer REFERENCES res_partner ON DELETE CASCADE,
	guest_id   integer REFERENCES mail_guest ON DELETE CASCADE,
	content    varchar NOT NULL,
	CONSTRAINT mail_message_reaction_partner_or_guest_exists CHECK ((partner_id IS NULL) <> (guest_id IS NULL))
);
CREATE INDEX mail_message_reaction_message_id_index ON mail_message_reaction (message_id);
CREATE TABLE mail_link_preview (
	id             serial PRIMARY KEY,
	message_id     integer NOT NULL REFERENCES mail_message ON DELETE CASCADE,
	source_url     varchar NOT NULL,
	og_title       varchar,
	og_description text,
	create_date    timestamp
);
CREATE INDEX mail_link_preview_message_id_index ON mail_link_preview (message_id);
CREATE TABLE mail_tracking_value (
	id                 serial PRIMARY KEY,
	field              integer NOT NULL REFERENCES ir_model_fields ON DELETE CASCADE,
	old_value_integer  integer,
	new_value_integer  integer,
	currency_id        integer,
	tracking_sequence  integer,
	mail_message_id    integer NOT NULL REFERENCES mail_message ON DELETE CASCADE,
	create_uid integer, write_uid integer,
	field_desc         varchar NOT NULL,
	field_type         varchar,
	old_value_char     varchar,
	new_value_char     varchar,
	old_value_text     text,
	new_value_text     text,
	old_value_datetime timestamp,
	new_value_datetime timestamp,
	old_value_float    double precision,
	new_value_float    double precision,
	old_value_monetary double precision,
	new_value_monetary double precision,
	create_date timestamp, write_date timestamp
);
CREATE INDEX mail_tracking_value_mail_message_id_index ON mail_tracking_value (mail_message_id);

CREATE TABLE mail_followers (
	id         serial PRIMARY KEY,
	res_id     integer,
	partner_id integer NOT NULL REFERENCES res_partner ON DELETE CASCADE,
	res_model  varchar NOT NULL,
	CONSTRAINT mail_followers_mail_followers_res_partner_res_model_id_uniq UNIQUE (res_model, res_id, partner_id)
);
CREATE INDEX mail_followers_partner_id_index ON mail_followers (partner_id);
CREATE INDEX mail_followers_res_id_index ON mail_followers (res_id);
CREATE INDEX mail_followers_res_model_index ON mail_followers (res_model);
CREATE TABLE mail_followers_mail_message_subtype_rel (
	mail_followers_id       integer NOT NULL REFERENCES mail_followers ON DELETE CASCADE,
	mail_message_subtype_id integer NOT NULL REFERENCES mail_message_subtype ON DELETE CASCADE,
	PRIMARY KEY (mail_followers_id, mail_message_subtype_id)
);

CREATE TABLE mail_channel (id serial PRIMARY KEY, name varchar NOT NULL, channel_type varchar NOT NULL);
CREATE TABLE mail_channel_member (
	id                  serial PRIMARY KEY,
	partner_id          integer REFERENCES res_partner ON DELETE CASCADE,
	guest_id            integer REFERENCES mail_guest ON DELETE CASCADE,
	channel_id          integer NOT NULL REFERENCES mail_channel ON DELETE CASCADE,
	custom_channel_name varchar,
	fetched_message_id  integer REFERENCES mail_message ON DELETE SET NULL,
	seen_message_id     integer REFERENCES mail_message ON DELETE SET NULL,
	fold_state          varchar,
	is_minimized        boolean,
	is_pinned           boolean,
	last_interest_dt    timestamp,
	last_seen_dt        timestamp,
	CONSTRAINT mail_channel_member_partner_or_guest_exists CHECK ((partner_id IS NULL) <> (guest_id IS NULL))
);
CREATE INDEX mail_channel_member_partner_id_index ON mail_channel_member (partner_id);

CREATE TABLE mail_activity (
	id                           serial PRIMARY KEY,
	res_model_id                 integer NOT NULL REFERENCES ir_model ON DELETE CASCADE,
	res_id                       integer NOT NULL,
	activity_type_id             integer REFERENCES mail_activity_type ON DELETE RESTRICT,
	user_id                      integer NOT NULL REFERENCES res_users ON DELETE RESTRICT,
	request_partner_id           integer REFERENCES res_partner ON DELETE SET NULL,
	recommended_activity_type_id integer,
	previous_activity_type_id    integer,
	create_uid integer, write_uid integer,
	res_model                    varchar,
	res_name                     varchar,
	summary                      varchar,
	date_deadline                date NOT NULL,
	note                         text,
	automated                    boolean,
	create_date timestamp, write_date timestamp
);
CREATE INDEX mail_activity_res_id_index ON mail_activity (res_id);
CREATE INDEX mail_activity_res_model_id_index ON mail_activity (res_model_id);

CREATE TABLE mail_blacklist (
	id                         serial PRIMARY KEY,
	message_main_attachment_id integer REFERENCES ir_attachment ON DELETE SET NULL,
	create_uid integer, write_uid integer,
	email                      varchar NOT NULL UNIQUE,
	active                     boolean,
	create_date timestamp, write_date timestamp
);

CREATE TABLE crm_lead (
	id                         serial PRIMARY KEY,
	campaign_id                integer,
	source_id                  integer,
	medium_id                  integer,
	message_bounce             integer,
	message_main_attachment_id integer REFERENCES ir_attachment ON DELETE SET NULL,
	user_id                    integer REFERENCES res_users ON DELETE SET NULL,
	team_id                    integer,
	company_id                 integer REFERENCES res_company ON DELETE SET NULL,
	stage_id                   integer REFERENCES crm_stage ON DELETE RESTRICT,
	color                      integer,
	recurring_plan             integer,
	partner_id                 integer REFERENCES res_partner ON DELETE SET NULL,
	title                      integer,
	lang_id                    integer,
	state_id                   integer,
	country_id                 integer REFERENCES res_country ON DELETE SET NULL,
	lost_reason_id             integer REFERENCES crm_lost_reason ON DELETE RESTRICT,
	create_uid                 integer,
	write_uid                  integer,
	phone_sanitized            varchar,
	email_normalized           varchar,
	email_cc                   varchar,
	name                       varchar NOT NULL,
	referred                   varchar,
	type                       varchar NOT NULL,
	priority                   varchar,
	contact_name               varchar,
	partner_name               varchar,
	"function"                 varchar,
	email_from                 varchar,
	email_domain_criterion     varchar,
	phone                      varchar,
	mobile                     varchar,
	phone_state                varchar,
	email_state                varchar,
	website                    varchar,
	street                     varchar,
	street2                    varchar,
	zip                        varchar,
	city                       varchar,
	date_deadline              date,
	lead_properties            jsonb,
	description                text,
	expected_revenue           numeric,
	prorated_revenue           numeric,
	recurring_revenue          numeric,
	recurring_revenue_monthly  numeric,
	recurring_revenue_monthly_prorated numeric,
	active                     boolean,
	date_closed                timestamp,
	date_automation_last       timestamp,
	date_open                  timestamp,
	date_last_stage_update     timestamp,
	date_conversion            timestamp,
	create_date                timestamp,
	write_date                 timestamp,
	day_open                   double precision,
	day_close                  double precision,
	probability                double precision,
	automated_probability      double precision
);
CREATE INDEX crm_lead_partner_id_index ON crm_lead (partner_id);
CREATE INDEX crm_lead_date_last_stage_update_index ON crm_lead (date_last_stage_update);
CREATE INDEX crm_lead_stage_id_index ON crm_lead (stage_id);

CREATE TABLE crm_tag_rel (
	lead_id integer NOT NULL REFERENCES crm_lead ON DELETE CASCADE,
	tag_id  integer NOT NULL REFERENCES crm_tag ON DELETE CASCADE,
	PRIMARY KEY (lead_id, tag_id)
);
CREATE INDEX ON crm_tag_rel (tag_id, lead_id);

CREATE TABLE rating_rating (
	id                  serial PRIMARY KEY,
	res_model_id        integer REFERENCES ir_model ON DELETE CASCADE,
	res_id              integer NOT NULL,
	parent_res_model_id integer REFERENCES ir_model ON DELETE CASCADE,
	parent_res_id       integer,
	rated_partner_id    integer REFERENCES res_partner ON DELETE SET NULL,
	partner_id          integer REFERENCES res_partner ON DELETE SET NULL,
	message_id          integer REFERENCES mail_message ON DELETE CASCADE,
	create_uid integer, write_uid integer,
	res_name            varchar,
	res_model           varchar,
	parent_res_name     varchar,
	parent_res_model    varchar,
	rating_text         varchar,
	access_token        varchar,
	feedback            text,
	is_internal         boolean,
	consumed            boolean,
	create_date timestamp, write_date timestamp,
	rating              double precision,
	CONSTRAINT rating_rating_rating_range CHECK (rating >= 0 AND rating <= 5)
);
CREATE INDEX rating_rating_message_id_index ON rating_rating (message_id);
CREATE INDEX rating_rating_res_id_index ON rating_rating (res_id);
CREATE INDEX rating_rating_res_model_index ON rating_rating (res_model);

COMMIT;
