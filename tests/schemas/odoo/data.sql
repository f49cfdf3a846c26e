-- Partners for schema.sql: -v contacts=N.  The odd ones are due at 18 months, the even ones are not.
-- The token canary-c<partner>-<what> stands in each personal value, canary-c<partner>-r<lead>-<what>
-- from the lead down; c0 is a company's or a user's.  Partner c has the leads 10 c + 1 and 10 c + 2.

\set ON_ERROR_STOP on
BEGIN;

CREATE FUNCTION pg_temp.tok(c integer, what text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'canary-c' || c || '-' || what $$;
CREATE FUNCTION pg_temp.rtok(lead integer, what text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'canary-c' || lead / 10 || '-r' || lead || '-' || what $$;

INSERT INTO ir_model VALUES (1, 'res.partner', '{"en_US": "Contact"}'), (2, 'crm.lead', '{"en_US": "Lead"}');
INSERT INTO ir_model_fields VALUES (1, 1, 'email'), (2, 2, 'stage_id');
INSERT INTO res_country VALUES (75, '{"en_US": "France"}', 'FR');
INSERT INTO mail_message_subtype VALUES (1, '{"en_US": "Discussions"}'), (2, '{"en_US": "Note"}');
INSERT INTO mail_activity_type VALUES (1, '{"en_US": "Call"}');
INSERT INTO mail_guest VALUES (1, 'canary-c0-guest');
INSERT INTO mail_channel VALUES (1, 'general', 'channel');
INSERT INTO crm_stage VALUES (1, '{"en_US": "New"}', false), (2, '{"en_US": "Won"}', true);
INSERT INTO crm_lost_reason VALUES (1, '{"en_US": "Too expensive"}', true);
INSERT INTO crm_tag VALUES (1, 1, '{"en_US": "Product canary-c0-tag"}'), (2, 2, '{"en_US": "Service"}');
INSERT INTO res_partner_category VALUES (1, 1, NULL, '1/', '{"en_US": "Gold canary-c0-category"}', true);

-- Own company 100001, a customer's company 100002, two users' partners.
INSERT INTO res_partner (id, name, display_name, type, email, is_company, commercial_partner_id, active, create_date)
SELECT i, pg_temp.tok(0, 'name'), pg_temp.tok(0, 'display'), 'contact', pg_temp.tok(0, 'email') || i || '@shop.example',
	i <= 100002, i, true, now() - interval '5 years'
FROM generate_series(100001, 100004) i;
INSERT INTO res_company VALUES (1, 'Shop', 100001, 'shop@shop.example');
INSERT INTO res_users (id, company_id, partner_id, login, signature)
SELECT i - 100002, 1, i, 'user' || i, pg_temp.tok(0, 'signature') FROM generate_series(100003, 100004) i;

-- Of ten partners 4 and 5 work for the company, 6 stands below 5, and 7 below 6.  7 and 8 share an
-- address, 9 has an empty one.
INSERT INTO res_partner (id, create_date, name, display_name, parent_id, user_id, country_id,
	commercial_partner_id, lang, vat, website, "function", type, street, street2, zip, city, email, phone,
	mobile, comment, partner_latitude, active, is_company, email_normalized, signup_token, phone_sanitized, date)
SELECT c, now() - interval '4 years', 'Zoë O''Brien ' || pg_temp.tok(c, 'name'), 'Shop, ' || pg_temp.tok(c, 'display'),
	NULL, 1, 75, c, 'fr_FR', CASE WHEN c % 3 = 0 THEN pg_temp.tok(c, 'vat') END,
	CASE c % 3 WHEN 0 THEN 'https://' || pg_temp.tok(c, 'website') WHEN 1 THEN '' END,
	pg_temp.tok(c, 'function'), 'contact', '1; rue ' || pg_temp.tok(c, 'street'), '', pg_temp.tok(c, 'zip'),
	pg_temp.tok(c, 'city'), mail, '+33 1 ' || pg_temp.tok(c, 'phone'),
	CASE WHEN c % 2 = 0 THEN '+33 6 ' || pg_temp.tok(c, 'mobile') END, '<p>' || pg_temp.tok(c, 'comment') || E'</p>\n',
	48.85, c % 6 > 0, CASE WHEN c % 2 = 0 THEN false END, nullif(lower(mail), ''), pg_temp.tok(c, 'signup'),
	'+331' || pg_temp.tok(c, 'sanitized'), CASE WHEN c % 4 = 0 THEN date '1990-01-01' END
FROM generate_series(1, :contacts) c, LATERAL (SELECT CASE c % 10
	WHEN 7 THEN 'family' || c || '@mail.example' WHEN 8 THEN 'family' || c - 1 || '@mail.example' WHEN 9 THEN ''
	ELSE pg_temp.tok(c, 'email') || '@mail.example' END AS mail) m;
UPDATE res_partner SET parent_id = 100002, commercial_partner_id = 100002
WHERE id <= :contacts AND id % 10 IN (4, 5);
UPDATE res_partner SET parent_id = id - 1, commercial_partner_id = id - 1
WHERE id <= :contacts AND id % 10 IN (6, 7);

INSERT INTO res_partner_bank (partner_id, acc_number, sanitized_acc_number, acc_holder_name, active)
SELECT c, pg_temp.tok(c, 'iban'), upper(c || 'x'), pg_temp.tok(c, 'holder'), true
FROM generate_series(1, :contacts, 3) c;
INSERT INTO res_partner_res_partner_category_rel SELECT 1, c FROM generate_series(1, :contacts) c;
INSERT INTO mail_channel_member (partner_id, channel_id, custom_channel_name)
SELECT c, 1, pg_temp.tok(c, 'channel') FROM generate_series(1, :contacts, 4) c;
INSERT INTO mail_blacklist (email, active)
SELECT DISTINCT email_normalized, true FROM res_partner
WHERE id <= :contacts AND email_normalized IS NOT NULL AND id % 4 > 1;

-- Leads: both closed long ago; of the even partners the second is of late, or open.
INSERT INTO crm_lead (id, user_id, stage_id, partner_id, country_id, phone_sanitized, email_normalized, email_cc,
	name, type, contact_name, partner_name, "function", email_from, phone, mobile, website, street, zip, city,
	lead_properties, description, active, date_closed, date_last_stage_update, create_date, probability)
SELECT l, 1 + k % 2, 1 + k % 2, c, 75, '+331' || pg_temp.rtok(l, 'sanitized'), pg_temp.rtok(l, 'normalized'),
	CASE WHEN c % 3 = 0 THEN pg_temp.rtok(l, 'copy') || '@mail.example' END,
	CASE WHEN k = 1 THEN 'Pump for ' || p.name || ' (' || lower(coalesce(p.email, '')) || ')' ELSE 'A lead' END,
	'opportunity', pg_temp.rtok(l, 'contact'), CASE c % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE pg_temp.rtok(l, 'partner') END,
	'', pg_temp.rtok(l, 'email') || '@mail.example', pg_temp.rtok(l, 'phone'), NULL, NULL, pg_temp.rtok(l, 'street'),
	pg_temp.rtok(l, 'zip'), pg_temp.rtok(l, 'city'),
	CASE c % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE jsonb_build_object('4f0c2b1d9a3e5768', 'gold',
		'0a1b2c3d4e5f6071', pg_temp.rtok(l, 'property'), 'nested', jsonb_build_array(pg_temp.rtok(l, 'nested'))) END,
	'<p>Calls himself ' || p.name || '; ' || pg_temp.rtok(l, 'description') || '</p>', true,
	CASE WHEN k = 1 OR c % 4 > 0 THEN stage END, stage, stage - interval '10 days', 100
FROM generate_series(1, :contacts) c JOIN res_partner p ON p.id = c, generate_series(1, 2) k,
	LATERAL (SELECT c * 10 + k AS l, (CASE WHEN k = 2 AND c % 4 = 2 THEN now() - interval '2 months'
		ELSE now() - make_interval(months => 20 + k, hours => c) END) AT TIME ZONE 'UTC' AS stage) s;
INSERT INTO crm_lead (id, name, type, email_from, date_closed, date_last_stage_update)
VALUES (9, 'Nobody''s', 'lead', 'canary-c0-email@mail.example', now() - interval '5 years', now() - interval '5 years');
INSERT INTO crm_tag_rel SELECT id, 1 + id % 2 FROM crm_lead;

-- Messages.  On a lead l: l * 10 + 1 by the partner, + 2 by a user, in answer; on a partner's page
-- 1000000 + c; elsewhere 2000000 + c, what the partner wrote to a channel.
INSERT INTO mail_message (id, parent_id, res_id, subtype_id, author_id, subject, model, record_name,
	message_type, email_from, message_id, reply_to, body, date)
SELECT l * 10 + m, CASE m WHEN 2 THEN l * 10 + 1 END, l, 1, CASE m WHEN 1 THEN l / 10 ELSE 100003 END,
	CASE WHEN l % 3 > 0 THEN 'Re: ' || pg_temp.rtok(l, 'subject') END, 'crm.lead', pg_temp.rtok(l, 'record'),
	'email', '"' || pg_temp.rtok(l, 'author') || '" <a@mail.example>', '<' || pg_temp.rtok(l, 'message') || m || '@x>',
	pg_temp.rtok(l, 'reply'), '<p>' || pg_temp.rtok(l, 'body') || E'</p>\t\\', now() - interval '1 year'
FROM crm_lead, generate_series(1, 2) m, LATERAL (SELECT crm_lead.id AS l) i WHERE id > 9;
INSERT INTO mail_message (id, res_id, subtype_id, author_id, subject, model, record_name, message_type, email_from, body)
SELECT 1000000 + c, c, 2, 100004, '', 'res.partner', pg_temp.tok(c, 'record'), 'comment', 'user@shop.example',
	pg_temp.tok(c, 'note') FROM generate_series(1, :contacts) c
UNION ALL
SELECT 2000000 + c, 1, 1, c, NULL, 'mail.channel', 'general', 'comment', pg_temp.tok(c, 'from'),
	pg_temp.tok(c, 'said') FROM generate_series(1, :contacts) c
UNION ALL -- of somebody who stays, in answer to somebody who goes
SELECT 3000000 + c, 1, 1, 100004, NULL, 'mail.channel', 'general', 'comment', 'user@shop.example',
	'canary-c0-answer' FROM generate_series(1, :contacts) c;
UPDATE mail_message SET parent_id = id - 1000000 WHERE id > 3000000;
-- A partner who is due wrote on a lead of another who is, too.
UPDATE mail_message SET author_id = 5 WHERE id = 312;
UPDATE mail_channel_member SET seen_message_id = 2000000 + partner_id, fetched_message_id = 2000001;

INSERT INTO mail_mail (mail_message_id, email_cc, state, body_html, "references", headers, email_to, failure_reason)
SELECT id, '', 'exception', pg_temp.rtok(res_id, 'html'), '<' || pg_temp.rtok(res_id, 'reference') || '>', '{}',
	pg_temp.rtok(res_id, 'recipient'), 'no such user: ' || pg_temp.rtok(res_id, 'failure')
FROM mail_message WHERE model = 'crm.lead' AND id % 10 = 2;
INSERT INTO mail_mail_res_partner_rel
SELECT m.id, res_id / 10 FROM mail_mail m JOIN mail_message g ON g.id = mail_message_id;
INSERT INTO mail_notification (author_id, mail_message_id, mail_mail_id, res_partner_id, notification_type,
	notification_status, failure_reason)
SELECT g.author_id, g.id, m.id, g.res_id / 10, 'email', 'exception', pg_temp.rtok(g.res_id, 'failure')
FROM mail_mail m JOIN mail_message g ON g.id = mail_message_id
UNION ALL
SELECT author_id, id, NULL, 100003, 'inbox', 'sent', NULL FROM mail_message WHERE id > 2000000 AND id < 3000000;
INSERT INTO mail_message_res_partner_rel SELECT id, res_id / 10 FROM mail_message WHERE model = 'crm.lead' AND id % 10 = 2;
INSERT INTO mail_message_res_partner_starred_rel SELECT id, 100003 FROM mail_message WHERE model = 'crm.lead';
INSERT INTO mail_message_reaction (message_id, partner_id, guest_id, content)
SELECT id, CASE WHEN id % 2 = 0 THEN id - 3000000 END, CASE WHEN id % 2 = 1 THEN 1 END, '👍'
FROM mail_message WHERE id > 3000000;
INSERT INTO mail_link_preview (message_id, source_url, og_title)
SELECT id, 'https://x.example/' || pg_temp.rtok(res_id, 'url'), pg_temp.rtok(res_id, 'title')
FROM mail_message WHERE model = 'crm.lead' AND id % 10 = 1;
INSERT INTO mail_tracking_value (field, mail_message_id, field_desc, field_type, old_value_char, new_value_char)
SELECT 1, id, 'Email', 'char', NULL, pg_temp.tok(res_id, 'tracked') FROM mail_message WHERE model = 'res.partner'
UNION ALL
SELECT 2, id, 'Stage', 'char', pg_temp.rtok(res_id, 'old'), '' FROM mail_message WHERE model = 'crm.lead' AND id % 10 = 2;

INSERT INTO mail_followers (res_id, partner_id, res_model)
SELECT id, partner_id, 'crm.lead' FROM crm_lead WHERE id > 9
UNION ALL SELECT id, 100003, 'crm.lead' FROM crm_lead
UNION ALL SELECT id, 100004, 'res.partner' FROM res_partner
UNION ALL SELECT 1, c, 'mail.channel' FROM generate_series(1, :contacts) c;
INSERT INTO mail_followers_mail_message_subtype_rel SELECT id, 1 FROM mail_followers;

INSERT INTO mail_activity (res_model_id, res_id, activity_type_id, user_id, request_partner_id, res_model, res_name,
	summary, date_deadline, note)
SELECT 1, c, 1, 1, c, 'res.partner', pg_temp.tok(c, 'activity'), '', current_date, pg_temp.tok(c, 'todo')
FROM generate_series(1, :contacts, 2) c
UNION ALL
SELECT 2, id, 1, 2, NULL, 'crm.lead', pg_temp.rtok(id, 'activity'), pg_temp.rtok(id, 'summary'), current_date, NULL
FROM crm_lead WHERE id > 9 AND id % 3 = 0;

INSERT INTO rating_rating (res_model_id, res_id, rated_partner_id, partner_id, message_id, res_name, res_model, access_token,
	feedback, rating)
SELECT 2, id, 100003, partner_id, id * 10 + 2, pg_temp.rtok(id, 'rated'), 'crm.lead', md5(id::text), pg_temp.rtok(id, 'feedback'), 4
FROM crm_lead WHERE id > 9 AND id % 2 = 1
UNION ALL
SELECT 1, 100003, c, 100004, NULL, 'A user', 'res.partner', md5(c::text), 'canary-c0-feedback', 3
FROM generate_series(1, :contacts) c;

-- Attachments: c a picture, on the partner's page; 10000 + lead; 1000000 + c to a message elsewhere.  That
-- of 3 is also in a message of 5, both due; that of 1 is also in a message of 2, who is not.
INSERT INTO ir_attachment (id, res_id, name, res_model, res_field, type, mimetype, index_content, public, db_datas)
SELECT c, c, 'image_1920', 'res.partner', 'image_1920', 'binary', 'image/png', NULL, false,
	'\x89504e470d0aff'::bytea || convert_to(pg_temp.tok(c, 'picture'), 'UTF8') FROM generate_series(1, :contacts) c
UNION ALL
SELECT 10000 + id, id, pg_temp.rtok(id, 'file'), 'crm.lead', NULL, 'binary', 'text/plain', pg_temp.rtok(id, 'index'), false,
	convert_to(pg_temp.rtok(id, 'content'), 'UTF8') FROM crm_lead WHERE id > 9 AND id % 2 = 1
UNION ALL
SELECT 1000000 + c, 1, pg_temp.tok(o, 'file'), 'mail.channel', NULL, 'binary', 'text/plain', '', NULL,
	convert_to(pg_temp.tok(o, 'content'), 'UTF8')
FROM generate_series(1, :contacts) c, LATERAL (SELECT CASE c WHEN 1 THEN 2 WHEN 3 THEN 5 ELSE c END AS o) x;
INSERT INTO ir_attachment (id, res_id, name, res_model, type, db_datas)
VALUES (5000000, 1, 'canary-c0-file', 'mail.template', 'binary', NULL);
INSERT INTO message_attachment_rel
SELECT (a.id - 10000) * 10 + 1, a.id FROM ir_attachment a WHERE res_model = 'crm.lead'
UNION ALL SELECT a.id + 1000000, a.id FROM ir_attachment a WHERE res_model = 'mail.channel'
UNION ALL VALUES (2000005, 1000003), (2000002, 1000001), (2000001, 5000000), (3000001, 5000000);
UPDATE res_partner SET message_main_attachment_id = id WHERE id <= :contacts;
UPDATE crm_lead SET message_main_attachment_id = 10000 + id WHERE id > 9 AND id % 2 = 1;

-- What is rarely filled.
UPDATE res_partner SET ref = pg_temp.tok(id, 'ref'), company_registry = pg_temp.tok(id, 'registry'),
	street2 = pg_temp.tok(id, 'street_extra'), commercial_company_name = pg_temp.tok(id, 'commercial'),
	company_name = pg_temp.tok(id, 'company'), signup_type = 'signup', signup_expiration = '2020-01-01'
WHERE id <= :contacts AND id % 3 = 0;
UPDATE crm_lead SET referred = pg_temp.rtok(id, 'referred'), "function" = pg_temp.rtok(id, 'function'),
	mobile = pg_temp.rtok(id, 'mobile'), website = pg_temp.rtok(id, 'website'), street2 = pg_temp.rtok(id, 'street_extra'),
	email_domain_criterion = '@' || pg_temp.rtok(id, 'domain')
WHERE id > 9 AND id % 3 = 0;
UPDATE rating_rating SET parent_res_name = pg_temp.rtok(res_id, 'parent') WHERE res_model = 'crm.lead';
UPDATE mail_activity SET note = pg_temp.rtok(res_id, 'note') WHERE res_model = 'crm.lead';
UPDATE mail_activity SET summary = pg_temp.tok(res_id, 'summary') WHERE res_model = 'res.partner';
UPDATE ir_attachment SET url = pg_temp.rtok(res_id, 'url'), access_token = pg_temp.rtok(res_id, 'access'),
	description = pg_temp.rtok(res_id, 'description') WHERE res_model = 'crm.lead';
UPDATE ir_attachment SET url = pg_temp.tok(res_id, 'url'), access_token = pg_temp.tok(res_id, 'access'), checksum = md5(id::text),
	description = pg_temp.tok(res_id, 'description'), index_content = pg_temp.tok(res_id, 'index') WHERE res_model = 'res.partner';
UPDATE mail_message SET subject = pg_temp.tok(res_id, 'subject'), message_id = pg_temp.tok(res_id, 'message'),
	reply_to = pg_temp.tok(res_id, 'reply'), email_from = pg_temp.tok(res_id, 'from')
WHERE model = 'res.partner' AND id % 3 = 0;
UPDATE mail_mail SET email_cc = pg_temp.rtok(g.res_id, 'copy'),
	headers = '{"Return-Path": "' || pg_temp.rtok(g.res_id, 'header') || '"}'
FROM mail_message g WHERE g.id = mail_message_id AND mail_mail.id % 3 = 0;

SELECT setval(pg_get_serial_sequence(t, 'id'), 9000000)
FROM unnest('{res_partner,crm_lead,mail_message,ir_attachment}'::text[]) t \g /dev/null

COMMIT;
ANALYZE;
