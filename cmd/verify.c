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

#include "client/file.h"
#include "commands.h"

enum { KEY_PROOF = 256, KEY_CONTENT, KEY_OPERATOR_KEY };

static const struct options_entry entries[] = {
	{KEY_PROOF, "proof", "FILE", "check a proof document, offline"},
	{KEY_CONTENT, "content", "FILE", "with --proof: a file that has to be the release's content"},
	{KEY_OPERATOR_KEY, "operator-key", "KEYID", "with --proof: the key id of the operator's first key"},
	{0}
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct verify *verify = user;

	if (key == KEY_PROOF) {
		verify->proof = value;
	} else if (key == KEY_CONTENT) {
		verify->content = value;
	} else {
		verify->has_operator_key = true;
		if (digest_parse(span_of_text(value), &verify->operator_key, NULL))
			return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is not a key id: sha256: and 64 digits",
					       value);
	}
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

/* By its text alone: no package name holds a '/' or a '.', and each holds a ':'. */
static bool is_package(const char *argument)
{
	return !strpbrk(argument, "/.") && strchr(argument, ':');
}

static int check_options(const struct options *options, const struct verify *verify, struct fault *flt)
{
	if (verify->proof && options->argument_count)
		return fault_undecided(flt, FAULT_MISUSE, "--proof is about its document alone");
	if (!verify->proof && verify->content)
		return fault_undecided(flt, FAULT_MISUSE, "--content needs --proof");
	if (!verify->proof && verify->has_operator_key)
		return fault_undecided(flt, FAULT_MISUSE, "--operator-key needs --proof");
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
	.run = run,
};
