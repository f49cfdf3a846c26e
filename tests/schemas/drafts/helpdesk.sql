-- A helpdesk in one database for one company.  Its habits: staff and customers are one table, told apart by a join table of
-- roles; every row has created_by_id and updated_by_id, half of them without a key; states are lists with a type behind
-- them; files hang off anything by a list of classes and an id; settings are serialised text.
CREATE TABLE roles (id serial PRIMARY KEY, name varchar(100) NOT NULL, preferences text, active boolean NOT NULL DEFAULT true,
	note varchar(250), created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE teams (id serial PRIMARY KEY, name varchar(160) NOT NULL, mailbox_id int, assign_timeout int, active boolean NOT NULL DEFAULT true,
	note varchar(250), created_by_id int, updated_by_id int, created_at timestamp NOT NULL);
CREATE TABLE companies (id serial PRIMARY KEY, name varchar(100) NOT NULL, shared boolean NOT NULL DEFAULT true, domain varchar(250),
	vip boolean, note varchar(5000), created_by_id int, updated_by_id int, created_at timestamp NOT NULL);
CREATE TABLE people (id serial PRIMARY KEY, company_id int REFERENCES companies, login varchar(255) NOT NULL UNIQUE,
	firstname varchar(100), lastname varchar(100), email varchar(255), image varchar(100), image_source varchar(200),
	web varchar(100), password varchar(120), phone varchar(100), fax varchar(100), mobile varchar(100), department varchar(200),
	street varchar(120), zip varchar(100), city varchar(100), country varchar(100), address varchar(500), vip boolean,
	verified boolean NOT NULL DEFAULT false, active boolean NOT NULL DEFAULT true, note varchar(5000), last_login timestamp,
	source varchar(200), login_failed int NOT NULL DEFAULT 0, out_of_office boolean, out_of_office_start_at date,
	out_of_office_replacement_id int, preferences text, updated_by_id int, created_by_id int, created_at timestamp NOT NULL,
	updated_at timestamp NOT NULL);
CREATE TABLE people_roles (person_id int NOT NULL, role_id int NOT NULL);
CREATE TABLE people_companies (person_id int NOT NULL REFERENCES people, company_id int NOT NULL REFERENCES companies);
CREATE TABLE groups_people (person_id int NOT NULL REFERENCES people, team_id int NOT NULL REFERENCES teams, access varchar(50) NOT NULL);
CREATE TABLE case_state_types (id serial PRIMARY KEY, name varchar(250) NOT NULL, note varchar(250));
CREATE TABLE case_states (id serial PRIMARY KEY, state_type_id int NOT NULL REFERENCES case_state_types, name varchar(250) NOT NULL,
	next_state_id int, ignore_escalation boolean, note varchar(250), active boolean, created_by_id int, updated_by_id int);
CREATE TABLE case_priorities (id serial PRIMARY KEY, name varchar(250) NOT NULL, ui_icon varchar(100), ui_color varchar(100),
	note varchar(250), active boolean, created_by_id int, updated_by_id int);
CREATE TABLE cases (id serial PRIMARY KEY, team_id int NOT NULL REFERENCES teams, priority_id int NOT NULL REFERENCES case_priorities,
	state_id int NOT NULL REFERENCES case_states, company_id int REFERENCES companies, number varchar(60) NOT NULL UNIQUE,
	title varchar(250) NOT NULL, owner_id int NOT NULL REFERENCES people, customer_id int NOT NULL REFERENCES people, note varchar(250),
	first_response_at timestamp, first_response_in_min int, close_at timestamp, last_contact_at timestamp,
	last_contact_customer_at timestamp, entry_count int, escalation_at timestamp, pending_time timestamp, type varchar(100),
	time_unit numeric(6,2), preferences text, updated_by_id int NOT NULL REFERENCES people, created_by_id int NOT NULL REFERENCES people,
	created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE INDEX ON cases (customer_id);
CREATE TABLE entry_types (id serial PRIMARY KEY, name varchar(250) NOT NULL, communication boolean NOT NULL, note varchar(250));
CREATE TABLE entry_senders (id serial PRIMARY KEY, name varchar(250) NOT NULL, note varchar(250));
CREATE TABLE entries (id serial PRIMARY KEY, case_id int NOT NULL REFERENCES cases, type_id int NOT NULL REFERENCES entry_types,
	sender_id int NOT NULL REFERENCES entry_senders, "from" varchar(3000), "to" varchar(3000), cc varchar(3000), reply_to varchar(300),
	subject varchar(3000), message_id varchar(3000), message_id_md5 varchar(32), in_reply_to varchar(3000),
	content_type varchar(20) NOT NULL DEFAULT 'text/plain', "references" varchar(3200), body text NOT NULL, internal boolean NOT NULL,
	preferences text, origin_by_id int, updated_by_id int NOT NULL REFERENCES people, created_by_id int NOT NULL REFERENCES people,
	created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE INDEX ON entries (case_id);
CREATE TABLE case_flags (id serial PRIMARY KEY, case_id int NOT NULL REFERENCES cases, key varchar(50) NOT NULL, value varchar(50),
	created_by_id int NOT NULL REFERENCES people, created_at timestamp NOT NULL);
CREATE TABLE case_counters (id serial PRIMARY KEY, content varchar(100) NOT NULL, generator varchar(100) NOT NULL);
CREATE TABLE time_accountings (id serial PRIMARY KEY, case_id int NOT NULL REFERENCES cases, entry_id int REFERENCES entries,
	time_unit numeric(6,2) NOT NULL, created_by_id int NOT NULL, created_at timestamp NOT NULL);
CREATE TABLE mentions (id serial PRIMARY KEY, mentionable_type varchar(50) NOT NULL, mentionable_id int NOT NULL, person_id int NOT NULL,
	updated_by_id int, created_by_id int, created_at timestamp NOT NULL);
CREATE TABLE store_classes (id serial PRIMARY KEY, name varchar(250) NOT NULL, note varchar(250));
CREATE TABLE store_blobs (id serial PRIMARY KEY, sha varchar(128) NOT NULL UNIQUE, provider varchar(20), data bytea, created_at timestamp);
CREATE TABLE stored_files (id serial PRIMARY KEY, store_class_id int NOT NULL REFERENCES store_classes, o_id int NOT NULL,
	store_blob_id int NOT NULL REFERENCES store_blobs, preferences varchar(2500), size varchar(50), filename varchar(250) NOT NULL,
	created_by_id int NOT NULL, created_at timestamp NOT NULL);
CREATE TABLE avatars (id serial PRIMARY KEY, o_id int NOT NULL, object_class varchar(40) NOT NULL, "default" boolean NOT NULL,
	store_full_id int, store_resize_id int, store_hash varchar(32), source varchar(100) NOT NULL, source_url varchar(512),
	created_by_id int, created_at timestamp);
CREATE TABLE tokens (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES people, persistent boolean, name varchar(100) NOT NULL,
	action varchar(40) NOT NULL, label varchar(255), preferences text, last_used_at timestamp, expires_at date, created_at timestamp);
CREATE TABLE authorizations (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES people, provider varchar(250) NOT NULL,
	uid varchar(250) NOT NULL, token varchar(2500), secret varchar(250), username varchar(250), created_at timestamp);
CREATE TABLE person_devices (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES people, name varchar(250) NOT NULL, os varchar(150),
	browser varchar(250), location varchar(150), device_details varchar(2500), location_details varchar(2500),
	fingerprint varchar(160), user_agent varchar(250), ip varchar(160), created_at timestamp);
CREATE TABLE logins (id serial PRIMARY KEY, session_key varchar(250) NOT NULL UNIQUE, persistent boolean, data text, created_at timestamp);
CREATE TABLE histories (id bigserial PRIMARY KEY, history_type_id int NOT NULL, history_object_id int NOT NULL, o_id int NOT NULL,
	related_o_id int, id_to int, id_from int, value_from varchar(500), value_to varchar(500), created_by_id int NOT NULL, created_at timestamp);
CREATE TABLE history_types (id serial PRIMARY KEY, name varchar(250) NOT NULL);
CREATE TABLE history_objects (id serial PRIMARY KEY, name varchar(250) NOT NULL, note varchar(250));
CREATE TABLE call_logs (id bigserial PRIMARY KEY, direction varchar(20) NOT NULL, state varchar(20) NOT NULL, "from" varchar(100) NOT NULL,
	from_comment varchar(250), "to" varchar(100) NOT NULL, to_comment varchar(250), queue varchar(250), call_id varchar(250),
	comment varchar(500), initialized_at timestamp, duration_talking_time int, done boolean, preferences text, created_at timestamp);
CREATE TABLE caller_ids (id bigserial PRIMARY KEY, caller_id varchar(100) NOT NULL, comment varchar(500), level varchar(100) NOT NULL,
	object varchar(100) NOT NULL, o_id int NOT NULL, person_id int REFERENCES people, preferences text, created_at timestamp);
CREATE TABLE chat_channels (id serial PRIMARY KEY, name varchar(250), max_queue int NOT NULL, active boolean, note varchar(250),
	block_ip varchar(5000), block_country varchar(5000), created_by_id int, created_at timestamp);
CREATE TABLE chat_sessions (id bigserial PRIMARY KEY, chat_channel_id int NOT NULL REFERENCES chat_channels, session_id varchar(64) NOT NULL,
	name varchar(250), state varchar(50) NOT NULL, person_id int REFERENCES people ON DELETE SET NULL, preferences text, created_at timestamp);
CREATE TABLE chat_messages (id bigserial PRIMARY KEY, chat_session_id bigint NOT NULL REFERENCES chat_sessions, content text NOT NULL,
	created_by_id int, created_at timestamp);
CREATE TABLE satisfaction (id bigserial PRIMARY KEY, case_id int NOT NULL, rating int, remark text, answered_at timestamp);
CREATE TABLE online_notifications (id bigserial PRIMARY KEY, o_id int NOT NULL, store_class_id int NOT NULL, type_lookup_id int NOT NULL,
	person_id int NOT NULL REFERENCES people, seen boolean NOT NULL, created_by_id int NOT NULL, created_at timestamp);
CREATE TABLE recent_views (id bigserial PRIMARY KEY, recent_view_object_id int NOT NULL, o_id int NOT NULL, created_by_id int NOT NULL, created_at timestamp);
CREATE TABLE tags (id bigserial PRIMARY KEY, tag_item_id int NOT NULL, tag_object_id int NOT NULL, o_id int NOT NULL, created_by_id int, created_at timestamp);
CREATE TABLE tag_items (id serial PRIMARY KEY, name varchar(250) NOT NULL, name_downcase varchar(250) NOT NULL, created_at timestamp);
CREATE TABLE macros (id serial PRIMARY KEY, name varchar(250), perform text NOT NULL, active boolean, note varchar(250), created_by_id int);
CREATE TABLE text_modules (id serial PRIMARY KEY, name varchar(250), keywords varchar(500), content varchar(10000) NOT NULL, active boolean, created_by_id int);
CREATE TABLE signatures (id serial PRIMARY KEY, name varchar(100) NOT NULL, body text, active boolean, note varchar(250), created_by_id int);
CREATE TABLE mailboxes (id serial PRIMARY KEY, realname varchar(250) NOT NULL, email varchar(250) NOT NULL, channel_id int, active boolean, note varchar(250));
CREATE TABLE channels (id serial PRIMARY KEY, team_id int, area varchar(100) NOT NULL, options text, active boolean, last_log_in text, status_in varchar(100));
CREATE TABLE settings (id serial PRIMARY KEY, title varchar(200) NOT NULL, name varchar(200) NOT NULL UNIQUE, area varchar(100) NOT NULL,
	description varchar(2000) NOT NULL, options text, state_current text, frontend boolean NOT NULL);
CREATE TABLE calendars (id serial PRIMARY KEY, name varchar(250), timezone varchar(250) NOT NULL, business_hours varchar(3000), ical_url varchar(500));
CREATE TABLE triggers (id serial PRIMARY KEY, name varchar(250) NOT NULL, condition text NOT NULL, perform text NOT NULL, note varchar(250));
CREATE TABLE report_profiles (id serial PRIMARY KEY, name varchar(150), condition text, active boolean, created_by_id int);
INSERT INTO case_state_types VALUES (1, 'new', NULL), (2, 'open', NULL), (3, 'closed', NULL), (4, 'merged', NULL);
INSERT INTO case_states VALUES (1, 1, 'new', NULL), (2, 2, 'open', NULL), (3, 2, 'pending reminder', NULL), (4, 3, 'closed', NULL), (5, 4, 'merged', NULL);
