/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry's token (see credential.h).
 */
#include "credential.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/clock.h"
#include "verify/caps.h"

struct credential {
	atomic_uint references;
	struct http_url url;
	struct credential_source source;
	pthread_mutex_t reading; /* held during `find`; taken before `mutex` */
	pthread_mutex_t mutex;   /* guards the members below */
	struct buf token;        /* empty: no token */
	unsigned generation;
	clock_ms next_read;      /* do not call `find` before then */
};

int credential_new(const struct http_url *url, struct span token, const struct credential_source *source,
		   struct credential **out, struct fault *flt)
{
	struct credential *credential = calloc(1, sizeof(*credential));
	int r;

	if (!credential)
		return fault_no_memory(flt);
	buf_init(&credential->token, CAP_SECRET);
	r = buf_append(&credential->token, token, flt);
	if (r) {
		free(credential);
		return r;
	}
	atomic_init(&credential->references, 1);
	credential->url = *url;
	credential->source = *source;
	pthread_mutex_init(&credential->reading, NULL);
	pthread_mutex_init(&credential->mutex, NULL);
	*out = credential;
	return 0;
}

struct credential *credential_ref(struct credential *credential)
{
	if (credential)
		atomic_fetch_add(&credential->references, 1);
	return credential;
}

void credential_unref(struct credential *credential)
{
	if (!credential || atomic_fetch_sub(&credential->references, 1) != 1)
		return;
	buf_wipe(&credential->token);
	pthread_mutex_destroy(&credential->mutex);
	pthread_mutex_destroy(&credential->reading);
	free(credential);
}

int credential_copy(struct credential *credential, struct buf *out, unsigned *generation, struct fault *flt)
{
	int r = 0;

	pthread_mutex_lock(&credential->mutex);
	if (credential->token.length)
		r = buf_append(out, buf_span(&credential->token), flt);
	if (!r && credential->token.length)
		r = buf_append(out, (struct span){(const unsigned char *)"", 1}, flt);
	*generation = credential->generation;
	pthread_mutex_unlock(&credential->mutex);
	return r;
}

bool credential_is_newer(struct credential *credential, unsigned generation)
{
	bool is;

	pthread_mutex_lock(&credential->mutex);
	is = credential->generation != generation;
	pthread_mutex_unlock(&credential->mutex);
	return is;
}

bool credential_can_renew(struct credential *credential)
{
	bool can;

	pthread_mutex_lock(&credential->mutex);
	can = credential->source.find && clock_now() >= credential->next_read;
	pthread_mutex_unlock(&credential->mutex);
	return can;
}

/* If no token was found, keep the old one: another service of the registry may still accept it. */
static void take_token(struct credential *credential, struct buf *token, int verdict)
{
	struct buf old;

	pthread_mutex_lock(&credential->mutex);
	if (verdict) {
		credential->next_read = clock_in_seconds(CREDENTIAL_PAUSE);
	} else if (token->length && !span_equals(buf_span(token), buf_span(&credential->token))) {
		old = credential->token;
		credential->token = *token;
		*token = old;
		credential->generation++;
	}
	pthread_mutex_unlock(&credential->mutex);
}

void credential_renew(struct credential *credential)
{
	struct fault unheard = {0};
	struct buf token;
	int verdict;

	if (!credential_can_renew(credential))
		return;
	buf_init(&token, CAP_SECRET);
	pthread_mutex_lock(&credential->reading);
	verdict = credential->source.find(credential->source.user, &credential->url, &token, &unheard);
	take_token(credential, &token, verdict);
	pthread_mutex_unlock(&credential->reading);
	buf_wipe(&token);
}
