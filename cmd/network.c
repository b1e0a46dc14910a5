/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Choosing certificates and a proxy (see network.h).
 */
#include "network.h"
#include "client/base/file.h"
#include "client/net/http_network.h"
#include "client/user/settings.h"
#include "verify/caps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_BEGIN "-----BEGIN "
#define PEM_END "CERTIFICATE-----"

/* Kept to the end of the process: requests of any thread use them. */
static char *ca_file, *ca_folder, *proxy, *no_proxy;

static int make_absolute(const char *path, const struct config_environment *environment, char **out, struct fault *flt)
{
	const char *folder = environment->working_directory;
	bool is_absolute = path[0] == '/';

	if (!is_absolute && !folder)
		return fault_system(flt, ENOENT, "the working directory, which %.100s is relative to", path);
	if (asprintf(out, "%s%s%s", is_absolute ? "" : folder, is_absolute ? "" : "/", path) >= 0)
		return 0;
	*out = NULL;
	return fault_no_memory(flt);
}

/* "BEGIN CERTIFICATE" or "BEGIN TRUSTED CERTIFICATE", which OpenSSL reads both. */
static bool has_certificate(const struct buf *text)
{
	const char *begin = text->length ? (const char *)text->data : "";

	while ((begin = strstr(begin, PEM_BEGIN))) {
		size_t length = strcspn(begin, "\r\n");

		if (length >= strlen(PEM_BEGIN PEM_END) &&
		    !strncmp(begin + length - strlen(PEM_END), PEM_END, strlen(PEM_END)))
			return true;
		begin += length;
	}
	return false;
}

int network_check_file(const char *path, const struct config_environment *environment, char **out, struct fault *flt)
{
	struct buf text;
	int r = make_absolute(path, environment, out, flt);

	if (r)
		return r;
	buf_init(&text, CAP_FILE_CERTIFICATES);
	r = file_read_path(*out, &text, flt);
	if (!r)
		r = buf_append(&text, (struct span){(const unsigned char *)"", 1}, flt);
	if (!r && !has_certificate(&text))
		r = fault_undecided(flt, FAULT_MISUSE, "%.150s: it holds no certificates in PEM", path);
	buf_release(&text);
	if (r) {
		fault_at(flt, "certificates to trust");
		fault_blame(flt, FAULT_BY_USER);
		free(*out);
		*out = NULL;
	}
	return r;
}

/* @return whether there was memory */
static bool copy(const char *text, char **out)
{
	*out = text ? strdup(text) : NULL;
	return !text || *out;
}

int network_choose(const char *given, const char *settings, const struct config_environment *environment,
		   struct fault *flt)
{
	struct http_network network = {0};
	char *set = NULL;
	int r = given ? 0 : settings_read_ca_file(settings, &set, flt);

	if (!r && (given || set)) {
		r = network_check_file(given ? given : set, environment, &ca_file, flt);
		network.only_ca_file = true;
	} else if (!r && environment->ca_file) {
		r = make_absolute(environment->ca_file, environment, &ca_file, flt);
	}
	free(set);
	if (!r && !network.only_ca_file && environment->ca_folder)
		r = make_absolute(environment->ca_folder, environment, &ca_folder, flt);
	if (!r && (!copy(environment->proxy, &proxy) || !copy(environment->no_proxy, &no_proxy)))
		r = fault_no_memory(flt);
	if (r)
		return r;
	network.ca_file = ca_file;
	network.ca_folder = ca_folder;
	network.proxy = proxy;
	network.no_proxy = no_proxy;
	http_network_set(&network);
	return 0;
}
