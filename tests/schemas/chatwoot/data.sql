-- Contacts for schema.sql: -v contacts=N.  The odd ones are due at 18 months, the even ones are not: they have
-- a recent conversation, an old one that is open, or none.  Contact c has the conversations 10 c, 10 c + 1.
-- The token canary-c<contact>-<what> stands in each personal value, canary-c<contact>-r<conversation>-<what>
-- from the conversation down.

\set ON_ERROR_STOP on
BEGIN;

CREATE FUNCTION pg_temp.tok(c bigint, what text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'canary-c' || c || '-' || what $$;
CREATE FUNCTION pg_temp.rtok(conversation bigint, what text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'canary-c' || conversation / 10 || '-r' || conversation || '-' || what $$;

INSERT INTO accounts VALUES (1, 'Shop', now(), now());
INSERT INTO users (id, uid, name, email, created_at, updated_at) VALUES
	(1, 'one', 'canary-c0-agent', 'canary-c0-agentmail@shop.example', now(), now()), (2, 'two', 'canary-c0-agent', NULL, now(), now());
INSERT INTO inboxes VALUES (1, 1, 1, 'Website', now(), now(), 'Channel::WebWidget'), (2, 2, 1, 'Mail', now(), now(), 'Channel::Email');
INSERT INTO tags (id, name) VALUES (1, 'vip'), (2, 'refund');

-- Of ten contacts the third has no e-mail, the fifth an empty phone number, the seventh no documents.
INSERT INTO contacts (id, name, email, phone_number, account_id, created_at, updated_at, additional_attributes, identifier,
	custom_attributes, last_activity_at, middle_name, last_name, location, country_code)
SELECT c, pg_temp.tok(c, 'name') || ' O''Brien', CASE WHEN c % 10 <> 3 THEN pg_temp.tok(c, 'email') || '@example.org' END,
	CASE WHEN c % 10 = 5 THEN '' ELSE pg_temp.tok(c, 'phone') END, 1, now() - interval '5 years', now(),
	CASE WHEN c % 10 <> 7 THEN jsonb_build_object('country', 'France', 'country_code', 'FR', 'city', pg_temp.tok(c, 'city'),
		'social_profiles', jsonb_build_object('twitter', pg_temp.tok(c, 'twitter'))) END,
	pg_temp.tok(c, 'identifier'), CASE WHEN c % 10 <> 7 THEN jsonb_build_object('plan', 'pro', 'iban', pg_temp.tok(c, 'iban')) END,
	now(), CASE WHEN c % 4 = 0 THEN pg_temp.tok(c, 'middle') ELSE '' END, pg_temp.tok(c, 'last') || ' (é)',
	pg_temp.tok(c, 'location'), 'FR'
FROM generate_series(1, :contacts) c;

INSERT INTO contact_inboxes (contact_id, inbox_id, source_id, created_at, updated_at, pubsub_token)
SELECT c, i, pg_temp.tok(c, 'source') || i, now(), now(), CASE WHEN i = 1 THEN pg_temp.tok(c, 'pubsub') END
FROM generate_series(1, :contacts) c, generate_series(1, 2) i WHERE i = 1 OR c % 3 = 0;

-- 10 c: odd contacts an old one that is resolved, even ones a recent one; but 2 of ten an old one that is open, pending
-- or snoozed, 6 none.
-- 10 c + 1: each fourth has an old one besides, which is resolved.
INSERT INTO conversations (id, account_id, inbox_id, status, assignee_id, created_at, updated_at, contact_id, display_id,
	additional_attributes, contact_inbox_id, identifier, last_activity_at, custom_attributes, cached_label_list)
SELECT r, 1, 1, CASE WHEN r / 10 % 10 = 2 THEN (ARRAY[0, 2, 3])[1 + r / 100 % 3] ELSE 1 END, 1, x.at, x.at, r / 10, r,
	jsonb_build_object('mail_subject', pg_temp.rtok(r, 'subject'), 'browser', '{}'::jsonb),
	(SELECT min(i.id) FROM contact_inboxes i WHERE i.contact_id = r / 10), pg_temp.rtok(r, 'identifier'), x.at,
	jsonb_build_object('order', pg_temp.rtok(r, 'order')), CASE WHEN r / 10 % 2 = 0 THEN 'vip' END
FROM (SELECT 10 * c AS r, c % 2 = 1 OR c % 10 = 2 AS old FROM generate_series(1, :contacts) c WHERE c % 10 <> 6
      UNION ALL SELECT 10 * c + 1, true FROM generate_series(4, :contacts, 4) c WHERE c % 10 NOT IN (2, 6)) v
CROSS JOIN LATERAL (SELECT now() - CASE WHEN v.old THEN interval '3 years' ELSE interval '1 month' END AS at) x;

-- By the contact, by an agent who calls the contact by name, by nobody but with the contact's address in it.
INSERT INTO messages (content, account_id, inbox_id, conversation_id, message_type, created_at, updated_at, source_id,
	content_attributes, sender_type, sender_id, external_source_ids, additional_attributes, processed_message_content, sentiment)
SELECT pg_temp.rtok(v.id, 'message') || CASE n WHEN 1 THEN ' hello' WHEN 2 THEN ', dear ' || pg_temp.tok(v.contact_id, 'name')
	ELSE ' copy to ' || pg_temp.tok(v.contact_id, 'email') || '@example.org' END,
	1, 1, v.id, n - 1, v.created_at, v.created_at, pg_temp.rtok(v.id, 'source') || n,
	json_build_object('email', json_build_object('from', pg_temp.rtok(v.id, 'from'))), CASE n WHEN 1 THEN 'Contact' WHEN 2 THEN 'User' END,
	CASE n WHEN 1 THEN v.contact_id WHEN 2 THEN 1 END, '{}', jsonb_build_object('ip', pg_temp.rtok(v.id, 'ip')),
	pg_temp.rtok(v.id, 'processed'), '{}'
FROM conversations v, generate_series(1, 3) n;
-- An odd contact writes into the conversation of the next one, who stays.
INSERT INTO messages (content, account_id, inbox_id, conversation_id, message_type, created_at, updated_at, sender_type, sender_id)
SELECT pg_temp.tok(v.contact_id - 1, 'guest'), 1, 1, v.id, 0, v.created_at, v.created_at, 'Contact', v.contact_id - 1
FROM conversations v WHERE v.id % 10 = 0 AND v.contact_id % 10 IN (4, 8);

INSERT INTO attachments (id, external_url, message_id, account_id, created_at, updated_at, fallback_title, meta)
SELECT m.id, 'https://files.example/' || pg_temp.rtok(m.conversation_id, 'url'), m.id, 1, now(), now(),
	pg_temp.rtok(m.conversation_id, 'title'), jsonb_build_object('transcribed_text', pg_temp.rtok(m.conversation_id, 'transcript'))
FROM messages m WHERE m.message_type < 2 AND m.source_id IS NOT NULL;
-- One by the guest.
INSERT INTO attachments (id, message_id, account_id, created_at, updated_at, fallback_title)
SELECT m.id, m.id, 1, now(), now(), pg_temp.tok(m.sender_id, 'guesttitle') FROM messages m WHERE m.source_id IS NULL;

-- Avatars: blob 1000000 + c.  Files: blob = the attachment's, but where two share one.
INSERT INTO active_storage_blobs (id, key, filename, byte_size, created_at, service_name)
SELECT 1000000 + c, 'avatar' || c, pg_temp.tok(c, 'avatar'), 1, now(), 'local' FROM generate_series(1, :contacts, 3) c;
INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at)
SELECT 'avatar', 'Contact', b.id - 1000000, b.id, now() FROM active_storage_blobs b;
INSERT INTO active_storage_blobs (id, key, filename, metadata, byte_size, created_at, service_name)
SELECT a.id, 'file' || a.id, CASE WHEN m.source_id IS NULL THEN pg_temp.tok(m.sender_id, 'guestfile')
	ELSE pg_temp.rtok(m.conversation_id, 'file') END, '{}', 1, now(), 'local'
FROM attachments a JOIN messages m ON m.id = a.message_id;
INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at)
SELECT 'file', 'Attachment', a.id, a.id, now() FROM attachments a;
-- The same file twice: 2000000 between contact 1 and 2, who stays; 2000001 between 3 and 5, who both go; 2000002 twice
-- within one conversation.
INSERT INTO active_storage_blobs (id, key, filename, byte_size, created_at, service_name) VALUES
	(2000000, 'shared0', pg_temp.rtok(20, 'shared'), 1, now(), 'local'), (2000001, 'shared1', pg_temp.rtok(50, 'shared'), 1, now(), 'local'),
	(2000002, 'shared2', pg_temp.rtok(70, 'shared'), 1, now(), 'local');
INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at)
SELECT DISTINCT ON (s.blob, s.conversation, s.n) 'copy' || s.n, 'Attachment', a.id, s.blob, now()
FROM (VALUES (2000000, 10, 1), (2000000, 20, 1), (2000001, 30, 1), (2000001, 50, 1), (2000002, 70, 1), (2000002, 70, 2)) AS s(blob, conversation, n)
JOIN messages m ON m.conversation_id = s.conversation JOIN attachments a ON a.message_id = m.id
ORDER BY s.blob, s.conversation, s.n, a.id;
-- The first page of a PDF is a picture that hangs off the file's blob, not off the message's attachment.
INSERT INTO active_storage_blobs (id, key, filename, content_type, byte_size, created_at, service_name)
SELECT 5000000 + b.id, 'page' || b.id, 'page_' || b.filename, 'image/png', 1, now(), 'local'
FROM active_storage_blobs b WHERE b.id % 5 < 2 AND b.id NOT BETWEEN 1000000 AND 1999999;
INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at)
SELECT 'preview_image', 'ActiveStorage::Blob', b.id - 5000000, b.id, now() FROM active_storage_blobs b WHERE b.id >= 5000000;
-- A thumbnail is a variant of a blob, and has a blob of its own.
INSERT INTO active_storage_variant_records (id, blob_id, variation_digest)
SELECT b.id, b.id, 'thumb' FROM active_storage_blobs b WHERE b.id % 2 = 1;
INSERT INTO active_storage_blobs (id, key, filename, byte_size, created_at, service_name)
SELECT 10000000 + b.id, 'thumb' || b.id, 'thumb_' || b.filename, 1, now(), 'local'
FROM active_storage_variant_records v JOIN active_storage_blobs b ON b.id = v.blob_id;
INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at)
SELECT 'image', 'ActiveStorage::VariantRecord', v.id, 10000000 + v.id, now() FROM active_storage_variant_records v;

