#include "base/secret.h"

#include "base/mem.h"
#include "base/text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

static void must(bool is_done)
{
	if (!is_done) {
		fputs("retention: libcrypto fails\n", stderr);
		abort();
	}
}

void secret_random(unsigned char ret_bytes[SECRET_BYTES])
{
	must(RAND_bytes(ret_bytes, SECRET_BYTES) == 1);
}

void secret_sha256(const char *bytes, size_t n, unsigned char ret_digest[SECRET_BYTES])
{
	must(EVP_Digest(bytes, n, ret_digest, NULL, EVP_sha256(), NULL) == 1);
}

void secret_hmac(const unsigned char key[SECRET_BYTES], const unsigned char before[SECRET_BYTES],
		 const char *text, char ret_hex[SECRET_HEX + 1])
{
	AUTO(talloc) char *message = NULL;
	unsigned char sum[SECRET_BYTES];

	secret_print(before, ret_hex);
	message = t_printf(NULL, "%s%s", ret_hex, text);
	must(HMAC(EVP_sha256(), key, SECRET_BYTES, (const unsigned char *)message, strlen(message),
		  sum, NULL) != NULL);
	secret_print(sum, ret_hex);
}

void secret_print(const unsigned char bytes[SECRET_BYTES], char ret_hex[SECRET_HEX + 1])
{
	text_hex(bytes, SECRET_BYTES, ret_hex);
}

void secret_base64(const unsigned char bytes[SECRET_BYTES], char ret_text[SECRET_BASE64 + 1])
{
	must(EVP_EncodeBlock((unsigned char *)ret_text, bytes, SECRET_BYTES) == SECRET_BASE64);
}

bool secret_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void secret_wipe(void *bytes, size_t n)
{
	OPENSSL_cleanse(bytes, n);
}
