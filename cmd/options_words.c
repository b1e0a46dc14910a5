/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Parsing a command line (see options_words.h).
 */
#include "client/base/nearest.h"
#include "options_words.h"
#include "verify/printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int complain(struct options_walk *walk, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int complain(struct options_walk *walk, const char *format, ...)
{
	char text[sizeof(walk->said)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printable_write(span_of_text(text), walk->said, sizeof(walk->said));
	return OPTIONS_WRONG;
}

/* The value of an option is the next word. @return whether there is one */
static int take_value(struct options_walk *walk)
{
	if (walk->next >= walk->count)
		return 0;
	walk->value = walk->words[walk->next++];
	return 1;
}

/* @param word  after the dashes; only its name is repeated */
static int complain_unknown(struct options_walk *walk, const char *word, size_t length,
			    const struct options_word *options, size_t count)
{
	struct nearest meant = {.typed = word, .length = length};

	for (size_t i = 0; i < count; i++)
		nearest_offer(&meant, options[i].name);
	if (meant.word)
		return complain(walk, "there is no option '--%.*s'. Did you mean '--%s'?", (int)length, word,
				meant.word);
	return complain(walk, "there is no option '--%.*s'", length < 80 ? (int)length : 80, word);
}

/* @param word  after the dashes */
static int take_long(struct options_walk *walk, const char *word, const struct options_word *options, size_t count)
{
	const size_t length = strcspn(word, "=");
	const int shown = length < 80 ? (int)length : 80;

	for (size_t i = 0; i < count; i++) {
		if (strncmp(options[i].name, word, length) || options[i].name[length])
			continue;
		if (word[length] && !options[i].has_value)
			return complain(walk, "the option '--%.*s' takes no value", shown, word);
		if (word[length])
			walk->value = word + length + 1;
		else if (options[i].has_value && !take_value(walk))
			return complain(walk, "the option '--%.*s' needs a value", shown, word);
		return options[i].key;
	}
	return complain_unknown(walk, word, length, options, count);
}

static int take_letter(struct options_walk *walk, const struct options_word *options, size_t count)
{
	const unsigned char letter = (unsigned char)*walk->letters++;
	const char *rest = *walk->letters ? walk->letters : NULL;

	walk->letters = rest;
	for (size_t i = 0; i < count; i++) {
		if (options[i].key != letter)
			continue;
		if (!options[i].has_value)
			return letter;
		walk->letters = NULL;
		walk->value = rest;
		if (!rest && !take_value(walk))
			return complain(walk, "the option '-%c' needs a value", letter);
		return letter;
	}
	return complain(walk, "there is no option '-%c'", letter);
}

int options_walk(struct options_walk *walk, const struct options_word *options, size_t count)
{
	walk->value = NULL;
	if (walk->letters)
		return take_letter(walk, options, count);
	while (walk->next < walk->count) {
		char *word = walk->words[walk->next++];

		if (!strcmp(word, "--"))
			break;
		if (!strncmp(word, "--", 2))
			return take_long(walk, word + 2, options, count);
		if (word[0] == '-' && word[1]) {
			walk->letters = word + 1;
			return take_letter(walk, options, count);
		}
		/* Move an argument to the front, before the options. */
		walk->words[walk->arguments++] = word;
	}
	while (walk->next < walk->count)
		walk->words[walk->arguments++] = walk->words[walk->next++];
	walk->words[walk->arguments] = NULL;
	return OPTIONS_END;
}
