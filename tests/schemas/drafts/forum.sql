-- A forum.  Its habits: no foreign key anywhere; the member, the profile and the addresses are tables of their own;
-- custom fields are pairs of a name and a value; texts stand twice, as written and as shown; addresses of computers are inet.
CREATE TABLE members (id serial PRIMARY KEY, username varchar(60) NOT NULL UNIQUE, username_lower varchar(60) NOT NULL UNIQUE, name varchar,
	last_posted_at timestamp, password_hash varchar(64), salt varchar(32), active boolean NOT NULL DEFAULT false, last_seen_at timestamp,
	admin boolean NOT NULL DEFAULT false, trust_level int NOT NULL, approved_by_id int, approved_at timestamp, ip_address inet,
	registration_ip_address inet, suspended_at timestamp, suspended_till timestamp, date_of_birth date, views int NOT NULL DEFAULT 0,
	flag_level int NOT NULL DEFAULT 0, moderator boolean DEFAULT false, title varchar, uploaded_avatar_id int, locale varchar(10),
	primary_group_id int, secure_identifier varchar, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE member_addresses (id serial PRIMARY KEY, member_id int NOT NULL, email varchar(513) NOT NULL, "primary" boolean NOT NULL,
	normalized_email varchar, created_at timestamp NOT NULL);
CREATE TABLE member_profiles (member_id int PRIMARY KEY, location varchar(3000), website varchar(3000), bio_raw text, bio_cooked text,
	dismissed_banner_key int, profile_background_upload_id int, featured_topic_id int, views int NOT NULL DEFAULT 0);
CREATE TABLE member_options (member_id int PRIMARY KEY, mailing_list_mode boolean NOT NULL, email_digests boolean, theme_ids int[],
	hide_profile boolean NOT NULL, text_size_key int NOT NULL, timezone varchar, email_level int NOT NULL);
CREATE TABLE member_stats (member_id int PRIMARY KEY, topics_entered int NOT NULL, time_read int NOT NULL, days_visited int NOT NULL,
	posts_read_count int NOT NULL, likes_given int NOT NULL, new_since timestamp NOT NULL);
CREATE TABLE member_custom_fields (id serial PRIMARY KEY, member_id int NOT NULL, name varchar(256) NOT NULL, value text, created_at timestamp);
CREATE TABLE member_fields (id serial PRIMARY KEY, name varchar NOT NULL, field_type varchar NOT NULL, description varchar NOT NULL, position int, required boolean);
CREATE TABLE member_auth_tokens (id serial PRIMARY KEY, member_id int NOT NULL, auth_token varchar NOT NULL UNIQUE, prev_auth_token varchar NOT NULL,
	user_agent varchar, auth_token_seen boolean NOT NULL, client_ip inet, rotated_at timestamp NOT NULL, created_at timestamp);
CREATE TABLE member_auth_token_logs (id serial PRIMARY KEY, action varchar NOT NULL, member_auth_token_id int, member_id int, client_ip inet,
	user_agent varchar, auth_token varchar, path varchar, created_at timestamp);
CREATE TABLE member_associated_accounts (id bigserial PRIMARY KEY, provider_name varchar NOT NULL, provider_uid varchar NOT NULL, member_id int,
	last_used timestamp NOT NULL, info jsonb NOT NULL, credentials jsonb NOT NULL, extra jsonb NOT NULL);
CREATE TABLE member_second_factors (id bigserial PRIMARY KEY, member_id int NOT NULL, method int NOT NULL, data varchar NOT NULL, enabled boolean, name varchar);
CREATE TABLE member_security_keys (id bigserial PRIMARY KEY, member_id int NOT NULL, credential_id varchar NOT NULL UNIQUE, public_key varchar NOT NULL,
	factor_type int NOT NULL, enabled boolean NOT NULL, name varchar NOT NULL, last_used timestamp);
CREATE TABLE member_api_keys (id serial PRIMARY KEY, member_id int NOT NULL, client_id varchar NOT NULL, key_hash varchar NOT NULL,
	application_name varchar NOT NULL, push_url varchar, created_at timestamp);
CREATE TABLE member_exports (id serial PRIMARY KEY, file_name varchar NOT NULL, member_id int NOT NULL, upload_id int, topic_id int, created_at timestamp);
CREATE TABLE member_ip_histories (id serial PRIMARY KEY, member_id int NOT NULL, ip_address inet NOT NULL, created_at timestamp);
CREATE TABLE push_subscriptions (id bigserial PRIMARY KEY, member_id int NOT NULL, data varchar NOT NULL, error_count int NOT NULL, created_at timestamp);
CREATE TABLE sections (id serial PRIMARY KEY, name varchar(50) NOT NULL, color varchar(6) NOT NULL, topic_id int, topic_count int, member_id int NOT NULL,
	slug varchar NOT NULL, description text, text_color varchar(6), position int, parent_section_id int, email_in varchar, created_at timestamp);
CREATE TABLE topics (id serial PRIMARY KEY, title varchar NOT NULL, fancy_title varchar, last_posted_at timestamp, views int NOT NULL, posts_count int NOT NULL,
	member_id int, last_post_member_id int NOT NULL, reply_count int, section_id int, archetype varchar NOT NULL, slug varchar, closed boolean NOT NULL,
	archived boolean NOT NULL, deleted_at timestamp, deleted_by_id int, excerpt varchar, visible boolean, bumped_at timestamp NOT NULL,
	created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE INDEX ON topics (member_id);
CREATE TABLE posts (id serial PRIMARY KEY, member_id int, topic_id int NOT NULL, post_number int NOT NULL, raw text NOT NULL, cooked text NOT NULL,
	reply_to_post_number int, quote_count int, deleted_at timestamp, like_count int, reads int, score float, post_type int NOT NULL, last_editor_id int,
	hidden boolean, hidden_reason_id int, via_email boolean, raw_email text, edit_reason varchar, image_upload_id int, created_at timestamp NOT NULL);
CREATE INDEX ON posts (topic_id);
CREATE TABLE post_revisions (id serial PRIMARY KEY, member_id int, post_id int, modifications text, number int, hidden boolean, created_at timestamp);
CREATE TABLE post_custom_fields (id serial PRIMARY KEY, post_id int NOT NULL, name varchar(256) NOT NULL, value text, created_at timestamp);
CREATE TABLE post_search_data (post_id int PRIMARY KEY, search_data tsvector, raw_data text, locale varchar, version int);
CREATE TABLE post_actions (id serial PRIMARY KEY, post_id int NOT NULL, member_id int NOT NULL, post_action_type_id int NOT NULL, related_post_id int,
	deferred_by_id int, created_at timestamp);
CREATE TABLE post_timings (topic_id int NOT NULL, post_number int NOT NULL, member_id int NOT NULL, msecs int NOT NULL);
CREATE TABLE topic_members (id serial PRIMARY KEY, member_id int NOT NULL, topic_id int NOT NULL, posted boolean, last_read_post_number int, notification_level int);
CREATE TABLE topic_links (id serial PRIMARY KEY, topic_id int NOT NULL, post_id int, member_id int NOT NULL, url varchar NOT NULL, domain varchar(100),
	internal boolean, link_topic_id int, clicks int, title varchar, created_at timestamp);
CREATE TABLE topic_link_clicks (id serial PRIMARY KEY, topic_link_id int NOT NULL, member_id int, ip_address inet, created_at timestamp);
CREATE TABLE topic_views (topic_id int NOT NULL, viewed_at date NOT NULL, member_id int, ip_address inet);
CREATE TABLE uploads (id serial PRIMARY KEY, member_id int NOT NULL, original_filename varchar NOT NULL, filesize bigint NOT NULL, width int, height int,
	url varchar NOT NULL, sha1 varchar(40), origin varchar(1000), extension varchar(10), secure boolean, created_at timestamp);
CREATE TABLE upload_references (id bigserial PRIMARY KEY, upload_id int NOT NULL, target_type varchar NOT NULL, target_id int NOT NULL, created_at timestamp);
CREATE TABLE notifications (id serial PRIMARY KEY, notification_type int NOT NULL, member_id int NOT NULL, data varchar(1000) NOT NULL, read boolean,
	topic_id int, post_number int, post_action_id int, created_at timestamp);
CREATE TABLE bookmarks (id bigserial PRIMARY KEY, member_id int NOT NULL, name varchar(100), reminder_at timestamp, bookmarkable_type varchar, bookmarkable_id int, created_at timestamp);
CREATE TABLE drafts (id serial PRIMARY KEY, member_id int NOT NULL, draft_key varchar NOT NULL, data text NOT NULL, sequence bigint, created_at timestamp);
CREATE TABLE invites (id serial PRIMARY KEY, invite_key varchar(32) NOT NULL, email varchar, invited_by_id int NOT NULL, custom_message text,
	max_redemptions int, domain varchar, expires_at timestamp, created_at timestamp);
CREATE TABLE email_logs (id serial PRIMARY KEY, to_address varchar NOT NULL, email_type varchar NOT NULL, member_id int, post_id int, bounce_key uuid,
	bounced boolean, message_id varchar, cc_addresses text, smtp_response varchar, created_at timestamp);
CREATE TABLE incoming_emails (id serial PRIMARY KEY, member_id int, topic_id int, post_id int, raw text, error text, message_id text, from_address text,
	to_addresses text, cc_addresses text, subject text, rejection_message text, created_at timestamp);
CREATE TABLE staff_actions (id serial PRIMARY KEY, action int NOT NULL, acting_member_id int, target_member_id int, details text, ip_address varchar,
	email varchar, context varchar, topic_id int, post_id int, previous_value text, new_value text, created_at timestamp);
CREATE TABLE warnings (id serial PRIMARY KEY, topic_id int NOT NULL, member_id int NOT NULL, created_by_id int NOT NULL, created_at timestamp);
CREATE TABLE screened_emails (id serial PRIMARY KEY, email varchar NOT NULL, action_type int NOT NULL, match_count int, ip_address inet, created_at timestamp);
CREATE TABLE search_logs (id serial PRIMARY KEY, term varchar NOT NULL, member_id int, ip_address inet, search_result_id int, user_agent varchar(2000), created_at timestamp);
CREATE TABLE poll_votes (poll_id bigint, poll_option_id bigint, member_id bigint, created_at timestamp);
CREATE TABLE polls (id bigserial PRIMARY KEY, post_id bigint, name varchar NOT NULL, close_at timestamp, type int NOT NULL, status int NOT NULL, visibility int, title varchar);
CREATE TABLE poll_options (id bigserial PRIMARY KEY, poll_id bigint, digest varchar NOT NULL, html text NOT NULL, anonymous_votes int);
CREATE TABLE groups (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, automatic boolean NOT NULL, member_count int, title varchar, bio_raw text, full_name varchar, smtp_server varchar, email_username varchar);
CREATE TABLE group_members (id serial PRIMARY KEY, group_id int NOT NULL, member_id int NOT NULL, owner boolean, notification_level int, created_at timestamp);
CREATE TABLE badges (id serial PRIMARY KEY, name varchar NOT NULL, description text, badge_type_id int NOT NULL, grant_count int, icon varchar, query text, enabled boolean);
CREATE TABLE badge_types (id serial PRIMARY KEY, name varchar NOT NULL);
CREATE TABLE member_badges (id serial PRIMARY KEY, badge_id int NOT NULL, member_id int NOT NULL, granted_at timestamp NOT NULL, granted_by_id int NOT NULL, post_id int);
CREATE TABLE tags (id serial PRIMARY KEY, name varchar NOT NULL, topic_count int, description varchar);
CREATE TABLE topic_tags (id serial PRIMARY KEY, topic_id int NOT NULL, tag_id int NOT NULL);
CREATE TABLE site_settings (id serial PRIMARY KEY, name varchar NOT NULL, data_type int NOT NULL, value text, created_at timestamp);
CREATE TABLE themes (id serial PRIMARY KEY, name varchar NOT NULL, member_id int NOT NULL, compiler_version int, hidden boolean, color_scheme_id int);
CREATE TABLE plugin_rows (id serial PRIMARY KEY, plugin_name varchar NOT NULL, key varchar NOT NULL, type_name varchar NOT NULL, value text);
CREATE TABLE web_hooks (id serial PRIMARY KEY, payload_url varchar NOT NULL, content_type int NOT NULL, secret varchar, active boolean);
CREATE TABLE scheduler_stats (id serial PRIMARY KEY, name varchar NOT NULL, hostname varchar NOT NULL, pid int NOT NULL, duration_ms int, started_at timestamp);
