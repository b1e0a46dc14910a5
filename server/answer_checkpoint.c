/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * GET v1/fetch/checkpoint, POST v1/verify/checkpoint.
 */
#include "client/net/checkpoint_json.h"
#include "routes.h"

void answer_checkpoint(struct exchange *exchange)
{
	struct signed_checkpoint checkpoint;
	struct fault flt = {0};

	if (service_checkpoint(exchange->service, &checkpoint, &flt))
		exchange_fail(exchange, &flt);
	else
		exchange_answer_json(exchange, 200, checkpoint_json_new(&checkpoint));
}

/* ---- Whether a checkpoint is of this registry ---- */

static const char *word(bool is_verified)
{
	return is_verified ? "verified" : "invalid";
}

/* @param is_ours  whether the registry's log was like this at that length */
static int check_state(struct service *service, const struct checkpoint *checkpoint, bool *is_ours,
		       struct fault *flt)
{
	struct published_checkpoint there;
	struct database *database = NULL;
	struct fault own = {0};
	bool found;
	int r = readers_take(service->readers, &database, &own);

	if (!r)
		r = published_checkpoint_at(database, checkpoint->log_length, &there, &own);
	readers_give(service->readers, database);
	r = fault_unless_absent(r, &own, &found, flt);
	*is_ours = found && checkpoint_same_state(&there.checkpoint.contents, checkpoint);
	return r;
}

void answer_verify_checkpoint(struct exchange *exchange)
{
	struct json *asked = exchange_read_json(exchange), *answer;
	struct signed_checkpoint checkpoint;
	struct operator_log *operator;
	struct fault flt = {0};
	bool is_ours, is_signed;

	if (!asked)
		return;
	if (checkpoint_json_read(asked, &checkpoint, &flt)) {
		exchange_answer_misfit(exchange, &flt);
	} else if (check_state(exchange->service, &checkpoint.contents, &is_ours, &flt)) {
		exchange_fail(exchange, &flt);
	} else {
		operator = service_operator(exchange->service);
		is_signed = !checkpoint_verify(&checkpoint, operator, NULL);
		operator_log_unref(operator);
		answer = json_new_object();
		json_put_text(answer, "checkpoint", word(is_ours));
		json_put_text(answer, "signature", word(is_signed));
		exchange_answer_json(exchange, 200, answer);
	}
	json_free(asked);
}