INSERT INTO notes (content, account_id, contact_id, user_id, created_at, updated_at)
SELECT pg_temp.tok(c, 'note'), 1, c, 1, now(), now() FROM generate_series(1, :contacts, 2) c, generate_series(1, 2);
INSERT INTO csat_survey_responses (account_id, conversation_id, message_id, rating, feedback_message, contact_id, created_at, updated_at)
SELECT 1, v.id, (SELECT max(m.id) FROM messages m WHERE m.conversation_id = v.id), 4, pg_temp.rtok(v.id, 'feedback'), v.contact_id, now(), now()
FROM conversations v;
INSERT INTO mentions (user_id, conversation_id, account_id, mentioned_at, created_at, updated_at)
SELECT 1, v.id, 1, now(), now(), now() FROM conversations v;
INSERT INTO conversation_participants (account_id, user_id, conversation_id, created_at, updated_at)
SELECT 1, u, v.id, now(), now() FROM conversations v, generate_series(1, 2) u;
INSERT INTO reporting_events (name, value, account_id, conversation_id, created_at, updated_at)
SELECT 'first_response', 12.5, 1, v.id, now(), now() FROM conversations v;
INSERT INTO applied_slas (account_id, sla_policy_id, conversation_id, created_at, updated_at) SELECT 1, 1, v.id, now(), now() FROM conversations v;
INSERT INTO sla_events (applied_sla_id, conversation_id, account_id, sla_policy_id, inbox_id, meta, created_at, updated_at)
SELECT 1, v.id, 1, 1, 1, '{}', now(), now() FROM conversations v;
INSERT INTO notifications (account_id, user_id, notification_type, primary_actor_type, primary_actor_id, created_at, updated_at, meta)
SELECT 1, 1, 1, 'Conversation', v.id, now(), now(), jsonb_build_object('push', pg_temp.rtok(v.id, 'push')) FROM conversations v;
INSERT INTO notifications (account_id, user_id, notification_type, primary_actor_type, primary_actor_id, created_at, updated_at)
SELECT 1, 1, 1, 'Message', v.id, now(), now() FROM conversations v;
INSERT INTO taggings (tag_id, taggable_type, taggable_id, context, created_at)
SELECT 1, 'Conversation', v.id, 'labels', now() FROM conversations v
UNION ALL SELECT 2, 'Contact', c, 'labels', now() FROM generate_series(1, :contacts) c;
INSERT INTO audits (auditable_type, auditable_id, user_type, user_id, action, audited_changes, created_at)
SELECT 'Conversation', v.id, 'User', 1, 'update', jsonb_build_object('subject', ARRAY[NULL, pg_temp.rtok(v.id, 'audit')]), now() FROM conversations v
UNION ALL SELECT 'Inbox', v.id, 'User', 1, 'update', '{"name": ["canary-c0-inbox", "Website"]}', now() FROM conversations v;
-- What the assistant made of a conversation, and of a document.
INSERT INTO captain_assistant_responses (question, answer, assistant_id, documentable_type, documentable_id, account_id, created_at, updated_at, status)
SELECT pg_temp.rtok(v.id, 'question'), pg_temp.rtok(v.id, 'answer'), 1, 'Conversation', v.id, 1, now(), now(), v.contact_id % 4 / 2 FROM conversations v
UNION ALL SELECT 'canary-c0-question', 'canary-c0-answer', 1, 'Captain::Document', v.id, 1, now(), now(), 1 FROM conversations v;

COMMIT;
ANALYZE;
