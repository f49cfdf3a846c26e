-- Customers for schema.sql: -v contacts=N.  The odd ones are due at 18 months, the even ones are not.
-- The token canary-c<customer>-<what> stands in each personal value; what staff or a store uses has
-- c0, what several customers use has the highest of them.  Rentals and payments have no text at all.

\set ON_ERROR_STOP on
BEGIN;

INSERT INTO country VALUES (1, 'France');
INSERT INTO city SELECT i, 'City ' || i || ' canary-c0-city', 1 FROM generate_series(1, 3) i;

-- The shops' and the staff's own: 1 to 4.
INSERT INTO address
SELECT i, i || ' Shop Street canary-c0-street', '', 'canary-c0-district', 1, NULL, 'canary-c0-phone'
FROM generate_series(1, 4) i;
INSERT INTO store VALUES (1, 1, 1), (2, 2, 2);
INSERT INTO staff
SELECT i, 'canary-c0-first', 'canary-c0-last', i + 2, 'canary-c0-email@shop.example', i, true, 'staff' || i,
	NULL, now(), convert_to('canary-c0-picture', 'UTF8')
FROM generate_series(1, 2) i;
INSERT INTO inventory SELECT i, i, 1 + i % 2 FROM generate_series(1, 50) i;

-- Whose address customer c uses: its own (100 + c), but of ten customers
--   1 uses that of 2, who is not due; 3 that of 5, both due; 7 that of shop 1; 9 that of staff 1.
CREATE FUNCTION pg_temp.address_of(c integer) RETURNS integer LANGUAGE sql AS $$
	SELECT CASE c % 10 WHEN 1 THEN 101 + c WHEN 3 THEN 102 + c WHEN 7 THEN 1 WHEN 9 THEN 3 ELSE 100 + c END
$$;

INSERT INTO address
SELECT 100 + c, c || ', rue canary-c' || c || '-street',
	CASE c % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'canary-c' || c || '-street_extra' END,
	'canary-c' || c || '-district', 1 + c % 3,
	CASE WHEN c % 4 > 0 THEN 'canary-c' || c || '-postal' END,
	CASE WHEN c % 5 > 0 THEN 'canary-c' || c || '-phone' ELSE '' END
FROM generate_series(1, :contacts + 2) c WHERE 100 + c IN (
	SELECT pg_temp.address_of(i) FROM generate_series(1, :contacts) i);

INSERT INTO customer
SELECT c, 1 + c % 2, 'Zoë "Z" canary-c' || c || '-first', E'O''Brien; canary-c' || c || '-last',
	CASE c % 7 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'canary-c' || c || '-email@mail.example' END,
	pg_temp.address_of(c), c % 6 > 0, current_date - 1500, now(), (c % 6 > 0)::integer
FROM generate_series(1, :contacts) c;

-- Three rentals each, all long ago and returned; of the even customers the last is of late, or not
-- returned yet.
INSERT INTO rental
SELECT c * 10 + k, rented, 1 + (c + k) % 50, c,
	CASE WHEN k < 3 OR c % 4 > 0 THEN rented + interval '5 days' END, 1 + k % 2
FROM generate_series(1, :contacts) c, generate_series(1, 3) k,
	LATERAL (SELECT CASE WHEN k = 3 AND c % 4 = 2 THEN now() - interval '2 months'
		ELSE now() - make_interval(months => 20 + k, hours => c) END AS rented) r;

INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date)
SELECT customer_id, staff_id, rental_id, 4.99, rental_date + interval '1 hour' FROM rental;

COMMIT;
ANALYZE;
