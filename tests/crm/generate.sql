-- Fills the reference CRM (schema.sql) with customers who never lived.
--
--     psql -v contacts=20000 -v today=2026-11-23 -f generate.sql
--
-- The same two numbers give the same bytes: no random(), no clock, only hashes of the keys.  A
-- contact's rows do not depend on how many contacts there are.  Keys tell whose a row is: request
-- 1203 is contact 120's third, message 12034 is that request's fourth.
--
-- About 5 requests a contact over the 5 years before `today`; two contacts of three were last heard
-- of more than 18 months ago, 4 % never wrote, some have a request that was never closed.
--
-- Canaries: every personal text, bytea or json value holds a token, so that a test finds each value
-- that ought to be gone, wherever it went.  Contact level: tok-<contact>-<nn>-z.  From the request
-- down: tok-<contact>-<nn>-<request>-z.  nn numbers the column: table canary.column_token below says
-- which, and what an anonymization makes of it.  birth_date and last_ip have no room for a token.

\set ON_ERROR_STOP on
\if :{?contacts}
\else
\set contacts 20000
\endif
\if :{?today}
\else
\echo 'generate.sql: -v today=YYYY-MM-DD is needed'
\quit
\endif

SET client_min_messages = warning;
SET timezone = 'UTC';
SET jit = off;
SET work_mem = '64MB';

BEGIN;

CREATE SCHEMA canary;
CREATE TABLE canary.column_token (
	nn          integer PRIMARY KEY,
	table_name  text NOT NULL,
	column_name text NOT NULL,
	level       text NOT NULL, -- contact: goes with the contact; request: with the request
	fate        text NOT NULL  -- personal: erased by an anonymization; reporting: kept
);
INSERT INTO canary.column_token VALUES
	( 1, 'crm.contact', 'login', 'contact', 'personal'),
	( 2, 'crm.contact', 'last_name', 'contact', 'personal'),
	( 3, 'crm.contact', 'first_name', 'contact', 'personal'),
	( 4, 'crm.contact', 'preferredName', 'contact', 'personal'),
	( 5, 'crm.contact', 'email', 'contact', 'personal'),
	( 6, 'crm.contact', 'other_emails', 'contact', 'personal'),
	( 7, 'crm.contact', 'phone', 'contact', 'personal'),
	( 8, 'crm.contact', 'mobile', 'contact', 'personal'),
	( 9, 'crm.contact', 'street', 'contact', 'personal'),
	(10, 'crm.contact', 'street_extra', 'contact', 'personal'),
	(11, 'crm.contact', 'postal_code', 'contact', 'personal'),
	(12, 'crm.contact', 'city', 'contact', 'personal'),
	(13, 'crm.contact', 'picture', 'contact', 'personal'),
	(14, 'crm.contact', 'custom.loyalty_card', 'contact', 'personal'),
	(15, 'crm.contact', 'custom.household', 'contact', 'personal'),
	(16, 'crm.contact', 'note', 'contact', 'personal'),
	(20, 'crm.contact_social', 'account', 'contact', 'personal'),
	(21, 'crm.contact_social', 'profile', 'contact', 'personal'),
	(22, 'crm.contact_document', 'file_name', 'contact', 'personal'),
	(23, 'crm.contact_document', 'content', 'contact', 'personal'),
	(24, 'crm.files', 'file_name (Contact)', 'contact', 'personal'),
	(25, 'crm.files', 'content (Contact)', 'contact', 'personal'),
	(26, 'crm.files', 'file_name (Request)', 'request', 'personal'),
	(27, 'crm.files', 'content (Request)', 'request', 'personal'),
	(30, 'crm.request', 'subject', 'request', 'personal'),
	(31, 'crm.request', 'summary', 'request', 'personal'),
	(32, 'crm.request', 'custom.order_number', 'request', 'personal'),
	(33, 'crm.message', 'sender', 'request', 'personal'),
	(34, 'crm.message', 'recipient', 'request', 'personal'),
	(35, 'crm.message', 'subject', 'request', 'personal'),
	(36, 'crm.message', 'body', 'request', 'personal'),
	(38, 'crm.message_copy', 'address', 'request', 'personal'),
	(39, 'crm.attachment', 'file_name', 'request', 'personal'),
	(40, 'crm.attachment', 'content', 'request', 'personal'),
	(41, 'crm.request_transfer', 'comment', 'request', 'personal'),
	(60, 'crm.contact', 'custom.segment', 'contact', 'reporting'),
	(61, 'crm.request', 'reporting_ref', 'request', 'reporting'),
	(62, 'crm.request_transfer', 'reporting_ref', 'request', 'reporting'),
	(63, 'crm.status_change', 'reporting_ref', 'request', 'reporting');

