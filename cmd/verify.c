/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs verify: three questions, by what is asked about. A proof document: does it hold? Packages, or nothing: is what
 * is stored here what the registry has? Files: which releases are they?
 */
#include "verify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "commands.h"

enum { KEY_PROOF = 256, KEY_CONTENT };

static const struct options_entry entries[] = {
	{KEY_PROOF, "proof", "FILE", "check a proof document, offline"},
	{KEY_CONTENT, "content", "FILE", "with --proof: a file that has to be the release's content"},
	{0}
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct verify *verify = user;

	(void)flt;
	if (key == KEY_PROOF)
		verify->proof = value;
	else
		verify->content = value;
	return 0;
}

int verify_hash_file(const char *path, struct digest *out, struct fault *flt)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int verdict;

	if (fd < 0)
		return fault_system(flt, errno, "%.150s", path);
	verdict = file_hash(fd, out, flt);
	if (verdict)
		fault_at(flt, "%.150s", path);
	close(fd);
	return verdict;
}

/* A package written as in a mount, "namespace/package", may be the path of a file as well: the file comes first. */
static bool is_package(const char *argument)
{
	struct name name;

	if (!strpbrk(argument, "/."))
		return strchr(argument, ':');
	return session_read_name(argument, &name, NULL) == 0 && access(argument, F_OK) != 0;
}

static int check_options(const struct options *options, const struct verify *verify, struct fault *flt)
{
	if (verify->proof && options->argument_count)
		return fault_undecided(flt, FAULT_MISUSE, "--proof is about its document alone");
	if (!verify->proof && verify->content)
		return fault_undecided(flt, FAULT_MISUSE, "--content needs --proof");
	for (int i = 1; i < options->argument_count; i++)
		if (is_package(options->arguments[i]) != is_package(options->arguments[0]))
			return fault_undecided(flt, FAULT_MISUSE, "either packages or files: '%.100s' is one, '%.100s' "
					       "the other", options->arguments[0], options->arguments[i]);
	return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct verify verify = {0};
	struct options options;
	struct fault flt = {0};
	int status;

	if (!options_parse(command, argc, argv, take, &verify, &options, &status))
		return status;
	if (check_options(&options, &verify, &flt))
		return options_fail(command, &flt);
	if (verify.proof)
		return verify_proof(command, &options, &verify);
	if (options.argument_count && !is_package(options.arguments[0]))
		return verify_files(command, &options);
	return verify_stored(command, &options);
}

const struct command verify_command = {
	.name = "verify",
	.arguments = "[FILE... | PACKAGE...]",
	.summary = "Prove what is stored anew, say what a file is, check a proof document",
	.text = "\nWithout arguments, or with packages: their logs are fetched and proven from the first record on,\n"
		"and the stored states and contents compared with them. With files: which releases they are. With\n"
		"--proof: a document from a mount's /.warg/proof or /.warg/receipts; needs no network or cache.\n"
		"An argument with ':' and without '/' and '.' is a package, any other one a file.\n",
	.most = INT_MAX,
	.options = entries,
	.meets = true,
	.run = run,
};
