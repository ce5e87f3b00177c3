/* refusal.c - why the kernel took no probes: from errno, and from what can be seen of it, to one sentence. */
#include "bpf/refusal.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/cleanup.h"

/* Headers of an older kernel than the one that runs lack these. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF	    39
#endif
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

enum {
	/* Global functions of BPF take pointers: e5069b9c23b3 ("bpf: Support pointers in global func args"). */
	RELEASE_LEAST = 0x050c,
	/* Memory of maps counts for the control group, no more as locked: 5.11. */
	RELEASE_UNLOCKED = 0x050b,
	/* A uprobe takes CAP_SYS_ADMIN again; stable kernels before that too. */
	RELEASE_ADMIN = 0x0610,
	WORDS_MAX = 4096,
};

static FILE *open_below(const char *root, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s", root, name);
	return fopen(path, "re");
}

static bool is_there(const char *root, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s", root, name);
	return access(path, F_OK) == 0;
}

static void look_at_ourselves(const char *root, struct ctask_probe_facts *facts)
{
	auto_fclose FILE *status = open_below(root, "/proc/self/status");
	auto_fclose FILE *limits = open_below(root, "/proc/self/limits");
	auto_fclose FILE *map = open_below(root, "/proc/self/uid_map");
	uint32_t inside, outside, count;
	char line[256];
	int filter;

	while (status && fgets(line, sizeof(line), status)) {
		sscanf(line, "CapEff: %" SCNx64, &facts->capabilities);
		if (sscanf(line, "Seccomp: %d", &filter) == 1)
			facts->has_filter = filter > 0;
	}
	facts->locked_most = UINT64_MAX;
	while (limits && fgets(line, sizeof(line), limits))
		sscanf(line, "Max locked memory %" SCNu64, &facts->locked_most);
	if (map && fscanf(map, "%" SCNu32 " %" SCNu32 " %" SCNu32, &inside, &outside, &count) == 3)
		facts->in_user_namespace = inside != 0 || outside != 0 || count != UINT32_MAX;
}

void ctask_probe_facts_look(const char *root, struct ctask_probe_facts *ret_facts)
{
	auto_fclose FILE *release = open_below(root, "/proc/sys/kernel/osrelease");
	auto_fclose FILE *lockdown = open_below(root, "/sys/kernel/security/lockdown");
	unsigned int major, minor;
	char line[256];

	*ret_facts = (struct ctask_probe_facts){ 0 };
	look_at_ourselves(root, ret_facts);
	if (release && fscanf(release, "%u.%u", &major, &minor) == 2 && major < 256 && minor < 256)
		ret_facts->release = major << 8 | minor;
	/* All that there are, with the one that holds in brackets. */
	if (lockdown && fgets(line, sizeof(line), lockdown))
		ret_facts->is_locked_down = strstr(line, "[confidentiality]") != NULL;
	ret_facts->has_types = is_there(root, "/sys/kernel/btf/vmlinux");
	ret_facts->has_uprobes = is_there(root, "/sys/bus/event_source/devices/uprobe/type");
}

/* --- what was said --- */

/* Of a log of the verifier, the statistics at its end, and the marks around it. */
static bool says_nothing(const char *line)
{
	static const char *const beginnings[] = {
		"processed ", "verification time ", "stack depth ", "-- BEGIN",
		"-- END",     "mark_precise",
	};

	for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++)
		if (!strncmp(line, beginnings[i], strlen(beginnings[i])))
			return true;
	return !*line;
}

void ctask_probe_words_add(struct ctask_probe_words *words, const char *said)
{
	size_t len = strlen(said);
	const char *at = len > WORDS_MAX ? said + len - WORDS_MAX : said;

	while (*at) {
		char line[sizeof(words->text)];
		size_t span = strcspn(at, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)span, at);
		if (!strncmp(line, "libbpf: ", strlen("libbpf: ")))
			memmove(line, line + strlen("libbpf: "),
				strlen(line) + 1 - strlen("libbpf: "));
		if (!says_nothing(line))
			memcpy(words->text, line, sizeof(line));
		at += span + (at[span] == '\n');
	}
}

/* --- rights --- */

static bool has(const struct ctask_probe_facts *facts, int capability)
{
	return facts->capabilities >> capability & 1;
}