-- A number in 0..n-1 that looks random and is a function of key and salt.
CREATE FUNCTION pg_temp.pick(key bigint, salt integer, n integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS
$$ SELECT ((hashint8extended(key, salt::bigint) & 9223372036854775807) % n)::integer $$;

CREATE FUNCTION pg_temp.choose(key bigint, salt integer, among text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS
$$ SELECT among[1 + ((hashint8extended(key, salt::bigint) & 9223372036854775807) % cardinality(among))::integer] $$;

-- A contact's token, and a request's (whose key holds its contact's).
CREATE FUNCTION pg_temp.tok(contact bigint, nn integer) RETURNS text
LANGUAGE sql IMMUTABLE AS
$$ SELECT 'tok-' || contact::text || '-' || nn::text || '-z' $$;

CREATE FUNCTION pg_temp.rtok(request bigint, nn integer) RETURNS text
LANGUAGE sql IMMUTABLE AS
$$ SELECT 'tok-' || (request / 10)::text || '-' || nn::text || '-' || request::text || '-z' $$;

-- A small file: a header, the token, some bytes that are no text.
CREATE FUNCTION pg_temp.blob(key bigint, token text) RETURNS bytea
LANGUAGE sql IMMUTABLE AS
$$ SELECT '\x89504e470d0a1a0a00ff'::bytea || convert_to(token, 'UTF8') || decode(md5(key::text), 'hex') $$;

INSERT INTO crm.team VALUES
	(1, 'Front desk'), (2, 'Billing'), (3, 'Delivery'), (4, 'After sales'), (5, 'Legal');

INSERT INTO crm.agent
SELECT a, 1 + a % 5,
	(ARRAY['Ana', 'Bruno', 'Chloé', 'Daria', 'Emil'])[1 + a % 5] || ' Agent ' || a,
	'agent' || a || '@shop.example'
FROM generate_series(1, 40) a;

INSERT INTO crm.contact (id, login, last_name, first_name, "preferredName", email, other_emails, phone,
	mobile, street, street_extra, postal_code, city, country, birth_date, last_ip, picture, note,
	language, custom, created_at)
SELECT c,
	'user-' || pg_temp.tok(c, 1),
	pg_temp.choose(c, 102, '{Martin,Bernard,Müller,O''Brien,Nowák,"de la Cruz",Ñíguez,García,Lefèvre,Öztürk}')
		|| ' ' || pg_temp.tok(c, 2),
	pg_temp.choose(c, 103, '{Camille,José,Zoë,Anne-Marie,Łukasz,Inès,Paul,Ada,Björk,Hélène}')
		|| ' ' || pg_temp.tok(c, 3),
	CASE WHEN pg_temp.pick(c, 104, 3) = 0 THEN '"' || pg_temp.tok(c, 4) || '"' END,
	pg_temp.tok(c, 5) || '@mail.example',
	CASE pg_temp.pick(c, 106, 4)
		WHEN 0 THEN ARRAY[pg_temp.tok(c, 6) || '@work.example']
		WHEN 1 THEN ARRAY[pg_temp.tok(c, 6) || '@work.example', '"a;b, c" <' || pg_temp.tok(c, 6) || '@old.example>']
		ELSE '{}' END,
	CASE WHEN pg_temp.pick(c, 107, 4) > 0 THEN '+33 1 ' || pg_temp.tok(c, 7) END,
	CASE WHEN pg_temp.pick(c, 108, 3) > 0 THEN '+33 6 ' || pg_temp.tok(c, 8) ELSE '' END,
	1 + pg_temp.pick(c, 109, 200) || ', rue ' || pg_temp.tok(c, 9),
	CASE pg_temp.pick(c, 110, 4) WHEN 0 THEN E'Bât. A\nÉtage 3; ' || pg_temp.tok(c, 10) WHEN 1 THEN '' END,
	lpad(pg_temp.pick(c, 111, 96000)::text, 5, '0') || ' ' || pg_temp.tok(c, 11),
	pg_temp.choose(c, 112, '{Paris,Lyon,Besançon,Köln,Málaga}') || ' ' || pg_temp.tok(c, 12),
	pg_temp.choose(c, 113, '{FR,FR,FR,DE,ES,BE}'),
	CASE WHEN pg_temp.pick(c, 114, 2) = 0 THEN date '1940-01-01' + pg_temp.pick(c, 115, 24000) END,
	CASE WHEN pg_temp.pick(c, 116, 2) = 0
		THEN ('198.51.' || pg_temp.pick(c, 117, 256) || '.' || pg_temp.pick(c, 118, 256))::inet END,
	CASE WHEN pg_temp.pick(c, 119, 5) = 0 THEN pg_temp.blob(c, pg_temp.tok(c, 13)) END,
	CASE WHEN pg_temp.pick(c, 120, 4) = 0 THEN 'Prefers to be called in the evening. ' || pg_temp.tok(c, 16)
		ELSE '' END,
	pg_temp.choose(c, 121, '{fr,fr,fr,en,de,es}'),
	jsonb_build_object(
		'loyalty_card', pg_temp.tok(c, 14),
		'household', jsonb_build_object('partner', pg_temp.tok(c, 15), 'children', pg_temp.pick(c, 122, 4)),
		'segment', pg_temp.choose(c, 123, '{gold,silver,standard}') || ' ' || pg_temp.tok(c, 60),
		'newsletter', pg_temp.pick(c, 124, 2) = 0),
	date :'today' - make_interval(days => 1830 + pg_temp.pick(c, 125, 700), secs => pg_temp.pick(c, 126, 86400))
FROM generate_series(1::bigint, :contacts) c;

INSERT INTO crm.contact_social (id, contact_id, network, account, profile)
SELECT c * 10 + n, c, pg_temp.choose(c * 10 + n, 201, '{mastodon,facebook,x,instagram}'),
	'@' || pg_temp.tok(c, 20),
	CASE WHEN pg_temp.pick(c, 202, 3) > 0 THEN 'https://social.example/' || pg_temp.tok(c, 21) || '?a=1&b="2"' END
FROM generate_series(1::bigint, :contacts) c, generate_series(1, pg_temp.pick(c, 203, 3)) n;

INSERT INTO crm.contact_document (id, contact_id, file_name, mime_type, content)
SELECT c * 10 + n, c, 'identity; card ' || pg_temp.tok(c, 22) || '.pdf', 'application/pdf',
	pg_temp.blob(c * 10 + n, pg_temp.tok(c, 23))
FROM generate_series(1::bigint, :contacts) c, generate_series(1, pg_temp.pick(c, 204, 6) / 4) n;

-- Requests: the last one's age is even over 5 years, the others are older than it.  None is of
-- `today` itself, so that a test can place its own on the boundary.
INSERT INTO crm.request (id, contact_id, agent_id, reason, status, channel, subject, summary, tags,
	custom, created_at, closed_at, first_reply_seconds, resolution_seconds, handling_seconds, reporting_ref)
SELECT r, c, 1 + pg_temp.pick(r, 301, 40),
	pg_temp.choose(r, 302, '{refund,"late delivery",invoice,"damaged item",account,complaint,question}'),
	CASE WHEN closed THEN 'closed' WHEN pg_temp.pick(r, 303, 3) = 0 THEN 'pending' ELSE 'open' END::crm.request_status,
	pg_temp.choose(r, 304, '{mail,mail,form,chat,social,review}')::crm.channel,
	'About my order ' || pg_temp.rtok(r, 30),
	CASE WHEN pg_temp.pick(r, 305, 3) = 0 THEN 'Customer says "it broke"; ' || pg_temp.rtok(r, 31) END,
	CASE pg_temp.pick(r, 306, 4) WHEN 0 THEN '{vip}' WHEN 1 THEN '{web,"first, contact"}' ELSE '{}' END::text[],
	jsonb_build_object('order_number', pg_temp.rtok(r, 32), 'store', 1 + pg_temp.pick(r, 307, 30)),
	opened,
	CASE WHEN closed THEN opened + make_interval(secs => first_reply + resolution) END,
	CASE WHEN closed OR pg_temp.pick(r, 308, 2) = 0 THEN first_reply END,
	CASE WHEN closed THEN first_reply + resolution END,
	CASE WHEN closed THEN 60 + pg_temp.pick(r, 309, 3600) END,
	pg_temp.rtok(r, 61)
FROM (
	SELECT c, pg_temp.pick(c, 310, 1825) + 1 AS last_age, 1 + pg_temp.pick(c, 311, 9) AS requests
	FROM generate_series(1::bigint, :contacts) c
	WHERE pg_temp.pick(c, 312, 25) > 0
	OFFSET 0
) AS contact,
generate_series(1, requests) n,
LATERAL (SELECT c * 10 + n AS r OFFSET 0) AS key,
LATERAL (
	SELECT date :'today'
		- make_interval(days => last_age + CASE WHEN n < requests THEN pg_temp.pick(r, 313, 1826 - last_age) ELSE 0 END)
		+ make_interval(secs => CASE WHEN n < requests THEN 0 ELSE 43200 END + pg_temp.pick(r, 314, 43200))
		+ pg_temp.pick(r, 315, 1000000) * interval '1 microsecond' AS opened,
		pg_temp.pick(r, 316, CASE WHEN n < requests THEN 100 ELSE 20 END) > 0 AS closed,
		30 + pg_temp.pick(r, 317, 20000) AS first_reply,
		pg_temp.pick(r, 318, 20000) AS resolution
	OFFSET 0
) AS at;

INSERT INTO crm.message (id, request_id, agent_id, direction, channel, sender, recipient, subject, body, sent_at)
OVERRIDING SYSTEM VALUE
SELECT m, r, CASE WHEN n % 2 = 0 THEN agent_id END,
	CASE WHEN n % 2 = 0 THEN 'out' ELSE 'in' END::crm.direction, channel,
	CASE WHEN n % 2 = 0 THEN 'Shop on behalf of ' ELSE '"Me; myself" ' END || '<' || pg_temp.rtok(r, 33) || '@mail.example>',
	'<' || pg_temp.rtok(r, 34) || '@mail.example>',
	CASE WHEN channel = 'mail' THEN 'Re: ' || pg_temp.rtok(r, 35) END,
	CASE pg_temp.pick(m, 401, 16)
		WHEN 0 THEN 'They said: "no; never", then left. ' || pg_temp.rtok(r, 36)
		WHEN 1 THEN E'Hello,\n\nsecond line\r\n"third", ' || pg_temp.rtok(r, 36) || E'\n'
		WHEN 2 THEN 'Ça coûte 12 € 日本語 😀 ' || pg_temp.rtok(r, 36)
		WHEN 3 THEN 'C:\temp\new \N \x41 \\ ' || pg_temp.rtok(r, 36) || '\'
		WHEN 4 THEN E'\\.\n' || pg_temp.rtok(r, 36) || E'\n\\.'
		WHEN 5 THEN ''
		WHEN 6 THEN NULL
		WHEN 7 THEN E' \tpadded, ' || pg_temp.rtok(r, 36) || E'\t '
		WHEN 8 THEN '=1+1;"' || pg_temp.rtok(r, 36)
		WHEN 9 THEN '""' || pg_temp.rtok(r, 36) || '"'
		ELSE 'Dear team, my parcel did not arrive and I would like to know what happened to it. '
			|| 'My number is ' || pg_temp.rtok(r, 36) || ', I can be reached after six. Ref. ' || md5(m::text)
	END,
	opened + make_interval(secs => (n - 1) * 1800 + pg_temp.pick(m, 402, 900))
FROM (
	SELECT id AS r, agent_id, channel, created_at AS opened FROM crm.request ORDER BY id
) AS request,
generate_series(1, 1 + pg_temp.pick(r, 403, 3)) n,
LATERAL (SELECT r * 10 + n AS m OFFSET 0) AS key;

INSERT INTO crm.message_copy (id, "messageId", kind, address)
SELECT id * 10 + n, id, CASE WHEN n = 1 THEN 'cc' ELSE 'bcc' END,
	pg_temp.rtok(request_id, 38) || '@family.example'
FROM crm.message, generate_series(1, pg_temp.pick(id, 501, 12) / 9) n
ORDER BY 1;

INSERT INTO crm.attachment (id, message_id, file_name, mime_type, content)
SELECT id * 10 + n, id, 'photo "1" ' || pg_temp.rtok(request_id, 39) || '.png', 'image/png',
	pg_temp.blob(id * 10 + n, pg_temp.rtok(request_id, 40))
FROM crm.message, generate_series(1, pg_temp.pick(id, 502, 12) / 9) n
ORDER BY 1;

INSERT INTO crm.request_transfer (id, request_id, from_team, to_team, at, comment, reporting_ref)
SELECT id * 10 + n, id, n, n + 1, created_at + make_interval(secs => 600 * n),
	CASE WHEN pg_temp.pick(id, 503, 2) = 0 THEN 'Please call back ' || pg_temp.rtok(id, 41) ELSE '' END,
	pg_temp.rtok(id, 62)
FROM crm.request, generate_series(1, pg_temp.pick(id, 504, 6) / 3 + pg_temp.pick(id, 505, 8) / 7) n
ORDER BY 1;

-- One change at the opening, one on the way, one at the end.
INSERT INTO crm.status_change (id, request_id, agent_id, from_status, to_status, at, reporting_ref)
SELECT r.id * 10 + s.n, r.id, r.agent_id, s.was, s.becomes, s.at, pg_temp.rtok(r.id, 63)
FROM crm.request r, LATERAL (VALUES
	(1, NULL, 'open', r.created_at),
	(2, 'open', 'pending', r.created_at + make_interval(secs => r.first_reply_seconds)),
	(3, CASE WHEN r.first_reply_seconds % 4 = 0 THEN 'pending' ELSE 'open' END, 'closed', r.closed_at)
) AS s0 (n, was_text, becomes_text, at),
LATERAL (SELECT s0.n, s0.was_text::crm.request_status AS was, s0.becomes_text::crm.request_status AS becomes, s0.at) AS s
WHERE s.n = 1
	OR s.n = 2 AND (r.status = 'pending' OR r.status = 'closed' AND r.first_reply_seconds % 4 = 0) AND s.at IS NOT NULL
	OR s.n = 3 AND r.status = 'closed'
ORDER BY 1;

-- Avatars, scans of letters, and the agents' own pictures: keys interleave as in a real table.
INSERT INTO crm.files (id, record_type, record_id, file_name, content)
SELECT row_number() OVER (ORDER BY record_id, record_type), record_type, record_id, file_name, content
FROM (
	SELECT 'Contact' AS record_type, c AS record_id, 'avatar ' || pg_temp.tok(c, 24) || '.png' AS file_name,
		pg_temp.blob(c, pg_temp.tok(c, 25)) AS content
	FROM generate_series(1::bigint, :contacts) c WHERE pg_temp.pick(c, 601, 3) = 0
	UNION ALL
	SELECT 'Request', id, 'letter ' || pg_temp.rtok(id, 26) || '.pdf', pg_temp.blob(id, pg_temp.rtok(id, 27))
	FROM crm.request WHERE pg_temp.pick(id, 602, 20) = 0
	UNION ALL
	SELECT 'Agent', id, 'agent ' || id || '.png', convert_to('picture of agent ' || id, 'UTF8')
	FROM crm.agent
) AS file;

-- New rows get keys above all of these.
SELECT setval(pg_get_serial_sequence('crm.' || t, 'id'), 1000000000)
FROM unnest('{contact,contact_social,contact_document,files,request,message,message_copy,attachment,request_transfer,status_change}'::text[]) t
\g /dev/null

COMMIT;
