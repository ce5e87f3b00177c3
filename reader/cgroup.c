/* cgroup.c - which container a process is in. */
#include "reader/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "model/cleanup.h"

enum {
	ID_DIGITS = 64,
	TEXT_BYTES = 16 * 1024, /* of /proc/PID/cgroup; some ten lines */
};

static const char hex_digits[] = "0123456789abcdef";
static const char name_characters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

/* A part of a path, without the slashes. */
struct part {
	const char *text;
	size_t len;
};

static bool begins(const struct part *part, const char *with)
{
	return part->len > strlen(with) && memcmp(part->text, with, strlen(with)) == 0;
}

static bool ends(const struct part *part, const char *with)
{
	size_t len = strlen(with);

	return part->len > len && memcmp(part->text + part->len - len, with, len) == 0;
}

/* 64 digits, no more: "docker-….scope", "cri-containerd-….scope", or by themselves. */
static bool take_id(const struct part *part, char *to)
{
	for (size_t i = 0; i < part->len;) {
		size_t digits = 0;

		while (i + digits < part->len && strchr(hex_digits, part->text[i + digits]))
			digits++;
		if (digits == ID_DIGITS) {
			memcpy(to, part->text + i, digits);
			to[digits] = '\0';
			return true;
		}
		i += digits + 1;
	}
	return false;
}

static int digit_of(char c)
{
	const char *at = c ? strchr(hex_digits, c) : NULL;

	return at ? (int)(at - hex_digits) : -1;
}

/* A name as systemd writes it in a unit: \x2d is a minus. False when it is no name of a container. */
static bool take_name(const char *text, size_t len, char *to)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\\' && len - i >= 4 && text[i + 1] == 'x' && digit_of(text[i + 2]) >= 0 &&
		    digit_of(text[i + 3]) >= 0) {
			c = (char)(digit_of(text[i + 2]) * 16 + digit_of(text[i + 3]));
			i += 3;
		}
		if (!c || !strchr(name_characters, c) || out + 1 >= CTASK_CONTAINER_BYTES)
			return false;
		to[out++] = c;
	}
	to[out] = '\0';
	return out > 0;
}

/* What names a container by its place. */
static const struct {
	const char *before, *after;
	const char *parent; /* the part before it, or NULL: any */
} names[] = {
	{ "systemd-nspawn@", ".service", NULL },
	{ "machine-", ".scope", NULL },
	{ "lxc.payload.", "", NULL },
	{ "", "", "lxc" },
	{ "", "", "lxc.payload" },
};

static bool take_part(const struct part *part, const struct part *parent, char *to)
{
	if (take_id(part, to))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t before = strlen(names[i].before), after = strlen(names[i].after);

		if ((before && !begins(part, names[i].before)) ||
		    (after && !ends(part, names[i].after)) || before + after >= part->len)
			continue;
		if (names[i].parent && (parent->len != strlen(names[i].parent) ||
					memcmp(parent->text, names[i].parent, parent->len) != 0))
			continue;
		if (take_name(part->text + before, part->len - before - after, to))
			return true;
	}
	return false;
}

bool ctask_cgroup_container(const char *cgroups, char container[CTASK_CONTAINER_BYTES])
{
	char found[CTASK_CONTAINER_BYTES];
	bool any = false;

	/* "4:memory:/path" a line; the last part that names one is the innermost. */
	while (*cgroups && !any) {
		size_t line = strcspn(cgroups, "\n");
		const char *path = memchr(cgroups, '/', line), *end = cgroups + line;
		struct part parent = { "", 0 };

		while (path && path < end) {
			struct part part = { path + 1, 0 };

			while (part.text + part.len < end && part.text[part.len] != '/')
				part.len++;
			if (take_part(&part, &parent, found)) {
				memcpy(container, found, sizeof(found));
				any = true;
			}
			parent = part;
			path = part.text + part.len;
		}
		cgroups += line + (cgroups[line] == '\n');
	}
	return any;
}

bool ctask_process_container(pid_t pid, char container[CTASK_CONTAINER_BYTES])
{
	char path[64];
	auto_free char *text = malloc(TEXT_BYTES);
	auto_fclose FILE *file = NULL;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	file = fopen(path, "re");
	if (!file || !text)
		return false;
	len = fread(text, 1, TEXT_BYTES - 1, file);
	text[len] = '\0';
	return strlen(text) == len && ctask_cgroup_container(text, container);
}
