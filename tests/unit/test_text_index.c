/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Finding texts, against looking through all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "torture.h"
#include "verify/text_index.h"

#define MANY 2000 /* several times the tail that is looked through one by one */

struct texts {
	struct span at[MANY];
	char room[MANY][16];
	size_t count;
};

static struct span text_at(const void *array, uint32_t place)
{
	const struct texts *texts = array;

	assert_true(place < texts->count);
	return texts->at[place];
}

static struct text_index_texts view(const struct texts *texts)
{
	return (struct text_index_texts){ texts, text_at };
}

static void add(struct text_index *index, struct texts *texts, uint32_t number)
{
	size_t place = texts->count++;
	int length = snprintf(texts->room[place], sizeof(texts->room[place]), "%x", number);

	texts->at[place] = (struct span){ (const unsigned char *)texts->room[place], (size_t)length };
	assert_int_equal(text_index_reserve(index, view(texts), NULL), 0);
	text_index_add(index, view(texts));
}

static void assert_finds(const struct text_index *index, const struct texts *texts)
{
	uint32_t place;

	assert_int_equal(index->count, texts->count);
	for (uint32_t i = 0; i < texts->count; i++) {
		assert_true(text_index_find(index, view(texts), texts->at[i], &place));
		assert_int_equal(place, i);
	}
	assert_false(text_index_find(index, view(texts), span_of_text("x"), &place));
	assert_false(text_index_find(index, view(texts), span_of_text(""), &place));
	assert_false(text_index_find(index, view(texts), span_of_text("0000"), &place));
}

static void test_orders(void **state)
{
	struct texts *texts = calloc(1, sizeof(*texts));

	(void)state;
	assert_non_null(texts);
	for (int order = 0; order < 3; order++) {
		struct text_index index = { 0 };

		texts->count = 0;
		for (uint32_t i = 0; i < MANY; i++) {
			static const uint32_t odd = 2654435761u;

			add(&index, texts, order == 0 ? i + (1u << 20) : order == 1 ? (2u << 20) - i : i * odd);
			if (i < 10 || i % 97 == 0)
				assert_finds(&index, texts);
		}
		assert_finds(&index, texts);
		text_index_release(&index);
		assert_int_equal(index.count, 0);
	}
	free(texts);
}

/* Texts are bytes: one may be the beginning of another, or hold any of them. */
static void test_bytes(void **state)
{
	static const char *const all[] = { "", "a", "ab", "abc", "\xff", "\x80", "a\xff", "b" };
	struct texts *texts = calloc(1, sizeof(*texts));
	struct text_index index = { 0 };
	uint32_t place;

	(void)state;
	assert_non_null(texts);
	assert_false(text_index_find(&index, view(texts), span_of_text("a"), &place));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		texts->at[texts->count++] = span_of_text(all[i]);
		assert_int_equal(text_index_reserve(&index, view(texts), NULL), 0);
		text_index_add(&index, view(texts));
	}
	texts->at[texts->count++] = (struct span){ (const unsigned char *)"a\0b", 3 };
	assert_int_equal(text_index_reserve(&index, view(texts), NULL), 0);
	text_index_add(&index, view(texts));
	for (uint32_t i = 0; i < texts->count; i++) {
		assert_true(text_index_find(&index, view(texts), texts->at[i], &place));
		assert_int_equal(place, i);
	}
	assert_false(text_index_find(&index, view(texts), (struct span){ (const unsigned char *)"a", 2 }, &place));
	text_index_release(&index);
	free(texts);
}

/* What was cut is gone, and others may take its place; a copy goes its own way. */
static void test_cut_and_copy(void **state)
{
	static const size_t cuts[] = { MANY - 1, 1500, 1024, 300, 256, 255, 2, 1, 0 };
	struct texts *texts = calloc(1, sizeof(*texts)), *others = calloc(1, sizeof(*others));
	struct text_index index = { 0 }, copy = { 0 };
	uint32_t place;

	(void)state;
	assert_non_null(texts);
	assert_non_null(others);
	for (uint32_t i = 0; i < MANY; i++)
		add(&index, texts, (i * 2654435761u) | 1);
	assert_int_equal(text_index_copy(&index, &copy, NULL), 0);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct span gone = texts->at[cuts[i]];

		text_index_cut(&index, cuts[i]);
		texts->count = cuts[i];
		assert_false(text_index_find(&index, view(texts), gone, &place));
		assert_finds(&index, texts);
		texts->count = MANY;
		assert_finds(&copy, texts);
		*others = *texts;
		others->count = cuts[i];
		if (cuts[i] > 0)
			continue;
		for (uint32_t j = 0; j < 300; j++)
			add(&index, others, j * 2);
		assert_finds(&index, others);
	}
	text_index_release(&index);
	text_index_release(&copy);
	free(texts);
	free(others);
}

static int fill_and_copy(void *context, struct fault *flt)
{
	struct texts *texts = context;
	struct text_index index = { 0 }, copy = { 0 };
	int verdict = 0;

	for (texts->count = 0; !verdict && texts->count < 100;) {
		verdict = text_index_reserve(&index, view(texts), flt);
		assert_int_equal(index.count, texts->count);
		if (verdict)
			break;
		texts->count++;
		text_index_add(&index, view(texts));
	}
	if (!verdict)
		verdict = text_index_copy(&index, &copy, flt);
	assert_int_equal(copy.count, verdict ? 0 : 100);
	text_index_release(&copy);
	text_index_release(&index);
	return verdict;
}

static void test_torture(void **state)
{
	struct texts *texts = calloc(1, sizeof(*texts));
	struct text_index index = { 0 };

	(void)state;
	assert_non_null(texts);
	for (uint32_t i = 0; i < 100; i++)
		add(&index, texts, i);
	text_index_release(&index);
	torture(fill_and_copy, texts);
	free(texts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_cut_and_copy),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
