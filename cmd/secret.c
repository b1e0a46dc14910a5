/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Secrets from the terminal or a pipe (see secret.h).
 */
#include "secret.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* What would leave a terminal behind that shows nothing any more. */
static const int ends[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP};
#define ENDS (sizeof(ends) / sizeof(ends[0]))

static volatile sig_atomic_t came;

static void note(int number)
{
	came = number;
}

/* Byte by byte into the buffer: nothing is read ahead, and no copy stays behind. */
static int read_line(struct buf *out, struct fault *flt)
{
	ssize_t count = 0;
	int r;

	while (!came) {
		r = buf_reserve(out, 1, flt);
		if (r)
			return r;
		count = read(STDIN_FILENO, out->data + out->length, 1);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return fault_system(flt, errno, "reading the standard input");
		if (count == 0 || out->data[out->length] == '\n')
			break;
		out->length++;
	}
	if (came || (count == 0 && !out->length))
		return fault_undecided(flt, FAULT_CANCELLED, "nothing was given");
	return 0;
}

static bool is_blank(unsigned char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static void trim(struct buf *text)
{
	size_t first = 0;

	while (text->length && is_blank(text->data[text->length - 1]))
		text->length--;
	while (first < text->length && is_blank(text->data[first]))
		first++;
	if (first)
		memmove(text->data, text->data + first, text->length - first);
	text->length -= first;
}

static int read_hidden(const char *prompt, struct buf *out, struct fault *flt)
{
	const struct sigaction notes = {.sa_handler = note}; /* without SA_RESTART: reading ends */
	struct sigaction before[ENDS];
	struct termios shown, hidden;
	int r;

	if (tcgetattr(STDIN_FILENO, &shown))
		return fault_system(flt, errno, "looking at the terminal");
	came = 0;
	for (size_t i = 0; i < ENDS; i++)
		sigaction(ends[i], &notes, &before[i]);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	/* Before it is asked for: what is typed from then on counts. */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	fprintf(stderr, "%s: ", prompt);
	r = read_line(out, flt);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	for (size_t i = 0; i < ENDS; i++)
		sigaction(ends[i], &before[i], NULL);
	if (came)
		raise(came);
	return r;
}

int secret_read(const char *prompt, struct buf *out, struct fault *flt)
{
	int r = isatty(STDIN_FILENO) ? read_hidden(prompt, out, flt) : read_line(out, flt);

	if (!r)
		trim(out);
	return r;
}
