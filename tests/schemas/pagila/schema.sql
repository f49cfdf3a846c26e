-- Pagila (the sample database of a video shop), as far as its customers reach: names, types, keys,
-- actions and indexes are those of the public project, version of 2022.  Films are left out: nothing
-- personal leads there.
--
--     psql -f schema.sql; psql -v contacts=40 -f data.sql
--
-- Awkward where Pagila is: an address belongs to customers, staff and stores alike; payment is
-- partitioned, its foreign keys are those of the partitions, and its primary key begins with the
-- partition key; a trigger writes last_update; rental.customer_id and payment.rental_id are not indexed.

\set ON_ERROR_STOP on
SET client_min_messages = warning;

BEGIN;

CREATE FUNCTION last_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.last_update = CURRENT_TIMESTAMP;
	RETURN NEW;
END $$;

CREATE TABLE country (
	country_id  serial PRIMARY KEY,
	country     text NOT NULL,
	last_update timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE city (
	city_id     serial PRIMARY KEY,
	city        text NOT NULL,
	country_id  integer NOT NULL REFERENCES country ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_fk_country_id ON city (country_id);

CREATE TABLE address (
	address_id  serial PRIMARY KEY,
	address     text NOT NULL,
	address2    text,
	district    text NOT NULL,
	city_id     integer NOT NULL REFERENCES city ON UPDATE CASCADE ON DELETE RESTRICT,
	postal_code text,
	phone       text NOT NULL,
	last_update timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_fk_city_id ON address (city_id);

-- The manager points at a row that comes later, and nothing guards it, as in Pagila.
CREATE TABLE store (
	store_id         serial PRIMARY KEY,
	manager_staff_id integer NOT NULL,
	address_id       integer NOT NULL REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX idx_unq_manager_staff_id ON store (manager_staff_id);

CREATE TABLE staff (
	staff_id    serial PRIMARY KEY,
	first_name  text NOT NULL,
	last_name   text NOT NULL,
	address_id  integer NOT NULL REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT,
	email       text,
	store_id    integer NOT NULL REFERENCES store,
	active      boolean NOT NULL DEFAULT true,
	username    text NOT NULL,
	password    text,
	last_update timestamptz NOT NULL DEFAULT now(),
	picture     bytea
);

CREATE TABLE customer (
	customer_id serial PRIMARY KEY,
	store_id    integer NOT NULL REFERENCES store ON UPDATE CASCADE ON DELETE RESTRICT,
	first_name  text NOT NULL,
	last_name   text NOT NULL,
	email       text,
	address_id  integer NOT NULL REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT,
	activebool  boolean NOT NULL DEFAULT true,
	create_date date NOT NULL DEFAULT CURRENT_DATE,
	last_update timestamptz DEFAULT now(),
	active      integer
);
CREATE INDEX idx_fk_address_id ON customer (address_id);
CREATE INDEX idx_fk_store_id ON customer (store_id);
CREATE INDEX idx_last_name ON customer (last_name);

CREATE TABLE inventory (
	inventory_id serial PRIMARY KEY,
	film_id      integer NOT NULL,
	store_id     integer NOT NULL REFERENCES store ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_store_id_film_id ON inventory (store_id, film_id);

CREATE TABLE rental (
	rental_id    serial PRIMARY KEY,
	rental_date  timestamptz NOT NULL,
	inventory_id integer NOT NULL REFERENCES inventory ON UPDATE CASCADE ON DELETE RESTRICT,
	customer_id  integer NOT NULL REFERENCES customer ON UPDATE CASCADE ON DELETE RESTRICT,
	return_date  timestamptz,
	staff_id     integer NOT NULL REFERENCES staff ON UPDATE CASCADE ON DELETE RESTRICT,
	last_update  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_fk_inventory_id ON rental (inventory_id);
CREATE UNIQUE INDEX idx_unq_rental_rental_date_inventory_id_customer_id
	ON rental (rental_date, inventory_id, customer_id);

CREATE SEQUENCE payment_payment_id_seq;
CREATE TABLE payment (
	payment_id   integer NOT NULL DEFAULT nextval('payment_payment_id_seq'),
	customer_id  integer NOT NULL,
	staff_id     integer NOT NULL,
	rental_id    integer NOT NULL,
	amount       numeric(5,2) NOT NULL,
	payment_date timestamptz NOT NULL,
	PRIMARY KEY (payment_date, payment_id)
) PARTITION BY RANGE (payment_date);

-- A partition a month, each with its own foreign keys and indexes.
SELECT format('CREATE TABLE payment_p%1$s PARTITION OF payment (
		FOREIGN KEY (customer_id) REFERENCES customer,
		FOREIGN KEY (rental_id) REFERENCES rental,
		FOREIGN KEY (staff_id) REFERENCES staff)
		FOR VALUES FROM (%2$L) TO (%3$L);
	CREATE INDEX idx_fk_payment_p%1$s_customer_id ON payment_p%1$s (customer_id);
	CREATE INDEX idx_fk_payment_p%1$s_staff_id ON payment_p%1$s (staff_id);',
	to_char(m, 'YYYY_MM'), m, m + interval '1 month')
FROM generate_series(date_trunc('month', now()) - interval '36 months',
	date_trunc('month', now()) + interval '1 month', interval '1 month') AS m \gexec

CREATE TRIGGER last_updated BEFORE UPDATE ON address FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON city FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON country FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON inventory FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON rental FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON store FOR EACH ROW EXECUTE FUNCTION last_updated();

COMMIT;
