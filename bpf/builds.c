/* builds.c - the probes of all processes: once in the files of each Python, for all that have these mapped. */
#include "bpf/builds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/target.h"

#define UNUSED_US 300000000 /* a build keeps its probes without a process */

static bool same_place(const struct ctask_hook_place *a, const struct ctask_hook_place *b)
{
	return a->offset == b->offset && a->device == b->device && a->inode == b->inode;
}

static struct ctask_shared_build *find(const struct ctask_builds *builds,
				       const struct ctask_hook_place *hooks)
{
	for (struct ctask_shared_build *b = builds->first; b; b = b->next) {
		bool same = true;

		for (int i = 0; i < CTASK_HOOKS; i++)
			same &= same_place(&b->hooks[i], &hooks[i]);
		if (same)
			return b;
	}
	return NULL;
}

int ctask_builds_take(struct ctask_builds *builds, struct ctask_subject *subject, int64_t now,
		      struct ctask_shared_build **ret_build, struct ctask_error *err)
{
	struct ctask_shared_build *b = find(builds, subject->hooks);
	struct ctask_hook_place load;
	bool has_load;
	int ret;

	if (!b) {
		b = calloc(1, sizeof(*b));
		if (!b)
			return ctask_fail(err, ENOMEM, "out of memory");
		memcpy(b->hooks, subject->hooks, sizeof(b->hooks));
		b->number = ++builds->made;
		has_load = !ctask_target_loader(&subject->walk, subject->pid, &load);
		ret = ctask_build_attach(builds->probes, b->hooks, has_load ? &load : NULL,
					 subject->pid, b->number, &b->probes, err);
		if (ret) {
			free(b);
			return ret;
		}
		b->attached_us = b->asked_us = now;
		b->next = builds->first;
		builds->first = b;
	}
	b->users++;
	*ret_build = b;
	return 0;
}

void ctask_builds_give_back(struct ctask_shared_build *build, int64_t now)
{
	if (!--build->users)
		build->unused_us = now;
}

void ctask_builds_look_after(struct ctask_builds *builds, int64_t now)
{
	struct ctask_shared_build **at = &builds->first, *b;

	while ((b = *at)) {
		bool arm = now - b->asked_us < CTASK_ARMED_US;

		if (arm != b->armed)
			ctask_build_arm(b->probes, arm);
		b->armed = arm;
		if (b->users || now - b->unused_us < UNUSED_US) {
			at = &b->next;
			continue;
		}
		*at = b->next;
		ctask_build_detach(b->probes);
		free(b);
	}
}

void ctask_builds_detach(struct ctask_builds *builds)
{
	for (struct ctask_shared_build *b = builds->first; b; b = b->next) {
		ctask_build_detach(b->probes);
		b->probes = NULL;
	}
}

void ctask_builds_fini(struct ctask_builds *builds)
{
	struct ctask_shared_build *b;

	ctask_builds_detach(builds);
	while ((b = builds->first)) {
		builds->first = b->next;
		free(b);
	}
}
