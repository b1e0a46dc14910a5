/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The configuration: whatever the file holds, all folders are named and absolute, or the fault says why not.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/user/config.h"
#include "fuzz.h"

static const struct config_environment environment = {.home = "/home", .working_directory = "/home/here"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	struct config config;
	struct fault flt = { 0 };
	char path[64];
	int r;

	fuzz_require(fd >= 0);
	fuzz_require(file_write_all(fd, (struct span){ data, size }, NULL) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = config_load(path, &environment, &config, &flt);
	fuzz_require(flt.verdict == r && (r != WARG_UNDECIDED || flt.kind == FAULT_LIMIT)); /* nested too deep */
	if (!r) {
		fuzz_require(config.found);
		fuzz_require(config.registries_dir[0] == '/' && config.content_dir[0] == '/');
		fuzz_require(config.namespace_map_path[0] == '/' && config.cache_dir[0] == '/');
		config_release(&config);
	}
	close(fd);
	return 0;
}