/* The capabilities that are missing, in one way to have enough of them: "CAP_BPF and CAP_PERFMON". */
static int missing(const struct ctask_probe_facts *facts, enum ctask_probe_step step,
		   char *ret_text, size_t size)
{
	static const struct {
		int capability;
		const char *name;
	} ways[] = {
		{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" },
		{ CAP_BPF, "CAP_BPF" },
		{ CAP_PERFMON, "CAP_PERFMON" },
		{ CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE" }, /* /proc/PID/map_files */
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
	};
	bool admin = step == CTASK_STEP_ATTACH || facts->release >= RELEASE_ADMIN;
	const char *names[ARRAY_SIZE(ways)];
	size_t used = 0;
	int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		int capability = ways[i].capability;
		bool wanted = capability == CAP_SYS_PTRACE  ? step == CTASK_STEP_READ
			      : capability == CAP_SYS_ADMIN ? admin
							    : !admin && !has(facts, CAP_SYS_ADMIN);

		if (wanted && !has(facts, capability))
			names[count++] = ways[i].name;
	}
	*ret_text = '\0';
	for (int i = 0; i < count; i++)
		used += (size_t)snprintf(ret_text + used, size - used, "%s%s",
					 i == 0		  ? ""
					 : i == count - 1 ? " and "
							  : ", ",
					 names[i]);
	return count;
}

static int refuse_rights(const struct ctask_probe_facts *facts, enum ctask_probe_step step,
			 struct ctask_error *err)
{
	char names[128];
	int count;

	if (facts->in_user_namespace)
		return ctask_fail(
			err, EPERM,
			"the kernel takes no probes from a user namespace, not from its root "
			"either: run ctaskctl as root of the host");
	count = missing(facts, step, names, sizeof(names));
	if (count)
		return ctask_fail(
			err, EPERM,
			"the kernel takes no probes from us: %s %s missing (run ctaskctl as "
			"root; in a container also --cap-add SYS_ADMIN --cap-add SYS_PTRACE)",
			names, count == 1 ? "is" : "are");
	if (step == CTASK_STEP_READ)
		return -EPERM;
	if (step == CTASK_STEP_LOAD && facts->release && facts->release < RELEASE_UNLOCKED &&
	    facts->locked_most != UINT64_MAX && !has(facts, CAP_SYS_RESOURCE))
		return ctask_fail(err, EPERM,
				  "the probes take more memory than may be locked here, %" PRIu64
				  " bytes: 'ulimit -l unlimited', or CAP_SYS_RESOURCE",
				  facts->locked_most);
	if (facts->has_filter)
		return ctask_fail(err, EPERM,
				  "a seccomp filter forbids probes: it must let bpf() and "
				  "perf_event_open() pass (of a container: --security-opt "
				  "seccomp=unconfined)");
	return ctask_fail(err, EPERM,
			  "the kernel takes no probes from us though no capability is missing: a "
			  "security module, such as SELinux or AppArmor, must allow bpf() and "
			  "perf_event_open()");
}

/* --- the kernel --- */

static int refuse_program(const struct ctask_probe_facts *facts, int code,
			  const struct ctask_probe_words *words, struct ctask_error *err)
{
	if (code == ENOSYS)
		return ctask_fail(
			err, ENOSYS,
			"the kernel has no bpf(): it must be built with CONFIG_BPF_SYSCALL, "
			"and no seccomp filter may hide it");
	if (!facts->has_types)
		return ctask_fail(
			err, ENOSYS,
			"there is no /sys/kernel/btf/vmlinux, which the probes need: the "
			"kernel must be built with CONFIG_DEBUG_INFO_BTF, and /sys be mounted");
	if (facts->release && facts->release < RELEASE_LEAST)
		return ctask_fail(err, ENOSYS,
				  "Linux %u.%u is too old for the probes: they take 5.12",
				  facts->release >> 8, facts->release & 0xff);
	return ctask_fail(err, ENOSYS, "the kernel does not take the probes: %s%s%s",
			  strerror(code), words->text[0] ? ": " : "", words->text);
}

int ctask_refusal(const struct ctask_probe_facts *facts, enum ctask_probe_step step, int code,
		  const struct ctask_probe_words *words, struct ctask_error *err)
{
	char names[128];
	bool refused = code == EPERM || code == EACCES;

	if (step == CTASK_STEP_LOAD && facts->is_locked_down)
		return ctask_fail(err, EPERM,
				  "the kernel is locked down (/sys/kernel/security/lockdown: "
				  "confidentiality), which forbids probes: it takes a boot with "
				  "lockdown=integrity, or none");
	/* The verifier says EACCES too, when it has a fault to find. */
	if (code == EACCES && step == CTASK_STEP_LOAD && !facts->in_user_namespace &&
	    !missing(facts, step, names, sizeof(names)))
		refused = false;
	if (refused)
		return refuse_rights(facts, step, err);
	if (step == CTASK_STEP_LOAD)
		return refuse_program(facts, code, words, err);
	if (!facts->has_uprobes)
		return ctask_fail(
			err, ENOSYS,
			"there is no /sys/bus/event_source/devices/uprobe, which the probes "
			"need: the kernel must be built with CONFIG_UPROBE_EVENTS, and /sys be "
			"mounted");
	return ctask_fail(err, ENOSYS, "the kernel does not attach the probes: %s%s%s",
			  strerror(code), words->text[0] ? ": " : "", words->text);
}
