/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Fetch the latest release of a package, proven, to the standard output:
 *
 *     cc fetch.c $(pkg-config --cflags --libs warg) -o fetch
 *     ./fetch test:hello >hello.wasm
 */
#include <stdio.h>
#include <unistd.h>
#include <warg.h>

static int fail(void)
{
	fprintf(stderr, "fetch: %s\n", warg_error_text());
	return 1;
}

static int print_release(void *user, const struct warg_release *release)
{
	(void)user;
	fprintf(stderr, "%s%s\n", release->version, release->yanked_by ? " (yanked)" : "");
	return 0;
}

int main(int argc, char **argv)
{
	struct warg_options options = {.size = sizeof(options)};
	struct warg_release *release = NULL;
	struct warg *warg = NULL;
	int r;

	if (argc != 2)
		return 2;
	if (warg_options_from_environment(&options, NULL))
		return fail();
	r = warg_open(&options, &warg);
	warg_options_release(&options);
	if (!r)
		r = warg_each_release(warg, argv[1], print_release, NULL);
	if (!r)
		r = warg_resolve(warg, argv[1], "*", &release);
	if (!r)
		r = warg_fetch(warg, release, STDOUT_FILENO);
	warg_release_free(release);
	warg_close(warg);
	return r ? fail() : 0;
}
