/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Results and questions (see output.h).
 */
#include "output.h"
#include "verify/caps.h"
#include "verify/printable.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool shows_ascii_only;

void output_choose_locale(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);

	/* Where the environment names a locale that is not installed, programs are in the C locale. */
	shows_ascii_only = !locale || strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") != 0;
	if (locale)
		freelocale(locale);
}

/* Escape what is not ASCII, as printable.h does it with what is never shown. */
static void narrow(const char *text, char *out)
{
	for (; *text; text++)
		out += (unsigned char)*text < 0x80 ? (*out = *text, 1) : sprintf(out, "\\x%02x", (unsigned char)*text);
	*out = '\0';
}

struct output_shown output_shown(const char *text)
{
	char whole[sizeof(((struct output_shown *)0)->text) / 4];
	struct output_shown shown;

	if (!shows_ascii_only) {
		printable_write(span_of_text(text), shown.text, sizeof(shown.text));
		return shown;
	}
	printable_write(span_of_text(text), whole, sizeof(whole));
	narrow(whole, shown.text);
	return shown;
}

int output_json(const struct command *command, struct json *value)
{
	struct fault flt = {0};
	struct buf text;
	int verdict;

	buf_init(&text, CAP_FILE_STATE);
	verdict = json_render(value, JSON_SHOWN_PRETTY, &text, &flt);
	json_free(value);
	if (!verdict) {
		fwrite(text.data, 1, text.length, stdout);
		putchar('\n');
	}
	buf_release(&text);
	return verdict ? options_fail(command, &flt) : STATUS_DONE;
}

/* A question may have lines; what is in them is shown. */
static void put_lines(char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		fprintf(stderr, "%s%s", output_shown(line).text, text ? "\n" : "");
}

bool output_ask(const struct options *options, bool usual, const char *question, ...)
{
	char *line = NULL, text[1024];
	size_t size = 0;
	bool yes = usual;
	va_list arguments;

	va_start(arguments, question);
	vsnprintf(text, sizeof(text), question, arguments);
	va_end(arguments);
	put_lines(text);
	if (options->yes) {
		fprintf(stderr, " yes\n");
		return true;
	}
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		fprintf(stderr, " no (no terminal to ask on; --yes says yes)\n");
		return false;
	}
	fprintf(stderr, " [%s] ", usual ? "Y/n" : "y/N");
	fflush(stderr);
	if (getline(&line, &size, stdin) < 0)
		yes = false;
	else if (line[0] != '\n')
		yes = line[0] == 'y' || line[0] == 'Y';
	free(line);
	return yes;
}

void output_time(int64_t seconds, char out[static 64])
{
	time_t time = (time_t)seconds;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&time, &tm))
		strftime(out, 64, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

void output_size(uint64_t bytes, char out[static 32])
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double size = (double)bytes;
	size_t unit = 0;

	for (; size >= 1024 && unit < 6; unit++)
		size /= 1024;
	snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}
