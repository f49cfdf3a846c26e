/*
 * A place has the instants of the last tries of one name or address.  There are 4,096 places, and a new name takes that
 * of the one that was tried longest ago.  An attacker has to fail with some 4,000 names within a minute, from 200
 * addresses, before a place is lost too early.
 */
#include "web/tries.h"

#include "base/secret.h"

enum {
	PLACES = 4096,
	NAME_MAX_TRIES = 5,
	ADDRESS_MAX_TRIES = 20,
	WINDOW_MS = TRIES_WAIT_S * 1000,
};

struct place {
	unsigned char digest[SECRET_BYTES]; /* of the kind and the text: no name is kept */
	int64_t at_ms[ADDRESS_MAX_TRIES]; /* the first n, in no order */
	int n; /* 0: free */
	int64_t last_ms;
};

struct tries {
	struct place places[PLACES];
};

struct tries *tries_new(void *ctx)
{
	return t_zero(ctx, struct tries);
}

/* The place of a text; where it has none: a free one, or the one that was used longest ago, emptied. */
static struct place *place_of(struct tries *tries, char kind, const char *text)
{
	AUTO(talloc) char *key = t_printf(NULL, "%c%s", kind, text);
	unsigned char digest[SECRET_BYTES];
	struct place *oldest = &tries->places[0];

	secret_sha256(key, strlen(key), digest);
	for (size_t i = 0; i < PLACES; i++) {
		struct place *place = &tries->places[i];

		if (place->n > 0 && memcmp(place->digest, digest, sizeof(digest)) == 0)
			return place;
		if (oldest->n > 0 && (place->n == 0 || place->last_ms < oldest->last_ms))
			oldest = place;
	}
	*oldest = (struct place){0};
	memcpy(oldest->digest, digest, sizeof(digest));
	return oldest;
}

/* Removes what is older than a minute. */
static void age(struct place *place, int64_t now_ms)
{
	int left = 0;

	for (int i = 0; i < place->n; i++)
		if (now_ms - place->at_ms[i] < WINDOW_MS)
			place->at_ms[left++] = place->at_ms[i];
	place->n = left;
}

static void add(struct place *place, int64_t now_ms)
{
	place->at_ms[place->n++] = now_ms;
	place->last_ms = now_ms;
}

bool tries_begin(struct tries *tries, const char *name, const char *address, int64_t now_ms)
{
	struct place *by_name = place_of(tries, 'n', name);
	struct place *by_address;

	age(by_name, now_ms);
	if (by_name->n >= NAME_MAX_TRIES)
		return false;
	by_address = place_of(tries, 'a', address);
	age(by_address, now_ms);
	if (by_address->n >= ADDRESS_MAX_TRIES)
		return false;
	add(by_address, now_ms);
	by_name = place_of(tries, 'n', name); /* a new address may have taken its place */
	add(by_name, now_ms);
	return true;
}

static void forgive(struct place *place)
{
	if (place->n > 0)
		place->n--;
}

void tries_forgive(struct tries *tries, const char *name, const char *address)
{
	forgive(place_of(tries, 'n', name));
	forgive(place_of(tries, 'a', address));
}
