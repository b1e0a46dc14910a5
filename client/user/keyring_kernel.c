/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The keyring in the kernel: keys of type "user" in the session keyring, linked to the persistent one, which outlives
 * the session by some days: keyring.h, interop.md section C 10; keyctl(2), persistent-keyring(7).
 */
#include "keyring_parts.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "verify/caps.h"

#define CAP_DESCRIPTION 4096 /* the kernel takes no longer one: key_get_type_from_user() */
#define MOST_READS 8         /* of a key that others change while we read */
#define MOST_KEYS 64         /* of one description, each in a keyring of its own, that one removal takes */
#define SESSION ((unsigned long)KEY_SPEC_SESSION_KEYRING)
#define PROCESS ((unsigned long)KEY_SPEC_PROCESS_KEYRING)

static long keyctl(int operation, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	return syscall(SYS_keyctl, operation, a, b, c, d);
}

static int failed(struct fault *flt)
{
	if (errno == ENOSYS || errno == EPERM)
		return keyring_unavailable(flt, "the kernel keeps no keys for this process");
	return fault_system(flt, errno, "asking the kernel");
}

/*
 * The persistent keyring, which searches find from now on; -1 where there is none, and the session has to do. Linked to
 * the process as well, as what runs without a session of its own could not read what it finds.
 */
static long link_persistent(void)
{
	keyctl(KEYCTL_GET_PERSISTENT, (unsigned long)-1, SESSION, 0, 0);
	return keyctl(KEYCTL_GET_PERSISTENT, (unsigned long)-1, PROCESS, 0, 0);
}

/* @param out  with a NUL behind it */
static int describe(const struct keyring_entry *entry, struct buf *out, struct fault *flt)
{
	int r = buf_append_format(out, flt, "keyring-rs:%s@%s", entry->user, entry->service);

	return r ? r : buf_append(out, (struct span){(const unsigned char *)"", 1}, flt);
}

/* @param id  -1 if there is none */
static int search(const struct buf *description, long *id, struct fault *flt)
{
	*id = keyctl(KEYCTL_SEARCH, SESSION, (uintptr_t)"user", (uintptr_t)description->data, 0);
	if (*id < 0)
		*id = keyctl(KEYCTL_SEARCH, PROCESS, (uintptr_t)"user", (uintptr_t)description->data, 0);
	/* What is revoked or out of date is on its way out. */
	if (*id >= 0 || errno == ENOKEY || errno == EACCES || errno == EKEYREVOKED || errno == EKEYEXPIRED)
		return 0;
	return failed(flt);
}

static int read_secret(long id, struct buf *out, struct fault *flt)
{
	long size = keyctl(KEYCTL_READ, (unsigned long)id, 0, 0, 0);
	int r;

	for (int tries = 0; size >= 0 && tries < MOST_READS; tries++) {
		size_t room = (size_t)size;

		if (room > CAP_SECRET)
			return fault_invalid(flt, "it is longer than %u bytes", CAP_SECRET);
		r = buf_reserve(out, room, flt);
		if (r)
			return r;
		size = keyctl(KEYCTL_READ, (unsigned long)id, (uintptr_t)(out->data + out->length), room, 0);
		if (size >= 0 && (size_t)size <= room) {
			out->length += (size_t)size;
			return 0;
		}
	}
	return size < 0 ? failed(flt) : fault_system(flt, EAGAIN, "it changes all the time");
}

static int find(const struct config *config, const struct keyring_entry *entry, struct buf *out, bool *found,
		struct fault *flt)
{
	struct buf description;
	long persistent, id = -1;
	int r;

	(void)config;
	buf_init(&description, CAP_DESCRIPTION);
	r = describe(entry, &description, flt);
	persistent = link_persistent();
	if (!r)
		r = search(&description, &id, flt);
	if (!r && id >= 0) {
		/* What was in one of them only is to outlive it; where that cannot be, it is there all the same. */
		keyctl(KEYCTL_LINK, (unsigned long)id, SESSION, 0, 0);
		if (persistent >= 0)
			keyctl(KEYCTL_LINK, (unsigned long)id, (unsigned long)persistent, 0, 0);
		r = read_secret(id, out, flt);
	}
	buf_release(&description);
	if (!r)
		*found = id >= 0;
	return r;
}

static int set(const struct config *config, const struct keyring_entry *entry, struct span secret, struct fault *flt)
{
	struct buf description;
	long persistent, id = -1;
	int r;

	(void)config;
	buf_init(&description, CAP_DESCRIPTION);
	r = describe(entry, &description, flt);
	persistent = link_persistent();
	if (!r) {
		id = syscall(SYS_add_key, "user", description.data, secret.data, secret.length, SESSION);
		if (id < 0)
			r = failed(flt);
	}
	if (!r && persistent >= 0 && keyctl(KEYCTL_LINK, (unsigned long)id, (unsigned long)persistent, 0, 0) < 0)
		r = failed(flt);
	buf_release(&description);
	return r;
}

static int remove_entry(const struct config *config, const struct keyring_entry *entry, bool *found, struct fault *flt)
{
	struct buf description;
	bool any = false;
	long id = -1;
	int r;

	(void)config;
	buf_init(&description, CAP_DESCRIPTION);
	r = describe(entry, &description, flt);
	link_persistent();
	for (int count = 0; !r && count < MOST_KEYS; count++) {
		r = search(&description, &id, flt);
		if (r || id < 0)
			break;
		if (keyctl(KEYCTL_INVALIDATE, (unsigned long)id, 0, 0, 0) < 0)
			r = failed(flt);
		any = true;
	}
	buf_release(&description);
	if (!r)
		*found = any;
	return r;
}

const struct keyring_backend keyring_kernel = {
	.name = "linux-keyutils",
	.place = "the kernel's keyring",
	.find = find,
	.set = set,
	.remove = remove_entry,
};
