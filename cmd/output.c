/*
 * Results and questions (see output.h).
 */
#include "output.h"
#include "verify/caps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int output_json(const struct command *command, struct json *value)
{
	struct fault flt = {0};
	struct buf text;
	int verdict;

	buf_init(&text, CAP_FILE_STATE);
	verdict = json_render(value, JSON_PRETTY, &text, &flt);
	json_free(value);
	if (!verdict) {
		fwrite(text.data, 1, text.length, stdout);
		putchar('\n');
	}
	buf_release(&text);
	return verdict ? options_fail(command, &flt) : STATUS_DONE;
}

bool output_ask(const struct options *options, bool usual, const char *question, ...)
{
	char *line = NULL;
	size_t size = 0;
	bool yes = usual;
	va_list arguments;

	va_start(arguments, question);
	vfprintf(stderr, question, arguments);
	va_end(arguments);
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
